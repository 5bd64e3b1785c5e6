"""Sphinx extension: an error for what a built page asks of another host, or of no file at all.

Sphinx itself checks the links that it makes; this one reads the pages as a browser does, raw parts
included.
"""

from __future__ import annotations

import html.parser
import re
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError


class Page(html.parser.HTMLParser):
    """The links of a page, what it loads, and the places to which links may lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value for key, value in attrs if value is not None}
        self.places |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "index", "search"):
            self.loads.append(given.get("href", ""))
        self.loads += [given[key] for key in ("src", "srcset", "poster") if key in given]


def problems(folder: Path, paths: Iterable[Path] | None = None) -> list[str]:
    """Return what is wrong with the pages of a folder, all of them or these."""
    pages = {path: Page(path.read_text()) for path in sorted(paths or folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for address in page.loads + page.links:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme == "data" or (parts.scheme and address in page.links):
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{path.relative_to(folder)} loads {address}")
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve()
            target = target if parts.path else path
            if not target.exists():
                found.append(f"{path.relative_to(folder)} leads to {address}, which is missing")
            elif parts.fragment and target in pages and not _has(pages[target], parts.fragment):
                found.append(f"{path.relative_to(folder)} leads to {address}, no such place")
    for path in sorted(folder.rglob("*.css")):
        for address in re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^)\"']+)", path.read_text()
        ):
            found.append(f"{path.relative_to(folder)} loads {address}")
    return found


def _has(page: Page, fragment: str) -> bool:
    # What the explorer takes after the number sign are names of activations.
    return urllib.parse.unquote(fragment) in page.places or "explore" in page.places


def without_way_back(app: Any, name: str, template: str, context: Any, doctree: Any) -> None:
    """Take the links back to the reference out of pages of code: half of them lead nowhere."""
    if name.startswith("_modules/"):
        context["body"] = re.sub(r'<a class="viewcode-back".*?</a>', "", context["body"])


def check(app: Any, exception: Exception | None) -> None:
    """Check the pages that were built, and none that an earlier build has left."""
    if exception is None and app.builder.name == "html":
        folder = Path(app.outdir)
        names = [*app.env.found_docs, "search", "genindex", "py-modindex"]
        code = (folder / "_modules").rglob("*.html")
        found = problems(folder, [*(folder / f"{name}.html" for name in names), *code])
        if found:
            raise ExtensionError("\n".join(["the built pages are wrong:", *found]))


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("html-page-context", without_way_back)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
