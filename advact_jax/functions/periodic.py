"""Periodic functions, and sums of a line and a periodic function."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _angles as angles
from advact_jax import _extended as extended
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter

_NO_LIMIT = "None exists at plus and minus infinity; the mean over a period stands there"


def _at_infinity(x: Array, mean: Any, elsewhere: Array) -> Array:
    """Return ``mean`` where x is infinite, so that NaN comes from NaN alone."""
    return jnp.where(jnp.isinf(x), mean, elsewhere)


# -- sine ----------------------------------------------------------------------------------------


@activation(
    parameters={
        "omega": Parameter(
            partial=lambda x, omega: _at_infinity(x, 0.0, x * angles.angle(omega, x).cos),
            domain="positive",
            initial=30.0,
            samples=(1.0, 0.3),
        )
    },
    dx=lambda x, omega: _at_infinity(x, 0.0, omega * angles.angle(omega, x).cos),
    dxx=lambda x, omega: _at_infinity(x, 0.0, -(omega * omega) * angles.angle(omega, x).sin),
    reference=lambda mp, x, omega: mp.sin(omega * x),
    tier="stable",
    latex=r"\sin(\omega x)",
    paper="Sitzmann et al. 2020, Implicit neural representations with periodic activation "
    "functions, arXiv:2006.09661",
    notes={"limits": _NO_LIMIT + ": 0."},
)
def sine(x: ArrayLike, omega: ArrayLike = 30.0) -> Array:
    r"""Sine, the activation of SIREN: :math:`\sin(\omega x)`.

    Right for every finite input: the product is not rounded before it is reduced to one circle.
    At plus and minus infinity, where there is no limit, value and derivative are 0, their mean.
    Weights that go with it: `advact_jax.initializers.siren`.

    Args:
      x: an array of any shape.
      omega: angular frequency, 30 in the paper; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sine(jnp.array([0.0, 1.0, 1e30]), 1.0)
      Array([ 0.   ,  0.841, -0.791], dtype=float32)

    References:
      Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, arXiv:2006.09661.
    """
    x = jnp.asarray(x)
    return _at_infinity(x, 0.0, angles.angle(omega, x).sin)


# -- x cos x -------------------------------------------------------------------------------------


def _gcu_slope(x: Array) -> Array:
    at = angles.angle(1, x)
    # Wide, because the terms cancel at the zeros of the slope.
    bent = num.Wide.of(x, x) * angles.split(at.wide_sin)
    return _at_infinity(x, 0.0, (at.wide_cos - bent).value)


def _gcu_curvature(x: Array) -> Array:
    at = angles.angle(1, x)
    sin = at.wide_sin
    bent = num.Wide.of(x, x) * angles.split(at.wide_cos)
    return _at_infinity(x, 0.0, -(num.Wide(2 * sin.head, 2 * sin.tail) + bent).value)


@activation(
    dx=_gcu_slope,
    dxx=_gcu_curvature,
    reference=lambda mp, x: x * mp.cos(x),
    tier="experimental",
    latex=r"x \cos x",
    paper="Noel, Arunkumar, Trivedi & Dutta 2021, Growing cosine unit: a novel oscillatory "
    "activation function, arXiv:2108.12943",
    notes={"limits": _NO_LIMIT + ": 0."},
)
def gcu(x: ArrayLike) -> Array:
    r"""Growing cosine unit: :math:`x \cos x`.

    At plus and minus infinity, where there is no limit, value and derivative are 0, their mean.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.gcu(jnp.array([-1.0, 0.0, 3.0]))
      Array([-0.540,  0.   , -2.970], dtype=float32)

    References:
      Noel, Arunkumar, Trivedi & Dutta 2021, arXiv:2108.12943.
    """
    x = jnp.asarray(x)
    return _at_infinity(x, 0.0, x * angles.angle(1, x).cos)


# -- snake ---------------------------------------------------------------------------------------
# With t = 2 alpha x: sin² (alpha x) = (1 - cos t) / 2, which is rounded less than a square.


def _turned(x: Array, alpha: Any) -> tuple[num.Wide, angles.Angle]:
    """Return t with a tail, 0 where it is not needed, and its angle."""
    plain = 2 * alpha * x
    middle = jnp.clip(x, -1e4, 1e4)
    exact = num.product(2 * alpha, middle)
    fits = (jnp.abs(plain) > 0.5) & (jnp.abs(plain) < 2.0**14) & (middle == x)
    t = num.Wide(jnp.where(fits, exact.head, plain), jnp.where(fits, exact.tail, 0.0))
    return t, angles.angle(2 * alpha, x)


def _wave(x: Array, alpha: Any, beta: Any) -> Array:
    """Return x + sin²(alpha x) / beta."""
    t, at = _turned(x, alpha)
    plain = jnp.asarray(t.value)
    bounded = jnp.clip(plain, -0.75, 0.75)
    share = 1.0 if beta is alpha else alpha / beta  # 0 / 0 where both are 0
    start = share * bounded * angles.versine_share(bounded * bounded)
    near = x + x * start
    if beta is alpha:
        # Sums are ordered so that what cancels, t + 1, is exact.
        cos = at.cos
        middle = (((t.head + num.opaque(1.0, x)) - cos) + t.tail) / (2 * alpha)
    else:
        middle = x + at.one_less_cos / (2 * beta)
    far = x + at.one_less_cos / (2 * beta)
    size = jnp.abs(plain)
    value = jnp.where(size < 0.75, near, jnp.where(size < 16, middle, far))
    return jnp.where(jnp.isinf(x), x, value)


def _wave_by_alpha(x: Array, alpha: Any) -> Array:
    """Return the derivative of sin²(u) / alpha, (2 sin u / alpha) (x cos u - sin u / (2 alpha))."""
    bounded = jnp.clip(alpha * x, -0.375, 0.375)
    square = 4 * bounded * bounded
    share = (1 + square * angles.sine_share(square)) - angles.versine_share(square)
    near = x * (2 * share * x)
    at = angles.angle(alpha, x)
    # Wide, because the terms cancel at zeros, all of which are where cos u is small.
    sin = at.wide_sin
    height = num.quotient(0.5 * sin.head, alpha)
    bent = num.Wide.of(x, x) * angles.split(at.wide_cos)
    left = bent - num.Wide(height.head, height.tail + 0.5 * sin.tail / alpha)
    value = jnp.where(jnp.abs(alpha * x) < 0.375, near, (2 * sin.value / alpha) * left.value)
    return _at_infinity(x, 0.0, value)


_ZIYIN = (
    "Ziyin, Hartwig & Ueda 2020, Neural networks fail to learn periodic functions and how to fix "
    "it, arXiv:2006.08195"
)


@activation(
    parameters={
        "alpha": Parameter(
            partial=_wave_by_alpha,
            domain="nonnegative",
            initial=1.0,
            learned=True,
            samples=(0.3, 5.0),
        )
    },
    dx=lambda x, alpha: _at_infinity(x, 1.0, angles.angle(2 * alpha, x).one_more_sin),
    dxx=lambda x, alpha: _at_infinity(x, 0.0, 2 * alpha * angles.angle(2 * alpha, x).cos),
    limits=(-math.inf, math.inf),
    reference=lambda mp, x, alpha: x + mp.sin(alpha * x) ** 2 / alpha,
    tier="stable",
    latex=r"x + \tfrac{1}{\alpha} \sin^2(\alpha x)",
    paper=_ZIYIN,
    notes={"slope_limits": _NO_LIMIT + ": 1 for the slope, 0 for the derivative by alpha."},
)
def snake(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    r"""Snake: :math:`x + \sin^2(\alpha x) / \alpha`, a line with a wave, for periodic data.

    Most models start at ``alpha = 1``; some code draws it from an exponential distribution. With
    ``alpha = 0`` it is the identity, its limit. At plus and minus infinity, where the slope
    has no limit, it is 1, its mean.

    Args:
      x: an array of any shape.
      alpha: frequency, learned per channel in most models; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.snake(jnp.array([-1.0, 0.0, 2.0]))
      Array([-0.292,  0.        ,  2.827 ], dtype=float32)

    References:
      Ziyin, Hartwig & Ueda 2020, arXiv:2006.08195.
    """
    return _wave(jnp.asarray(x), alpha, alpha)


def _snake_beta_slope(x: Array, alpha: Any, beta: Any) -> Array:
    at = angles.angle(2 * alpha, x)
    # For alpha = beta what is left of the line is exactly 0.
    left = jnp.asarray(beta - alpha, x.dtype) / beta
    return _at_infinity(x, 1.0, left + (alpha / beta) * at.one_more_sin)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, beta: _at_infinity(
                x, 0.0, x * (angles.angle(2 * alpha, x).sin / beta)
            ),
            domain="nonnegative",
            initial=1.0,
            learned=True,
            samples=(0.4,),
        ),
        "beta": Parameter(
            partial=lambda x, alpha, beta: _at_infinity(
                x, -0.5 / (beta * beta),
                angles.angle(2 * alpha, x).one_less_cos / (-2 * beta * beta),
            ),
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(2.5,),
        ),
    },
    dx=_snake_beta_slope,
    dxx=lambda x, alpha, beta: _at_infinity(
        x, 0.0, 2 * alpha * (alpha / beta) * angles.angle(2 * alpha, x).cos
    ),
    limits=(-math.inf, math.inf),
    reference=lambda mp, x, alpha, beta: x + mp.sin(alpha * x) ** 2 / beta,
    tier="experimental",
    latex=r"x + \tfrac{1}{\beta} \sin^2(\alpha x)",
    paper="Lee, Ping, Ginsburg, Catanzaro & Yoon 2023, BigVGAN: a universal neural vocoder with "
    "large-scale training, arXiv:2206.04658; " + _ZIYIN,
    notes={
        "slope_limits": _NO_LIMIT + ": 1 for the slope, 0 and -1 / (2 beta²) for the derivatives.",
        "float32, float64": "Where beta is below 0.725 alpha the value has zeros left of 0, about "
        "which it is right to some ulps of x only.",
    },
)  # fmt: skip
def snake_beta(x: ArrayLike, alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0) -> Array:
    r"""Snake with a wave of its own height: :math:`x + \sin^2(\alpha x) / \beta`.

    BigVGAN, where both start at 1, adds 1e-9 to beta; here it is as in the formula. Where a model
    keeps the logarithms of both (its ``alpha_logscale``), call it with their exponentials.

    Args:
      x: an array of any shape.
      alpha: frequency, learned per channel; broadcasts against ``x``.
      beta: one over the height of the wave, positive, learned per channel; broadcasts.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.snake_beta(jnp.array([-1.0, 0.0, 2.0]), 1.0, 2.0)
      Array([-0.646,  0.       ,  2.413 ], dtype=float32)

    References:
      Lee, Ping, Ginsburg, Catanzaro & Yoon 2023, BigVGAN, arXiv:2206.04658.
    """
    return _wave(jnp.asarray(x), alpha, beta)


# -- silu with a sine ----------------------------------------------------------------------------
# With g = x + a sin(b x) and e = exp(-abs(x)) a derivative is a sum of products of g, g', g'' and
# e. All are wide, because they cancel at its zeros, and where the line's slope and the sine's do.


def _sinlu_value(x: Array, a: Any, b: Any) -> Array:
    line = jnp.where(jnp.isinf(x), x, x + a * angles.angle(b, x).sin)
    # Near 0 one of both terms may be too small to be a normal number.
    near = (0.5 + 0.5 * (a * b)) * x
    return jnp.where(jnp.abs(x) < 2.0**-60, near, logistic.times(line, x))


def _sinlu_by_b(x: Array, a: Any, b: Any) -> Array:
    bent = num.Wide.of(x, x) * angles.split(angles.angle(b, x).wide_cos)
    return _at_infinity(x, 0.0, logistic.times(a * bent.value, x))


def _sinlu_parts(x: Array, a: Any, b: Any) -> tuple[num.Wide, num.Wide, num.Wide, num.Wide]:
    """Return a sin(b x), the slope of g, e, and g e on the right, g on the left."""
    at = angles.angle(b, x)
    raised = extended.times(a, at.wide_sin, x)
    slope = extended.plus(1.0, extended.times(extended.times(a, b, x), at.wide_cos, x), x)
    line = extended.plus(x, raised, x)
    e = extended.exp(num.minus_size(x))
    most = num.pick(x, 80.0, 680.0)  # From there on g e is far below g'.
    inside = num.Wide(
        jnp.where(x < most, line.head, 0), jnp.where(x < most, jnp.asarray(line.tail), 0)
    )
    return raised, slope, e, _on_right(x, extended.times(inside, e, x), line)


def _on_right(x: Array, right: num.Wide, left: num.Wide) -> num.Wide:
    return num.Wide(
        jnp.where(x >= 0, right.head, left.head), jnp.where(x >= 0, right.tail, left.tail)
    )


def _sinlu_gated(x: Array, share: Array, at_right_end: float) -> Array:
    """Return the share on the right and e times the share on the left."""
    gated = jnp.where(x >= 0, share, num.decay(x).times(share))
    return jnp.where(jnp.isinf(x), jnp.where(x > 0, at_right_end, 0.0), gated)


def _sinlu_slope(x: Array, a: Any, b: Any) -> Array:
    _, slope, e, line = _sinlu_parts(x, a, b)
    rising = extended.plus(extended.times(slope, extended.plus(1.0, e, x), x), line, x)
    return _sinlu_gated(x, rising.value / num.one_plus_squared(e.value), 1.0)


def _sinlu_curvature(x: Array, a: Any, b: Any) -> Array:
    raised, slope, e, line = _sinlu_parts(x, a, b)
    more, less = extended.plus(1.0, e, x), extended.plus(1.0, num.Wide(-e.head, -e.tail), x)
    bend = extended.times(extended.times(b, b, x), raised, x)
    bent = extended.times(bend, extended.times(more, more, x), x)
    twice = extended.times(num.Wide(2 * slope.head, 2 * slope.tail), more, x)
    falling = extended.times(line, less, x)
    gated = _on_right(x, extended.times(twice, e, x) - falling, twice + falling)
    share = (gated - bent).value / ((1 + e.value) * num.one_plus_squared(e.value))
    return _sinlu_gated(x, share, 0.0)


@activation(
    parameters={
        "a": Parameter(
            partial=lambda x, a, b: _at_infinity(x, 0.0, logistic.times(angles.angle(b, x).sin, x)),
            initial=1.0,
            learned=True,
            samples=(0.5,),
        ),
        "b": Parameter(
            partial=_sinlu_by_b,
            initial=1.0,
            learned=True,
            samples=(2.0,),
        ),
    },
    dx=_sinlu_slope,
    dxx=_sinlu_curvature,
    limits=(0.0, math.inf),
    reference=lambda mp, x, a, b: (x + a * mp.sin(b * x)) / (1 + mp.exp(-x)),
    tier="experimental",
    latex=r"(x + a \sin(b x))\,\sigma(x)",
    paper="Paul, Bandyopadhyay, Yoon, Geem & Sarkar 2022, SinLU: sinu-sigmoidal linear unit, "
    "Mathematics 10(3):337, doi:10.3390/math10030337",
    notes={
        "slope_limits": "None exists at plus infinity; the mean over a period stands there: 1 for "
        "the slope, 0 for the derivatives by a and b. At minus infinity all are 0.",
        "float32, float64": "Where a b is below -1 or above 4.6 the value has zeros beside 0; "
        "about them, and about 0 where a b is -1, it is right to some ulps of x only.",
    },
)
def sinlu(x: ArrayLike, a: ArrayLike = 1.0, b: ArrayLike = 1.0) -> Array:
    r"""Sinu-sigmoidal linear unit: :math:`(x + a \sin(b x)) \, \sigma(x)`, `silu` with a wave.

    It starts at 1 and 1 as in the authors' code; some implementations at ``a = 0.5``. At
    plus infinity, where the slope has no limit, it is 1, its mean. Where ``a b`` is below -1 or
    above 4.6 there are zeros beside 0; near them, and near 0 where ``a b`` is -1, the error is a
    few ulp of x.

    Args:
      x: an array of any shape.
      a: height of the sine, learned; broadcasts against ``x``.
      b: frequency of the sine, learned; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sinlu(jnp.array([-1.0, 0.0, 3.0]))
      Array([-0.495,  0.        ,  2.992 ], dtype=float32)

    References:
      Paul, Bandyopadhyay, Yoon, Geem & Sarkar 2022, Mathematics 10(3):337.
    """
    return _sinlu_value(jnp.asarray(x), a, b)
