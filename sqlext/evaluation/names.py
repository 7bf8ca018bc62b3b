"""The names of metrics and of the splits of a source, as SQL and the stored files use them."""

from __future__ import annotations

TRAIN, VALIDATION, TEST = "train", "validation", "test"

CLASSIFICATION_METRICS = ("accuracy", "precision", "recall", "f1_score", "log_loss", "roc_auc", "top_5_accuracy")
# Those that need the scores of all classes.
OF_SCORES = ("log_loss", "roc_auc", "top_5_accuracy")
REGRESSION_METRICS = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "rmse", "mae"})
