"""How a command prints: a table on a terminal, plain text elsewhere, Markdown or JSON on demand."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import rich.box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

T = TypeVar("T")


def is_terminal() -> bool:
    """Tell whether a person sees what is printed."""
    return sys.stdout.isatty()


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar on the error output if that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    console = Console(stderr=True)
    yield from track(items, what, total=total, console=console, transient=True)


def as_json(value: Any) -> None:
    """Print a value as JSON; numbers that JSON has not are strings, "inf" for instance."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def table(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    markdown: bool = False,
    right: bool = False,
    widths: Sequence[int] = (),
) -> None:
    """Print a table: its rows as they come, but on a terminal when all are there.

    Args:
      title: a line above; none if empty.
      heads: the columns.
      rows: cells for each.
      markdown: whether to print Markdown.
      right: whether all columns but the first are flush right.
      widths: of the columns in plain text; without it, all rows are awaited and measured.
    """
    if markdown:
        print(f"{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
    elif is_terminal():
        drawn = Table(title=title or None, title_justify="left", box=rich.box.SIMPLE_HEAD)
        for index, head in enumerate(heads):
            drawn.add_column(
                head,
                justify="right" if right and index else "left",
                style="bold" if index == 0 else None,
                no_wrap=index == 0,
                overflow="fold",
            )
        for row in rows:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)
    else:
        _plain_table(title, heads, rows, right, widths)


def _plain_table(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: bool,
    widths: Sequence[int],
) -> None:
    if not widths:
        rows = list(rows)
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    if title:
        print(title)
    print("  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip())
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        print("  ".join(cells).rstrip(), flush=True)


def record(title: str, fields: Mapping[str, str]) -> None:
    """Print what is known of one thing, a line for each field; empty fields are left out."""
    shown = {key: value for key, value in fields.items() if value}
    if is_terminal():
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for key, value in shown.items():
            grid.add_row(key, Text(value))
        Console().print(Text(title, style="bold"), grid)
        return
    print(title)
    width = max(map(len, shown), default=0)
    for key, value in shown.items():
        print(f"{key.ljust(width)}  {value}")
