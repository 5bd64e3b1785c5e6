"""Train a small CNN on handwritten digits with seven activations, and see what they learn.

The net is a classic: conv 32 (3x3), pool 2, conv 64, pool 2, conv 64, dense 10, with the activation
as a layer of its own after each convolution. The digits are the 1,797 real ones that come with
scikit-learn. Each activation is trained from several seeds; PReLU's and parametric softplus's alpha
and beta and swish's beta are learned, one for each channel.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import advact_jax
from advact_jax import linen

EXAMPLES = """examples:
  python examples/digits_cnn.py                   all activations, three seeds (about two minutes)
  python examples/digits_cnn.py --quick           two activations, one seed, one epoch
  python examples/digits_cnn.py --only prelu mish --seeds 5
"""

BATCH = 32
TARGET = 0.97
QUICK_TARGET = 0.85
CLASSES = 10
BACKGROUND = -1.0
SHIFT = 2


# -- the model ----------------------------------------------------------------------------------


class Fixed(nn.Module):
    """An activation without parameters as a layer of its own."""

    function: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return self.function(x)


def convolution_as_product(images: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """Convolve without padding, by one matrix product.

    Inside a loop XLA's own convolution took 15 times as long on a CPU.
    """
    rows, columns = kernel.shape[:2]
    height, width = images.shape[1] - rows + 1, images.shape[2] - columns + 1
    patches = [
        images[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)
    ]
    return jnp.concatenate(patches, -1) @ kernel.reshape(-1, kernel.shape[-1])


def pool(x: Array) -> Array:
    """Return the maximum of each 2x2 square; an odd last row or column is left out."""
    batch, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))


class DigitsCNN(nn.Module):
    """The CNN; ``activation`` makes the layer that follows each convolution."""

    activation: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for i, features in enumerate((32, 64, 64), start=1):
            x = nn.Conv(
                features,
                (3, 3),
                padding="VALID",
                kernel_init=nn.initializers.he_normal(),
                conv_general_dilated=convolution_as_product,
                name=f"conv_{i}",
            )(x)
            x = self.activation(name=f"activation_{i}")(x)
            if i < 3:
                x = pool(x)
        return nn.Dense(CLASSES, name="dense")(x.reshape(x.shape[0], -1))


ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": functools.partial(Fixed, advact_jax.relu),
    "leaky_relu": functools.partial(Fixed, advact_jax.leaky_relu),
    "prelu": linen.PReLU,
    "elu": functools.partial(Fixed, advact_jax.elu),
    "parametric_softplus": linen.ParametricSoftplus,
    "swish": linen.Swish,
    "mish": functools.partial(Fixed, advact_jax.mish),
}
LEARNED: dict[str, Callable[..., Array]] = {
    "prelu": advact_jax.prelu,
    "parametric_softplus": advact_jax.parametric_softplus,
    "swish": advact_jax.swish,
}
QUICK = ("prelu", "parametric_softplus")


# -- data and training --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Digits:
    """Images of shape (n, 28, 28, 1) from -1 to 1, and labels, for training and for the test."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


def load() -> Digits:
    """Return scikit-learn's digits, enlarged, and split with each class in both parts alike."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    small = jnp.asarray(raw.images, jnp.float32)[..., None] / 8 - 1
    images = jax.image.resize(small, (len(small), 28, 28, 1), "bilinear")
    train, test = train_test_split(
        np.arange(len(raw.target)), test_size=0.2, stratify=raw.target, random_state=0
    )
    labels = jnp.asarray(raw.target)
    return Digits(images[train], labels[train], images[test], labels[test])


@dataclasses.dataclass(frozen=True)
class Result:
    """What training with one activation gave: arrays by seed and epoch, parameters by seed."""

    losses: np.ndarray
    accuracies: np.ndarray
    seconds_per_step: float
    parameters: dict[str, Any]

    @property
    def final(self) -> np.ndarray:
        """The test accuracy of each seed after the last epoch."""
        return self.accuracies[:, -1]


def shifted(key: Array, images: Array) -> Array:
    """Move each image by up to `SHIFT` pixels in both directions, as the hand might."""
    size = images.shape[1:]
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * SHIFT + 1)
    around = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    padded = jnp.pad(images, around, constant_values=BACKGROUND)
    cut = lambda image, corner: jax.lax.dynamic_slice(image, (*corner, 0), size)  # noqa: E731
    return jax.vmap(cut)(padded, corners)


def schedule(peak: float, steps: int) -> optax.Schedule:
    """Return a learning rate that rises during the first eighth, then falls to 0."""
    return optax.warmup_cosine_decay_schedule(peak / 10, peak, max(steps // 8, 1), steps)


def labels(params: dict[str, Any]) -> dict[str, str]:
    """Tell the optimizer the activations' parameters from the weights."""
    return {
        layer: "activation" if layer.startswith("activation") else "weights" for layer in params
    }


def train(
    model: DigitsCNN, digits: Digits, seeds: int, epochs: int, each_epoch: Callable[[], None]
) -> Result:
    """Train one net for each seed, all at once."""
    steps = len(digits.labels) // BATCH
    optimizer = optax.multi_transform(
        {
            "weights": optax.adam(schedule(4e-3, steps * epochs)),
            # So that a few epochs show which way alpha and beta go.
            "activation": optax.adam(schedule(4e-2, steps * epochs)),
        },
        labels,
    )

    def start(key: Array) -> tuple[Any, Any]:
        params = model.init(key, digits.images[:1])["params"]
        return params, optimizer.init(params)

    def loss_of(params: Any, images: Array, labels: Array) -> Array:
        logits = model.apply({"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(state: tuple[Any, Any], given: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        params, moments = state
        batch, key = given
        images = shifted(key, digits.images[batch])
        loss, gradient = jax.value_and_grad(loss_of)(params, images, digits.labels[batch])
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), loss

    def epoch(state: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
        keys = jax.random.split(key, steps + 1)
        order = jax.random.permutation(keys[0], len(digits.labels))[: steps * BATCH]
        state, losses = jax.lax.scan(step, state, (order.reshape(steps, BATCH), keys[1:]))
        return state, losses.mean()

    def accuracy(params: Any) -> Array:
        logits = jnp.asarray(model.apply({"params": params}, digits.test_images))
        return (logits.argmax(-1) == digits.test_labels).mean()

    keys = jax.random.split(jax.random.key(0), seeds)
    state = jax.jit(jax.vmap(start))(keys)
    run = jax.jit(jax.vmap(epoch), donate_argnums=0).lower(state, keys).compile()
    test = jax.jit(jax.vmap(accuracy))
    losses, accuracies, seconds = [], [], []
    for i in range(epochs):
        began = time.perf_counter()
        epoch_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, i)
        state, loss = jax.block_until_ready(run(state, epoch_keys))
        seconds.append(time.perf_counter() - began)
        losses.append(loss)
        accuracies.append(test(state[0]))
        each_epoch()
    return Result(
        np.stack(losses, 1),
        np.stack(accuracies, 1),
        float(np.median(seconds)) / steps / seeds,
        jax.device_get(state[0]),
    )


# -- what is shown ------------------------------------------------------------------------------


def learned_values(result: Result) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield the number of the layer, the parameter's name and its values by seed and channel."""
    for i in (1, 2, 3):
        for name, values in result.parameters.get(f"activation_{i}", {}).items():
            yield i, name, values


def results_table(results: dict[str, Result]) -> Table:
    """Return the accuracies and times."""
    table = Table(title="Results")
    table.add_column("activation", no_wrap=True)
    for heading in ("test accuracy, %", "seeds", "ms/step", "learned"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        count = sum(values.shape[1] for *_, values in learned_values(result))
        table.add_row(
            name,
            f"{100 * result.final.mean():.2f} ± {100 * result.final.std():.2f}",
            f"{100 * result.final.min():.2f} to {100 * result.final.max():.2f}",
            f"{result.seconds_per_step * 1e3:.1f}",
            str(count) if count else "-",
        )
    return table


def learned_table(results: dict[str, Result]) -> Table:
    """Return what the parameters became, by layer."""
    table = Table(title="Learned parameters (over channels and seeds)")
    table.add_column("activation")
    for heading in ("layer", "parameter", "start", "mean", "range"):
        table.add_column(heading, justify="right")
    for name in [name for name in LEARNED if name in results]:
        parameters = LEARNED[name].spec.parameters  # type: ignore[attr-defined]
        for layer, parameter, values in learned_values(results[name]):
            table.add_row(
                name,
                str(layer),
                parameter,
                f"{parameters[parameter].initial:.2f}",
                f"{values.mean():.3f}",
                f"{values.min():.3f} to {values.max():.3f}",
            )
    return table


# Okabe and Ito's colours, which the colour-blind tell apart; the dashes serve in black and white.
STYLES: list[tuple[str, Any]] = [
    ("#000000", "-"),
    ("#E69F00", "--"),
    ("#0072B2", "-"),
    ("#009E73", "-."),
    ("#D55E00", "-"),
    ("#CC79A7", "-"),
    ("#56B4E9", ":"),
]


def draw(results: dict[str, Result], path: Path) -> None:
    """Save the training curves, and the learned shapes before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    learned = [name for name in LEARNED if name in results]
    rows: list[Any] = [["loss"] * 3 + ["error"] * 3]
    if learned:
        rows.append([name for name in learned for _ in range(6 // len(learned))])
    figure, axes = plt.subplot_mosaic(rows, figsize=(11, 3.75 * len(rows)), layout="constrained")
    styles = dict(zip(ACTIVATIONS, STYLES, strict=True))
    for key, ylabel in {"loss": "training loss", "error": "test error, %"}.items():
        for name, result in results.items():
            curves = result.losses if key == "loss" else 100 * (1 - result.accuracies)
            color, dashes = styles[name]
            axes[key].plot(
                np.arange(1, curves.shape[1] + 1),
                curves.mean(0),
                color=color,
                linestyle=dashes,
                linewidth=1.8,
                label=name,
            )
        axes[key].set(xlabel="epoch", ylabel=f"{ylabel} (mean over seeds)")
        axes[key].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[key].grid(alpha=0.3)
    axes["loss"].set_yscale("log")
    axes["loss"].yaxis.set_minor_formatter("")
    axes["error"].set_ylim(bottom=0)
    axes["loss"].legend(frameon=False, fontsize=9)
    for name in learned:
        draw_shapes(axes[name], name, results[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_shapes(axes: Any, name: str, result: Result) -> None:
    """Draw one function at its start and, for each layer, over the channels after training."""
    function = LEARNED[name]
    x = jnp.linspace(-4, 2, 301)
    layers: dict[int, dict[str, np.ndarray]] = {}
    for layer, parameter, values in learned_values(result):
        layers.setdefault(layer, {})[parameter] = values.reshape(-1, 1)
    curves = {layer: function(x, **values) for layer, values in layers.items()}
    low, high = np.percentile(np.concatenate([*curves.values()]), (5, 95), axis=0)
    band = {"color": "0.85", "linewidth": 0, "label": "after, 5 to 95 % of channels"}
    axes.fill_between(x, low, high, **band)
    for layer, curve in curves.items():
        color, dashes = STYLES[(2, 4, 3)[layer - 1]][0], ("-", "--", "-.")[layer - 1]
        label = f"after, mean of layer {layer}"
        axes.plot(x, np.mean(curve, 0), color=color, linestyle=dashes, label=label)
    parameters = function.spec.parameters  # type: ignore[attr-defined]
    initial = {parameter: parameters[parameter].initial for parameter in layers[1]}
    axes.plot(x, function(x, **initial), color="black", linestyle=":", label="before")
    axes.set(title=name, xlabel="x", ylabel="f(x)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Show a bar in a terminal, and a line for each activation elsewhere."""
    if not console.is_terminal:

        def say(name: str) -> Callable[[], None]:
            console.print(f"training with {name} ...")
            return lambda: None

        yield say
        return
    columns = (TextColumn("{task.description:20}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(name: str) -> Callable[[], None]:
            bar.update(task, description=name)
            return lambda: bar.advance(task)

        yield show


# -- the command --------------------------------------------------------------------------------


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument(
        "--only", nargs="+", choices=ACTIVATIONS, metavar="NAME",
        help=f"train with these activations alone: {', '.join(ACTIVATIONS)}",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, help="nets per activation (3; quick: 1)")
    parser.add_argument("--epochs", type=int, help="passes over the data (4; quick: 1)")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "output" / "digits_cnn.png",
        help="where the picture goes (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    options.only = options.only or (QUICK if options.quick else tuple(ACTIVATIONS))
    options.seeds = (1 if options.quick else 3) if options.seeds is None else options.seeds
    options.epochs = (1 if options.quick else 4) if options.epochs is None else options.epochs
    if options.seeds < 1 or options.epochs < 1:
        parser.error("--seeds and --epochs must be at least 1")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Train, show and save; return 1 if an activation misses the accuracy."""
    options = arguments(argv)
    began = time.perf_counter()
    console = Console(highlight=False, soft_wrap=True)
    digits = load()
    console.print(
        "scikit-learn's handwritten digits, 8x8, enlarged to 28x28 (bilinear): "
        f"{len(digits.labels)} to train with, each shifted by up to {SHIFT} pixels, "
        f"{len(digits.test_labels)} for the test"
    )
    models = {name: DigitsCNN(ACTIVATIONS[name]) for name in options.only}
    shown = "prelu" if "prelu" in models else options.only[0]
    console.print(f"\nThe model, here with {shown}:")
    summary = nn.tabulate(
        models[shown], jax.random.key(0), depth=1,
        console_kwargs={"force_terminal": False, "width": 100},
    )(digits.images[:BATCH])  # fmt: skip
    console.print(summary.strip(), markup=False)

    results = {}
    with progress(console, len(models) * options.epochs) as show:
        for name, model in models.items():
            results[name] = train(model, digits, options.seeds, options.epochs, show(name))
    console.print(results_table(results))
    if LEARNED.keys() & results.keys():
        console.print(learned_table(results))
    draw(results, options.out)
    console.print(f"Picture: {options.out}")
    console.print(
        f"{options.seeds} net(s) per activation, {options.epochs} epochs, batches of {BATCH}; "
        f"{time.perf_counter() - began:.0f} s in all"
    )
    target = QUICK_TARGET if options.quick else TARGET
    missed = [name for name, result in results.items() if result.final.mean() < target]
    if missed:
        console.print(f"FAILED: mean test accuracy below {target:.0%} with {', '.join(missed)}")
        return 1
    console.print(f"All reach {target:.0%} mean test accuracy.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
