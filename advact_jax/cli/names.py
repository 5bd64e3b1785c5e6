"""``advact-jax names``: what other libraries call the activations."""

from __future__ import annotations

import click

from advact_jax import registry
from advact_jax.cli import output
from advact_jax.cli.arguments import json_option, markdown_option

HEADS = ("library", "name there", "name here", "what differs")


@click.command(
    "names",
    short_help="What other libraries call them.",
    epilog="""\b
Examples:
  advact-jax names --dialect torch
  advact-jax names --markdown
  advact-jax names --dialect onnx --json""",
)
@click.option(
    "--dialect", type=click.Choice(registry.DIALECTS), help="One library; all without it."
)
@markdown_option
@json_option
def command(dialect: str | None, markdown: bool, as_json: bool) -> None:
    """Print the names that other libraries have for the activations.

    For each name: the library, the name there, the name here, and what differs there: defaults, by
    our names, and names of arguments. advact_jax.get takes the name with the dialect.
    """
    rows = [row for row in registry.table() if dialect in (None, row[0])]
    if as_json:
        keys = ("dialect", "name", "activation", "differs")
        output.as_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    title = f"Names of the activations in {dialect or 'other libraries'}"
    widths = [24, *(max(12, len(head)) for head in HEADS[1:])]
    output.table(title, HEADS, rows, markdown=markdown, widths=widths)
