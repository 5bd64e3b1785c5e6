"""Self-gated functions whose input is bounded softly: cap · tanh(x / cap) times a gate."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _gaussian as gauss
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._numerics import Wide
from advact_jax._spec import Parameter

# With u = x / cap, T = cap · tanh(u) and its derivative s = sech²(u), a product T · g(x) has the
# derivative s (x g)' + (T - s x) g'. The first factor is the slope of silu or gelu, which is
# right at its zero, and the second one is small where that zero is.


class _Clamp(NamedTuple):
    """T, s, (T - s x) / cap, 1 - T / x and T / x - s."""

    value: Array
    slope: Array
    lag: Array
    shrink: Array
    excess: Array


def _clamp(x: Array, cap: Any) -> _Clamp:
    u = num.quotient(x, cap)
    plain = u.value
    small = jnp.abs(plain) < 1
    near = jnp.clip(plain, -1, 1)
    square = near * near
    lag = _lag(square)
    shrink, excess = square * _shrink(square), square * lag
    cube = extended.times(extended.times(u, u, x), u, x).value
    split = num.decay_split(Wide(2 * u.head, 2 * u.tail))
    e, v = split.tail, split.tail.value
    whole = num.one_plus_squared(v)
    fall = jnp.where(jnp.abs(plain) < 30, _fall(u), e.times_bounded(4 / whole))
    far = num.with_sign_of(x, 1 - 2 * v / (1 + v))
    rest = num.with_sign_of(x, ((1 - v * v) - split.times_moderate(4 * jnp.abs(plain))) / whole)
    share = far / jnp.where(small, 1, plain)
    return _Clamp(
        value=jnp.where(small, x * (1 - shrink), cap * far),
        slope=jnp.where(jnp.abs(plain) < 0.9, 1 - (shrink + excess), fall),
        lag=jnp.where(small, cube * lag, rest),
        shrink=jnp.where(small, shrink, 1 - share),
        excess=jnp.where(small, excess, share - fall),
    )


def _fall(u: Wide) -> Array:
    """Return sech² u, rounded once, for u to 30."""
    least = num.minus_size(Wide(2 * u.head, 2 * u.tail))
    e = extended.exp(least)
    whole = extended.plus(1.0, e, num.lead(u))
    return extended.over(
        Wide(4 * e.head, 4 * e.tail), extended.times(whole, whole, num.lead(u)), num.lead(u)
    ).value


def _shrink(square: Array) -> Array:
    """Return (u - tanh u) / u³ by u²."""
    return num.fitted(square, fits.TANH_SHRINK)


def _lag(square: Array) -> Array:
    """Return (tanh u - u sech² u) / u³ by u² in [0, 1]."""
    return num.fitted(square, fits.TANH_LAG)


def _by_cap(x: Array, cap: Any) -> Array:
    """Return the derivative of T by cap."""
    return _clamp(x, cap).lag


def _silu_value(x: Array, cap: Any) -> Array:
    return logistic.times(_clamp(x, cap).value, x)


def _silu_slope(x: Array, cap: Any) -> Array:
    x = extended.limited(x)
    clamp = _clamp(x, cap)
    turned = clamp.slope * logistic.silu_slope(Wide(x, 0.0))
    return turned + logistic.slope_times(cap * clamp.lag, x)


def _silu_curvature(x: Array, cap: Any) -> Array:
    x = extended.limited(x)
    z = Wide(x, 0.0)
    e = extended.exp(num.minus_size(z))
    whole = extended.plus(1.0, e, x)
    gate = extended.over(_where(x >= 0, Wide(jnp.ones_like(x), 0.0), e), whole, x)
    steep = extended.over(e, extended.times(whole, whole, x), x)
    bent = extended.times(steep, logistic.long_bend(z, z), x)
    return _curvature(_clamp(x, cap), bent, steep, gate, x, cap)


def _where(chosen: Array, a: Wide, b: Wide) -> Wide:
    return Wide(jnp.where(chosen, a.head, b.head), jnp.where(chosen, a.tail, b.tail))


def _curvature(clamp: _Clamp, bent: Wide, steep: Wide, gate: Wide, x: Array, cap: Any) -> Array:
    """Return (T g)'' from (x g)'', g' and g, right where its three terms cancel."""
    share = extended.plus(1.0, -clamp.shrink, x)
    near = extended.times(extended.times(share, x, x), extended.plus(share, -clamp.excess, x), x)
    far = Wide(clamp.value * clamp.slope, 0.0)
    bend = extended.times(_where(clamp.slope > 0.5, near, far), gate, x)
    three = extended.times(share, bent, x) + extended.times(-2 * clamp.excess, steep, x)
    return (three + extended.times(bend, extended.over(-2.0, cap * cap, x), x)).value


def _gelu_value(x: Array, cap: Any) -> Array:
    value = _clamp(x, cap).value
    share = gauss.normal(-jnp.abs(x)).share.times(value)
    plain = jnp.where(x >= 0, value - share, share)
    # Near 0 a term may be too small to be a normal number.
    return jnp.where(jnp.abs(x) < 2.0**-60, 0.5 * x, plain)


def _gelu_slope(x: Array, cap: Any) -> Array:
    x = extended.limited(x)
    clamp = _clamp(x, cap)
    density = gauss.normal(-jnp.abs(x)).density
    return clamp.slope * gauss.gelu_slope(x) + density.times_bounded(
        gauss.DENSITY * cap * clamp.lag
    )


def _gelu_curvature(x: Array, cap: Any) -> Array:
    x = extended.limited(x)
    low = gauss.normal(-jnp.abs(x)).share.value
    gate = _where(x >= 0, extended.plus(1.0, -low, x), Wide(low, 0.0))
    square = extended.times(x, x, x)
    bell = extended.exp(extended.times(-0.5, square, x))
    steep = extended.times(gauss.DENSITY, bell, x)
    bent = extended.times(steep, extended.plus(2.0, Wide(-square.head, -square.tail), x), x)
    return _curvature(_clamp(x, cap), bent, steep, gate, x, cap)


def _gelu_by_cap(x: Array, cap: Any) -> Array:
    part = _by_cap(x, cap)
    share = gauss.normal(-jnp.abs(x)).share.times(part)
    return jnp.where(x >= 0, part - share, share)


_SOURCE = (
    "x-transformers, softclamp_silu and softclamp_gelu; Gemma Team 2024, Gemma 2, arXiv:2408.00118"
)


@activation(
    parameters={
        "cap": Parameter(
            partial=lambda x, cap: logistic.times(_by_cap(x, cap), x),
            domain="positive", samples=(4.0, 25.0),
        )
    },
    dx=_silu_slope,
    dxx=_silu_curvature,
    limits=lambda cap: (0.0, cap),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, cap: cap * mp.sinh(x / cap) / mp.cosh(x / cap) / (1 + mp.exp(-x)),
    latex=r"c \tanh(x / c)\,\sigma(x)",
    paper=_SOURCE,
)  # fmt: skip
def softclamp_silu(x: ArrayLike, cap: ArrayLike) -> Array:
    r"""SiLU of a softly bounded input: :math:`c \tanh(x / c) \, \sigma(x)`.

    x-transformers uses a cap of 4 for gates and of 25 for what they gate.

    Args:
      x: an array of any shape.
      cap: bound, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.softclamp_silu(jnp.array([-1.0, 0.0, 1.0, 100.0]), 4.0)
      Array([-0.263,  0.        ,  0.716 ,  4.        ], dtype=float32)
    """
    return _silu_value(jnp.asarray(x), cap)


@activation(
    parameters={
        "cap": Parameter(partial=_gelu_by_cap, domain="positive", samples=(4.0, 25.0)),
    },
    dx=_gelu_slope,
    dxx=_gelu_curvature,
    limits=lambda cap: (0.0, cap),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, cap: (
        cap * mp.sinh(x / cap) / mp.cosh(x / cap) * mp.erfc(-x / mp.sqrt(2)) / 2
    ),
    latex=r"c \tanh(x / c)\,\Phi(x)",
    paper=_SOURCE,
)
def softclamp_gelu(x: ArrayLike, cap: ArrayLike) -> Array:
    r"""Exact gelu of a softly bounded input: :math:`c \tanh(x / c) \, \Phi(x)`.

    Args:
      x: an array of any shape.
      cap: bound, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.softclamp_gelu(jnp.array([-1.0, 0.0, 1.0, 100.0]), 4.0)
      Array([-0.155,  0.        ,  0.824,  4.        ], dtype=float32)
    """
    return _gelu_value(jnp.asarray(x), cap)
