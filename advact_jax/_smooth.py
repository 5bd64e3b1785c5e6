"""Numerics that functions of several families share: long exponentials, slopes of silu and gelu.

Where a slope that depends on parameters crosses zero, no polynomial about the zero can be stored.
What cancels there is then carried as a `Wide`, through the exponential too.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
from jax import Array

from advact_jax import _coefficients as fits
from advact_jax import _numerics as num
from advact_jax._numerics import Wide

# -- arithmetic with a tail ---------------------------------------------------------------------


def wide(value: Any, like: Array) -> Wide:
    """Return an array or a number as a `Wide` that may be a factor."""
    if isinstance(value, Wide):
        return value if num.is_narrow() else _halved(value)
    return Wide.of(value, like)


def _halved(value: Wide) -> Wide:
    top = num.head(jnp.asarray(value.head))
    return Wide(top, (value.head - top) + value.tail)


def constant(value: float, rest: float, like: Array) -> Wide:
    """Return a number given as the sum of two Python floats."""
    start = Wide.of(value, like)
    return start if num.is_narrow() else Wide(start.head, start.tail + rest)


def root_two(like: Array) -> Wide:
    """Return the square root of 2."""
    return constant(1.4142135623730951, -9.667293313452913e-17, like)


def times(a: Any, b: Any, like: Array) -> Wide:
    """Multiply two numbers, arrays or `Wide`s of moderate size."""
    return wide(a, like) * wide(b, like)


def plus(a: Any, b: Any, like: Array) -> Wide:
    """Add two numbers, arrays or `Wide`s; a number is hidden, so that XLA keeps the order."""
    return _term(a, like) + _term(b, like)


def _term(value: Any, like: Array) -> Wide:
    if isinstance(value, Wide):
        return value
    return Wide.of(value, like) if isinstance(value, int | float) else Wide(value, 0.0)


def over(a: Any, b: Any, like: Array) -> Wide:
    """Divide two numbers, arrays or `Wide`s of moderate size."""
    if isinstance(b, int | float):
        inverse = 1 / b
        return times(a, constant(inverse, float(1 / Fraction(b) - Fraction(inverse)), like), like)
    above, below = _term(a, like), wide(b, like)
    plain = above.value / below.value
    if num.is_narrow():
        return Wide(plain, 0.0)
    top = num.head(plain)
    rest = (above.head - top * below.head) + (above.tail - top * below.tail)
    return Wide(top, rest / below.value)


def scaled(factor: Any, x: Array) -> Wide:
    """Return factor · x with a tail, for x of any size."""
    factor = wide(factor, x)
    return num.guarded(factor * wide(x, x), factor.value * x)


def square(value: Wide) -> Array:
    """Return the square, rounded once where that can be done."""
    plain = value.value * value.value
    exact = wide(value, plain) * wide(value, plain)
    return jnp.where((plain > 2.0**-60) & (plain < 2.0**16), exact.value, plain)


def limited(x: Array, most: float = 1e4) -> Array:
    """Cut x where the functions that ask for it have long reached their limit."""
    return jnp.clip(x, -most, most)


def minus_size(z: Wide | Array) -> Any:
    """Return -abs(z)."""
    most = num.size(z)
    return Wide(-most.head, -most.tail) if isinstance(most, Wide) else -most


def exp(z: Wide | Array) -> Wide:
    """Return the exponential of z, from -80 to 80, with an error far below its last place."""
    z = z if isinstance(z, Wide) else Wide(z, 0.0)
    least = num.pick(num.lead(z), 80.0, 680.0)
    if num.is_narrow():
        return Wide(jnp.exp(jnp.clip(z.value, -least, least)), 0.0)
    top = jnp.clip(jnp.asarray(z.head), -least, least)
    leading, left_out, power = num.reduced(top, 0)
    t, rest = Wide(leading, 0.0) + Wide(jnp.clip(z.tail, -0.5, 0.5) - left_out, 0.0)
    high = num.head(t)
    low = t - high
    series = num.polynomial(t, num.pick(t, fits.EXP_CUBE_SINGLE, fits.EXP_CUBE_DOUBLE))
    whole = Wide(num.opaque(1.0, t), 0.0) + Wide(t, 0.0) + Wide(0.5 * (high * high), 0.0)
    small = low * (high + 0.5 * low) + t * t * t * series + rest * whole.head
    return Wide(power * whole.head, 0.0) + Wide(power * (whole.tail + small), 0.0)


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
    e = exp(minus_size(z))
    falling = over(plus(1.0, Wide(-e.head, -e.tail), like), plus(1.0, e, like), like)
    bent, right = times(bend, falling, like), like >= 0
    less = Wide(jnp.where(right, -bent.head, bent.head), jnp.where(right, -bent.tail, bent.tail))
    return plus(2.0, less, like)


def long_silu_slope_left(z: Wide) -> Array:
    """Return the derivative of z · sigmoid(z) at -abs(z), right at any multiple of it."""
    like, most = num.lead(z), num.pick(num.lead(z), 80.0, 680.0)
    inside = jnp.where(jnp.abs(like) < most, z.tail, 0.0)
    least = minus_size(Wide(jnp.clip(like, -most, most), inside))
    e = exp(least)
    rising = times(e, plus(plus(1.0, least, like), e, like), like)
    whole = plus(1.0, times(e, plus(2.0, e, like), like), like)
    slope = over(rising, whole, like).value
    return jnp.where(jnp.abs(like) >= most, 0, slope)


def silu_slope(z: Wide) -> Array:
    """Return the derivative of z · sigmoid(z); that at abs(z) is 1 less that at -abs(z)."""
    split, least = num.decay_split(z), minus_size(z)
    e, (whole, rest) = split.tail, split.parts
    # Sums are ordered so that what cancels at the zero of the slope is exact.
    falling = ((1 + least.head) + whole) + (least.tail + rest)
    slope = num.used_often(split.times_moderate(falling) / num.one_plus_squared(e.value))
    return jnp.where(num.lead(z) >= 0, 1 - slope, slope)


def silu_curvature(z: Wide) -> Array:
    """Return the second derivative of z · sigmoid(z)."""
    plain = gated_curvature(z, jnp.full_like(z.value, 2), z.value)
    return num.near_root(num.size(z), fits.SILU_CURVATURE_SINGLE, fits.SILU_CURVATURE_DOUBLE, plain)


# -- x · Phi(x) ---------------------------------------------------------------------------------


def gelu_value(z: Array) -> Array:
    """Return z · Phi(z)."""
    normal = num.normal(-jnp.abs(z))
    # The product is added as it is made, so that it may be below the smallest normal number.
    return jnp.maximum(z, 0) + num.Tail(normal.below * normal.share.raised).value


def erf(x: Array) -> Array:
    """Return the error function."""
    near = x * erf_share(jnp.minimum(x * x, 1))
    share = num.normal(-math.sqrt(2) * jnp.abs(x)).share
    far = num.with_sign_of(x, 1 - 2 * share.value)
    return jnp.where(jnp.abs(x) < 1, near, far)


def erf_share(square: Array) -> Array:
    """Return erf(x) / x by x² in [0, 1]."""
    return num.polynomial(square, num.pick(square, fits.ERF_SINGLE, fits.ERF_DOUBLE))


def gelu_slope_left(z: Wide | Array) -> Array:
    """Return the derivative of z · Phi(z) at -abs(z); that at abs(z) is 1 less it."""
    least = minus_size(z)
    normal = num.normal(least)
    plain = normal.bell.times(normal.ratio + num.DENSITY * normal.below).value
    return num.near_root(least, fits.GELU_SLOPE_SINGLE, fits.GELU_SLOPE_DOUBLE, plain)


def long_gelu_slope_left(z: Wide) -> Wide:
    """Return `gelu_slope_left` with a tail, for sums in which it may cancel."""
    least = minus_size(z)
    top = jnp.asarray(least.head)
    most = num.pick(top, 12.5, 36.5)
    near = Wide(jnp.maximum(top, -most), jnp.where(top > -most, least.tail, 0.0))
    ratio = num.normal(near).ratio
    bent = plus(times(num.DENSITY, near, top), ratio, top)
    bell = exp(times(-0.5, times(near, near, top), top))
    slope = times(bell, bent, top)
    best = num.near_root(near, fits.GELU_SLOPE_SINGLE, fits.GELU_SLOPE_DOUBLE, slope.head)
    tail = jnp.where(best == slope.head, slope.tail, 0.0)
    dead = top <= -most
    return Wide(jnp.where(dead, 0.0, best), jnp.where(dead, 0.0, tail))


def gelu_slope(z: Wide | Array) -> Array:
    """Return the derivative of z · Phi(z)."""
    slope = gelu_slope_left(z)
    return jnp.where(num.lead(z) >= 0, 1 - slope, slope)


def gelu_curvature(x: Array) -> Array:
    """Return the second derivative of x · Phi(x)."""
    x = limited(x)
    return num.normal(-jnp.abs(x)).density.times_bounded(num.DENSITY * (2 - x * x))


# -- the ends of tanh and atan ------------------------------------------------------------------


def tanh_share(square: Array) -> Array:
    """Return tanh(u) / u by u² in [0, 2.25]."""
    fit = num.pick(square, fits.TANH_SHRINK_SINGLE, fits.TANH_SHRINK_DOUBLE)
    return 1 - square * num.polynomial(square, fit)
