"""``advact-jax plot``: value and derivatives as a picture, or in the terminal."""

from __future__ import annotations

from typing import Any

import click

from advact_jax.cli import output
from advact_jax.cli.arguments import (
    dialect_option,
    grouped,
    json_option,
    made,
    output_option,
    parsed,
    picture_path,
    several_argument,
)


@click.command(
    "plot",
    short_help="Value and derivatives, into a file or the terminal.",
    epilog="""\b
Examples:
  advact-jax plot gelu
  advact-jax plot relu leaky_relu negative_slope=0.2 elu -o rectifiers.png
  advact-jax plot softplus --parameter beta --values 0.5,1,2 -o family.svg
  advact-jax plot hard_silu --range -5 5 --json""",
)
@several_argument
@click.option("--parameter", metavar="KEY", help="Draw a family: the values of this parameter.")
@click.option("--values", metavar="V,V,...", help="These values; the usual ones without it.")
@click.option("--derivatives", type=click.IntRange(0, 2), default=2, show_default=True)
@click.option("--range", "x_range", type=float, nargs=2, metavar="LOW HIGH", help="The range of x.")
@dialect_option
@output_option
@json_option
def command(
    words: tuple[str, ...],
    parameter: str | None,
    values: str | None,
    derivatives: int,
    x_range: tuple[float, float] | None,
    dialect: str | None,
    output_: str | None,
    as_json: bool,
) -> None:
    """Draw the value and the first two derivatives of activations, with their kinks.

    Without -o the curves are drawn into the terminal; --json prints them as numbers. Of a function
    along an axis a slice is drawn: the first output for the input (x, 0), or, of a gated unit, the
    output for the gate x and the value 1.
    """
    activations = [made(each, dialect) for each in grouped(words)]
    given = [parsed(value) for value in values.split(",")] if values else None
    path = output_ and picture_path(output_)
    if path:
        from advact_jax import plots
        from advact_jax.plots import _style

        figure = plots.curves(
            *activations,
            derivatives=derivatives,
            parameter=parameter,
            values=given,
            x_range=x_range,
        )
        _style.save(figure, path)
        if not as_json:
            print(path)
            return
    every = _samples_of(activations, parameter, given, derivatives, x_range)
    if as_json:
        output.as_json([samples.to_json() for samples in every])
        return
    from advact_jax.cli import charts

    if len(every) == 1:
        print(f"{every[0].label}{': ' * bool(every[0].note)}{every[0].note}")
        print(charts.derivatives(every[0]))
        return
    for order in range(derivatives + 1):
        print(charts.overlay(every, order))


def _samples_of(
    activations: list[Any],
    parameter: str | None,
    values: list[Any] | None,
    derivatives: int,
    x_range: tuple[float, float] | None,
) -> tuple[Any, ...]:
    from advact_jax import _samples

    if parameter is None:
        if values is not None:
            raise click.UsageError("Expected --parameter beside --values.")
        return _samples.several(activations, derivatives=derivatives, x_range=x_range)
    if len(activations) > 1:
        raise click.UsageError(f"Expected one name beside --parameter, got {len(activations)}.")
    return _samples.family(
        activations[0], parameter, values, derivatives=derivatives, x_range=x_range
    )
