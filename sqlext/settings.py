"""The list of all settings ``spark.sqlext.<name>``. The Scala shim registers them with Spark when a session is created.

Static settings decide which program runs, which files may be opened or how many resources may be used; Spark rejects a
client's SET of them. The other settings belong to the session, and permanent views use the values that were set when the
view was created.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREFIX = "spark.sqlext."


@dataclass(frozen=True)
class Setting:
    """One setting. ``type`` is string, int, bytes (with Spark's suffixes) or duration ('30m'); a ``default`` of None means
    that the setting is not set."""

    name: str
    type: str
    default: str | None
    doc: str
    static: bool = False

    @property
    def key(self) -> str:
        return PREFIX + self.name

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


SETTINGS: tuple[Setting, ...] = (
    Setting("resnet", "string", "models.resnet50", "The model that embed_resnet(image) uses."),
    Setting(
        "backbone",
        "string",
        None,
        "The backbone of TRAIN without BACKBONE; if not set, the value of spark.sqlext.resnet.",
    ),
    Setting("engine", "string", "auto", "The engine for scoring: auto, openvino, onnxruntime or bigdl."),
    Setting(
        "precision", "string", "auto", "Precision of classify and the other prediction functions: auto, f32 or bf16."
    ),
    Setting("embed.precision", "string", "f32", "Precision of embed and embed_resnet: f32 or bf16."),
    Setting("models.idle", "duration", "30m", "Executors unload a model that no new query has used for this long."),
    Setting(
        "runs.keep",
        "duration",
        "90d",
        "PURGE deletes the records of runs that ended longer ago, except the run of each existing version.",
    ),
    Setting("batch.maxBytes", "bytes", "16m", "Maximum bytes of a batch for the Python worker."),
    Setting("batch.maxRows", "int", "10000", "Maximum rows of a batch for the Python worker."),
    Setting(
        "python", "string", None, "Not used in this release; registered so that no client can set it.", static=True
    ),
    Setting(
        "pythonpath", "string", None, "Not used in this release; registered so that no client can set it.", static=True
    ),
    Setting(
        "allowedPaths",
        "string",
        None,
        "Comma-separated folders that IMPORT and read_image may read and EXPORT may write; if not set, all.",
        static=True,
    ),
    Setting(
        "functions",
        "string",
        None,
        "Comma-separated short names of the functions to register; if not set, all.",
        static=True,
    ),
    Setting(
        "train.localMaxBytes", "bytes", "256m", "Features up to this size train in one executor task.", static=True
    ),
    Setting(
        "cache.maxBytes",
        "bytes",
        "256m",
        "Disk space per executor for cached outputs of networks; 0 turns the cache off.",
        static=True,
    ),
    Setting(
        "train.maxConcurrent",
        "int",
        "4",
        "Maximum number of trainings at once in one driver; further ones wait as QUEUED.",
        static=True,
    ),
)


def setting(spark: SparkSession, name: str) -> str | None:
    """Returns the session's value of ``spark.sqlext.<name>``, or its default, or None if it has neither."""
    default = next(s.default for s in SETTINGS if s.name == name)
    return spark.conf.get(PREFIX + name, default)  # type: ignore[arg-type]


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration_seconds(text: str) -> float:
    """Converts '30m' to 1800.0. The units are Spark's: ms, s, m (or min), h and d; a number without a unit is in seconds.

    :raises KeyError: for an unknown unit.
    :raises ValueError: for anything that is not a number with an optional unit.
    """
    digits = text.strip().lower().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip().lower()[len(digits) :] or "s"
    return float(digits) * _UNITS[unit]
