"""A model as the metastore stores it: a table with one partition per version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from sqlext.catalog.layout import MODEL_FOLDER
from sqlext.catalog.names import ModelName
from sqlext.errors import SqlExtError
from sqlext.networks.scores import VALUE

FORMAT_VERSION = 1
"""Version of the stored format: table, partition parameters and manifest. Every release reads all earlier versions."""

PREFIX = "sqlext."
KIND = PREFIX + "kind"
MODEL_ID = PREFIX + "model_id"
FORMAT = PREFIX + "format_version"
RELEASE = PREFIX + "release"
PROPERTY = PREFIX + "property."  # a separate prefix, so that no user property has a meaning for Hive or Spark
PINNED = PREFIX + "pinned"
PROMOTED = PREFIX + "promoted"
RUN_ID = PREFIX + "run_id"
ALIAS = PREFIX + "alias."

BACKBONE, CLASSIFIER, REGRESSOR = KINDS = ("backbone", "classifier", "regressor")


def predicts_a_value(manifest: Mapping[str, Any]) -> bool:
    """Whether the model predicts a number: a regressor, or the imported network of an exported regressor."""
    return bool(
        manifest["kind"] == REGRESSOR or (manifest["kind"] == BACKBONE and manifest.get("scores_kind") == VALUE)
    )


@dataclass(frozen=True)
class ModelVersion:
    """One published version: a partition of the model's table.

    ``location`` is the version's folder as a Hadoop path; ``aliases`` maps each alias that this version holds to the
    time it was set; ``backbone_id`` is ``<model_id>@<version>`` of the backbone that a head needs.
    """

    name: ModelName
    model_id: str
    kind: str
    version: int
    run_id: str
    location: str
    promoted: bool
    aliases: dict[str, str]
    pinned: bool
    metric_name: str | None
    metric_value: float | None
    rows_trained: int | None
    size_bytes: int
    created_by: str
    created_at: datetime
    backbone_id: str | None
    format_version: int
    parameters: dict[str, str] = field(repr=False)

    @property
    def id(self) -> str:
        """The reference to a backbone that its heads store; a RENAME does not change it."""
        return f"{self.model_id}@{self.version}"

    @property
    def model_folder(self) -> str:
        return f"{self.location}/{MODEL_FOLDER}"

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class ModelEntry:
    """A model with at least one version, oldest first.

    ``foreign`` lists the folders of partitions that are not versions, such as those of a user's INSERT.
    """

    name: ModelName
    model_id: str
    kind: str
    location: str
    owner: str
    comment: str | None
    created_at: datetime
    properties: dict[str, str]
    format_version: int
    release: str
    versions: tuple[ModelVersion, ...]
    foreign: tuple[str, ...] = ()

    @property
    def latest(self) -> ModelVersion:
        return self.versions[-1]

    @property
    def pinned(self) -> ModelVersion | None:
        return next((v for v in self.versions if v.pinned), None)

    @property
    def default(self) -> ModelVersion:
        """The pinned version, or else the highest promoted one, or the oldest if none was ever promoted."""
        promoted = [v for v in self.versions if v.promoted]
        return self.pinned or (promoted[-1] if promoted else self.versions[0])

    def version(self, number: int) -> ModelVersion:
        """:raises SqlExtError: MODEL_VERSION_NOT_FOUND."""
        for version in self.versions:
            if version.version == number:
                return version
        numbers = ", ".join(str(v.version) for v in self.versions[-10:])
        raise SqlExtError("MODEL_VERSION_NOT_FOUND", model=self.name, version=number, hint=f"Available: {numbers}.")

    @property
    def aliases(self) -> dict[str, ModelVersion]:
        return {alias: version for version in self.versions for alias in version.aliases}


def entry(name: ModelName, table: Mapping[str, Any], partitions: Iterable[Mapping[str, Any]]) -> ModelEntry | None:
    """Builds a model from its table and partitions, which are Spark's CatalogTable and CatalogTablePartition as JSON.

    Returns None for a model without a version: its first publish has not finished, or its last version was dropped.
    """
    numbered = [(version_number(p), p) for p in partitions]
    own = sorted(((n, p) for n, p in numbered if n is not None and RUN_ID in p["parameters"]), key=lambda pair: pair[0])
    aliases, pinned = _holders(own)
    properties: dict[str, str] = table["properties"]
    head: dict[str, Any] = {"name": name, "model_id": properties[MODEL_ID], "kind": properties.get(KIND, CLASSIFIER)}
    versions = tuple(_version(head, number, p["parameters"], path_of(p), aliases, pinned) for number, p in own)
    if not versions:
        return None
    return ModelEntry(
        **head,
        location=path_of(table),
        owner=table["owner"],
        comment=table["comment"],
        created_at=datetime.fromtimestamp(table["createTime"] / 1000, UTC),
        properties={k.removeprefix(PROPERTY): v for k, v in properties.items() if k.startswith(PROPERTY)},
        format_version=int(properties.get(FORMAT, FORMAT_VERSION)),
        release=properties.get(RELEASE, "?"),
        versions=versions,
        foreign=tuple(path_of(p) for n, p in numbered if n is None or RUN_ID not in p["parameters"]),
    )


def version_number(partition: Mapping[str, Any]) -> int | None:
    """The number of a partition; None for Hive's default partition (an INSERT of NULL)."""
    text = str(partition["spec"].get("version", ""))
    return int(text) if text.isdecimal() else None


def path_of(thing: Mapping[str, Any]) -> str:
    """The folder of a table or partition as a Hadoop path, that is its URI without percent-encoding."""
    return unquote(thing["storage"]["locationUri"] or "").rstrip("/")


def _holders(own: Iterable[tuple[int, Mapping[str, Any]]]) -> tuple[dict[str, int], int | None]:
    """Which version holds each alias, and which one the pin. If several do, the one where it was set last wins."""
    latest: dict[str, tuple[str, int]] = {}
    for number, partition in own:
        for key, when in partition["parameters"].items():
            if key == PINNED or key.startswith(ALIAS):
                # set_alias writes the new holder before it removes the old one, so a crash in between leaves two. The times are
                # texts of equal length in UTC, which sort like the times themselves.
                latest[key] = max(latest.get(key, ("", 0)), (when, number))
    aliases = {k.removeprefix(ALIAS): number for k, (_, number) in latest.items() if k != PINNED}
    return aliases, latest[PINNED][1] if PINNED in latest else None


def _version(
    head: dict[str, Any],
    number: int,
    parameters: dict[str, str],
    location: str,
    aliases: dict[str, int],
    pinned: int | None,
) -> ModelVersion:
    get = {k.removeprefix(PREFIX): v for k, v in parameters.items() if k.startswith(PREFIX)}.get
    return ModelVersion(
        **head,
        version=number,
        run_id=parameters[RUN_ID],
        location=location,
        promoted=get("promoted") == "true",
        aliases={alias: parameters[ALIAS + alias] for alias, holder in aliases.items() if holder == number},
        pinned=pinned == number,
        metric_name=get("metric_name"),
        metric_value=_number(get("metric_value"), float),
        rows_trained=_number(get("rows_trained"), int),
        size_bytes=_number(get("size_bytes"), int) or 0,
        created_by=get("created_by") or "",
        created_at=datetime.fromisoformat(get("created_at") or "1970-01-01T00:00:00+00:00"),
        backbone_id=get("backbone_id"),
        format_version=int(get("format_version") or FORMAT_VERSION),
        parameters=dict(parameters),
    )


def _number(text: str | None, kind: type[Any]) -> Any:
    return None if text is None else kind(text)
