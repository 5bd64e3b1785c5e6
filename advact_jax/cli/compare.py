"""``advact-jax compare``: activations side by side."""

from __future__ import annotations

import dataclasses

import click

from advact_jax.cli import output
from advact_jax.cli.arguments import (
    dialect_option,
    grouped,
    json_option,
    made,
    markdown_option,
    output_option,
    picture_path,
    several_argument,
)


@click.command(
    "compare",
    short_help="Properties side by side, and a picture.",
    epilog="""\b
Examples:
  advact-jax compare relu leaky_relu elu selu
  advact-jax compare elu alpha=0.5 elu alpha=2 celu
  advact-jax compare relu gelu tanh -o compared.svg
  advact-jax compare gelu silu mish --json""",
)
@several_argument
@dialect_option
@output_option
@markdown_option
@json_option
def command(
    words: tuple[str, ...], dialect: str | None, output_: str | None, markdown: bool, as_json: bool
) -> None:
    """Print the properties of elementwise activations side by side, and draw them.

    Range; direction; Lipschitz constant, the steepest slope; gain, forward and backward; the
    variance that the inputs of deep layers come to with LeCun's weights, from 1; and the dead
    region, where no gradient comes through.
    """
    from advact_jax import properties

    path = output_ and picture_path(output_)
    activations = [made(each, dialect) for each in grouped(words)]
    every = [
        properties.of(activation)
        for activation in output.progress(activations, "measuring", len(activations))
    ]
    if path:
        from advact_jax.plots import _style
        from advact_jax.plots.activations import compare

        _style.save(compare(*activations), path)
    if as_json:
        output.as_json([dataclasses.asdict(each) for each in every])
        return
    rows = [["activation", *every[0].shown()]]
    rows += [[each.label, *each.shown().values()] for each in every]
    if output.is_terminal() and not markdown:  # which is seldom wide enough for all properties
        rows = [list(column) for column in zip(*rows, strict=True)]
    title = "Properties of activations" if markdown else ""
    output.table(title, rows[0], rows[1:], markdown=markdown)
