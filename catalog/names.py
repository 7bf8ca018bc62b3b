"""The names of models in SQL text: ``db.model``, ``db.model@3``, ``db.model@prod``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlext.errors import SqlExtError

CATALOG = "spark_catalog"
LATEST = "latest"
DEFAULT = "default"
# ASCII, as \w means in Java: Spark's catalog checks names by the same pattern.
_PART = re.compile(r"\s*(?:`((?:[^`]|``)+)`|(\w+))\s*", re.ASCII)
_IDENTIFIER = re.compile(r"\w+", re.ASCII)  # what Spark's session catalog accepts as a table name
_MAX_LENGTH = 128  # the length of TBLS.TBL_NAME in older metastores


@dataclass(frozen=True, order=True)
class ModelName:
    """A model's name with its database; both in lower case, as the metastore stores them."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"

    @property
    def sql(self) -> str:
        """The name as SQL text, quoted; with the catalog, because USE may have made another one current."""
        return f"`{CATALOG}`.`{self.namespace}`.`{self.name}`"

    @classmethod
    def of(cls, parts: list[str] | tuple[str, ...], current: str) -> ModelName:
        """The name whose identifiers are ``parts``, without quotes; a single one is a model of the namespace ``current``.

        :raises SqlExtError: INVALID_MODEL_NAME.
        """
        text = ".".join(parts)
        if len(parts) == 3 and parts[0].lower() == CATALOG:
            parts = parts[1:]
        if len(parts) not in (1, 2):
            reason = f"models are in Spark's session catalog ({CATALOG}); write model or database.model"
            raise SqlExtError("INVALID_MODEL_NAME", name=text, reason=reason)
        for part in parts:
            if not _IDENTIFIER.fullmatch(part):
                raise SqlExtError("INVALID_MODEL_NAME", name=text, reason="use only letters, digits and _")
            if len(part) > _MAX_LENGTH:
                raise SqlExtError(
                    "INVALID_MODEL_NAME", name=text, reason=f"it may have at most {_MAX_LENGTH} characters"
                )
        namespace, name = parts if len(parts) == 2 else (current, parts[0])
        return cls(namespace.lower(), name.lower())

    @classmethod
    def parse(cls, text: str, current: str) -> ModelName:
        """Reads 'model' or 'db.model', with or without back-ticks.

        :raises SqlExtError: INVALID_MODEL_NAME.
        """
        parts, end = _identifiers(text)
        if end != len(text):
            raise SqlExtError("INVALID_MODEL_NAME", name=text, reason=f"'{text[end:]}' is unexpected")
        return cls.of(parts, current)


@dataclass(frozen=True)
class ModelRef:
    """A model and one of its versions: by number, by alias (including 'latest' and 'default'), or else the default."""

    name: ModelName
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        which = self.alias if self.version is None else self.version
        return str(self.name) if which is None else f"{self.name}@{which}"

    @classmethod
    def parse(cls, text: str, current: str) -> ModelRef:
        """Reads 'db.model', 'db.model@3', 'db.model@prod', 'db.model@latest', 'db.model@default'.

        :raises SqlExtError: INVALID_MODEL_NAME.
        """
        parts, end = _identifiers(text)
        name = ModelName.of(parts, current)
        rest = text[end:]
        if not rest:
            return cls(name)
        which, end = _identifiers(rest[1:]) if rest.startswith("@") else ([], 0)
        if len(which) != 1 or end != len(rest) - 1 or not _IDENTIFIER.fullmatch(which[0]):
            raise SqlExtError("INVALID_MODEL_NAME", name=text, reason="only @version or @alias may follow the name")
        return cls(name, version=int(which[0])) if which[0].isdecimal() else cls(name, alias=which[0].lower())


def alias_name(text: str) -> str:
    """The alias ``text`` in lower case.

    :raises SqlExtError: INVALID_ALIAS for a number, ``latest``, ``default`` or text that is not an identifier.
    """
    alias = text.lower()
    if not _IDENTIFIER.fullmatch(alias) or alias.isdecimal() or alias in (LATEST, DEFAULT):
        raise SqlExtError("INVALID_ALIAS", alias=text)
    return alias


def name_pattern(pattern: str | None) -> Callable[[str], bool]:
    """A test of names against a pattern as in SHOW TABLES, with ``*`` and ``|``; ``%`` means ``*``; None matches all."""
    if pattern is None:
        return lambda name: True
    parts = (".*".join(map(re.escape, re.split(r"[*%]", part.strip()))) for part in pattern.split("|"))
    compiled = re.compile("|".join(parts), re.IGNORECASE)
    return lambda name: compiled.fullmatch(name) is not None


def _identifiers(text: str) -> tuple[list[str], int]:
    """The dotted identifiers at the start of ``text`` and where they end."""
    parts: list[str] = []
    end = 0
    while match := _PART.match(text, end):
        parts.append(match[2] or match[1].replace("``", "`"))
        end = match.end()
        if end == len(text) or text[end] != ".":
            return parts, end
        end += 1
    raise SqlExtError("INVALID_MODEL_NAME", name=text, reason="write model or database.model")
