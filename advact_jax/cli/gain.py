"""``advact-jax gain``: how large the weights before an activation must be."""

from __future__ import annotations

import click

from advact_jax.cli import output
from advact_jax.cli.arguments import dialect_option, json_option, made, one_argument, single


@click.command(
    "gain",
    short_help="How large the weights before it must be.",
    epilog="""\b
Examples:
  advact-jax gain relu
  advact-jax gain leaky_relu negative_slope=0.2
  advact-jax gain leaky_relu --dialect keras
  advact-jax gain tanh --json""",
)
@one_argument
@dialect_option
@json_option
def command(words: tuple[str, ...], dialect: str | None, as_json: bool) -> None:
    """Print the gains of an activation, forward and backward.

    Weights of variance gain² / fan_in keep the second moment of values through a layer and the
    activation, those of variance backward gain² / fan_out that of gradients. He's rule has the
    square root of 2, relu's gain.
    """
    from advact_jax import _samples, initializers

    activation = made(single(words), dialect)
    label, forward = _samples.label_of(activation), initializers.gain(activation)
    try:
        backward = initializers.gain(activation, backward=True)
    except ValueError:  # The slope is 0 everywhere, as that of step.
        backward = None
    if as_json:
        output.as_json({"activation": label, "gain": forward, "backward_gain": backward})
        return
    shown = "none, the slope is 0" if backward is None else f"{backward:.6f}"
    output.record(label, {"gain": f"{forward:.6f}", "backward gain": shown})
