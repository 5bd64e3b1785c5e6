"""Sphinx extension: a page for each activation, the gallery, and a page for each public module."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pages
import producing
import public

import advact_jax
from advact_jax import catalog


def write(folder: Path, wanted: dict[str, str]) -> None:
    """Make a folder hold these pages and no others, untouched where they are as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.stem not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def generate(app: Any) -> None:
    """Write the pages before Sphinx reads any."""
    docs, built = Path(app.srcdir), Path(app.outdir)
    told = producing.produce(
        docs / "activations", built / "_static" / "explorer", built.parent / "produced.json"
    )
    errors = pages.accuracy_rows(docs / "accuracy.md")
    known = {**catalog.elementwise(), **catalog.along_axis()}
    written = {
        name: pages.activation_page(known[name], family, told[name], errors.get(name, {}))
        for family, names in pages.families().items()
        for name in names
    }
    write(docs / "activations", {**written, "index": pages.gallery(told)})
    write(docs / "api", api_pages())
    app.thumbnails = told


def show(app: Any, name: str, source: list[str]) -> None:
    """Put thumbnails in the place of comments such as <!-- gallery: gelu silu -->."""
    source[0] = re.sub(
        "<!-- gallery: (.*?) -->",
        lambda found: pages.cards(app.thumbnails, found[1].split(), "activations/"),
        source[0],
    )


def api_pages() -> dict[str, str]:
    """Return the pages of the reference: the package itself, and each public module."""
    modules = public.modules()
    declared = [*catalog.elementwise(), *catalog.along_axis()]
    links = ", ".join(f":func:`~advact_jax.{name}`" for name in sorted(declared))
    activations = {*declared, *catalog.aliases()}
    own = [name for name in public.names(advact_jax) if name not in activations]
    found = {
        "index": pages.title("Reference")
        + "\nEvery public name, as its docstring tells it.\n\n.. toctree::\n   :maxdepth: 1\n\n"
        + pages.indented("\n".join(["command-line", "advact_jax", *modules]))
        + "\n",
        "advact_jax": f"{pages.title('advact_jax')}\n.. module:: advact_jax\n\n"
        f"{inspect.getdoc(advact_jax)}\n\nThe activations, each of which has a page: {links}.\n\n"
        + "".join(_entry(f"advact_jax.{name}", getattr(advact_jax, name)) for name in own),
    }
    found["command-line"] = command_line()
    for name, module in modules.items():
        members = {key: getattr(module, key) for key in public.names(module)}
        members = {k: v for k, v in members.items() if not public.is_at_top(v)}
        found[name] = (
            f"{pages.title(f'advact_jax.{name}')}\n.. automodule:: advact_jax.{name}\n\n"
            + "".join(_entry(f"advact_jax.{name}.{key}", value) for key, value in members.items())
        )
    return found


def command_line() -> str:
    """Return the page of the command line: the help of each command."""
    import click

    from advact_jax.cli.main import PROGRAM, program

    top = click.Context(program, info_name=PROGRAM, max_content_width=88)
    parts = [pages.title("Command line"), _literal(program.get_help(top))]
    for name, command in program.commands.items():
        context = click.Context(command, parent=top, info_name=name, max_content_width=88)
        parts += [pages.title(f"{PROGRAM} {name}", "-"), _literal(command.get_help(context))]
    return "\n".join(parts)


def _literal(text: str) -> str:
    return f".. code-block:: text\n\n{pages.indented(text)}\n"


def _entry(path: str, value: Any) -> str:
    kind = "autoclass" if isinstance(value, type) else "autofunction"
    return f".. {kind}:: {path}\n{'   :members:' if isinstance(value, type) else ''}\n\n"


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("builder-inited", generate)
    app.connect("source-read", show)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
