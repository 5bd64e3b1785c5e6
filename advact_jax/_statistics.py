"""Rows less their mean and divided by their size, without overflow, for normalizing functions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from advact_jax import _numerics as num
from advact_jax import _rows
from advact_jax._rows import Axes
from advact_jax._rule import compute_dtype


class Scaled(NamedTuple):
    """Rows divided by a power of two near their largest entry, the scale.

    Rows with infinite entries are there as their limit: these are of one size, all others 0.
    ``highest`` is the largest entry that counts, divided too; 0 if there is none.
    """

    unit: Array
    highest: Array
    scale: Array
    infinite: Array


def largest_scale(x: Array) -> float:
    """Return the largest power of two that, as its inverse, is a normal number."""
    return 2.0 ** (1022 if num.is_double(x) else 126)


def mean_of(x: Array, mask: Array | None, axes: Axes) -> Array:
    """Return the mean of each row's entries that count, 0 if there is none."""
    x = x if mask is None else jnp.where(mask, x, 0)
    return jnp.sum(x, axes, keepdims=True) / _rows.count(x, mask, axes)


def _extremes(x: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return the largest and the smallest entry of each row, without a derivative."""
    x = lax.stop_gradient(x)
    ends = []
    for start, reducer in ((-jnp.inf, lax.max), (jnp.inf, lax.min)):
        counted = x if mask is None else jnp.where(mask, x, start)
        found = lax.reduce(counted, np.asarray(start, x.dtype), reducer, axes)
        ends.append(jnp.expand_dims(found, axes))
    return ends[0], ends[1]


def scaled(
    x: Array, mask: Array | None, axes: Axes, least: Any, most: float, *, ends_move: bool = False
) -> Scaled:
    """Scale rows by at least 1 / most and at most 1 / least.

    What is done to whole arrays is sums, products, minima and maxima, of which XLA on CPU makes few
    passes. Rows with infinite entries have a derivative if ``ends_move``.
    """
    highest, lowest = _extremes(x, mask, axes)
    if mask is not None:
        highest = jnp.where(highest < lowest, 0, highest)
    size = jnp.maximum(highest, -lowest)
    infinite = size == jnp.inf
    scale = jnp.minimum(num.power_of_two(jnp.maximum(size, least)), most)
    inverse = 1 / scale
    # Twice this, after the inverse, and nothing finite is left.
    fall = jnp.where(infinite, jnp.finfo(x.dtype).tiny, 1)
    end: Any = 4 * largest_scale(x) / most
    if mask is not None:  # What does not count has any size.
        end = jnp.where(infinite, end, jnp.inf)

    def divided(x: Array) -> Array:
        small = x * inverse * fall * fall
        return jnp.maximum(jnp.minimum(small, end), -end)

    moving = x * (inverse if ends_move else jnp.where(infinite, 0, inverse))
    return Scaled(num.moving_with(moving, divided(x)), divided(highest), scale, infinite)


def centred(
    x: Array, mean: Array | None, mask: Array | None, axes: Axes, least: Any, **settings: bool
) -> Scaled:
    """Return rows less their mean, or the one that is given, and scaled.

    They are as exact as the distances from one entry are.
    """
    # So far from the end that sums over what is scaled up again are finite.
    most = 2.0 ** (900 if num.is_double(x) else 96)
    if mean is not None:
        return scaled(x - mean, mask, axes, least, most, **settings)
    row = scaled(x, mask, axes, least, most, **settings)
    from_highest = row.unit - row.highest
    return row._replace(unit=from_highest - mean_of(from_highest, mask, axes))


def between_ends(
    x: Array, mask: Array | None, axes: Axes, least: Array
) -> tuple[Array, Array, Array]:
    """Return rows less their mean, divided by how far their ends are apart.

    Beside them are the inverse of that distance, which is at least ``least``, and whether it tells
    nothing of how the row moves: it is infinite or 0. Infinite entries count as the largest finite
    number. An eighth of the distance and its inverse are normal numbers. Without a mask the first
    takes no select: XLA on CPU then makes it in one loop over a row that stays in the cache.
    """
    narrow = x
    x = x.astype(compute_dtype(x.dtype))
    highest, lowest = (end.astype(x.dtype) for end in _extremes(narrow, mask, axes))
    infinite = (highest == jnp.inf) | (lowest == -jnp.inf)
    if mask is not None:
        highest = jnp.where(highest < lowest, 0, highest)
        lowest = jnp.minimum(highest, lowest)
    most = jnp.finfo(x.dtype).max
    top = jnp.maximum(jnp.minimum(highest, most), -most) * 0.125
    bottom = jnp.maximum(jnp.minimum(lowest, most), -most) * 0.125
    apart = jnp.maximum(top - bottom, least * 0.125)
    inverse = 1 / jnp.maximum(apart, jnp.finfo(x.dtype).tiny)
    # What does not count may be beyond the ends.
    beyond: Any = 0 if mask is None else jnp.where(infinite, 0, jnp.inf)
    below = jnp.maximum(jnp.minimum(x * 0.125 - top, beyond), (bottom - top) - beyond) * inverse
    return below - mean_of(below, mask, axes), inverse * 0.125, infinite | (apart == 0)


def inverse_root(square: Array, at_zero: Array | float = 0.0) -> Array:
    """Return 1 / sqrt(square), and ``at_zero`` where it is 0."""
    zero = square == 0
    return jnp.where(zero, at_zero, 1 / jnp.sqrt(jnp.where(zero, 1, square)))
