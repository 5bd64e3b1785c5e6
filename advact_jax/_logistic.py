"""The logistic function, its derivatives and what it gates."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _numerics as num
from advact_jax._numerics import Wide

# -- the function -------------------------------------------------------------------------------


def smaller_share(z: Array | Wide) -> num.Tail:
    """Return sigmoid(-abs(z)) as a `Tail`; the other share is 1 less it, and does not cancel."""
    top, rest = num.above_floor(num.minus_size(z))
    t, power = num.remainder(top, num.raised_by(top))
    above, below = num.fraction_of(t + rest, power, math.log(2))
    return num.Tail(num.used_often(above.raised / (below + above.value)))


def times(c: Array | float, z: Array | Wide) -> Array:
    """Return c · sigmoid(z), normal wherever the product is."""
    right = num.lead(z) >= 0
    if isinstance(c, int | float):
        share = smaller_share(z)
        return jnp.where(right, c - share.times(c), share.times(c))
    if c is num.lead(z):
        share = smaller_share(z)
        return jnp.where(right, c * (1 - share.value), share.times_moderate(c))
    e = num.decay(z)  # It is rounded once less where c has errors of its own.
    return jnp.where(right, c, e.times(c)) / (1 + e.value)


def slope_times(c: Array | float, z: Array | Wide) -> Array:
    """Return c · sigmoid'(z), normal wherever the product is."""
    e = num.decay(z)
    share = c / num.one_plus_squared(e.value)
    return e.times_bounded(share) if isinstance(c, int | float) else e.times(share)


def quick_slope(x: Array) -> Array:
    """Return the derivative of sigmoid in fewer operations, of which one more rounds."""
    top, _ = num.above_floor(-jnp.abs(x))
    return _slope_times(1.0, top, math.log(2))


def tanh_slope(x: Array) -> Array:
    """Return the derivative of tanh, 4 times that of sigmoid at 2 x."""
    top = jnp.maximum(-jnp.abs(x), -372.0 if num.is_double(x) else -51.6)
    return _slope_times(4.0, top, num.HALF_LOG2)


def _slope_times(c: float, top: Array, log2: float) -> Array:
    """Return c · s (1 - s) for the share s = e / (1 + e), e = 2^(top / log2)."""
    t, power = num.remainder(top, num.raised_by(top), log2)
    above, below = num.fraction_of(t, power, log2)
    both = below + above.value
    if num.is_narrow():
        return above.times(c) * (below / (both * both))
    share = num.Tail(num.used_often(above.raised / both))
    return (1 - share.value) * share.times(c)


def curvature_times(c: Array | float, z: Array | Wide) -> Array:
    """Return c · sigmoid''(z), normal wherever the product is."""
    e = num.decay(z)
    bend = num.with_sign_of(num.lead(z), num.one_minus_decay(z))
    return -e.times(c * bend / ((1 + e.value) * num.one_plus_squared(e.value)))


def softplus_tail(c: Any, z: Array | Wide) -> Array:
    """Return c · log(1 + exp(-abs(z))), normal wherever the product is."""
    e = num.decay(z)
    return e.times(c * num.log1p_share(e.value))


# -- x · sigmoid(z(x)) --------------------------------------------------------------------------


def gated_slope(z: Any, rise: Wide) -> Array:
    """Return the derivative of x · sigmoid(z), where rise = x · z'."""
    split, right = num.decay_split(z), num.lead(z) >= 0
    e, (whole, rest) = split.tail, split.parts
    # Sums are ordered so that what cancels at the zero of the slope is exact.
    left = ((1 + rise.head) + whole) + (rise.tail + rest)
    low = e.times_moderate(jnp.where(right, 1 + rise.value, left))
    return jnp.where(right, 1 + low, low) / num.one_plus_squared(e.value)


def gated_curvature(z: Any, twice: Array, bend: Array) -> Array:
    """Return sigmoid'(z) · (twice + bend · (1 - 2 sigmoid(z))), the second derivative."""
    e, away = num.decay_split(z), jnp.where(num.lead(z) >= 0, bend, -bend)
    v = e.tail.value
    above = (twice - away) + v * (twice + away)
    return e.times_moderate(above / ((1 + v) * num.one_plus_squared(v)))


def long_gated_curvature(z: Wide, bend: Wide) -> Array:
    """Return sigmoid'(z) · (2 + bend · (1 - 2 sigmoid(z))), right at any zero of it."""
    e = num.decay(z)
    return e.times(long_bend(z, bend).value / num.one_plus_squared(e.value))


def long_bend(z: Wide, bend: Wide) -> Wide:
    """Return 2 + bend · (1 - 2 sigmoid(z))."""
    like = num.lead(z)
    e = extended.exp(num.minus_size(z))
    falling = extended.over(
        extended.plus(1.0, Wide(-e.head, -e.tail), like), extended.plus(1.0, e, like), like
    )
    bent, right = extended.times(bend, falling, like), like >= 0
    bent = Wide(jnp.where(right, -bent.head, bent.head), jnp.where(right, -bent.tail, bent.tail))
    return extended.plus(2.0, bent, like)


def long_silu_slope_left(z: Wide) -> Array:
    """Return the derivative of z · sigmoid(z) at -abs(z), right at any multiple of it."""
    like, most = num.lead(z), num.pick(num.lead(z), 80.0, 680.0)
    inside = jnp.where(jnp.abs(like) < most, z.tail, 0.0)
    least = num.minus_size(Wide(jnp.clip(like, -most, most), inside))
    e = extended.exp(least)
    rising = extended.times(e, extended.plus(extended.plus(1.0, least, like), e, like), like)
    whole = extended.plus(1.0, extended.times(e, extended.plus(2.0, e, like), like), like)
    slope = extended.over(rising, whole, like).value
    return jnp.where(jnp.abs(like) >= most, 0, slope)


def silu_slope(z: Wide) -> Array:
    """Return the derivative of z · sigmoid(z); that at abs(z) is 1 less that at -abs(z)."""
    split, least = num.decay_split(z), num.minus_size(z)
    e, (whole, rest) = split.tail, split.parts
    # Sums are ordered so that what cancels at the zero of the slope is exact.
    falling = ((1 + least.head) + whole) + (least.tail + rest)
    slope = num.used_often(split.times_moderate(falling) / num.one_plus_squared(e.value))
    return jnp.where(num.lead(z) >= 0, 1 - slope, slope)


def silu_curvature(z: Wide) -> Array:
    """Return the second derivative of z · sigmoid(z)."""
    plain = gated_curvature(z, jnp.full_like(z.value, 2), z.value)
    return num.near_root(num.size(z), fits.SILU_CURVATURE, plain)
