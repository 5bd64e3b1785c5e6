"""Deep nets without normalization: SELU with AlphaDropout against ReLU with batch norm.

Stacks of equal dense layers learn the 1,797 handwritten digits that come with scikit-learn:

* SELU with LeCun's normal weights, which keep mean 0 and variance 1, and AlphaDropout, which does
  so too (Klambauer et al. 2017);
* ReLU with He's normal weights behind batch norm, which keeps the variance of each unit, but lets
  gradients grow by a factor for each layer (Yang et al. 2019, arXiv:1902.08129: 1.21 in wide nets);
* ReLU with He's normal weights alone, in which the images become more and more alike.

Before training, it measures what each stack does to images and gradients; then it trains. In a long
run the better of two learning rates counts.
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
from flax import linen as nn
from jax import Array
from rich.console import Console
from rich.table import Table

import advact_jax as act
from advact_jax import linen

WIDTH = 64
BATCH = 64
# Over all layers together: each layer drops this, divided by their number.
DROPPED = 0.2


# -- the nets -----------------------------------------------------------------------------------


class SeluLayer(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = linen.Dense(WIDTH, kernel_init="lecun_normal", activation="selu")(x)
        return linen.AlphaDropout(self.rate)(x, deterministic=not train)


class NormLayer(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = linen.Dense(WIDTH, kernel_init="he_normal", use_bias=False)(x)
        return act.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))


class ReluLayer(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        return linen.Dense(WIDTH, kernel_init="he_normal", activation="relu")(x)


LAYERS: dict[str, type[nn.Module]] = {
    "selu, alpha dropout": SeluLayer,
    "relu, batch norm": NormLayer,
    "relu": ReluLayer,
}


class Deep(nn.Module):
    """A stack of ``depth`` layers of one kind, as one scan: it compiles as fast as one layer."""

    layer: type[nn.Module]
    depth: int

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Array]:
        def one(layer: Any, x: Array, _: None) -> tuple[Array, None]:
            return layer(x, train), None

        stack = nn.scan(
            one,
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.depth,
        )
        x = linen.Dense(WIDTH, kernel_init="lecun_normal", name="first")(x)
        x, _ = stack(self.layer(DROPPED / self.depth, name="hidden"), x, None)
        return linen.Dense(10, name="last")(x), x


# -- data, measurement, training ----------------------------------------------------------------


class Result(NamedTuple):
    """What a stack does before training, and how well it has learned."""

    cosine: float  # between the last layer's outputs for two images, on average
    growth: np.ndarray  # gradient norm of each layer's kernel, relative to the last layer's
    accuracy: float


def load() -> tuple[Array, Array, Array, Array]:
    """Return images of shape (n, 64), standardized, and labels, to train with and to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images.astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=0
    )
    mean, deviation = train.mean(0), np.maximum(train.std(0), 1.0)
    return tuple(  # type: ignore[return-value]
        map(jnp.asarray, ((train - mean) / deviation, train_labels,
                          (test - mean) / deviation, test_labels))
    )  # fmt: skip


def run(layer: type[nn.Module], depth: int, rate: float, epochs: int, data: Any) -> Result:
    """Measure a stack of new weights, and train it by SGD with momentum."""
    images, labels, test, test_labels = data
    net, optimizer = Deep(layer, depth), optax.sgd(rate, momentum=0.9)
    variables = net.init(jax.random.key(0), images[:BATCH])

    def loss_of(params: Any, stats: Any, key: Array, batch: Array) -> tuple[Array, Any]:
        given = {"params": params, "batch_stats": stats}
        (logits, last), new = net.apply(
            given, images[batch], True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch]).mean()
        return loss, (last, new.get("batch_stats", {}))

    def step(state: Any, given: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
        params, stats, moments = state
        gradient, (last, stats) = jax.grad(loss_of, has_aux=True)(params, stats, *given)
        updates, moments = optimizer.update(gradient, moments, params)
        unit = last / jnp.linalg.norm(last, axis=-1, keepdims=True)
        cosine = (jnp.sum(unit @ unit.T) - BATCH) / (BATCH * (BATCH - 1))
        norms = jnp.linalg.norm(gradient["hidden"]["Dense_0"]["kernel"], axis=(1, 2))
        return (optax.apply_updates(params, updates), stats, moments), (cosine, norms)

    @jax.jit
    def fit(params: Any, stats: Any) -> Any:
        steps = len(labels) // BATCH
        orders = jax.vmap(lambda key: jax.random.permutation(key, len(labels))[: steps * BATCH])
        batches = orders(jax.random.split(jax.random.key(1), epochs)).reshape(-1, BATCH)
        keys = jax.random.split(jax.random.key(2), len(batches))
        start = (params, stats, optimizer.init(params))
        (params, stats, _), measured = jax.lax.scan(step, start, (keys, batches))
        logits, _ = net.apply({"params": params, "batch_stats": stats}, test)
        first = jax.tree.map(lambda values: values[0], measured)  # that is before training
        return first, jnp.mean(logits.argmax(-1) == test_labels)

    (cosine, norms), accuracy = fit(variables["params"], variables.get("batch_stats", {}))
    return Result(float(cosine), np.asarray(norms / norms[-1]), float(accuracy))


# -- what is shown ------------------------------------------------------------------------------


def shown(results: dict[tuple[str, int], Result]) -> Table:
    table = Table(title="Before training, and test accuracy after it")
    for heading in ("layers", "depth", "cosine of two images", "gradient, first / last layer",
                    "accuracy, %"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "layers" else "right")
    for (name, depth), result in results.items():
        found = (f"{result.cosine:.2f}", f"{result.growth[0]:.3g}", f"{100 * result.accuracy:.1f}")
        table.add_row(name, str(depth), *found)
    return table


def draw(results: dict[tuple[str, int], Result], path: Path) -> None:
    """Save the gradient norm of each layer, in the deepest stacks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    deepest = max(depth for _, depth in results)
    styles = (("#0072B2", "-"), ("#D55E00", "--"), ("#000000", ":"))
    for name, (color, dashes) in zip(LAYERS, styles, strict=True):
        norms = results[name, deepest].growth
        axes.semilogy(range(1, deepest + 1), norms, color=color, linestyle=dashes, label=name)
    axes.set(xlabel="layer", ylabel="gradient norm / that of the last layer")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, train and show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output/selu_depth.png")
    options = parser.parse_args(argv)
    depths, rates, epochs = (
        ((32,), (0.005,), 5) if options.short else ((8, 16, 32), (0.01, 0.003), 12)
    )
    data, results = load(), {}
    for depth in depths:
        for name, layer in LAYERS.items():
            tried = [run(layer, depth, rate, epochs, data) for rate in rates]
            results[name, depth] = max(tried, key=lambda result: result.accuracy)
    Console(highlight=False, soft_wrap=True, width=100).print(shown(results))
    draw(results, options.out)
    deepest = {name: results[name, depths[-1]] for name in LAYERS}
    for name, result in deepest.items():
        factor = result.growth[0] ** (1 / (depths[-1] - 1))
        print(f"{name}: gradients grow {factor:.3f} times per layer.")
    selu, norm, _ = (result.accuracy for result in deepest.values())
    print(f"At depth {depths[-1]} SELU reaches {100 * selu:.1f} %, batch norm {100 * norm:.1f} %.")
    return 0 if selu > norm else 1


if __name__ == "__main__":
    sys.exit(main())
