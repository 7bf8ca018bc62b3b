"""The words that the grammar reads although no release supports them yet.

A statement with one of them is read to its end, so that other errors come first, and is then FEATURE_NOT_AVAILABLE. The
sqlglot dialect parses and prints it.
"""

from __future__ import annotations

ARCHITECTURES = ("cnn", "finetune")  # of USING
FREEZE: dict[str, str | None] = {"NONE": None, "UNTIL": "the name of a layer in quotes"}  # word -> the string after it
FORMATS = ("CAFFE", "TENSORFLOW", "KERAS", "TORCH")  # of IMPORT MODEL and EXPORT MODEL
OPTION_VALUES = {"precision": ("int8",)}
