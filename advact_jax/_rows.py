"""Exponentials of rows and their sums, without overflow, for softmax and its family.

A row without an allowed entry above -inf has nothing to share: its sum is 0. In a row with +inf
only these entries count. No row then gives NaN unless NaN is in it.

What a float32 row without a mask takes is only sums, products, minima and maxima: these XLA on CPU
puts into one loop over a row that stays in the cache. One select or clamp takes the loop apart.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from advact_jax import _checks, _numerics
from advact_jax._rule import compute_dtype

Axis = int | tuple[int, ...] | None
Axes = tuple[int, ...]


def _counted(x: Array, mask: Array | None) -> Array:
    return x if mask is None else jnp.where(mask, x, -jnp.inf)


def allowed(x: Array, mask: Array | None) -> Array:
    """Return the input in the compute type, -inf where it does not count."""
    return _counted(x, mask).astype(compute_dtype(x.dtype))


def maximum(x: Array, mask: Array | None, axes: Axes) -> Array:
    """Return the largest allowed entry of each row in the compute type, the axes kept.

    That of an empty row is the lowest finite number. It is found in the type of ``x``, which XLA on
    CPU reads faster than it converts.
    """
    start = np.asarray(-_most(x), x.dtype)
    largest = lax.reduce(_counted(x, mask), start, lax.max, axes)
    return jnp.expand_dims(largest, axes).astype(compute_dtype(x.dtype))


def _most(x: Array) -> float:
    return float(jnp.finfo(x.dtype).max)


def row_length(x: Array, axes: Axes) -> int:
    """Return the number of entries of a row."""
    return math.prod(x.shape[axis] for axis in axes)


def shares(x: Array, mask: Array | None, axes: Axes) -> Array:
    """Return exp(x) / sum(exp(x)) in the compute type, with an error that does not grow with m - x.

    With m the largest entry, x - m would be rounded: 32 ulp of the result at x - m = -87. So
    `offset` is subtracted.
    """
    wide, length = allowed(x, mask), row_length(x, axes)
    c, reach = offset(maximum(x, mask, axes), length)
    # In short rows XLA on CPU makes one step of a difference and its exponential.
    if length < 32:
        e = jnp.minimum(jnp.exp(wide - c), math.exp(reach + 1))
    else:
        e = jnp.exp(jnp.minimum(wide - c, reach + 1))
    return e * _inverse(jnp.sum(e, axes, keepdims=True))


def offset(largest: Array, length: int) -> tuple[Array, int]:
    """Return what is subtracted of a row, so that no sum of exponentials overflows, and its reach.

    It is 0 while the sum cannot overflow, and beyond a whole number near the largest entry: the
    difference is then exact, or small where it is not. Exponents are at most one more than the
    reach; infinite entries have to be kept there.
    """
    whole = jnp.floor(largest)
    reach = math.floor((707 if _numerics.is_double(largest) else 86) - math.log(max(length, 1)))
    return jnp.maximum(jnp.minimum(whole, _most(whole)) - reach, jnp.minimum(whole, 0)), reach


def _inverse(total: Array) -> Array:
    """Return 1 / total for a sum that is at least 1, or 0 where there is nothing to share."""
    return 1 / jnp.maximum(total, 0.5)


def exponentials(x: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array, Array]:
    """Return x - m, e = exp(x - m) and the sum of e, which is 0 or at least 1.

    In a row with +inf, x - m is 0 for these, and for the largest finite number of float32 or
    float64: to tell it from them would take one more operation an entry. It is far below for all
    others, the largest finite number of 16 bits too.
    """
    wide = allowed(x, mask)
    top = jnp.minimum(maximum(x, mask, axes), _most(wide))
    below = jnp.minimum(wide - top, 0)
    e = jnp.exp(below)
    if _numerics.is_double(wide):
        back = below - wide
        lost = (wide - (below - back)) - (top + back)
        e = e * jnp.where(below > -1e3, 1 + lost, 1)
    return below, e, jnp.sum(e, axes, keepdims=True)


def log_total(x: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return x - m and log(sum(exp(x - m))), 0 for an empty row.

    In float64 it is right also where one entry makes up nearly the whole sum: the others, which
    1 + their sum would round away, are summed by themselves. Elsewhere this would cost too much
    time.
    """
    below, e, total = exponentials(x, mask, axes)
    if not _numerics.is_double(x):
        return below, jnp.log(jnp.maximum(total, 1))
    # The largest have below = 0 and e = 1; all others have e < -1e38 below.
    others = jnp.sum(jnp.minimum(e, -1e38 * below), axes, keepdims=True)
    ties = jnp.floor((total - others) - 0.5)
    return below, jnp.log1p(others + jnp.maximum(ties, 0))


def counting(x: Array, mask: Array | None, axes: Axes) -> Array:
    """Return 1 for a row of which an entry counts, else 0."""
    return jnp.minimum(exponentials(lax.stop_gradient(x), mask, axes)[2], 1)


def count(x: Array, mask: Array | None, axes: Axes) -> Array | float:
    """Return how many entries of each row count, at least 1."""
    if mask is None:
        return float(max(row_length(x, axes), 1))
    ones = jnp.broadcast_to(mask, x.shape).astype(compute_dtype(x.dtype))
    return jnp.maximum(jnp.sum(ones, axes, keepdims=True), 1)


# -- derivatives --------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def ratios(x: Array, b: Array | None, mask: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return exp(x) / sum(b · exp(x)) in the compute type as a product, with its derivatives.

    The second factor is one number for each row, by which a sum over the row is multiplied rather
    than its entries. Only the product has a meaning, and derivatives.
    """
    # The same expressions as in the value, so that XLA computes them once for both.
    _, e, total = exponentials(x, mask, axes)
    if b is None:
        return e, _inverse(total)
    total = jnp.sum(e * b, axes, keepdims=True)
    return e, jnp.where(total == 0, 0, 1 / jnp.where(total == 0, 1, total))


@functools.partial(ratios.defjvp, symbolic_zeros=True)
def _ratios_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Any, Any]:
    e, inverse = ratios(*primals, axes)
    moved = -mean_tangent((e, inverse), primals[1], tangents, axes)
    if not is_zero(tangents[0]):
        moved = moved + tangents[0].astype(e.dtype)
    return (e, inverse), (e * moved, jnp.zeros_like(inverse))


def mean_tangent(p: tuple[Array, Array], b: Array | None, tangents: Any, axes: Axes) -> Array:
    """Return the derivative of log(sum(b · exp(x))) along tangents of x and b, from `ratios`."""
    (e, inverse), (tx, tb, *_) = p, tangents
    total = jnp.zeros((), e.dtype)
    if not is_zero(tx):
        weights = e if b is None else e * b
        total = total + jnp.sum(weights * tx.astype(e.dtype), axes, keepdims=True)
    if not is_zero(tb):
        total = total + jnp.sum(e * tb.astype(e.dtype), axes, keepdims=True)
    return total * inverse


def is_zero(tangent: Any) -> bool:
    """Tell whether an argument is not differentiated."""
    return tangent is None or isinstance(tangent, SymbolicZero)


# -- arguments ----------------------------------------------------------------------------------


def arguments(
    name: str, key: str, x: ArrayLike, axis: Axis, **others: ArrayLike | None
) -> tuple[Array, Axes, dict[str, Array | None]]:
    """Return the input as a float array, its axes from 0, and the others with as many axes."""
    array = _checks.floating(name, key, x)
    given: dict[str, Array | None] = {}
    shapes = {key: array.shape}
    for other, value in others.items():
        check = _checks.mask if other == "where" else _checks.real
        given[other] = None if value is None else check(name, other, value)
        if given[other] is not None:
            shapes[other] = given[other].shape  # type: ignore[union-attr]
    shape = _checks.broadcast_shape(name, shapes)
    for other, value in given.items():
        if value is not None:
            given[other] = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    return jnp.broadcast_to(array, shape), _checks.axis_indices(name, axis, len(shape)), given


def along(name: str, x: ArrayLike, axis: int) -> tuple[Array, int]:
    """Return the input as a float array, and its one axis from 0."""
    array = _checks.floating(name, "x", x)
    return array, _checks.axis_index(name, axis, array.ndim)
