"""A transformer with SwiGLU, scanned over its layers: how much memory its activation costs.

A small character model reads Python's own help texts (`pydoc_data.topics`). Its blocks are one
block in a scan, as large models are written: what a block keeps for the backward pass is kept once
for each layer. The feed-forward part is written in two ways, with the same weights:

* by hand, `jax.nn.silu(gate) * up`;
* with `GatedDense`, whose rule keeps its two inputs and recomputes the rest.

It prints the bytes kept and the compiled peak of both, then trains both and compares the losses.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from rich.console import Console
from rich.table import Table

from advact_jax import linen

BATCH, HEADS, EXPANSION = 8, 4, 4


class Size(NamedTuple):
    """How large the model is, and how long it learns."""

    layers: int
    width: int
    length: int
    steps: int


SHORT, FULL = Size(3, 32, 64, 20), Size(6, 64, 128, 600)


# -- the model ----------------------------------------------------------------------------------


class PlainGated(nn.Module):
    """SwiGLU by hand; its parameters have the names and values of those of `GatedDense`."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        gate = nn.Dense(self.features, use_bias=False, name="gate_proj")(x)
        up = nn.Dense(self.features, use_bias=False, name="up_proj")(x)
        return jax.nn.silu(gate) * up


UNITS: dict[str, Callable[..., nn.Module]] = {
    "jax.nn": PlainGated,
    "advact_jax": functools.partial(
        linen.GatedDense,
        activation="silu",
        fused=False,
        use_bias=False,
        kernel_init="lecun_normal",
    ),
}


class Block(nn.Module):
    unit: str

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> tuple[Array, None]:
        width = x.shape[-1]
        attended = nn.MultiHeadDotProductAttention(HEADS, name="attention")(
            nn.RMSNorm(name="norm_1")(x), mask=mask
        )
        x = x + attended
        hidden = UNITS[self.unit](EXPANSION * width, name="unit")(nn.RMSNorm(name="norm_2")(x))
        return x + nn.Dense(width, use_bias=False, name="down_proj")(hidden), None


class Transformer(nn.Module):
    unit: str
    characters: int
    size: Size

    @nn.compact
    def __call__(self, text: Array) -> Array:
        blocks = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.size.layers,
        )
        x = nn.Embed(self.characters, self.size.width)(text)
        x = x + self.param("position", nn.initializers.normal(0.02), x.shape[1:])
        x, _ = blocks(self.unit, name="blocks")(x, nn.make_causal_mask(text))
        return nn.Dense(self.characters, name="head")(nn.RMSNorm()(x))


def loss_of(model: Transformer, params: Any, text: Array) -> Array:
    """Return the mean cross-entropy of each next character."""
    logits = jnp.asarray(model.apply({"params": params}, text[:, :-1]))
    return optax.softmax_cross_entropy_with_integer_labels(logits, text[:, 1:]).mean()


# -- memory -------------------------------------------------------------------------------------


def kept(model: Transformer, params: Any) -> tuple[float, int]:
    """Return the bytes that each layer keeps: for a hidden element of its unit, and all in all."""
    layers, width, length, _ = model.size

    def pullback(params: Any, text: Array) -> Any:
        return jax.vjp(lambda params: loss_of(model, params, text), params)[1]

    text = jax.ShapeDtypeStruct((BATCH, length + 1), jnp.int32)
    weights = {leaf.shape for leaf in jax.tree.leaves(params)}
    stacked = [
        leaf
        for leaf in jax.tree.leaves(jax.eval_shape(pullback, params, text))
        if leaf.ndim > 1 and leaf.shape[0] == layers and leaf.shape not in weights
    ]
    hidden = [leaf for leaf in stacked if leaf.shape[1:] == (BATCH, length, EXPANSION * width)]

    def per_layer(leaves: list[Any]) -> int:
        return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) // layers

    return per_layer(hidden) / (BATCH * length * EXPANSION * width), per_layer(stacked)


# -- training -----------------------------------------------------------------------------------


def read() -> tuple[np.ndarray, str]:
    """Return Python's help texts as numbers, and the characters that they stand for."""
    from pydoc_data import topics

    text = "\n".join(topics.topics[key] for key in sorted(topics.topics))
    characters = "".join(sorted(set(text)))
    lookup = {character: i for i, character in enumerate(characters)}
    return np.array([lookup[character] for character in text], np.int32), characters


def batches(text: np.ndarray, size: Size) -> Iterator[np.ndarray]:
    """Yield pieces of the text, the same in every training."""
    random = np.random.default_rng(0)
    for _ in range(size.steps):
        starts = random.integers(0, len(text) - size.length, BATCH)
        yield text[starts[:, None] + np.arange(size.length + 1)]


def train(model: Transformer, params: Any, text: np.ndarray) -> tuple[int, list[float]]:
    """Return the temporary memory of the compiled step, in bytes, and the loss of each step."""
    optimizer = optax.adamw(optax.cosine_decay_schedule(3e-3, model.size.steps))

    def step(params: Any, state: Any, batch: Array) -> tuple[Any, Any, Array]:
        loss, gradient = jax.value_and_grad(lambda params: loss_of(model, params, batch))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    shape = jax.ShapeDtypeStruct((BATCH, model.size.length + 1), jnp.int32)
    compiled = jax.jit(step).lower(params, state, shape).compile()
    for batch in batches(text, model.size):
        params, state, loss = compiled(params, state, batch)
        losses.append(float(loss))
    analysis: Any = compiled.memory_analysis()
    return analysis.temp_size_in_bytes, losses


class Result(NamedTuple):
    """What was found with one unit."""

    hidden: float
    layer: int
    peak: int
    losses: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, train, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    size = SHORT if parser.parse_args(argv).short else FULL
    text, characters = read()
    models = {unit: Transformer(unit, len(characters), size) for unit in UNITS}
    sample = jnp.asarray(text[None, : size.length])
    start = jax.jit(models["jax.nn"].init)(jax.random.key(0), sample)["params"]
    table = Table(title=f"{size.layers} layers; {len(text):,} characters, {len(characters)} kinds")
    for heading in (
        "SwiGLU of",
        "bytes per hidden element",
        "KiB kept per layer",
        "peak of a step, MiB",
        "last loss",
    ):
        table.add_column(heading, justify="left" if heading == "SwiGLU of" else "right")
    found = {}
    for unit, model in models.items():
        found[unit] = r = Result(*kept(model, start), *train(model, start, text))
        cells = f"{r.hidden:.1f}", f"{r.layer / 2**10:,.0f}", f"{r.peak / 2**20:.1f}"
        table.add_row(unit, *cells, f"{np.mean(r.losses[-10:]):.3f}")
    Console(highlight=False, soft_wrap=True, width=100).print(table)
    ours, theirs = found["advact_jax"], found["jax.nn"]
    layer, peak = 1 - ours.layer / theirs.layer, 1 - ours.peak / theirs.peak
    print(f"Kept by a layer: {layer:.0%} less; peak of a training step: {peak:.0%} less.")
    apart = max(abs(a - b) for a, b in zip(ours.losses, theirs.losses, strict=True))
    print(
        f"Loss at the start {ours.losses[0]:.3f}; both losses are within {apart:.0e} all the way."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
