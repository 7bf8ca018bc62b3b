"""The package's drawing code, loaded from its file because an import of the package itself would need Spark."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_FILE = Path(__file__).resolve().parents[2] / "sqlext" / "cli" / "drawing.py"
_spec = importlib.util.spec_from_file_location("sqlext_drawing", _FILE)
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["sqlext_drawing"] = _module
_spec.loader.exec_module(_module)

Colour, Points, Pen = _module.Colour, _module.Points, _module.Pen
any_colour, camera, oval, scene, shade, vary = (
    getattr(_module, name) for name in ("any_colour", "camera", "oval", "scene", "shade", "vary")
)
