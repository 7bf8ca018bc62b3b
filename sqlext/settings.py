"""The only list of the settings ``spark.sqlext.<name>``. The shim registers them with Spark when the session starts.

Static settings decide which program runs, which files are opened or how much the driver may use; Spark refuses to SET them
in a session. All others can be SET in a session, and permanent views store the values that they were created with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREFIX = "spark.sqlext."


@dataclass(frozen=True)
class Setting:
    """One setting. ``type`` is string, int, bytes (with Spark's suffixes) or duration ('30m'); ``default`` None: unset."""

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
    Setting("models.idle", "duration", "30m", "Executors unload a model if no new query has used it for this long."),
    Setting(
        "runs.keep",
        "duration",
        "90d",
        "PURGE deletes records of runs that ended longer ago, except those of existing versions.",
    ),
    # Spark limits Arrow batches only by rows, and 10,000 photographs of 220 KB do not fit into one
    # (OversizedAllocationException).
    Setting("batch.maxBytes", "bytes", "16m", "Maximum size of a batch that is sent to the Python worker."),
    Setting("batch.maxRows", "int", "10000", "Maximum rows of a batch that is sent to the Python worker."),
    Setting(
        "python",
        "string",
        None,
        "The Python in which bigdl-sqlext is installed, for drivers that are not started by Python; `sqlext conf` prints it.",
        static=True,
    ),
    Setting(
        "pythonpath", "string", None, "Not used in this release; registered so that no client can set it.", static=True
    ),
    Setting(
        "allowedPaths",
        "string",
        None,
        "Folders that IMPORT and read_image may read and EXPORT may write, comma-separated; if not set, all.",
        static=True,
    ),
    Setting(
        "functions",
        "string",
        None,
        "The short function names to register, comma-separated; if not set, all.",
        static=True,
    ),
    # About 33,000 embeddings of ResNet-50.
    Setting(
        "train.localMaxBytes", "bytes", "256m", "Features up to this size train in one executor task.", static=True
    ),
    # About 30,000 embeddings of ResNet-50.
    Setting(
        "cache.maxBytes",
        "bytes",
        "256m",
        "Disk space per executor to cache the outputs of networks, so that an image is processed only once; 0: no cache.",
        static=True,
    ),
    Setting(
        "train.maxConcurrent", "int", "4", "Concurrent trainings in one driver; others wait as QUEUED.", static=True
    ),
)


def setting(spark: SparkSession, name: str) -> str | None:
    """The session's value of ``spark.sqlext.<name>``, or else its default; None if it has neither."""
    default = next(s.default for s in SETTINGS if s.name == name)
    return spark.conf.get(PREFIX + name, default)  # type: ignore[arg-type]


def backbone_of_settings(spark: SparkSession) -> tuple[str, str]:
    """The backbone of TRAIN without BACKBONE, and the key of the setting that names it."""
    name = "backbone" if setting(spark, "backbone") else "resnet"
    return str(setting(spark, name)), PREFIX + name


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration_seconds(text: str) -> float:
    """'30m' -> 1800.0. Units are ms, s, m (or min), h and d, as in Spark's settings; the default is seconds."""
    digits = text.strip().lower().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip().lower()[len(digits) :] or "s"
    return float(digits) * _UNITS[unit]
