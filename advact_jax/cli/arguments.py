"""Arguments that commands share: activations with their parameters, dialects, JSON."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from advact_jax import registry

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON. Infinite numbers are strings in it."
)
markdown_option = click.option("--markdown", is_flag=True, help="Print a Markdown table.")
dialect_option = click.option(
    "--dialect",
    type=click.Choice(registry.DIALECTS),
    help="Whose names and defaults NAME and KEY are; advact_jax's own without it.",
)
output_option = click.option(
    "-o",
    "--output",
    "output_",
    type=click.Path(dir_okay=False, writable=True),
    help="Write the picture to this file: .png, .svg or .pdf.",
)
SUFFIXES = (".png", ".svg", ".pdf")

# NAME KEY=VALUE ... NAME ...: a parameter belongs to the name before it.
one_argument = click.argument("words", metavar="NAME [KEY=VALUE]...", nargs=-1, required=True)
several_argument = click.argument(
    "words", metavar="NAME [KEY=VALUE]... [NAME...]", nargs=-1, required=True
)


class Words(NamedTuple):
    """A name and the parameters written behind it."""

    name: str
    parameters: dict[str, Any]


def grouped(words: Sequence[str]) -> list[Words]:
    """Return each name with the parameters that follow it."""
    found: list[Words] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or word.startswith("{"):
            found.append(Words(word, {}))
        elif not found:
            raise click.UsageError(f"Expected a name before {word!r}.")
        else:
            found[-1].parameters[key] = parsed(value)
    return found


def single(words: Sequence[str]) -> Words:
    """Return the one name and its parameters."""
    found = grouped(words)
    if len(found) != 1:
        raise click.UsageError(
            f"Expected one name, got {len(found)}: {', '.join(each.name for each in found)}. "
            "Parameters are written KEY=VALUE."
        )
    return found[0]


_WORDS = {"True": True, "False": False, "None": None}


def parsed(text: str) -> Any:
    """Return a value as Python or JSON writes it: a number, a list, true, none; else the text."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return float(text)  # .5, inf
    except ValueError:
        return text


def made(words: Words, dialect: str | None) -> str | Callable[..., Any]:
    """Return the activation of a name: the name itself, or with its parameters fixed."""
    if dialect is None and not words.parameters:
        registry.resolve("get", words.name)
        return words.name
    return registry.get(words.name, dialect=dialect, **words.parameters)


def picture_path(path: str) -> str:
    """Return the path of a picture, or raise an error for its ending or its folder."""
    if not path.lower().endswith(SUFFIXES):
        raise click.UsageError(f"Expected a file that ends in {' or '.join(SUFFIXES)}, got {path}.")
    folder = pathlib.Path(path).absolute().parent
    if not folder.is_dir():
        raise click.UsageError(f"Expected a folder that exists, got {folder}, for {path}.")
    return path
