"""Train PReLU's slopes by rules of their own, and see what weight decay does to them.

A net of three hidden layers learns the 1,797 handwritten digits that come with scikit-learn, with
AdamW and a strong weight decay, in three ways:

* one rule for all parameters: the decay pulls the slopes to 0, so PReLU to ReLU;
* the slopes without weight decay, as in He et al. 2015;
* the slopes with a learning rate and momentum of their own, and constrained to [0, 1].

A regularizer draws the slopes a little to their start, through the loss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx
from jax import Array
from rich.console import Console
from rich.table import Table

import advact_jax.linen
import advact_jax.nnx
from advact_jax import optim
from advact_jax.constraints import Interval

BATCH = 64
WIDTH = 64
HIDDEN = 3
CLASSES = 10
START = 0.25
RATE = 3e-3
DECAY = 1.0
TARGET = 0.95
SHORT_TARGET = 0.8

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Slopes = list[np.ndarray]


# -- the optimizers -----------------------------------------------------------------------------


def own_rule(mask: Any, constraints: Any) -> optax.GradientTransformation:
    """Return AdamW for the weights, and momentum for the slopes, which stay in [0, 1]."""
    each = {
        "activation": optax.sgd(0.1, momentum=0.9),
        "rest": optax.adamw(RATE, weight_decay=DECAY),
    }
    return optax.chain(optax.multi_transform(each, optim.labels(mask)), optim.project(constraints))


OPTIMIZERS: dict[str, Callable[[Any, Any], optax.GradientTransformation]] = {
    "one rule for all": lambda mask, _: optax.adamw(RATE, weight_decay=DECAY),
    "no decay of slopes": lambda mask, _: optax.adamw(
        RATE, weight_decay=DECAY, mask=optim.no_decay(mask)
    ),
    "own rule, in [0, 1]": own_rule,
}


# -- the model and a training, in both frameworks -----------------------------------------------


def near_start(slopes: Array) -> Array:
    """Penalize the distance of the slopes from their start: a regularizer."""
    return 1e-3 * jnp.sum((slopes - START) ** 2)


PRELU: dict[str, Any] = {
    "alpha_init": START,
    "alpha_constraint": Interval(0.0, 1.0),
    "alpha_regularizer": near_start,
}


class LinenNet(nn.Module):
    """The net in linen."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for i in range(HIDDEN):
            x = nn.Dense(WIDTH)(x)
            x = advact_jax.linen.PReLU(**PRELU, name=f"prelu_{i}")(x)
        return nn.Dense(CLASSES)(x)


def train_linen(optimizer: Callable[..., Any], data: Data, steps: int) -> tuple[float, Slopes]:
    """Return the test accuracy and the slopes of each layer, from a net in linen."""
    model, shape = LinenNet(), jax.ShapeDtypeStruct((1, 64), jnp.float32)
    tx = optimizer(
        advact_jax.linen.activation_mask(model, shape), advact_jax.linen.constraints(model, shape)
    )
    params = model.init(jax.random.key(0), jnp.zeros(shape.shape))["params"]

    def loss_of(params: Any, images: Any, labels: Any) -> Array:
        logits, updates = model.apply({"params": params}, images, mutable=["losses"])
        return mean_loss(logits, labels) + advact_jax.linen.regularization_loss(updates)

    @jax.jit
    def step(params: Any, state: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        gradients = jax.grad(loss_of)(params, images, labels)
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for images, labels in batches(data, steps):
        params, state = step(params, state, images, labels)
    logits = jnp.asarray(model.apply({"params": params}, data[2]))
    return accuracy(logits, data), [
        np.asarray(params[f"prelu_{i}"]["alpha"]) for i in range(HIDDEN)
    ]


class NNXNet(nnx.Module):
    """The net in nnx."""

    def __init__(self, rngs: nnx.Rngs):
        sizes = [64, *HIDDEN * [WIDTH]]
        self.dense = nnx.List([nnx.Linear(n, WIDTH, rngs=rngs) for n in sizes[:-1]])
        self.prelu = nnx.List([advact_jax.nnx.PReLU(WIDTH, **PRELU) for _ in self.dense])
        self.last = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        for dense, prelu in zip(self.dense, self.prelu, strict=True):
            x = prelu(dense(x))
        return self.last(x)


def train_nnx(optimizer: Callable[..., Any], data: Data, steps: int) -> tuple[float, Slopes]:
    """Return the test accuracy and the slopes of each layer, from a net in nnx."""
    model = NNXNet(nnx.Rngs(0))
    tx = optimizer(advact_jax.nnx.activation_mask(model), advact_jax.nnx.constraints(model))

    def loss_of(model: NNXNet, images: Any, labels: Any) -> Array:
        loss = mean_loss(model(images), labels)
        return loss + advact_jax.nnx.regularization_loss(model)

    @nnx.jit
    def step(model: NNXNet, tools: Any, images: Any, labels: Any) -> None:
        tools.update(model, nnx.grad(loss_of)(model, images, labels))

    tools = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for images, labels in batches(data, steps):
        step(model, tools, images, labels)
    logits = model(jnp.asarray(data[2]))
    return accuracy(logits, data), [np.asarray(prelu.alpha[...]) for prelu in model.prelu]


TRAIN = {"linen": train_linen, "nnx": train_nnx}


# -- data ---------------------------------------------------------------------------------------


def load() -> Data:
    """Return images of shape (n, 64) and labels, to train with and for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32) / 8 - 1
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return train, train_labels, test, test_labels


def batches(data: Data, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield that many batches, the same in every training."""
    random = np.random.default_rng(0)
    for _ in range(steps):
        chosen = random.integers(0, len(data[1]), BATCH)
        yield data[0][chosen], data[1][chosen]


def mean_loss(logits: Array, labels: Any) -> Array:
    """Return the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(logits: Array, data: Data) -> float:
    """Return the share of the test images that are recognized."""
    return float(np.mean(np.asarray(logits).argmax(-1) == data[3]))


# -- the command --------------------------------------------------------------------------------


def shown(results: dict[str, tuple[float, Slopes]]) -> Table:
    """Return the accuracies, the mean slope of each layer, and the range of all slopes."""
    table = Table(title="Test accuracy in %, mean slope of each layer, range of all slopes")
    table.add_column("slopes trained with", no_wrap=True)
    layers = [f"layer {i}" for i in range(1, HIDDEN + 1)]
    for heading in ("accuracy", *layers, "range"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, (found, slopes) in results.items():
        means = [f"{layer.mean():.3f}" for layer in slopes]
        least, largest = np.min(slopes), np.max(slopes)
        table.add_row(name, f"{100 * found:.1f}", *means, f"{least:.2f} to {largest:.2f}")
    return table


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api", choices=TRAIN, default="linen", help="(default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--steps", type=int, help="steps of each training (1500; short: 60)")
    options = parser.parse_args(argv)
    options.steps = options.steps or (60 if options.short else 1500)
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Train and show; return 1 if a training misses the accuracy."""
    options = arguments(argv)
    console = Console(highlight=False, soft_wrap=True)
    data = load()
    results = {}
    for name, optimizer in OPTIMIZERS.items():
        console.print(f"training: {name} ...", markup=False)
        results[name] = TRAIN[options.api](optimizer, data, options.steps)
    console.print(shown(results))
    target = SHORT_TARGET if options.short else TARGET
    missed = [name for name, (found, _) in results.items() if found < target]
    if missed:
        console.print(f"FAILED: test accuracy below {target:.0%} with: {'; '.join(missed)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
