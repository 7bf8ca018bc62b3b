"""The forms of ALTER MODEL, one class for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from sqlext.catalog.entry import ModelEntry
from sqlext.catalog.names import ModelName, alias_name
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import changed, dropped_row
from sqlext.statements.purge_models import PurgeClauses, purge_rows, purge_runs

ALTERED = "ALTERED"


class Alteration(ABC):
    """One form of ALTER MODEL. ``offset`` is the position for errors that do not have one yet."""

    WORDS: ClassVar[tuple[str, ...]]
    offset: int

    @classmethod
    @abstractmethod
    def read(cls, reader: TokenReader) -> Alteration:
        """Reads the text after :attr:`WORDS`."""

    @abstractmethod
    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        """Changes an existing model."""


@dataclass(frozen=True)
class RenameTo(Alteration):
    to: Name
    offset: int
    WORDS = ("RENAME", "TO")

    @classmethod
    def read(cls, reader: TokenReader) -> RenameTo:
        offset = reader.offset
        return cls(reader.name("a model name"), offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        from sqlext.catalog import alter

        to = ModelName.of(self.to.parts, entry.name.namespace)
        # Spark's ALTER TABLE .. RENAME cannot move a table to another database.
        if to.namespace != entry.name.namespace:
            raise SqlExtError("RENAME_ACROSS_DATABASES", model=entry.name, to=to, offset=self.offset)
        alter.rename(context.catalog, entry.name, to)
        return [changed(to, ALTERED, f"renamed from {entry.name}")]


@dataclass(frozen=True)
class SetDefaultVersion(Alteration):
    """``version`` is None for LATEST."""

    version: int | None
    offset: int
    WORDS = ("SET", "DEFAULT", "VERSION")

    @classmethod
    def read(cls, reader: TokenReader) -> SetDefaultVersion:
        offset = reader.offset
        if reader.take("LATEST"):
            return cls(None, offset)
        return cls(reader.integer("a version number or LATEST"), offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        before, catalog = entry.default.version, context.catalog
        if self.version is not None:
            catalog.pin(entry.name, self.version)
            message = f"the default is pinned to version {self.version}; it was version {before}"
            return [changed(entry.name, ALTERED, message, version=self.version)]
        latest = catalog.follow_latest(entry.name).version
        message = f"the default is version {latest} and follows newer versions; it was version {before}"
        return [changed(entry.name, ALTERED, message, version=latest)]


@dataclass(frozen=True)
class SetAlias(Alteration):
    alias: str
    version: int
    alias_offset: int
    offset: int
    WORDS = ("SET", "ALIAS")

    @classmethod
    def read(cls, reader: TokenReader) -> SetAlias:
        alias_offset = reader.offset
        alias = reader.identifier("an alias (a name, not a number)")
        reader.need("=")
        offset = reader.offset
        return cls(alias, reader.integer("a version number"), alias_offset, offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:

        with error_at(self.alias_offset):
            alias = alias_name(self.alias)
        before = entry.aliases.get(alias)
        context.catalog.set_alias(entry.name, alias, self.version)
        was = f"; it was version {before.version}" if before and before.version != self.version else ""
        return [changed(entry.name, ALTERED, f"alias {alias} is version {self.version}{was}", version=self.version)]


@dataclass(frozen=True)
class UnsetAlias(Alteration):
    alias: str
    offset: int
    WORDS = ("UNSET", "ALIAS")

    @classmethod
    def read(cls, reader: TokenReader) -> UnsetAlias:
        offset = reader.offset
        return cls(reader.identifier("an alias"), offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        before = entry.aliases.get(self.alias.lower())
        context.catalog.unset_alias(entry.name, self.alias)
        version = before.version if before else None
        return [changed(entry.name, ALTERED, f"removed alias {self.alias.lower()}", version=version)]


@dataclass(frozen=True)
class SetProperties(Alteration):
    properties: dict[str, str]
    offset: int
    WORDS = ("SET", "PROPERTIES")

    @classmethod
    def read(cls, reader: TokenReader) -> SetProperties:
        offset = reader.offset
        return cls(reader.properties(), offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        from sqlext.catalog import alter

        alter.set_properties(context.catalog, entry.name, self.properties)
        return [changed(entry.name, ALTERED, f"set {', '.join(self.properties)}")]


@dataclass(frozen=True)
class UnsetProperties(Alteration):
    keys: tuple[str, ...]
    if_exists: bool
    offset: int
    WORDS = ("UNSET", "PROPERTIES")

    @classmethod
    def read(cls, reader: TokenReader) -> UnsetProperties:
        if_exists = reader.take("IF", "EXISTS")
        offset = reader.offset
        keys = reader.parenthesised_list(reader.name, "a property")
        return cls(tuple(map(str, keys)), if_exists, offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        from sqlext.catalog import alter

        removed = alter.unset_properties(context.catalog, entry.name, self.keys, if_exists=self.if_exists)
        return [changed(entry.name, ALTERED, f"removed {', '.join(removed)}" if removed else "nothing to remove")]


@dataclass(frozen=True)
class DropVersion(Alteration):
    version: int
    offset: int
    WORDS = ("DROP", "VERSION")

    @classmethod
    def read(cls, reader: TokenReader) -> DropVersion:
        offset = reader.offset
        return cls(reader.integer("a version number"), offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        dropped = context.catalog.drop_version(entry.name, self.version)
        return [dropped_row(entry.name, dropped, self.version)]


@dataclass(frozen=True)
class Purge(Alteration):
    clauses: PurgeClauses
    offset: int
    WORDS = ("PURGE",)

    @classmethod
    def read(cls, reader: TokenReader) -> Purge:
        offset = reader.offset
        clauses, _ = PurgeClauses.read(reader)
        if clauses.is_empty:
            reader.fail("KEEP n VERSIONS or OLDER THAN n DAYS")
        return cls(clauses, offset)

    def run(self, context: Context, entry: ModelEntry) -> list[ResultRow]:
        from sqlext.catalog.purge import backbones_in_use, purge_model

        context.catalog.check(entry.name, "DROP")
        users = backbones_in_use(context.catalog) if entry.kind == "backbone" else {}
        found = purge_model(context.catalog, entry, self.clauses.rule(), users)
        runs = purge_runs(context, entry.name.namespace, lambda name: name == entry.name.name, dry_run=False)
        return purge_rows([*found, *runs])


ALTERATIONS: tuple[type[Alteration], ...] = (
    RenameTo,
    SetDefaultVersion,
    SetAlias,
    UnsetAlias,
    SetProperties,
    UnsetProperties,
    DropVersion,
    Purge,
)
