"""Files of this machine as Hadoop paths and back.

Hadoop's Path takes text as it is: ``file:/my data`` is the folder ``my data``, and ``file:/my%20data`` is another one. A URI
(``Path.as_uri()``) is percent-encoded, so it is never a Hadoop path.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_SCHEME = "file:"


def hadoop_text(path: Path) -> str:
    """The text that makes a Hadoop path of a file or folder of this machine, whatever fs.defaultFS is."""
    return f"{_SCHEME}{path.absolute()}"


def local_path(text: str) -> Path | None:
    """The file or folder of this machine that a qualified Hadoop path names; None for one of another file system."""
    return Path("/" + text.removeprefix(_SCHEME).lstrip("/")) if text.startswith(_SCHEME) else None


def folder_named(text: str | os.PathLike[str]) -> Path:
    """The folder that a user names; ``~`` and ``~user`` are home folders, but a name such as ``~old`` may be just a name."""
    # Path.expanduser() raises an error if there is no such user.
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111


def listed_folders(text: str) -> list[str]:
    """The folders of a list with commas; a comma that belongs to a name is written as ``\\,``."""
    parts = (part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text))
    return [part for part in parts if part]


def as_listed(folder: str) -> str:
    """A folder as it is written in such a list."""
    return folder.replace(",", "\\,")


def glob_text(path: str) -> str:
    """A path as Hadoop and Spark read it where a pattern is allowed: characters that mean a pattern are escaped."""
    return "".join("\\" + c if c in "*?[]{}\\," else c for c in path)
