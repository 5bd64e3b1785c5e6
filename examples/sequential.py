"""Keras's Sequential model beside the same model in flax.linen and in flax.nnx.

The net for 28x28x1 images is: conv 32 (3x3), pool 2, conv 64, pool 2, conv 64, dense 10, with an
advanced activation as a layer of its own after each convolution. The weights are made once and
copied, so all three must give the same probabilities. Prints the summary of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx as flax_nnx
from jax import Array

from advact_jax import layers, linen, nnx

EXAMPLES = """examples:
  python examples/sequential.py                    the three models (Keras's where it is installed)
  python examples/sequential.py --api nnx --activation PReLU
"""

ACTIVATIONS = ("LeakyReLU", "PReLU", "ELU", "ParametricSoftplus")
SHAPE = (28, 28, 1)


# -- one model, three ways ----------------------------------------------------------------------


def keras_model(activation: Callable[[int], Any]) -> Any:
    import keras

    return keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Conv2D(32, (3, 3), padding="same"),
            activation(32),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), padding="same"),
            activation(64),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(64, (3, 3), padding="same"),
            activation(64),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def linen_model(activation: Callable[[int], Any]) -> nn.Module:
    return nn.Sequential(
        [
            nn.Conv(32, (3, 3)),
            activation(32),
            lambda x: nn.max_pool(x, (2, 2), (2, 2)),
            nn.Conv(64, (3, 3)),
            activation(64),
            lambda x: nn.max_pool(x, (2, 2), (2, 2)),
            nn.Conv(64, (3, 3)),
            activation(64),
            layers.Flatten(),
            linen.Dense(10, activation="softmax"),
        ]
    )


def nnx_model(activation: Callable[[int], Any], rngs: flax_nnx.Rngs) -> flax_nnx.Module:
    return flax_nnx.Sequential(
        flax_nnx.Conv(1, 32, (3, 3), rngs=rngs),
        activation(32),
        lambda x: flax_nnx.max_pool(x, (2, 2), (2, 2)),
        flax_nnx.Conv(32, 64, (3, 3), rngs=rngs),
        activation(64),
        lambda x: flax_nnx.max_pool(x, (2, 2), (2, 2)),
        flax_nnx.Conv(64, 64, (3, 3), rngs=rngs),
        activation(64),
        layers.Flatten(),
        nnx.Dense(7 * 7 * 64, 10, activation="softmax", rngs=rngs),
    )


# -- activations by name, in each ---------------------------------------------------------------


def missing_in_keras(name: str) -> str:
    """Say why there is nothing to compare with, else return ''."""
    if name == "ParametricSoftplus":
        return f"Keras 3 has no {name}."
    if importlib.util.find_spec("keras") is None:
        return "Keras is not installed: pip install keras"
    return ""


def in_keras(name: str) -> Callable[[int], Any]:
    """Return what makes Keras's layer; its slope is shared over the space, as ours is."""
    import keras

    if name == "PReLU":
        return lambda _: keras.layers.PReLU("zeros", shared_axes=(1, 2))
    return lambda _: getattr(keras.layers, name)()


def in_linen(name: str) -> Callable[[int], Any]:
    """Return what makes our layer for linen; Keras's initial value where a slope is learned."""
    if name == "PReLU":
        return lambda _: linen.PReLU(alpha_init="keras")
    if name == "ParametricSoftplus":
        return lambda _: linen.ParametricSoftplus()
    return lambda _: getattr(layers, name)()


def in_nnx(name: str) -> Callable[[int], Any]:
    """Return what makes our layer for nnx, from the number of channels."""
    if name == "PReLU":
        return lambda channels: nnx.PReLU(channels, alpha_init="keras")
    if name == "ParametricSoftplus":
        return lambda channels: nnx.ParametricSoftplus(channels)
    return lambda _: getattr(layers, name)()


# -- the same weights ---------------------------------------------------------------------------


def copy_to_nnx(params: Any, model: Any) -> None:
    """Give an nnx Sequential the parameters of the linen one, layer by layer."""
    for key, values in params.items():
        layer = model.layers[int(key.removeprefix("layers_"))]
        for name, value in values.items():
            getattr(layer, name)[...] = value


def copy_to_keras(params: Any, model: Any) -> None:
    """Give a Keras Sequential the same parameters."""
    for key, values in params.items():
        layer = model.layers[int(key.removeprefix("layers_"))]
        if "kernel" in values:
            layer.set_weights([np.asarray(values["kernel"]), np.asarray(values["bias"])])
        else:
            layer.set_weights([np.reshape(values["alpha"], layer.alpha.shape)])


def main(argv: list[str] | None = None) -> int:
    """Build the models, compare them, and print their summaries."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api", choices=("linen", "nnx", "keras", "all"), default="all")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="PReLU")
    options = parser.parse_args(argv)
    chosen = ("linen", "nnx", "keras") if options.api == "all" else (options.api,)

    # Colours and frames of the summaries are for a terminal.
    console = {"width": 110, "force_terminal": sys.stdout.isatty()}
    x = jax.random.uniform(jax.random.key(0), (4, *SHAPE))
    model = linen_model(in_linen(options.activation))
    variables = model.init(jax.random.key(1), x)
    expected: Array = jnp.asarray(model.apply(variables, x))
    if "linen" in chosen:
        print(model.tabulate(jax.random.key(1), x, console_kwargs=console))
    if "nnx" in chosen:
        twin: Any = nnx_model(in_nnx(options.activation), flax_nnx.Rngs(1))
        copy_to_nnx(variables["params"], twin)
        print(flax_nnx.tabulate(twin, x, console_kwargs=console))
        print(f"nnx against linen: largest difference {np.max(np.abs(twin(x) - expected)):.1e}")
    if "keras" in chosen:
        missing = missing_in_keras(options.activation)
        if missing:
            print(missing)
            return 2 if options.api == "keras" else 0
        os.environ.setdefault("KERAS_BACKEND", "jax")
        peer = keras_model(in_keras(options.activation))
        copy_to_keras(variables["params"], peer)
        peer.summary(line_length=100)
        given = np.asarray(peer(np.asarray(x)))
        print(f"Keras against linen: largest difference {np.max(np.abs(given - expected)):.1e}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
