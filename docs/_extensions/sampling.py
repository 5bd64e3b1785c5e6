"""The numbers of the site, all computed by the library: curves, histograms, 16-bit errors.

Parameters are sampled on a coarse grid, so that the explorer page shows the library's own float32
results and interpolates nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy, catalog, initializers

REACH, STEP = 6.0, 1 / 64
# So many values of each parameter, by the number of parameters.
COUNTS = {1: 17, 2: 9, 3: 5, 4: 4}
# Parameters that must stay in this order.
ENDS = (("min_value", "max_value"), ("t_left", "t_right"))
LAYERS = (1, 2, 3, 4, 6, 8, 12, 16)
WIDTH, BATCH = 128, 16
EDGES = np.linspace(-3, 3, 49)


@dataclasses.dataclass(frozen=True)
class Axis:
    """The sampled values of a parameter or flag, and the place of the usual one among them."""

    name: str
    values: tuple[Any, ...]
    usual: int


# -- the grid of parameters ---------------------------------------------------------------------


def axes(spec: Any) -> list[Axis]:
    """Return the grid of an activation: its flags and its first five parameters."""
    found = [Axis(k, tuple(v), v.index(spec.default_flags[k])) for k, v in spec.flags.items()]
    keys = [*spec.parameters][:5]
    count = COUNTS.get(len(keys), 3)
    return found + [_axis(key, spec, count) for key in keys]


def _axis(key: str, spec: Any, count: int) -> Axis:
    parameter, default = spec.parameters[key], usual(spec)[key]
    samples = [v for v in parameter.samples if abs(v) < 100]
    if default is None:
        return Axis(key, (None, *sorted(samples)), 0)
    size = max(abs(default), *map(abs, samples), 0.5)
    if parameter.domain == "positive":
        factor = math.sqrt(2) if count > 5 else 2.0
        low, high = min(default, *samples), max(default, *samples)
        start = round(math.log(math.sqrt(low * high) / default, factor)) - count // 2
        start = min(max(start, 1 - count), 0)
        values = [default * factor**k for k in range(start, start + count)]
    elif parameter.domain == "nonnegative":
        step = 2.0 ** math.floor(math.log2(2 * size / count))
        values = sorted({0.0, *(default % step + k * step for k in range(count))})
    else:
        step = 2.0 ** round(math.log2(4 * size / count))
        values = [default + k * step for k in range(-(count // 2), count - count // 2)]
        values = [v for v in values if _in_order(key, v, spec)]
    usual_at = min(range(len(values)), key=lambda i: abs(values[i] - default))
    values[usual_at] = default
    return Axis(key, tuple(float(np.float32(v)) for v in values), usual_at)


def _in_order(key: str, value: float, spec: Any) -> bool:
    """Tell whether a lower end lies below the middle of the usual ends, and an upper one above."""
    for low, high in ENDS:
        if key in (low, high) and {low, high} <= {*spec.parameters}:
            middle = (usual(spec)[low] + usual(spec)[high]) / 2
            return value < middle if key == low else value > middle
    return True


def usual(spec: Any) -> dict[str, Any]:
    """Return all parameters and flags at their default, else their initial or a sample value."""
    values = {
        key: spec.defaults.get(key, p.initial if p.initial is not None else (*p.samples, 1.0)[0])
        for key, p in spec.parameters.items()
    }
    return {**values, **spec.default_flags}


def combinations(spec: Any, along: Sequence[Axis]) -> list[dict[str, Any]]:
    """Return the arguments at each point of the grid; the last axis runs fastest."""
    names = [axis.name for axis in along]
    return [
        {**usual(spec), **dict(zip(names, values, strict=True))}
        for values in itertools.product(*(axis.values for axis in along))
    ]


def _groups(points: list[dict[str, Any]]) -> Iterator[tuple[list[int], dict[str, Any], dict]]:
    """Yield the points that share what is static: their indices, that, and the arrays."""

    def static(point: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in point.items() if v is None or isinstance(v, bool)}

    kinds: dict[Any, list[int]] = {}
    for index, point in enumerate(points):
        kinds.setdefault(tuple(static(point).items()), []).append(index)
    for fixed, indices in kinds.items():
        keys = [key for key in points[0] if key not in dict(fixed)]
        arrays = {
            key: jnp.asarray([points[i][key] for i in indices], jnp.float32)[:, None]
            for key in keys
        }
        yield indices, dict(fixed), arrays


# -- curves -------------------------------------------------------------------------------------


def curves(
    function: Callable[..., Any], points: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray, list[list[float]]]:
    """Return x and value, slope and curvature at each point of the grid, and the kinks.

    Beside each kink stand the numbers next to it. The arrays are float32, of the shapes
    (points, n) and (points, 3, n).
    """
    spec = function.spec  # type: ignore[attr-defined]
    kinks = [[k for k in accuracy.kinks_of(spec, p) if abs(k) <= REACH] for p in points]
    base = np.arange(-REACH, REACH + STEP / 2, STEP, dtype=np.float32)
    beside = np.full((len(points), 3 * max(map(len, kinks))), REACH, np.float32)
    for row, at in zip(beside, kinks, strict=True):
        row[: 3 * len(at)] = [x for kink in at for x in neighbours(kink)]
    x = np.concatenate([np.tile(base, (len(points), 1)), beside], 1)
    y = np.empty((len(points), 3, x.shape[1]), np.float32)
    for indices, fixed, arrays in _groups(points):
        y[indices] = np.stack(_evaluated(function, x[indices], fixed, arrays), 1)
    kept = np.r_[0 : base.size : _stride(base, y, kinks), base.size : x.shape[1]]
    x, y = x[:, kept], y[:, :, kept]
    order = np.argsort(x, axis=1, kind="stable")
    y = np.take_along_axis(y, order[:, None], 2)
    return np.take_along_axis(x, order, 1), y, kinks


def neighbours(kink: float) -> tuple[np.float32, np.float32, np.float32]:
    """Return a kink between the float32 numbers next to it, of those that are not read as 0."""
    at, tiny = np.float32(kink), np.finfo(np.float32).tiny
    if at == 0:
        return -tiny, at, tiny
    return np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))


def _evaluated(function: Any, x: np.ndarray, fixed: dict, arrays: dict) -> list[np.ndarray]:
    @jax.jit
    def all_orders(x: Any, arrays: Any) -> Any:
        made = functools.partial(function, **fixed, **arrays)
        return accuracy.together(accuracy.derivatives(made))(x)

    return [np.asarray(y) for y in all_orders(x, arrays)]


def _stride(base: np.ndarray, y: np.ndarray, kinks: list[list[float]]) -> int:
    """Return how many steps may be left out: what lies between must be straight."""
    y = y[:, :, : base.size].astype(np.float64)
    tolerance = 0.004 * (np.ptp(np.clip(y, -8, 8), axis=2, keepdims=True) + 1e-3)
    # Many curves are drawn by fewer points, which are dense enough but for narrow bends.
    for stride in (8, 4, 2) if len(y) < 20 else (8,):
        at = np.arange(base.size)
        share = (at % stride) / stride
        left = at - at % stride
        right = np.minimum(left + stride, base.size - 1)
        with np.errstate(invalid="ignore"):  # Where a function is infinite, it is off no line.
            line = y[..., left] * (1 - share) + y[..., right] * share
            off = np.abs(line - y) > tolerance
        off &= np.abs(y) < 8
        for row, of in zip(off, kinks, strict=True):
            for kink in of:
                row[:, np.abs(base - kink) <= stride * STEP] = False
        if not off.any():
            return stride
    return 1 if len(y) < 20 else 4


# -- a deep random net --------------------------------------------------------------------------


def scales(spec: Any) -> dict[str, float]:
    """Return the scales of LeCun's initial weights that the histograms compare, by name."""
    found = {"He: variance 2 / inputs": math.sqrt(2), "LeCun: variance 1 / inputs": 1.0}
    try:
        gain = initializers.gain(spec.name, **usual(spec))
    except ValueError:  # The second moment of this one is not finite.
        return found
    return {f"gain of {spec.name} at its usual parameters": gain, **found}


@functools.cache
def _net() -> tuple[Any, Any]:
    """Return the input of the random net, and LeCun's weights of its layers."""
    keys = jax.random.split(jax.random.key(0), max(LAYERS) + 1)
    draw = initializers.get("lecun_normal")
    drawn = [draw(key, (WIDTH, WIDTH), jnp.float32) for key in keys[1:]]
    return jax.random.normal(keys[0], (BATCH, WIDTH)), jnp.stack(drawn)


def histograms(
    function: Callable[..., Any], points: list[dict[str, Any]]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the names of the weights, the histogram after each layer, and its spread.

    The counts have the shape (points, weights, layers, bins); the first and the last bin hold what
    lies beyond the edges.
    """
    spec = function.spec  # type: ignore[attr-defined]
    kinds = scales(spec)
    x, drawn = _net()
    drawn = drawn[:, None] * np.asarray([*kinds.values()], np.float32)[:, None, None]
    counts = np.zeros((len(points), len(kinds), len(LAYERS), EDGES.size + 1), np.uint16)
    spread = np.zeros(counts.shape[:3], np.float32)
    for indices, fixed, arrays in _groups(points):
        bins, deviations = _deep(function, x, drawn, fixed, arrays)
        rows = bins.reshape(-1, bins.shape[-1]).astype(np.int64)
        place = rows + np.arange(len(rows))[:, None] * counts.shape[3]
        flat = np.bincount(place.ravel(), minlength=len(rows) * counts.shape[3])
        counts[indices] = flat.reshape(*bins.shape[:3], -1)
        spread[indices] = deviations
    return [*kinds], counts, spread


def _deep(function: Any, x: Any, drawn: Any, fixed: dict, arrays: dict) -> tuple[Any, Any]:
    """Return the bin of each value and the standard deviation, by point, weights and layer."""

    @jax.jit
    def run(x: Any, drawn: Any, arrays: Any) -> Any:
        made = functools.partial(
            function, **fixed, **{k: v[:, :, None, None] for k, v in arrays.items()}
        )

        def layer(h: Any, w: Any) -> Any:
            h = made(jnp.einsum("pkbi,kio->pkbo", h, w))
            # Counted from the left edges, in float32 as the edges are.
            cell = jnp.clip(jnp.floor((h + 3) * ((EDGES.size - 1) / 6)), -1, EDGES.size - 1) + 1
            cell = jnp.where(jnp.isfinite(h), cell, 0).astype(jnp.uint8)
            return h, (cell, jnp.std(h, (2, 3)))

        number = max((v.shape[0] for v in arrays.values()), default=1)
        h = jnp.broadcast_to(x, (number, drawn.shape[1], *x.shape))
        return jax.lax.scan(layer, h, drawn)[1]

    chosen = np.asarray(LAYERS) - 1
    bins, deviations = (np.moveaxis(np.asarray(a)[chosen], 0, 2) for a in run(x, drawn, arrays))
    return bins.reshape(*bins.shape[:3], -1), deviations


# -- 16 bits ------------------------------------------------------------------------------------


def octaves() -> np.ndarray:
    """Return the left ends of the intervals over which 16-bit errors are gathered, by size of x."""
    positive = np.exp2(np.arange(-16.0, 128))
    return np.concatenate([-positive[::-1], [0.0], positive])


def errors(function: Callable[..., Any]) -> dict[str, np.ndarray] | None:
    """Return the worst error in ulps of bfloat16 in each octave, ours and jax.nn's.

    Each has the shape (3, octaves), infinite where a result is not finite though the truth is; None
    where jax.nn has no such function.
    """
    peer = catalog.name_in(function, "jax")
    if peer is None:
        return None
    x = accuracy.every_input("bfloat16")
    x = x[np.isfinite(x)]
    truths = accuracy.truth_at(accuracy.together(accuracy.derivatives(function)), x)
    where = np.digitize(np.abs(x).astype(np.float64), np.exp2(np.arange(-16.0, 128)))
    where = octaves().size // 2 + np.where(x < 0, -where, where)
    gathered = {}
    for whose, judged in (("ours", function), ("jax.nn", getattr(jax.nn, peer))):
        found = accuracy.evaluate(accuracy.together(accuracy.derivatives(judged)), x)
        worst = np.zeros((3, octaves().size))
        for order, (result, truth) in enumerate(zip(found, truths, strict=True)):
            off = accuracy.errors(result, truth, x, order > 0, function.spec.value_floor)
            np.maximum.at(worst[order], where, off)
        gathered[whose] = worst
    return gathered
