"""Time activations whose parameters are learned: value, and gradients by input and parameters.

Against what a user of jax.nn writes, the layers of Flax, and torch. There is one parameter of each
kind for a channel, or one in all. The copy bound is (x + 1, x * g, the sum of x * g).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np

import advact_jax
from advact_jax import linen, nnx
from benchmarks import _peers, _record, _timing

ROWS, CHANNELS = 1 << 13, 1 << 10


def _prelu(x: Any, alpha: Any) -> Any:
    return jnp.where(x >= 0, x, alpha * x)


def _parametric_softplus(x: Any, alpha: Any, beta: Any) -> Any:
    return alpha * jax.nn.softplus(beta * x)


def _swish(x: Any, beta: Any) -> Any:
    return x * jax.nn.sigmoid(beta * x)


# Ours, and the same with jax.nn or jax.numpy alone; the values of the parameters.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[float, ...]]] = {
    "prelu": (advact_jax.prelu, _prelu, (0.25,)),
    "leaky_relu": (advact_jax.leaky_relu, jax.nn.leaky_relu, (0.01,)),
    "elu": (advact_jax.elu, jax.nn.elu, (1.0,)),
    "celu": (advact_jax.celu, jax.nn.celu, (1.0,)),
    "silu": (advact_jax.silu, _swish, (1.0,)),
    "squareplus": (advact_jax.squareplus, jax.nn.squareplus, (4.0,)),
    "parametric_softplus": (
        advact_jax.parametric_softplus, _parametric_softplus, (0.2, 5.0),
    ),
}  # fmt: skip


def _of_linen(layer: Any, name: str) -> Callable[..., Any]:
    return lambda x, alpha: layer.apply({"params": {name: alpha}}, x)


def _of_nnx(layer: Any) -> Callable[..., Any]:
    definition, state = flax.nnx.split(layer)

    def call(x: Any, alpha: Any) -> Any:
        given: Any = jax.tree.map(lambda _: alpha, state)
        return flax.nnx.merge(definition, given)(x)

    return call


def libraries(name: str, channels: int | None) -> dict[str, Callable[..., Any]]:
    """Return a function of the input and the parameters by library; Flax's slope is a scalar."""
    ours, plain, _ = FUNCTIONS[name]
    made = {"ours": ours, "jax.nn": plain}
    if name == "prelu":
        axis = -1 if channels else None
        made["ours linen"] = _of_linen(linen.PReLU(axis=axis), "alpha")
        made["ours nnx"] = _of_nnx(nnx.PReLU(channels, axis=axis))
        torch = _peers.library("torch")
        if torch is not None:
            made["torch"] = lambda x, alpha: torch.nn.functional.prelu(x, alpha.reshape(-1))
        if channels is None:
            made["flax linen"] = _of_linen(flax.linen.PReLU(), "negative_slope")
            made["flax nnx"] = _of_nnx(flax.nnx.PReLU())
    return made


def _bound(x: Any, g: Any, *parameters: Any) -> Any:
    product = (x * g).astype(jnp.float32)
    return x + 1, x * g, product.sum(0 if parameters[0].ndim else None)


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; all without one")
    options = parser.parse_args()
    rounds = options.rounds or (4 if options.short else _timing.ROUNDS)
    rows, times = (ROWS >> 3, 4) if options.short else (ROWS, 3)
    record = _record.Recorder("learned", options)
    normal = 3 * np.random.default_rng(0).normal(size=(rows, CHANNELS)).astype(np.float32)
    for name in _record.chosen(list(FUNCTIONS), options, ("prelu", "silu")):
        for dtype in ("float32", "bfloat16")[: 1 if options.short else 2]:
            x = jnp.asarray(normal, dtype)
            for channels in (None, CHANNELS):
                shape = () if channels is None else (channels,)
                values = [jnp.full(shape, v, dtype) for v in FUNCTIONS[name][2]]
                functions = libraries(name, channels)
                if dtype == "float32":
                    _peers.agree(functions, x[:3], *values)
                calls = _peers.gradient_calls(functions, times, x, *values)
                calls["copy"] = _timing.looped(_bound, times, x, jnp.ones_like(x), *values)
                timed = _timing.interleaved(calls, rounds, repeats=times)
                record.add(
                    function=name, dtype=dtype, channels=channels or 1, elements=x.size,
                    seconds=timed, **{"pass": "both"},
                )  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
