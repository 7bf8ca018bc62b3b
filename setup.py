"""The only build step that pyproject.toml cannot express: compiling a Scala jar into the package (see sqlext/jvm/build.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithJar(build_py):
    """Compiles the shim after the Python files: into the build folder or, for an editable install, next to the sources."""

    def run(self) -> None:
        super().run()
        target = Path("sqlext") if self.editable_mode else Path(self.build_lib, "sqlext")
        with tempfile.TemporaryDirectory() as root:
            self._stage(Path(root))
            path = os.pathsep.join([root, *sys.path])
            command = [sys.executable, "-m", "sqlext.jvm.build", "--to", str((target / "jars").resolve())]
            done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=root, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit("bigdl-sqlext: the jar was not built; see the message above.")

    def _stage(self, root: Path) -> None:
        """Copies the packages into one import root, as an install does with [tool.setuptools.package-dir]."""
        for package in sorted(self.packages):
            folder = root.joinpath(*package.split("."))
            folder.mkdir(parents=True, exist_ok=True)
            for file in Path(self.get_package_dir(package)).glob("*.py"):
                shutil.copy(file, folder)
        shutil.copytree("sqlext/jvm/src", root / "sqlext/jvm/src")


setup(cmdclass={"build_py": BuildWithJar})
