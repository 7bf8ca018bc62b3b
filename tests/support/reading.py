"""The statements that read a table of the user. A test goes through all of them, so a new statement needs an entry."""

from __future__ import annotations

from sqlext import statements as s
from sqlext.statements.base import Statement

# {t} is the table that cannot be read. The database has a good table `good` (v, y) and its model {m}.
READING: dict[type[Statement], tuple[str, ...]] = {
    s.TrainModel: (
        "TRAIN MODEL n FROM {t} FEATURES (v) LABEL y OPTIONS (epochs = 1)",
        "TRAIN MODEL n FROM {t} FEATURES (v) TARGET y OPTIONS (epochs = 1)",
        "TRAIN MODEL n FROM good FEATURES (v) LABEL y VALIDATE FROM {t} OPTIONS (epochs = 1)",
    ),
    s.CreateModel: ("CREATE MODEL n FEATURES (v) LABEL y OPTIONS (epochs = 1) AS SELECT v, y FROM {t}",),
    s.EvaluateModel: ("EVALUATE MODEL {m} FROM {t}",),
    s.ImportModel: ("IMPORT MODEL n FROM 'sqlext:small' FORMAT ONNX LABELS FROM {t}",),
}
NOT_READING: tuple[type[Statement], ...] = (
    s.ExportModel,
    s.ShowModels,
    s.ShowModelVersions,
    s.ShowCreateModel,
    s.ShowTrainingHistory,
    s.ShowTrainingRuns,
    s.CancelTraining,
    s.AlterModel,
    s.CommentOnModel,
    s.PurgeModels,
    s.DescribeModel,
    s.DropModel,
)


def check_that_each_statement_has_an_entry() -> None:
    assert sorted([*READING, *NOT_READING], key=str) == sorted(s.STATEMENTS, key=str)


def reading(table: str, *, model: str = "m") -> list[str]:
    return [sql.format(t=table, m=model) for texts in READING.values() for sql in texts]
