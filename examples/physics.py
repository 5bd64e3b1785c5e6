"""A physics-informed net: its loss holds second derivatives, so an activation needs all three.

A net u(t) learns a damped oscillation from nothing but its equation and its start,

    u'' + 2 d u' + w² u = 0,  u(0) = 1,  u'(0) = 0,

whose solution is known. The loss takes u'' of the net, and training the gradient of that. What
happens there to activations that are fine in an ordinary net:

* smooth ones with an exact rule learn the oscillation;
* relu has the second derivative 0 everywhere, so the equation that is trained is another one;
* so has a rule whose slope is right but a constant, such as one behind a `stop_gradient`: nothing
  warns, and every test of first derivatives passes;
* `jax.custom_vjp`, the usual way to save memory by hand, has no forward mode, in which
  the derivatives by a single number are cheapest.
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

DAMPING, FREQUENCY, END = 0.5, 4.0, 3.0
WIDTH, POINTS = 32, 128

Function = Callable[[Array], Array]


def solution(t: Array) -> Array:
    """Return the exact u(t)."""
    w = np.sqrt(FREQUENCY**2 - DAMPING**2)
    return jnp.exp(-DAMPING * t) * (jnp.cos(w * t) + DAMPING / w * jnp.sin(w * t))


# -- activations --------------------------------------------------------------------------------


@jax.custom_vjp
def silu_by_vjp(x: Array) -> Array:
    """Silu with a rule for reverse mode alone."""
    return x * jax.nn.sigmoid(x)


silu_by_vjp.defvjp(
    lambda x: (silu_by_vjp(x), x), lambda x, g: (g * jax.grad(lambda x: act.silu(x).sum())(x),)
)


@jax.custom_jvp
def silu_frozen(x: Array) -> Array:
    """Silu with a slope that is right and cannot be differentiated."""
    return x * jax.nn.sigmoid(x)


@silu_frozen.defjvp
def _frozen(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    slope = jax.lax.stop_gradient(jax.nn.sigmoid(x) * (1 + x * (1 - jax.nn.sigmoid(x))))
    return silu_frozen(x), slope * dx


ACTIVATIONS: dict[str, Function] = {
    "silu": act.silu,
    "tanh": act.tanh,
    "relu": act.relu,
    "silu, slope frozen": silu_frozen,
    "silu by custom_vjp": silu_by_vjp,
}


# -- the net and its loss -----------------------------------------------------------------------


class Net(nnx.Module):
    """A net of one input and one output."""

    def __init__(self, activation: Function, rngs: nnx.Rngs):
        self.activation = activation
        self.first = nnx.Linear(1, WIDTH, rngs=rngs)
        self.second = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.last = nnx.Linear(WIDTH, 1, rngs=rngs)

    def __call__(self, t: Array) -> Array:
        x = self.activation(self.first(4 * t[None] / END - 2))
        return self.last(self.activation(self.second(x)))[0]


def derivatives(u: Function, t: Array) -> tuple[Array, Array, Array]:
    """Return u, u' and u'' at one time, by forward mode over forward mode."""

    def slope(t: Array) -> tuple[Array, Array]:
        return jax.jvp(u, (t,), (jnp.ones_like(t),))

    (value, first), (_, second) = jax.jvp(slope, (t,), (jnp.ones_like(t),))
    return value, first, second


def loss_of(net: Net, times: Array) -> Array:
    """Return by how much the net misses the equation and the start, squared."""
    u, du, ddu = jax.vmap(lambda t: derivatives(net, t))(times)
    equation = (ddu + 2 * DAMPING * du + FREQUENCY**2 * u) / FREQUENCY**2
    start, speed, _ = derivatives(net, jnp.zeros(()))
    return jnp.mean(equation**2) + (start - 1) ** 2 + (speed / FREQUENCY) ** 2


class Result(NamedTuple):
    """What a training gave."""

    loss: float
    error: float  # root of the mean squared error, relative to that of the solution
    curvature: float  # largest |u''|
    curve: np.ndarray


def train(activation: Function, steps: int) -> Result:
    """Train a net, and compare it with the solution."""
    net, times = Net(activation, nnx.Rngs(0)), jnp.linspace(0, END, POINTS)
    tools = nnx.Optimizer(net, optax.adam(optax.cosine_decay_schedule(5e-3, steps)), wrt=nnx.Param)
    graph, state = nnx.split((net, tools))

    @jax.jit
    def fit(state: Any) -> tuple[Any, Array]:
        def step(state: Any, _: None) -> tuple[Any, Array]:
            net, tools = nnx.merge(graph, state)
            loss, gradient = nnx.value_and_grad(loss_of)(net, times)
            tools.update(net, gradient)
            return nnx.state((net, tools)), loss

        return jax.lax.scan(step, state, length=steps)

    state, losses = fit(state)
    net, _ = nnx.merge(graph, state)
    u, _, ddu = jax.jit(jax.vmap(lambda t: derivatives(net, t)))(times)
    true = solution(times)
    error = jnp.sqrt(jnp.mean((u - true) ** 2) / jnp.mean(true**2))
    return Result(float(losses[-1]), float(error), float(jnp.abs(ddu).max()), np.asarray(u))


# -- the command --------------------------------------------------------------------------------


def draw(results: dict[str, Result], path: Path) -> None:
    """Save the solution and what was learned."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    times = np.linspace(0, END, POINTS)
    axes.plot(times, solution(jnp.asarray(times)), color="0.8", linewidth=6, label="solution")
    styles = {"silu": ("#0072B2", "-"), "tanh": ("#000000", "--"), "relu": ("#D55E00", "-.")}
    for name, result in results.items():
        color, dashes = styles.get(name, ("#CC79A7", ":"))
        axes.plot(times, result.curve, color=color, linestyle=dashes, label=name)
    axes.set(xlabel="t", ylabel="u(t)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Train with each activation; return 1 unless those fail that must."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output/physics.png")
    options = parser.parse_args(argv)
    table = Table(title=f"u'' + {2 * DAMPING:g} u' + {FREQUENCY**2:g} u = 0")
    for heading in ("activation", "loss", "largest |u''|", "error against the solution, %"):
        table.add_column(heading, justify="left" if heading == "activation" else "right")
    results, refused = {}, {}
    chosen = [name for name in ACTIVATIONS if name != "tanh" or not options.short]
    for name in chosen:
        try:
            results[name] = found = train(ACTIVATIONS[name], 1500 if options.short else 20000)
        except TypeError as error:
            refused[name] = str(error).splitlines()[0]
            table.add_row(name, "-", "-", "TypeError, see below")
        else:
            cells = f"{found.loss:.1e}", f"{found.curvature:.2f}", f"{100 * found.error:.2f}"
            table.add_row(name, *cells)
    Console(highlight=False, soft_wrap=True, width=100).print(table)
    for name, message in refused.items():
        print(f"{name}: {message}")
    draw(results, options.out)
    wrong = [name for name, found in results.items() if found.curvature == 0]
    print(f"u'' is exactly 0 at all {POINTS} times with: {'; '.join(wrong)}.")
    return 0 if wrong == ["relu", "silu, slope frozen"] and len(refused) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
