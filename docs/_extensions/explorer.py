"""Sphinx extension: the script and the style of the explorer, on its page alone."""

from __future__ import annotations

from typing import Any


def add(app: Any, page: str, template: str, context: Any, doctree: Any) -> None:
    """Add the files to the page."""
    if page == "explorer":
        app.add_css_file("explorer.css")
        app.add_js_file("explorer.js", loading_method="defer")


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("html-page-context", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
