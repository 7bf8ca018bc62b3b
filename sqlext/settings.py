"""The settings ``spark.sqlext.<name>``: the one list. The shim registers them with Spark when the session is made.

Static settings decide which program runs, which files are opened or how much the driver may take; Spark refuses a client's
SET of them. The others follow the session, and permanent views keep the values that they were made with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREFIX = "spark.sqlext."


@dataclass(frozen=True)
class Setting:
    """One setting. ``type`` is string, int, bytes (with Spark's suffixes) or duration ('30m'); ``default`` None: not set."""

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
        "backbone", "string", None, "The backbone of TRAIN without BACKBONE; not set: the value of spark.sqlext.resnet."
    ),
    Setting("engine", "string", "auto", "What scores: auto, openvino, onnxruntime or bigdl."),
    Setting("precision", "string", "auto", "Precision of classify and its kin: auto, f32 or bf16."),
    Setting("embed.precision", "string", "f32", "Precision of embed and embed_resnet: f32 or bf16."),
    Setting("models.idle", "duration", "30m", "Executors forget a model that no query has bound for this long."),
    Setting(
        "runs.keep", "duration", "90d", "PURGE forgets runs that ended longer ago; a version's own run stays with it."
    ),
    Setting("batch.maxBytes", "bytes", "16m", "Bytes of one batch that is handed to the Python worker."),
    Setting("batch.maxRows", "int", "10000", "Rows of one batch that is handed to the Python worker."),
    Setting("python", "string", None, "The Python with bigdl-sqlext that serves this driver.", static=True),
    Setting("pythonpath", "string", None, "Its PYTHONPATH.", static=True),
    Setting(
        "allowedPaths",
        "string",
        None,
        "Folders that IMPORT and read_image may read and EXPORT may write, comma-separated; not set: all.",
        static=True,
    ),
    Setting(
        "functions", "string", None, "The short function names to register, comma-separated; not set: all.", static=True
    ),
    Setting(
        "train.localMaxBytes", "bytes", "256m", "Feature sets up to this size train in one executor task.", static=True
    ),
    Setting(
        "cache.maxBytes",
        "bytes",
        "256m",
        "Disk of an executor for what networks gave for images, so that an image goes through a network once; 0: none.",
        static=True,
    ),
    Setting("train.maxConcurrent", "int", "4", "Trainings at once in one driver; more wait as QUEUED.", static=True),
)


def setting(spark: SparkSession, name: str) -> str | None:
    """The session's value of ``spark.sqlext.<name>``, or its default; None when it has neither."""
    default = next(s.default for s in SETTINGS if s.name == name)
    return spark.conf.get(PREFIX + name, default)  # type: ignore[arg-type]


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration_seconds(text: str) -> float:
    """'30m' -> 1800.0; units ms, s, m (or min), h and d as in Spark's settings; a bare number is seconds."""
    digits = text.strip().lower().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip().lower()[len(digits) :] or "s"
    return float(digits) * _UNITS[unit]
