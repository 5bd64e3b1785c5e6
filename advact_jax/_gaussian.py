"""The normal distribution, and what it gates."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _numerics as num
from advact_jax._numerics import Wide

# -- the normal distribution --------------------------------------------------------------------


DENSITY = 1 / math.sqrt(2 * math.pi)


class Normal(NamedTuple):
    """What the Gaussian error linear unit needs at -a: exp(-a²/2) and Mills' ratio."""

    below: Array
    bell: num.Split
    plain: Array
    lost: Array | float

    @property
    def ratio(self) -> Array:
        """The second, rounded."""
        return self.plain if num.is_nothing(self.lost) else self.plain + self.lost

    @property
    def density(self) -> num.Tail:
        """The first, which is the density but for a constant."""
        return self.bell.tail

    @property
    def share(self) -> num.Tail:
        """Phi(-a), their product, rounded once."""
        grown = self.bell.less_one * self.ratio
        if not num.is_nothing(self.lost):
            grown = self.lost + grown
        return num.Tail((self.plain + grown) * self.bell.power)


def normal(below: Array | Wide) -> Normal:
    """Return -a, cut where exp(-a²/2) is 0, exp(-a²/2) and Mills' ratio (1 - Phi(a)) exp(a²/2)."""
    below, more = _with_rest(below)
    a = jnp.abs(below)
    moved = a + num.opaque(fits.MILLS, a)
    t = num.used_often((moved - 2 * fits.MILLS) / moved)
    plain = num.fitted(t, fits.NORMAL_TAIL)
    lost: Array | float = 0.0
    if not num.is_narrow():
        # What rounding the sum has lost, times the derivative.
        lost = ((a - (moved - num.opaque(fits.MILLS, a))) - more) * (a * plain - DENSITY)
    return Normal(below, _bell(a, more).split, plain, lost)


def _with_rest(below: Array | Wide) -> tuple[Array, Array | float]:
    """Return -a, cut where exp(-a²/2) is 0, and what is left of its rounding."""
    plain = below.value if isinstance(below, Wide) else below
    least = num.pick(plain, -14.375, -38.5)
    cut = jnp.maximum(plain, least)
    if num.is_narrow() or not isinstance(below, Wide):
        return cut, 0.0
    return cut, jnp.where(plain > least, (below.head - plain) + below.tail, 0.0)


_SCALE_LOST = -1.0177636870465517e-17  # -1 / (2 log 2) less its double


def _bell(a: Array, less: Array | float = 0.0) -> num.Power:
    """Return exp(-b²/2) for b = a - less."""
    scale = -0.5 / math.log(2)
    near = scale * (a * a)
    if num.is_narrow():
        return num.Power.of(near, near)
    step, unit = num.pick(a, (2.0**-5, 2.0**-6), (2.0**-16, 2.0**-8))
    leading = unit * round(scale / unit)
    h = num.on_grid(a, step)
    square = h * h
    rest = ((scale - leading) + _SCALE_LOST) * square + scale * ((a - h) * (a + h))
    if not num.is_nothing(less):
        rest = rest - 2 * scale * a * less
    return num.Power.of(near, leading * square, rest)


# -- x · Phi(x) ---------------------------------------------------------------------------------


def gelu_value(z: Array) -> Array:
    """Return z · Phi(z)."""
    left = normal(-jnp.abs(z))
    # The product is added as it is made, so that it may be below the smallest normal number.
    return jnp.maximum(z, 0) + num.Tail(left.below * left.share.raised).value


def erf(x: Array) -> Array:
    """Return the error function."""
    near = x * erf_share(jnp.minimum(x * x, 1))
    share = normal(-math.sqrt(2) * jnp.abs(x)).share
    far = num.with_sign_of(x, 1 - 2 * share.value)
    return jnp.where(jnp.abs(x) < 1, near, far)


def erf_share(square: Array) -> Array:
    """Return erf(x) / x by x² in [0, 1]."""
    return num.fitted(square, fits.ERF)


def gelu_slope_left(z: Wide | Array) -> Array:
    """Return the derivative of z · Phi(z) at -abs(z); that at abs(z) is 1 less it."""
    least = num.minus_size(z)
    left = normal(least)
    plain = left.bell.times(left.ratio + DENSITY * left.below).value
    return num.near_root(least, fits.GELU_SLOPE, plain)


def long_gelu_slope_left(z: Wide) -> Wide:
    """Return `gelu_slope_left` with a tail, for sums in which it may cancel."""
    least = num.minus_size(z)
    top = jnp.asarray(least.head)
    most = num.pick(top, 12.5, 36.5)
    near = Wide(jnp.maximum(top, -most), jnp.where(top > -most, least.tail, 0.0))
    ratio = normal(near).ratio
    bent = extended.plus(extended.times(DENSITY, near, top), ratio, top)
    bell = extended.exp(extended.times(-0.5, extended.times(near, near, top), top))
    slope = extended.times(bell, bent, top)
    best = num.near_root(near, fits.GELU_SLOPE, slope.head)
    tail = jnp.where(best == slope.head, slope.tail, 0.0)
    dead = top <= -most
    return Wide(jnp.where(dead, 0.0, best), jnp.where(dead, 0.0, tail))


def gelu_slope(z: Wide | Array) -> Array:
    """Return the derivative of z · Phi(z)."""
    slope = gelu_slope_left(z)
    return jnp.where(num.lead(z) >= 0, 1 - slope, slope)


def gelu_curvature(x: Array) -> Array:
    """Return the second derivative of x · Phi(x)."""
    x = extended.limited(x)
    return normal(-jnp.abs(x)).density.times_bounded(DENSITY * (2 - x * x))
