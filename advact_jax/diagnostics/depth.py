"""How signals and gradients travel through the depth of a net before it is trained."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from advact_jax import initializers
from advact_jax.diagnostics import arrays, meanfield, verdict
from advact_jax.diagnostics.meanfield import Elementwise, FixedPoint


@dataclasses.dataclass(frozen=True)
class DepthReport:
    """What `depth_report` found; arrays have a number for each layer, in order.

    The first layer is the one whose input is given. What is measured has an axis for the seeds in
    front.

    Attributes:
      name: the activation.
      initializer: the initial weights, in words.
      depth: the number of layers.
      width: the number of units of each.
      seeds: the number of nets.
      weight_gain: the root of the variance of the weights times the number of inputs.
      bias_std: the standard deviation of the biases.
      theory: by mean-field theory: "variance" and "correlation" of what enters each activation;
        "gradient", the squared norm of the gradient there over that at the last layer; "mean" and
        "output_variance" of what leaves it.
      measured: the same, in random nets.
      fixed_point: where depth leads.

    Example:
      >>> from advact_jax import diagnostics
      >>> report = diagnostics.depth_report("relu", "he_normal", depth=10, width=64, seeds=2)
      >>> print(report.theory["correlation"][[0, 4, 9]])
      [0.5 0.779 0.886]
      >>> report.measured["correlation"].shape
      (2, 10)
      >>> print(report.verdict())
      EDGE OF CHAOS: chi_1 = 1.0000. Gradients keep their size, and inputs draw together ...
    """

    name: str
    initializer: str
    depth: int
    width: int
    seeds: int
    weight_gain: float
    bias_std: float
    theory: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    fixed_point: FixedPoint

    def table(self, rows: int = 8) -> str:
        """Return some layers, theory beside measurement (mean over seeds), as plain text."""
        cells = [["layer", "variance", "", "correlation", "", "gradient", ""]]
        cells.append(["", *("theory", "measured") * 3])
        shown = np.unique(np.linspace(0, self.depth - 1, min(rows, self.depth)).astype(int))
        for layer in shown:
            row = [str(layer + 1)]
            for key in ("variance", "correlation", "gradient"):
                measured = self.measured[key][:, layer]
                mean = np.mean(measured) if key == "correlation" else _geometric_mean(measured)
                row += [f"{self.theory[key][layer]:.3g}", f"{mean:.3g}"]
            cells.append(row)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
        return "\n".join(line.rstrip() for line in lines)

    def verdict(self) -> str:
        """Return what theory says of the choice, in words."""
        point, source = self.fixed_point, verdict.SCHOENHOLZ
        chi = f"chi_1 = {point.chi:.4f}"
        if point.phase == "edge":
            return (
                f"EDGE OF CHAOS: {chi}. Gradients keep their size, and inputs draw together "
                f"slowly, not exponentially. [{source}; {verdict.HAYOU}]"
            )
        ratio = self.theory["gradient"][0]
        what, advice = ("vanish", "larger") if point.phase == "ordered" else ("explode", "smaller")
        text = (
            f"{point.phase.upper()}: {chi}, so gradients {what}, by e in "
            f"{point.gradient_depth:.3g} layers in their squared norm; over these {self.depth} "
            f"layers by {ratio:.1e}. "
        )
        if math.isfinite(point.correlation_depth):
            fades = "tells two inputs apart" if point.phase == "ordered" else "two inputs share"
            text += (
                f"What {fades} fades by e in {point.correlation_depth:.3g} layers; the source "
                f"found nets trainable up to about six times that, here "
                f"{6 * point.correlation_depth:.0f} layers. "
            )
        return text + (
            f"If that is too little, take {advice} weights (edge_of_chaos gives the gain), "
            f"residual connections or normalisation. [{source}]"
        )

    def report(self) -> str:
        """Return all of it as plain text."""
        point = self.fixed_point
        return (
            f"{self.name}, {self.initializer}: weight gain {self.weight_gain:.4g}, biases "
            f"{self.bias_std:g}; {self.seeds} nets of {self.depth} layers of {self.width}\n"
            f"{self.table()}\n"
            f"fixed point: variance {point.variance:.4g}, correlation {point.correlation:.3g}\n\n"
            f"{self.verdict()}"
        )


def _geometric_mean(values: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(values))))


def depth_report(
    activation: str | Callable[..., Any],
    initializer: str | Mapping[str, Any] | Callable[..., Array] = "auto",
    depth: int = 50,
    *,
    width: int = 256,
    batch: int = 8,
    seeds: int = 8,
    weight_gain: float | None = None,
    bias_std: float = 0.0,
    variance: float = 1.0,
    correlation: float = 0.5,
) -> DepthReport:
    r"""Follow variance, correlation and gradients through a deep random net.

    Each layer is :math:`h \mapsto W f(h) + b`. The same curves are measured in random nets and
    computed by mean-field theory, which is exact for wide ones. `advact_jax.plots.depth` draws
    them.

    Args:
      activation: a name, a declared function, an `advact_jax.Activation`, or any elementwise
        function.
      initializer: the initial weights: a name of Keras, a config or a function, as
        `advact_jax.initializers.get` takes it; or "auto" for the rule that goes with the
        activation.
      depth: the number of layers.
      width: the number of units of each.
      batch: the number of inputs, any two of which have the same correlation.
      seeds: the number of nets.
      weight_gain: :math:`\sigma_w`, for normal weights of variance :math:`\sigma_w^2 / n` for n
        inputs in place of the initializer.
      bias_std: the standard deviation of normal biases.
      variance: of what enters the first activation.
      correlation: of any two inputs there, from 0 to 1.

    Returns:
      A `DepthReport`.

    Raises:
      ValueError: if a number is out of range, or the weights have no variance.
      TypeError: if the activation or the initializer is of another type.

    Example:
      >>> from advact_jax import diagnostics
      >>> report = diagnostics.depth_report("relu", "he_normal", depth=10, width=64, seeds=2)
      >>> report.fixed_point.phase, round(report.fixed_point.chi, 6)
      ('edge', 1.0)

    References:
      Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation,
      arXiv:1611.01232; Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, Exponential
      expressivity in deep neural networks through transient chaos, arXiv:1606.05340.
    """
    _check(depth=depth, width=width, batch=batch, seeds=seeds)
    if not variance > 0 or not 0 <= correlation < 1 or not bias_std >= 0:
        raise ValueError(
            "depth_report: expected a positive variance, a correlation in [0, 1) and a bias_std "
            f"that is not negative, got {variance}, {correlation} and {bias_std}."
        )
    f = Elementwise.of("depth_report", activation)
    draw, written = _weights(activation, initializer, weight_gain)
    keys = jax.random.split(jax.random.key(0), seeds)
    measured = _measure(f, draw, depth, width, batch, keys, variance, correlation, bias_std)
    measured = {key: np.asarray(value, np.float64) for key, value in measured.items()}
    norms = measured.pop("gradient_norm")
    measured["gradient"] = (norms / norms[:, -1:]) ** 2
    sampled = float(np.mean(measured.pop("weight_variance")))
    weights = _variance(written, weight_gain, sampled)
    theory = meanfield.travel(
        f,
        depth,
        weight_variance=weights,
        bias_variance=bias_std**2,
        variance=variance,
        correlation=correlation,
    )
    point = meanfield.fixed_point(
        f, weight_variance=weights, bias_variance=bias_std**2, variance=variance
    )
    # From the last layer down: the factor of a layer is that of the step from its output back.
    with np.errstate(over="ignore"):
        gradient = np.cumprod(np.append(1.0, theory["chi"][:-1][::-1]))[::-1]
    return DepthReport(
        name=f.name,
        initializer=written,
        depth=depth,
        width=width,
        seeds=seeds,
        weight_gain=math.sqrt(weights),
        bias_std=bias_std,
        theory={
            "variance": theory["variance"],
            "correlation": theory["correlation"],
            "gradient": gradient,
            "mean": theory["mean"],
            "output_variance": theory["second_moment"] - theory["mean"] ** 2,
        },
        measured=measured,
        fixed_point=point,
    )


def _check(**sizes: int) -> None:
    for key, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 2 - (key == "seeds"):
            raise ValueError(
                f"depth_report: expected {key} to be an int of {2 - (key == 'seeds')} or more, "
                f"got {value!r}."
            )


# -- weights ------------------------------------------------------------------------------------


def _weights(
    activation: Any, initializer: Any, gain: float | None
) -> tuple[Callable[..., Array], str]:
    """Return how to draw weights, and the same in words."""
    if gain is not None:
        if not 0 < gain < math.inf:
            raise ValueError(f"depth_report: expected weight_gain to be positive, got {gain}.")
        return _Normal(float(gain) ** 2), "normal weights"
    if isinstance(initializer, str) and initializer != "auto":
        return _by_name(initializer), initializer
    made = initializers.get(initializer) if initializer != "auto" else None
    made = initializers.initializer_for(activation) if made is None else made
    name = getattr(made, "__qualname__", repr(made)).partition(".<locals>")[0]
    return made, "auto" if initializer == "auto" else name


@functools.lru_cache(maxsize=64)
def _by_name(name: str) -> Callable[..., Array]:
    # One function for each name, so that what was compiled for it is found again.
    return initializers.get(name)


@dataclasses.dataclass(frozen=True)
class _Normal:
    """Normal weights of some variance over the number of inputs."""

    scale: float

    def __call__(self, key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        return math.sqrt(self.scale / shape[0]) * jax.random.normal(key, tuple(shape), dtype)


# The variance of square weights times the number of inputs, where the rule fixes it.
_SCALES = {"lecun": 1.0, "glorot": 1.0, "xavier": 1.0, "he": 2.0, "msra": 2.0, "orthogonal": 1.0}


def _variance(name: str, gain: float | None, sampled: float) -> float:
    """Return the variance of the weights times the number of inputs."""
    known = float(gain) ** 2 if gain is not None else _SCALES.get(name.partition("_")[0])
    if known is None and not 0 < sampled < math.inf:
        raise ValueError(
            f"depth_report: expected random weights, got {name}, whose variance is {sampled}."
        )
    return sampled if known is None else known


# -- random nets --------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("f", "draw", "depth", "width", "batch", "bias_std"))
def _measure(
    f: Elementwise,
    draw: Callable[..., Array],
    depth: int,
    width: int,
    batch: int,
    keys: Array,
    variance: float,
    correlation: float,
    bias_std: float,
) -> dict[str, Array]:
    def net(key: Array) -> dict[str, Array]:
        # Few draws, since each takes long to compile.
        keys = jax.random.split(key, depth + 1)
        drawn = jax.random.normal(keys[0], (2 * batch + 1, width))
        shared, own, back = drawn[:1], drawn[1 : batch + 1], drawn[batch + 1 :]
        start = jnp.sqrt(correlation) * shared + jnp.sqrt(1 - correlation) * own

        def layer(h: Array, given: tuple[Array, Array]) -> tuple[Array, Any]:
            key, probe = given
            # Drawn once: fused into each of its uses it would be drawn again.
            weights = jax.lax.optimization_barrier(draw(key, (width, width), jnp.float32))
            h = h + probe
            y = f.function(h)
            following = y @ weights
            if bias_std:
                bias_key = jax.random.fold_in(key, 1)
                following = following + bias_std * jax.random.normal(bias_key, (width,))
            return following, (h, {**_of(h, y), "weight_variance": width * jnp.var(weights)})

        def run(probes: Array) -> tuple[Array, dict[str, Array]]:
            steps = (keys[1:], probes)
            inputs, found = jax.lax.scan(layer, jnp.sqrt(variance) * start, steps)[1]
            return inputs[-1], found

        _, pullback, found = jax.vjp(run, jnp.zeros((depth, batch, width)), has_aux=True)
        (gradients,) = pullback(back)
        return {**found, "gradient_norm": jax.vmap(arrays.norm)(gradients)}

    return jax.vmap(net)(keys)


def _of(h: Array, y: Array) -> dict[str, Array]:
    """Return what is measured of a layer's input and output."""
    pairs = 1 - jnp.eye(len(h))
    lengths = jax.vmap(arrays.norm)(h)
    directions = h / jnp.where(lengths > 0, lengths, 1)[:, None]
    outputs = arrays.moments(y)
    return {
        "variance": jnp.mean(jnp.square(h)),
        "correlation": jnp.sum(directions @ directions.T * pairs) / jnp.sum(pairs),
        "mean": outputs.mean,
        "output_variance": outputs.variance,
    }
