-- Finds images that are similar to another image: stores the embeddings once, then compares them in SQL.
--
--     make demo                                    # creates the tables and imports the network
--     sqlext sql --warehouse demo-output/warehouse -f examples/02_similar_images.sql

CREATE DATABASE IF NOT EXISTS similar;

DROP TABLE IF EXISTS similar.embeddings;

-- The version is part of the name, so that embeddings added later can be compared with these.
CREATE TABLE similar.embeddings STORED AS PARQUET AS
SELECT xxhash64(image) AS id, label, embed('models.small@1', image) AS features FROM demo.val;

-- The five pictures that are most similar to one picture.
SELECT a.label AS looked_for, b.label AS found, round(cosine_similarity(a.features, b.features), 4) AS similarity
FROM similar.embeddings a JOIN similar.embeddings b ON a.id <> b.id
WHERE a.id = (SELECT min(id) FROM similar.embeddings)
ORDER BY similarity DESC LIMIT 5;

-- How often the most similar picture shows the same flower.
SELECT round(avg(if(label = nearest, 1, 0)), 3) AS same_label FROM (
  SELECT a.id, a.label, max_by(b.label, cosine_similarity(a.features, b.features)) AS nearest
  FROM similar.embeddings a JOIN similar.embeddings b ON a.id <> b.id GROUP BY a.id, a.label
);
