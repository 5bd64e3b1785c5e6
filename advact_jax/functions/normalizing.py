"""Functions that scale a row by its own statistics."""

from __future__ import annotations

import functools
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax import _numerics as num
from advact_jax._declare import row_function
from advact_jax._rows import Axes, Axis
from advact_jax._rule import compute_dtype
from advact_jax._statistics import (
    between_ends,
    centred,
    inverse_root,
    largest_scale,
    mean_of,
    scaled,
)

# -- standardize --------------------------------------------------------------------------------

_SIZE_NOTE = (
    "The error is a few ulp of the row's standard deviation (or of epsilon's root): an entry near "
    "the mean cancels."
)


def _standardize_reference(
    mp: Any, row: Any, mean: Any = None, variance: Any = None, epsilon: Any = 1e-5
) -> list[Any]:
    mean = mp.fsum(row) / len(row) if mean is None else mp.mpf(mean)
    if variance is None:
        variance = mp.fsum(x * x for x in row) / len(row) - 2 * mean * mp.fsum(row) / len(row)
        variance += mean * mean
    return [(x - mean) / mp.sqrt(variance + mp.mpf(epsilon)) for x in row]


@row_function(
    static=("axis", "algorithm"),
    direct=True,
    given=({}, {"mean": 0.5}),
    counted={"all": "row"},
    reference=_standardize_reference,
    tier="stable",
    latex=r"\frac{x - \bar{x}}{\sqrt{\mathrm{var}(x) + \epsilon}}",
    paper="Ioffe & Szegedy 2015, Batch normalization, arXiv:1502.03167; Ba, Kiros & Hinton 2016, "
    "Layer normalization, arXiv:1607.06450",
    names={"jax": "standardize", "flax": (["standardize", "normalize"],)},
    notes={"float32": _SIZE_NOTE, "float16, bfloat16": _SIZE_NOTE},
)
def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
    *,
    algorithm: str = "stable",
) -> Array:
    r"""Input less its mean, divided by its standard deviation.

    .. math:: f(x) = \frac{x - \bar{x}}{\sqrt{\mathrm{var}(x) + \epsilon}}

    The variance is the mean of squared distances, which does not cancel as jax.nn's difference of
    two squares does, and does not overflow. If a mean is given, the variance is that about it.

    Rows with infinite entries have the limit: these are 1 and -1 and all others 0 before they are
    standardized. A row of which ``where`` allows nothing gives zeros. Reverse mode keeps the
    input, and what else is given.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      mean: the mean; broadcasts against ``x``. None for that of ``x``.
      variance: the variance; broadcasts against ``x``. None for that of ``x``.
      epsilon: what is added to the variance, not negative.
      where: which entries count for mean and variance, bool, broadcast against ``x``.
      algorithm: "stable" or "fast", for calls written for jax.nn; either gives the exact variance.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range, the shapes don't broadcast, or for another
        algorithm.

    Example:
      >>> x = jnp.array([10001.0, 10002.0, 10003.0])
      >>> print(advact_jax.standardize(x))
      [-1.2247356  0.         1.2247356]

    References:
      Ba, Kiros & Hinton 2016, "Layer normalization", arXiv:1607.06450.
    """
    if algorithm not in ("stable", "fast"):
        raise ValueError(
            f"standardize: expected the algorithm 'stable' or 'fast', got {algorithm!r}."
        )
    others: dict[str, Any] = {"mean": mean, "variance": variance, "where": where}
    x, axes, given = _rows.arguments("standardize", "x", x, axis, **others)
    epsilon = _checks.real("standardize", "epsilon", epsilon)
    wide = compute_dtype(x.dtype)

    def whole(x: Array, mean: Any, variance: Any, epsilon: Array, mask: Array | None) -> Array:
        epsilon = epsilon.astype(wide)
        mean, variance = (None if v is None else v.astype(wide) for v in (mean, variance))
        if mask is None:
            return _standardized(x, mean, variance, epsilon, None, axes)
        mask = jnp.broadcast_to(mask, x.shape)
        # What does not count must not reach the derivatives of the others.
        out = ~mask & ~jnp.isfinite(x)
        y = _standardized(jnp.where(out, 0, x), mean, variance, epsilon, mask, axes)
        return jnp.where(jnp.any(mask, axes, keepdims=True), jnp.where(out, x, y), 0)

    y = jax.checkpoint(whole, prevent_cse=False)(
        x, given["mean"], given["variance"], epsilon, given["where"]
    )
    return y.astype(x.dtype)


def _standardized(
    x: Array, mean: Any, variance: Any, epsilon: Array, mask: Array | None, axes: Axes
) -> Array:
    if mean is None and variance is None:
        return _normal(x, epsilon, mask, axes)[0]
    x = x.astype(compute_dtype(x.dtype))
    if variance is not None and mean is not None:
        return (x - mean) * lax.rsqrt(variance + epsilon)
    if variance is not None:
        row = centred(x, None, mask, axes, 0, ends_move=True)
        y = row.unit * (row.scale * lax.rsqrt(variance + epsilon))
        ends = jnp.where(row.unit == 0, 0, row.unit * jnp.inf)
        return jnp.where(row.infinite, num.moving_with(y, ends), y)
    row = centred(x, mean, mask, axes, jnp.sqrt(lax.stop_gradient(epsilon)))
    inverse = 1 / row.scale
    # One factor after the other: the inverse squared may underflow.
    square = mean_of(row.unit * row.unit, mask, axes) + epsilon * inverse * inverse
    # Epsilon alone where it is nothing beside entries that are equal.
    return row.unit * inverse_root(square, row.scale * inverse_root(epsilon))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _normal(x: Array, epsilon: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return standardized rows, and what their entries' distances are multiplied by.

    That is 0 in rows that have no derivative.
    """
    unit, inverse, still = between_ends(x, mask, axes, jnp.sqrt(epsilon))
    square = mean_of(unit * unit, mask, axes) + epsilon * inverse * inverse
    factor = 1 / jnp.sqrt(jnp.maximum(square, jnp.finfo(unit.dtype).tiny))
    return unit * factor, jnp.where(still, 0, inverse * factor)


@functools.partial(_normal.defjvp, symbolic_zeros=True)
def _normal_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (y, factor), (tx, te, _) = _normal(*primals, axes), tangents
    ty, tfactor, mask = jnp.zeros_like(y), jnp.zeros_like(factor), primals[2]
    if not _rows.is_zero(tx):
        tx = tx.astype(y.dtype)
        along = mean_of(y * tx, mask, axes)
        ty = factor * ((tx - mean_of(tx, mask, axes)) - y * along)
        tfactor = -factor * factor * along
    if not _rows.is_zero(te):
        share = -0.5 * factor * factor * te
        ty, tfactor = ty + y * share, tfactor + factor * share
    return (y, factor), (ty, tfactor)


# -- PolyNorm -----------------------------------------------------------------------------------


def _poly_norm_reference(
    mp: Any, row: Any, weights: Any = None, bias: Any = 0, epsilon: Any = 1e-6
) -> list[Any]:
    w = [mp.mpf(1) / 3] * 3 if weights is None else [mp.mpf(float(v)) for v in weights]
    total = [mp.mpf(bias)] * len(row)
    for weight, power in zip(w, (3, 2, 1), strict=True):
        z = [x**power for x in row]
        norm = mp.sqrt(mp.fsum(v * v for v in z) / len(row) + mp.mpf(epsilon))
        total = [t + weight * v / norm for t, v in zip(total, z, strict=True)]
    return total


_TERM_NOTE = "The error is a few ulp of the largest of the four terms, which may cancel."


@row_function(
    static=("axis", "epsilon"),
    given=({"weights": np.array([0.5, -0.25, 1.0], "float32"), "bias": 0.125},),
    counted={"all": "row"},
    reference=_poly_norm_reference,
    tier="experimental",
    latex=r"\sum_{i=1}^{3} w_{3-i} N(x^i) + b, \quad "
    r"N(z) = \frac{z}{\sqrt{\mathrm{mean}(z^2) + \epsilon}}",
    paper="Zhuo, Wang, Zeng, Li, Zhou & Ma 2024, Polynomial composition activations, "
    "arXiv:2411.03884",
    notes={"float32": _TERM_NOTE, "float16, bfloat16": _TERM_NOTE},
)
def poly_norm(
    x: ArrayLike,
    weights: ArrayLike | None = None,
    bias: ArrayLike = 0.0,
    axis: Axis = -1,
    epsilon: float = 1e-6,
) -> Array:
    r"""Polynomial whose powers are normalised along an axis (PolyNorm of PolyCom).

    .. math::
      f(x) = w_0 N(x^3) + w_1 N(x^2) + w_2 N(x) + b, \quad
      N(z) = \frac{z}{\sqrt{\mathrm{mean}(z^2) + \epsilon}}

    The powers are those of x divided by a power of two near its largest entry, so that none
    overflows. Rows with infinite entries have the limit, and a derivative of 0. Reverse mode keeps
    the input, the weights and the bias.

    Args:
      x: input, real.
      weights: w, for the third, second and first power, along their first axis; what follows
        broadcasts against ``x``. None for 1/3 each, the paper's initial values.
      bias: b; broadcasts against ``x``.
      axis: the axis, the axes, or None for all of them.
      epsilon: what is added to the mean of squares, not negative.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or epsilon isn't a number.
      ValueError: if an axis is out of range, epsilon is negative, there are not three weights or
        the shapes don't broadcast.

    Example:
      >>> print(advact_jax.poly_norm(jnp.array([1e30, -1e30])))
      [ 1.         -0.33333334]

    References:
      Zhuo, Wang, Zeng, Li, Zhou & Ma 2024, "Polynomial composition activations: unleashing the
      dynamics of large language models", arXiv:2411.03884.
    """
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float | np.number):
        raise TypeError(
            f"poly_norm: expected epsilon to be a number, got {_checks.describe(epsilon)}."
        )
    if not epsilon >= 0:
        raise ValueError(f"poly_norm: expected epsilon to be 0 or more, got {epsilon!r}.")
    w = _checks.real("poly_norm", "weights", np.full(3, 1 / 3) if weights is None else weights)
    if w.ndim == 0 or w.shape[0] != 3:
        raise ValueError(
            "poly_norm: expected weights whose first axis has an entry for the third, the second "
            f"and the first power, got shape {w.shape}."
        )
    x, axes, given = _rows.arguments("poly_norm", "x", x, axis, bias=bias)
    if len(w.shape) > x.ndim + 1:
        _checks.broadcast_shape("poly_norm", {"x": x.shape, "weights[i]": w.shape[1:]})
    w = w.reshape(3, *(1,) * (x.ndim + 1 - w.ndim), *w.shape[1:])
    if np.broadcast_shapes(w.shape[1:], x.shape) != x.shape:
        raise ValueError(
            "poly_norm: expected weights that broadcast to the shape of x, got weights of shape "
            f"{w.shape} for an x of shape {x.shape}."
        )

    def whole(x: Array, w: Array, bias: Array) -> Array:
        wide = compute_dtype(x.dtype)
        w, total = w.astype(wide), bias.astype(wide)
        for weight, power in zip(w, _powers(x.astype(wide), axes, float(epsilon)), strict=True):
            total = total + weight * power
        return total.astype(x.dtype)

    return jax.checkpoint(whole, prevent_cse=False)(x, w, given["bias"])


def _powers(x: Array, axes: Axes, epsilon: float) -> list[Array]:
    """Return the third, second and first power, normalised."""
    unit, _, scale, infinite = scaled(x, None, axes, epsilon ** (1 / 6), largest_scale(x))
    inverse = jnp.where(infinite, 0, 1 / scale)
    power, floor, found = jnp.ones_like(unit), jnp.asarray(epsilon, x.dtype), []
    for _ in range(3):
        power = power * unit
        # One factor after the other: their product alone may overflow.
        floor = floor * inverse * inverse
        found.append(power * inverse_root(mean_of(power * power, None, axes) + floor))
    return found[::-1]


# -- the largest of a normal row ----------------------------------------------------------------


def _gaussian_topk_reference(mp: Any, row: Any, sparsity: float) -> list[Any]:
    mean = mp.fsum(row) / len(row)
    deviation = mp.sqrt(mp.fsum((x - mean) ** 2 for x in row) / len(row))
    quantile = mp.sqrt(2) * mp.erfinv(2 * mp.mpf(sparsity) - 1)
    return [max(x - mean - deviation * quantile, mp.mpf(0)) for x in row]


@row_function(
    static=("sparsity", "axis"),
    given=({"sparsity": 0.9},),
    counted={"all": "input"},
    reference=_gaussian_topk_reference,
    tier="experimental",
    latex=r"\max(x - \bar{x} - \sigma_x \Phi^{-1}(p), 0)",
    paper="You et al. 2025, Spark Transformer, arXiv:2506.06644",
    notes={
        "float32": "The error is a few ulp of the row's standard deviation or its largest entry.",
        "float16, bfloat16": "The error is a few float32 ulp of the row's largest entry.",
    },
)
def gaussian_topk(x: ArrayLike, sparsity: float, axis: Axis = -1) -> Array:
    r"""Statistical top-k: what exceeds a quantile of the row, taken for normal.

    .. math:: f(x) = \max(x - \bar{x} - \sigma_x \Phi^{-1}(p), 0)

    Of a row of normal numbers a share p becomes 0. Mean and standard deviation (of the row itself,
    without Bessel's correction, as in Gemma 3n) take part in the derivative, which is 0 where the
    output is. A row of equal entries gives zeros. Rows with infinite entries have the limit.
    Reverse mode keeps the input alone.

    Args:
      x: input, real.
      sparsity: p, the share that becomes 0: a Python number between 0 and 1.
      axis: the axis, the axes, or None for all of them.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or the sparsity isn't a number.
      ValueError: if an axis is out of range or the sparsity is not between 0 and 1.

    Example:
      >>> print(advact_jax.gaussian_topk(jnp.array([-1.0, 0.0, 1.0, 4.0]), 0.5))
      [0. 0. 0. 3.]

    References:
      You et al. 2025, "Spark Transformer: reactivating sparsity in FFN and attention",
      arXiv:2506.06644.
    """
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float | np.number):
        raise TypeError(
            "gaussian_topk: expected sparsity to be a Python number, got "
            f"{_checks.describe(sparsity)}."
        )
    if not 0 < sparsity < 1:
        raise ValueError(
            f"gaussian_topk: expected sparsity between 0 and 1, got {sparsity!r}. Without "
            "sparsity, leave the function out."
        )
    x, axes, _ = _rows.arguments("gaussian_topk", "x", x, axis)
    quantile = NormalDist().inv_cdf(float(sparsity))

    def whole(x: Array) -> Array:
        wide = x.astype(compute_dtype(x.dtype))
        row = centred(wide, None, None, axes, 0, ends_move=True)
        square = mean_of(row.unit * row.unit, None, axes)
        flat = square == 0
        deviation = jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, square)))
        above = row.unit - quantile * deviation
        y = above * row.scale
        y = jnp.where(row.infinite, num.moving_with(y, above * jnp.inf), y)
        return jnp.where(above <= 0, 0, y).astype(x.dtype)

    return jax.checkpoint(whole, prevent_cse=False)(x)
