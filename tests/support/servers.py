"""A `sqlext serve` in its own process, and what the operating system knows of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SQLEXT = Path(sys.executable).parent / "sqlext"


@dataclass(frozen=True)
class Server:
    """``process`` is the JVM: the command replaces itself by it."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    ready: str

    @property
    def backend(self) -> int:
        """The process id of the Python that the JVM has started."""
        found = [pid for pid in _children(self.process.pid) if b"sqlext.backend" in _command(pid)]
        assert len(found) == 1, found
        return found[0]

    def counts(self) -> dict[str, int]:
        """Threads and open files of both processes."""
        pids = {"jvm": self.process.pid, "python": self.backend}
        kinds = {"files": "fd", "threads": "task"}
        return {
            f"{name} {kind}": len(list(Path(f"/proc/{pid}/{folder}").iterdir()))
            for name, pid in pids.items()
            for kind, folder in kinds.items()
        }

    def listening(self) -> set[str]:
        """The addresses on which both processes listen, in hexadecimal as Linux writes them."""
        inodes = {
            found[1]
            for pid in (self.process.pid, self.backend)
            for entry in Path(f"/proc/{pid}/fd").iterdir()
            if (found := re.match(r"socket:\[(\d+)\]", str(entry.readlink())))
        }
        lines = [
            line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
        ]
        return {line[1].split(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes}


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@contextmanager
def serve(home: Path, *options: str, master: str = "local[2]") -> Iterator[Server]:
    """Starts a server on a free port with the warehouse ``home``/w; SIGTERM ends it."""
    log = home / "server.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [SQLEXT, "serve", "--port", "0", "--warehouse", "w", "--master", master, *options],
            cwd=home,
            env={**os.environ, "XDG_STATE_HOME": str(home / "state")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"ready: jdbc:hive2://\S+:(\d+)/default", line)
        assert found, (line, log.read_text()[-2000:])
        yield Server(process, int(found[1]), log, line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
