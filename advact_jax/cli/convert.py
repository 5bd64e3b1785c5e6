"""``advact-jax convert``: an activation in the words of another library."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from advact_jax import dialects, registry
from advact_jax.cli import output
from advact_jax.cli.arguments import json_option, one_argument, single

OWN = "advact"
_choice = click.Choice([OWN, *registry.DIALECTS])


@click.command(
    "convert",
    short_help="One library's words for another's.",
    epilog="""\b
Examples:
  advact-jax convert --from torch --to keras LeakyReLU
  advact-jax convert --from keras --to torch gelu
  advact-jax convert --from torch --to onnx LeakyReLU negative_slope=0.2 --json
  advact-jax convert --to torch '{"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}'""",
)
@one_argument
@click.option("--from", "source", type=_choice, default=OWN, help="Whose words NAME and KEY are.")
@click.option("--to", "target", type=_choice, default=OWN, help="Whose words are wanted.")
@json_option
def command(words: tuple[str, ...], source: str, target: str, as_json: bool) -> None:
    """Translate an activation, with its defaults, from one library's words to another's.

    What is printed are the name there and the arguments that must be written there, because the
    default there is another. NAME may be a config as JSON, from Keras or from
    advact_jax.serialize, or - to read it from the input.
    """
    asked = single(words)
    activation: Any = asked.name
    if asked.name == "-" or asked.name.startswith("{"):
        activation = _config(sys.stdin.read() if asked.name == "-" else asked.name)
    spelt = dialects.spell(
        activation,
        None if target == OWN else target,
        source=None if source == OWN else source,
        **asked.parameters,
    )
    if as_json:
        output.as_json({"dialect": target, **spelt._asdict()})
        return
    print(spelt)
    for key, value in spelt.initial.items():
        print(f"{key} is learned, and starts at {value}: not where it starts there")


def _config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"Expected a config as JSON, got {text[:40]!r}: {error}.") from None
    if not isinstance(config, dict):
        raise click.UsageError(f"Expected a config, which is an object of JSON, got {text[:40]!r}.")
    return config
