"""Sphinx extension: the table of contents, and the links that lead out of this folder.

The guides are read on GitHub too, so they hold plain links and no directives. A new document in
this folder appears here by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# In this order; documents that are not named here come at the end of the guides.
CHAPTERS = {
    "Start": ["quickstart", "selection", "migration", "sequential", "examples"],
    "Activations": ["activations/index", "explorer"],
    "Guides": ["numerics", "memory", "lean", "diagnostics", "*"],
    "Record": ["accuracy", "benchmarks"],
    "Reference": ["api/index", "project/contributing", "project/changelog"],
}
# Files above this folder that have a page here.
OUTSIDE = {
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "README.md": "index",
}


def contents(documents: set[str]) -> str:
    """Return the chapters as tables of contents, which only the side of the page shows."""
    named = {name for names in CHAPTERS.values() for name in names}
    others = sorted(name for name in documents - named if "/" not in name and name != "index")
    text = ""
    for chapter, names in CHAPTERS.items():
        listed = [other for name in names for other in (others if name == "*" else [name])]
        lines = "\n".join(name for name in listed if name in documents)
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {chapter}\n\n{lines}\n```\n"
    return text


def read(app: Any, name: str, source: list[str]) -> None:
    """Complete what is read: the contents of the first page, and links to files above."""
    if name == "index":
        source[0] += contents(app.env.found_docs)
    above = "../" if name.startswith("project/") else ""
    for file, page in OUTSIDE.items():
        source[0] = source[0].replace(f"](../{file}", f"]({above}{page}.md")


def copy(app: Any) -> None:
    """Copy the files above that have a page here, with their links as seen from there."""
    docs = Path(app.srcdir)
    (docs / "project").mkdir(exist_ok=True)
    for file, page in OUTSIDE.items():
        if page == "index":
            continue
        text = (docs.parent / file).read_text()
        text = text.replace("](docs/", "](../").replace("](examples/", "](../../examples/")
        path = docs / f"{page}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("builder-inited", copy)
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
