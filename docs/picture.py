"""Draw the pictures of README.md and of the diagnostics guide: `make tables`.

docs/errors.svg: the error of the first derivative in bfloat16, ours and jax.nn's, at every input.
docs/depth.svg: what travels through deep nets with three choices of activation and weights.
docs/layers.svg: a deep net over its training, with initial weights that are too small for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import advact_jax
from advact_jax import accuracy, diagnostics, plots
from advact_jax.plots import _style

HERE = Path(__file__).parent
FUNCTIONS = ("gelu", "silu", "sigmoid", "squareplus")
TICKS = (-1e30, -1e6, -10, 0, 10, 1e6, 1e30)
TOP = 1e4  # What is larger, or not finite, is drawn here.
PARTS = 12  # of a unit of the axis


def place(x: np.ndarray) -> np.ndarray:
    """Return where on the axis a number lies: all sizes have their room, those near 1 the most."""
    wide = x.astype(np.float64)
    return np.copysign(np.sqrt(np.log2(1 + 4 * np.abs(wide))), wide)


def worst(function: Callable[[Any], Any], judge: Any, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the worst error of the first derivative at each place, in ulps."""
    slope, right = (accuracy.derivatives(f)[1] for f in (function, judge))
    (truths,) = accuracy.truth_at(accuracy.together([right]), x)
    (found,) = accuracy.evaluate(accuracy.together([slope]), x)
    errors = np.zeros(at.max() + 1)
    np.maximum.at(errors, at, np.minimum(accuracy.errors(found, truths, x, True), TOP))
    return errors


class Deep(nn.Module):
    """Ten layers of relu, from LeCun's weights, which are He's over the square root of 2."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(10):
            x = advact_jax.relu(nn.Dense(32)(x))
        return nn.Dense(1)(x)


def trained() -> diagnostics.History:
    """Return what was measured while the deep net learned a sine."""
    x = jnp.linspace(-3, 3, 128)[:, None]
    model, optimizer = Deep(), optax.adam(1e-3)
    params = model.init(jax.random.key(0), x)
    state, history = optimizer.init(params), diagnostics.History()
    loss = lambda params: jnp.mean((model.apply(params, x) - jnp.sin(x)) ** 2)  # noqa: E731

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        (_, gradient), seen = diagnostics.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, seen

    for count in range(201):
        params, state, seen = step(params, state)
        if count % 10 == 0:
            history.add(count, seen)
    return history


def main() -> None:
    """Draw them."""
    errors_in_bfloat16()
    _style.save(plots.layers_by_steps(trained()), HERE / "layers.svg")
    choices = (("relu", "he_normal"), ("relu", "lecun_normal"), ("tanh", "lecun_normal"))
    reports = [diagnostics.depth_report(*each, depth=30, width=128, seeds=4) for each in choices]
    _style.save(plots.depth(*reports), HERE / "depth.svg")


def errors_in_bfloat16() -> None:
    """Draw the errors of README.md."""
    x = accuracy.every_input("bfloat16")
    x = x[np.isfinite(x)]
    at = np.round(place(x) * PARTS).astype(int)
    middle, at = -at.min(), at - at.min()
    axis = (np.arange(at.max() + 1) - middle) / PARTS
    with _style.style():
        figure, (panels,) = _style.figure(len(FUNCTIONS), panel=(2.5, 2.4), sharey=True)
        for panel, name in zip(panels, FUNCTIONS, strict=True):
            ours, theirs = getattr(advact_jax, name), getattr(jax.nn, name)
            for label, function, colour, thick in (
                ("jax.nn", theirs, _style.COLOURS[1], 1.2),
                ("advact_jax", ours, _style.COLOURS[0], 2.0),
            ):
                errors = np.maximum(worst(function, ours, x, at), 0.05)
                panel.plot(axis, errors, color=colour, linewidth=thick, label=label)
                panel.fill_between(axis, 0.05, errors, color=colour, alpha=0.15, linewidth=0)
            panel.set_title(name)
            panel.set_yscale("log", base=10)
            panel.set(ylim=(0.05, 2 * TOP), yticks=[0.1, 1, 10, 100, 1000, TOP])
            panel.set_yticklabels(["0.1", "1", "10", "100", "1000", "more,\nor NaN"])
            panel.set_xticks(place(np.array(TICKS)))
            panel.set_xticklabels(
                f"{tick:g}".replace("e+0", "e").replace("e+", "e") for tick in TICKS
            )
            panel.tick_params("x", labelrotation=60)
        panels[0].set_ylabel("error, ulp")
        _style.legend_below(figure, panels[0])
        _style.save(figure, HERE / "errors.svg")


if __name__ == "__main__":
    main()
