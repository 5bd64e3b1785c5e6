"""Carry a signal with a period on beyond the data: Snake against tanh and relu.

The signal is CO2 in the air of Mauna Loa, month by month (Keeling & Whorf 2004; data/co2.csv,
public domain). A parabola takes its trend away; what is left is the breath of the year. Nets of one
hidden layer learn it from the first 20 years and are asked for the next 10.

Beyond their data a relu net is a line and a tanh net nears a constant, whatever they have learned.
Snake, x + sin(a x)^2 / a, goes on (Ziyin et al. 2020); its frequencies a are learned, one for each
unit. SnakeBeta learns the height of its sine as well, b in x + sin(a x)^2 / b: it learns sooner,
and fits the noise too. As a measure of what is possible stands a fit of sines that is told how long
a year is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from rich.console import Console
from rich.table import Table

import advact_jax as act
from advact_jax import nnx as layers

DATA = Path(__file__).parent / "data" / "co2.csv"
TRAINING, BEYOND = 20, 10  # years
WIDTH = 64


class Signal(NamedTuple):
    """What is left of the signal without its trend; the first ``known`` entries are learned."""

    years: np.ndarray
    ppm: np.ndarray
    known: int


def load() -> Signal:
    """Return the signal, with years counted from the middle of those to learn from."""
    years, ppm = np.loadtxt(DATA, delimiter=",", skiprows=3, unpack=True)
    years = years - years[0] - TRAINING / 2
    known = int(np.sum(years < TRAINING / 2))
    trend = np.polyval(np.polyfit(years[:known], ppm[:known], 2), years)
    end = int(np.sum(years < TRAINING / 2 + BEYOND))
    return Signal(years[:end].astype(np.float32), (ppm - trend)[:end].astype(np.float32), known)


# -- the nets -----------------------------------------------------------------------------------


def slow_to_fast(key: Array, shape: Any, dtype: Any) -> Array:
    """Draw a frequency for each unit."""
    return jax.random.uniform(key, shape, dtype, 1.0, 6.0)


ACTIVATIONS: dict[str, Callable[[nnx.Rngs], Callable[[Array], Array]]] = {
    "relu": lambda _: act.relu,
    "tanh": lambda _: act.tanh,
    "snake": lambda rngs: layers.Snake(WIDTH, alpha_init=slow_to_fast, rngs=rngs),
    "snake beta": lambda rngs: layers.SnakeBeta(WIDTH, alpha_init=slow_to_fast, rngs=rngs),
}


class Net(nnx.Module):
    """From the time to the signal."""

    def __init__(self, activation: str, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(1, WIDTH, rngs=rngs)
        self.activation = ACTIVATIONS[activation](rngs)
        self.last = nnx.Linear(WIDTH, 1, rngs=rngs)

    def __call__(self, years: Array) -> Array:
        return self.last(self.activation(self.hidden(years[:, None])))[:, 0]


def train(activation: str, signal: Signal, steps: int) -> tuple[np.ndarray, Net]:
    """Return the net's signal for all times, and the net."""
    net = Net(activation, nnx.Rngs(0))
    rate = optax.cosine_decay_schedule(3e-2, steps)
    tools = nnx.Optimizer(net, optax.adamw(rate, weight_decay=0.01), wrt=nnx.Param)
    years, scale = jnp.asarray(signal.years), float(signal.ppm[: signal.known].std())
    target = jnp.asarray(signal.ppm[: signal.known]) / scale
    graph, state = nnx.split((net, tools))

    def loss_of(net: Net) -> Array:
        return jnp.mean((net(years[: signal.known]) - target) ** 2)

    @jax.jit
    def fit(state: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            net, tools = nnx.merge(graph, state)
            tools.update(net, nnx.grad(loss_of)(net))
            return nnx.state((net, tools)), None

        return jax.lax.scan(step, state, length=steps)[0]

    net, _ = nnx.merge(graph, fit(state))
    return np.asarray(net(years)) * scale, net


def sines(signal: Signal) -> np.ndarray:
    """Return the best sines of a year and of half a year: a fit that knows the period."""
    angles = [2 * np.pi * k * signal.years for k in (1, 2)]
    columns = np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], 1)
    fitted, *_ = np.linalg.lstsq(columns[: signal.known], signal.ppm[: signal.known], rcond=None)
    return columns @ fitted


# -- the command --------------------------------------------------------------------------------


def errors(found: np.ndarray, signal: Signal) -> tuple[float, float]:
    """Return the root mean square error within and beyond the data."""
    squares = (found - signal.ppm) ** 2
    within, beyond = squares[: signal.known].mean(), squares[signal.known :].mean()
    return float(np.sqrt(within)), float(np.sqrt(beyond))


def draw(results: dict[str, np.ndarray], signal: Signal, path: Path) -> None:
    """Save the last years of the data and what each net makes of those beyond."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, rows = plt.subplots(len(results), figsize=(8, 6.5), sharex=True, layout="constrained")
    shown = signal.years > TRAINING / 2 - 5
    for axes, (name, found) in zip(rows, results.items(), strict=True):
        axes.plot(
            signal.years[shown], signal.ppm[shown], color="0.75", linewidth=4, label="measured"
        )
        axes.plot(signal.years[shown], found[shown], color="#0072B2", label=name)
        axes.axvline(TRAINING / 2, color="black", linestyle=":")
        axes.set(ylabel="ppm", ylim=(-6, 6))
        axes.legend(frameon=False, loc="upper left", ncols=2, fontsize=8)
    rows[-1].set_xlabel("years; beyond the dotted line nothing was learned")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, extrapolate and show; return 1 if Snake is no better beyond the data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "output/snake_signal.png"
    )
    options = parser.parse_args(argv)
    signal = load()
    trained = {name: train(name, signal, 2000 if options.short else 8000) for name in ACTIVATIONS}
    results = {name: found for name, (found, _) in trained.items()}
    table = Table(title="Root mean square error, ppm")
    for heading in ("", "within the data", f"{BEYOND} years beyond"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, found in {**results, "sines of a year": sines(signal)}.items():
        table.add_row(name, *(f"{error:.2f}" for error in errors(found, signal)))
    Console(highlight=False, soft_wrap=True, width=100).print(table)
    draw(results, signal, options.out)
    net: Any = trained["snake"][1]
    alphas = net.activation.alpha[...]
    print(f"Snake's frequencies, from 1 to 6 at first: {alphas.min():.2f} to {alphas.max():.2f}.")
    beyond = {name: errors(found, signal)[1] for name, found in results.items()}
    print(f"Beyond the data Snake's error is {beyond['snake'] / beyond['tanh']:.0%} of tanh's.")
    return 0 if beyond["snake"] < min(beyond["tanh"], beyond["relu"]) else 1


if __name__ == "__main__":
    sys.exit(main())
