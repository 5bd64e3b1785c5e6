"""What makes the site lies beside the documents, not in a package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def module(name: str) -> Any:
    """Return a module of docs/_extensions."""
    folder = str(ROOT / "docs" / "_extensions")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
