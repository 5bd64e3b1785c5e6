"""Extended precision: what cancels is carried as a `Wide`, through the exponential too.

Where a slope that depends on parameters crosses zero, no polynomial about the zero can be stored.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jax.numpy as jnp
from jax import Array

from advact_jax import _coefficients as fits
from advact_jax import _numerics as num
from advact_jax._numerics import Wide


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
    series = num.fitted(t, fits.EXP_CUBE)
    whole = Wide(num.opaque(1.0, t), 0.0) + Wide(t, 0.0) + Wide(0.5 * (high * high), 0.0)
    small = low * (high + 0.5 * low) + t * t * t * series + rest * whole.head
    return Wide(power * whole.head, 0.0) + Wide(power * (whole.tail + small), 0.0)
