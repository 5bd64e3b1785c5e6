"""Attention that learns how sparse it is: entmax with an alpha for each head.

A small transformer reads scikit-learn's handwritten digits as 16 tokens of 2x2 pixels. In place of
softmax its heads use entmax, whose alpha each head learns between 1 (softmax) and 2 (sparsemax),
starting at 1.5 (Correia et al. 2019). Tokens that matter little then get a weight of exactly 0. It
prints which alphas were learned, and the share of such zeros.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
from advact_jax import optim
from advact_jax.constraints import Interval

HEADS, WIDTH, TOKENS, BATCH, CLASSES = 4, 32, 16, 64, 10


# -- the net ------------------------------------------------------------------------------------


class Attention(nnx.Module):
    """Self-attention; ``sparse`` makes its weights by entmax."""

    def __init__(self, sparse: bool, rngs: nnx.Rngs):
        self.maps = nnx.LinearGeneral(WIDTH, (3, HEADS, WIDTH // HEADS), rngs=rngs)
        self.out = nnx.LinearGeneral((HEADS, WIDTH // HEADS), WIDTH, axis=(-2, -1), rngs=rngs)
        # Scores have the axes batch, head, query, key; the weights of a query have the sum 1.
        constraint = {"alpha": Interval(1.0, 2.0)}
        entmax = layers.Learnable("entmax", HEADS, axis=1, constraint=constraint)
        self.normalizer: Any = entmax if sparse else act.softmax

    def __call__(self, x: Array) -> tuple[Array, Array]:
        query, key, value = jnp.moveaxis(self.maps(x), -3, 0)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / (WIDTH // HEADS) ** 0.5
        weights = self.normalizer(scores)
        return self.out(jnp.einsum("bhqk,bkhd->bqhd", weights, value)), weights


class Block(nnx.Module):
    def __init__(self, sparse: bool, rngs: nnx.Rngs):
        self.attention = Attention(sparse, rngs)
        self.norms = nnx.List([nnx.RMSNorm(WIDTH, rngs=rngs) for _ in range(2)])
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        attended, weights = self.attention(self.norms[0](x))
        x = x + attended
        return x + self.down(act.gelu(self.up(self.norms[1](x)))), weights


class Transformer(nnx.Module):
    """From images of shape (batch, 8, 8) to logits, and the attention weights of each layer."""

    def __init__(self, sparse: bool, depth: int, rngs: nnx.Rngs):
        self.embed = nnx.Linear(4, WIDTH, rngs=rngs)
        self.places = nnx.Param(0.5 * jax.random.normal(rngs.params(), (TOKENS, WIDTH)))
        self.blocks = nnx.List([Block(sparse, rngs) for _ in range(depth)])
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, images: Array) -> tuple[Array, list[Array]]:
        patches = images.reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, TOKENS, 4)
        x, seen = self.embed(patches) + self.places[...], []
        for block in self.blocks:
            x, weights = block(x)
            seen.append(weights)
        return self.head(x.mean(1)), seen


# -- training -----------------------------------------------------------------------------------


class Result(NamedTuple):
    """What was learned, by layer and head."""

    accuracy: float
    alphas: np.ndarray | None
    zeros: np.ndarray  # share of the weights that are exactly 0
    weights: list[np.ndarray]


def load() -> tuple[Array, Array, Array, Array]:
    """Return images and labels, to train with and to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    images = raw.images.astype(np.float32) / 8 - 1
    train, test, labels, test_labels = train_test_split(
        images, raw.target, test_size=0.2, stratify=raw.target, random_state=0
    )
    return jnp.asarray(train), jnp.asarray(labels), jnp.asarray(test), jnp.asarray(test_labels)


def optimizer(net: nnx.Module, steps: int) -> optax.GradientTransformation:
    """Return Adam, ten times as fast for the alphas, which stay in their interval."""
    rates = {"rest": 3e-3, "activation": 3e-2}
    each = {k: optax.adam(optax.cosine_decay_schedule(r, steps)) for k, r in rates.items()}
    return optax.chain(
        optax.multi_transform(each, optim.labels(layers.activation_mask(net))),
        optim.project(layers.constraints(net)),
    )


def train(sparse: bool, depth: int, steps: int, data: Any) -> Result:
    """Train a net, and look at its attention to the test images."""
    images, labels, test, test_labels = data
    net = Transformer(sparse, depth, nnx.Rngs(0))
    tools = nnx.Optimizer(net, optimizer(net, steps), wrt=nnx.Param)
    graph, state = nnx.split((net, tools))

    def loss_of(net: Transformer, batch: Array) -> Array:
        logits, _ = net(images[batch])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch]).mean()

    @jax.jit
    def fit(state: Any, keys: Array) -> Any:
        def step(state: Any, key: Array) -> tuple[Any, None]:
            net, tools = nnx.merge(graph, state)
            batch = jax.random.randint(key, (BATCH,), 0, len(images))
            tools.update(net, nnx.grad(loss_of)(net, batch))
            return nnx.state((net, tools)), None

        state, _ = jax.lax.scan(step, state, keys)
        return state, *nnx.merge(graph, state)[0](test)

    state, logits, weights = fit(state, jax.random.split(jax.random.key(1), steps))
    net, _ = nnx.merge(graph, state)
    alphas = [block.attention.normalizer.alpha[...] for block in net.blocks if sparse]
    return Result(
        float(jnp.mean(logits.argmax(-1) == test_labels)),
        np.stack([np.ravel(np.asarray(alpha)) for alpha in alphas]) if sparse else None,
        np.stack([np.mean(np.asarray(w) == 0, (0, 2, 3)) for w in weights]),
        [np.asarray(w) for w in weights],
    )


# -- the command --------------------------------------------------------------------------------


def draw(results: dict[str, Result], path: Path) -> None:
    """Save the weights of the last layer's heads for one image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, rows = plt.subplots(len(results), HEADS, figsize=(9, 5), layout="constrained")
    for row, (name, result) in zip(rows, results.items(), strict=True):
        for head, axes in enumerate(row):
            weights = np.ma.masked_equal(result.weights[-1][0, head], 0)
            image = axes.imshow(weights, cmap="cividis", vmin=0, vmax=1)
            title = (
                name if result.alphas is None else f"{name}, alpha {result.alphas[-1, head]:.2f}"
            )
            axes.set(title=title, xticks=[], yticks=[])
    figure.supxlabel("token that is looked at (white: weight exactly 0)")
    figure.supylabel("token that looks")
    figure.colorbar(image, ax=rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Train with softmax and with entmax, and show what was learned."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "output/sparse_attention.png"
    )
    options = parser.parse_args(argv)
    data, (depth, steps) = load(), (1, 60) if options.short else (2, 2000)
    results = {name: train(name == "entmax", depth, steps, data) for name in ("softmax", "entmax")}
    table = Table(title="Learned alphas, and weights that are exactly 0")
    for heading in ("layer", "head", "alpha", "zeros, %", "zeros with softmax, %"):
        table.add_column(heading, justify="right")
    plain, sparse = results.values()
    assert sparse.alphas is not None
    for (layer, head), alpha in np.ndenumerate(sparse.alphas):
        zeros = (f"{100 * r.zeros[layer, head]:.1f}" for r in (sparse, plain))
        table.add_row(str(layer + 1), str(head + 1), f"{alpha:.3f}", *zeros)
    Console(highlight=False, soft_wrap=True, width=100).print(table)
    print(f"Alphas, all started at 1.5: {sparse.alphas.min():.3f} to {sparse.alphas.max():.3f}.")
    for name, result in results.items():
        found = f"{result.zeros.mean():.0%} of the weights exactly 0"
        print(f"{name}: {found}, test accuracy {result.accuracy:.1%}.")
    draw(results, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
