"""The nets that memory and compilation are measured on: residual blocks, scanned or unrolled.

A block has one place for the activation, with hidden features of a shape that no other array has:
what is kept of that shape is the activation's doing. Its unit is plain, gated or learned.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

import advact_jax

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Unit:
    """An activation as it stands in a block.

    Attributes:
      function: of the hidden features; of gate and features if gated; with a slope if learned.
      gated: whether the block computes features to be gated.
      learned: whether there is a slope for each channel.
    """

    function: Callable[..., Any]
    gated: bool = False
    learned: bool = False

    def __call__(self, w: Params, hidden: Any, up: Any = None) -> Any:
        """Apply it with the weights of the block."""
        if self.gated:
            return self.function(hidden, up)
        if self.learned:
            return self.function(hidden, w["alpha"])
        return self.function(hidden)


PLAIN = ("relu", "gelu", "silu", "mish", "softplus")


def units(module: Any) -> dict[str, Unit]:
    """Return the units of the benchmark, from jax.nn or from this library by the same names."""
    made = {name: Unit(getattr(module, name)) for name in PLAIN}
    if module is jax.nn:
        swiglu: Any = lambda gate, up: jax.nn.silu(gate) * up  # noqa: E731
        prelu: Any = lambda x, alpha: jnp.where(x >= 0, x, alpha * x)  # noqa: E731
    else:
        swiglu, prelu = module.swiglu, module.prelu
    return made | {"swiglu": Unit(swiglu, gated=True), "prelu": Unit(prelu, learned=True)}


LIBRARIES: Mapping[str, dict[str, Unit]] = {
    "ours": units(advact_jax),
    "jax.nn": units(jax.nn),
}


@dataclasses.dataclass(frozen=True)
class Net:
    """A net of equal blocks.

    Attributes:
      block: a function of the weights, the stream and the unit.
      weights: the shape of each weight of one block; those of ``up`` are there for gated units.
      stream: the shape of the stream behind the batch.
      hidden: the shape of the hidden features behind the batch.
    """

    block: Callable[[Params, Any, Unit], Any]
    weights: Mapping[str, tuple[int, ...]]
    stream: tuple[int, ...]
    hidden: tuple[int, ...]

    def shapes(self, unit: Unit, depth: int, dtype: Any = jnp.float32) -> Params:
        """Return the weights of all blocks as shapes, stacked."""
        found = {name: s for name, s in self.weights.items() if unit.gated or name != "up"}
        if unit.learned:
            found["alpha"] = self.hidden[-1:]
        return {name: jax.ShapeDtypeStruct((depth, *s), dtype) for name, s in found.items()}

    def loss(self, unit: Unit, depth: int, *, scanned: bool) -> Callable[[Params, Any], Any]:
        """Return the loss of weights and input."""

        def total(weights: Params, x: Any) -> Any:
            if scanned:
                x, _ = jax.lax.scan(lambda h, w: (self.block(w, h, unit), None), x, weights)
            else:
                for i in range(depth):
                    x = self.block(jax.tree.map(lambda w, i=i: w[i], weights), x, unit)
            return x.astype(jnp.float32).sum()

        return total

    def arguments(
        self, unit: Unit, depth: int, batch: int, dtype: Any = jnp.float32
    ) -> tuple[Params, Any]:
        """Return weights and input as shapes."""
        x = jax.ShapeDtypeStruct((batch, *self.stream), dtype)
        return self.shapes(unit, depth, dtype), x


def _pre(w: Params, h: Any, unit: Unit, product: Callable[[Any, Any], Any]) -> Any:
    up = product(h, w["up"]) if unit.gated else None
    return product(unit(w, product(h, w["in"]), up), w["out"])


def _mlp(w: Params, h: Any, unit: Unit) -> Any:
    return h + _pre(w, h, unit, jnp.matmul)


def _convolved(x: Any, kernel: Any) -> Any:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _cnn(w: Params, h: Any, unit: Unit) -> Any:
    return h + _pre(w, h, unit, _convolved)


def normalized(h: Any) -> Any:
    """Return the stream over its root mean square, without a scale."""
    wide = h.astype(jnp.float32)
    return (wide * jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + 1e-6)).astype(h.dtype)


def attention(w: Params, h: Any, heads: int, softmax: Callable[[Any], Any]) -> Any:
    """Return causal self-attention, with the projections ``qkv`` and ``o``."""
    batch, length, width = h.shape
    split = (h @ w["qkv"]).reshape(batch, length, 3, heads, width // heads)
    q, k, v = (split[:, :, i] for i in range(3))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(width // heads)
    allowed = jnp.tril(jnp.ones((length, length), bool))
    scores = jnp.where(allowed, scores, -1e9 if h.dtype == jnp.float32 else -1e4)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", softmax(scores), v)
    return mixed.reshape(h.shape) @ w["o"]


def _transformer(w: Params, h: Any, unit: Unit) -> Any:
    h = h + attention(w, normalized(h), 4, jax.nn.softmax)
    return h + _pre(w, normalized(h), unit, jnp.matmul)


NETS: Mapping[str, Net] = {
    "mlp": Net(
        _mlp, {"in": (128, 512), "up": (128, 512), "out": (512, 128)}, (128,), (512,)
    ),
    "cnn": Net(
        _cnn,
        {"in": (3, 3, 32, 64), "up": (3, 3, 32, 64), "out": (3, 3, 64, 32)},
        (16, 16, 32), (16, 16, 64),
    ),
    "transformer": Net(
        _transformer,
        {
            "qkv": (128, 384), "o": (128, 128),
            "in": (128, 512), "up": (128, 512), "out": (512, 128),
        },
        (64, 128), (64, 512),
    ),
}  # fmt: skip


# -- what is kept -------------------------------------------------------------------------------


def kept_bytes(
    function: Callable[..., Any], *shapes: Any, where: Callable[[tuple[int, ...]], bool]
) -> int:
    """Return the bytes of the arrays of chosen shapes that reverse mode keeps.

    They are those that the traced pullback holds on to, before XLA has a look at it.
    """
    kept = jax.eval_shape(lambda *a: jax.vjp(function, *a)[1], *shapes)
    return sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept) if where(leaf.shape)
    )


def kept_per_element(net: Net, unit: Unit, *, scanned: bool) -> float:
    """Return the bytes kept for each hidden element, those of the next product included."""
    depth, batch = 3, 2
    hidden = (batch, *net.hidden)
    found = kept_bytes(
        net.loss(unit, depth, scanned=scanned),
        *net.arguments(unit, depth, batch),
        where=lambda shape: shape[-len(hidden) :] == hidden,
    )
    return found / (depth * math.prod(hidden))


def compiled_gradient(net: Net, unit: Unit, depth: int, batch: int, *, scanned: bool) -> Any:
    """Return the compiled gradient by the weights."""
    gradient = jax.grad(net.loss(unit, depth, scanned=scanned))
    return jax.jit(gradient).lower(*net.arguments(unit, depth, batch)).compile()


def peak_bytes(net: Net, unit: Unit, depth: int, batch: int, *, scanned: bool) -> int:
    """Return the temporary memory of the compiled gradient."""
    compiled = compiled_gradient(net, unit, depth, batch, scanned=scanned)
    return compiled.memory_analysis().temp_size_in_bytes
