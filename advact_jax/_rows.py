"""Exponentials of rows and their sums, without overflow, for softmax and its family.

With m the largest allowed entry of a row, everything is made of e = exp(x - m) and its sum. A row
without an allowed entry above -inf has the sum 0; in a row with +inf those entries have e = 1 and
all others e = 0. No row then gives NaN unless NaN is in it.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from advact_jax import _checks, _numerics
from advact_jax._spec import compute_dtype

Axis = int | tuple[int, ...] | None
Axes = tuple[int, ...]


class Rows(NamedTuple):
    """What the functions of a row are made of, in the compute type, the axes kept with size 1."""

    largest: Array
    top: Array
    e: Array
    total: Array

    @property
    def inverse(self) -> Array:
        """1 / total, and 0 where there is nothing to share."""
        empty = self.total == 0
        return jnp.where(empty, 0, 1 / jnp.where(empty, 1, self.total))


def rows(x: Array, b: Array | None, mask: Array | None, axes: Axes) -> Rows:
    """Return e = exp(x - m) and the sum of b · e; ``mask`` tells which entries count."""
    wide = x.astype(compute_dtype(x.dtype))
    greatest = largest(wide, mask, axes)
    limits = jnp.finfo(wide.dtype)
    top = jnp.clip(jnp.where(greatest == -jnp.inf, 0, greatest), limits.min, limits.max)
    e = _exponentials(wide, greatest, top, exact=wide.dtype == x.dtype)
    if mask is not None:
        e = jnp.where(mask, e, 0)
    return Rows(greatest, top, e, jnp.sum(e if b is None else e * b, axes, keepdims=True))


def largest(x: Array, mask: Array | None, axes: Axes) -> Array:
    """Return the largest entry of each row that counts."""
    allowed = x if mask is None else jnp.where(mask, x, -jnp.inf)
    return jnp.max(allowed, axes, keepdims=True, initial=-jnp.inf)


def count(x: Array, mask: Array | None, axes: Axes) -> Array | float:
    """Return how many entries of each row count, at least 1."""
    if mask is None:
        return float(max(math.prod(x.shape[axis] for axis in axes), 1))
    ones = jnp.broadcast_to(mask, x.shape).astype(compute_dtype(x.dtype))
    return jnp.maximum(jnp.sum(ones, axes, keepdims=True), 1)


def _exponentials(x: Array, largest: Array, top: Array, exact: bool) -> Array:
    """Return exp(x - top), and 0 where that is below the smallest normal number."""
    reach = 708.5 if _numerics.is_double(x) else 87.5
    floor = top - reach
    # Between 2^28 and 2^29 the floor rounds to top - 96, too low for a power of two.
    floor = jnp.where(top - floor > reach + 0.5, top - 64, floor)
    floor = jnp.where(largest == jnp.inf, largest, floor)
    near = jnp.minimum(x, top)
    d = near - top
    if exact:
        # What the subtraction rounded away: 32 ulp of the result at d = -87.
        back = d - near
        rest = (near - (d - back)) - (top + back)
        mantissa, n = _numerics.exp_reduced(jnp.maximum(d, -reach), rest)
        e = mantissa * _numerics.power_of_two(n)
    else:
        e = jnp.exp(d)
    return jnp.where(x < floor, 0, e)


def log_total(row: Rows, axes: Axes) -> Array:
    """Return log(sum(e)), right also where one entry makes up nearly the whole sum.

    The sum of all others is then wanted, because 1 + that sum rounds it away. A sum below 2 has
    one entry with e = 1.
    """

    def by_others(e: Array, total: Array) -> Array:
        others = jnp.sum(jnp.where(e < 1, e, 0), axes, keepdims=True)
        return jnp.where(total < 2, _numerics.log1p(jnp.minimum(others, 1)), jnp.log(total))

    def if_needed(e: Array, total: Array) -> Array:
        needed = jnp.any(total < 2)
        return lax.cond(needed, by_others, lambda e, total: jnp.log(total), e, total)

    if row.e.size < _FEW:
        return by_others(row.e, row.total)
    # A CPU spends a pass over the row on it; elsewhere both sums are one pass, and a branch stalls.
    return lax.platform_dependent(row.e, row.total, cpu=if_needed, default=by_others)


# For fewer elements the pass costs less than the branch.
_FEW = 4096

# -- derivatives --------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def ratios(x: Array, b: Array | None, mask: Array | None, axes: Axes) -> Array:
    """Return exp(x) / sum(b · exp(x)) in the compute type, with its derivatives."""
    row = rows(x, b, mask, axes)
    return row.e * row.inverse


@functools.partial(ratios.defjvp, symbolic_zeros=True)
def _ratios_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    p = ratios(*primals, axes)
    moved = -mean_tangent(p, primals[1], tangents, axes)
    if not is_zero(tangents[0]):
        moved = moved + tangents[0].astype(p.dtype)
    return p, p * moved


def mean_tangent(p: Array, b: Array | None, tangents: Any, axes: Axes) -> Array:
    """Return the derivative of log(sum(b · exp(x))) along tangents of x and b, from `ratios`."""
    tx, tb, *_ = tangents
    total = jnp.zeros((), p.dtype)
    if not is_zero(tx):
        weights = p if b is None else p * b
        total = total + jnp.sum(weights * tx.astype(p.dtype), axes, keepdims=True)
    if not is_zero(tb):
        total = total + jnp.sum(p * tb.astype(p.dtype), axes, keepdims=True)
    return total


def is_zero(tangent: Any) -> bool:
    """Tell whether an argument is not differentiated."""
    return tangent is None or isinstance(tangent, SymbolicZero)


# -- arguments ----------------------------------------------------------------------------------


def arguments(
    name: str, key: str, x: ArrayLike, axis: Axis, **others: ArrayLike | None
) -> tuple[Array, Axes, dict[str, Array | None]]:
    """Return the input as a float array, its axes from 0, and the others with as many axes."""
    array = _checks.real(name, key, x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(jax.eval_shape(jnp.exp, array).dtype)
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
