"""EXPLAIN TRAIN MODEL: what a training would do, without training anything."""
