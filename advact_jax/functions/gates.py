"""The input times a smooth gate that is made of exponentials."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._numerics import Wide
from advact_jax._spec import Parameter

# -- logistic gates -----------------------------------------------------------------------------

_STEEPNESS = 1.702


@activation(
    dx=lambda x: logistic.silu_slope(num.product(_STEEPNESS, x)),
    dxx=lambda x: _STEEPNESS * logistic.silu_curvature(num.product(_STEEPNESS, x)),
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x: x / (1 + mp.exp(-mp.mpf("1.702") * x)),
    tier="stable",
    latex=r"x\,\sigma(1.702\,x)",
    paper="Hendrycks & Gimpel 2016, Gaussian error linear units, arXiv:1606.08415",
    names={"huggingface": "quick_gelu"},
)
def quick_gelu(x: ArrayLike) -> Array:
    r"""Quick gelu: :math:`x \, \sigma(1.702 x)`, the logistic approximation of gelu.

    It is `silu` with ``beta=1.702``, and differs from the exact gelu by at most 0.02.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.quick_gelu(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.154,  0.        ,  0.846], dtype=float32)
    """
    x = jnp.asarray(x)
    return logistic.times(x, num.product(_STEEPNESS, x))


def _b_silu_value(x: Array, alpha: Any) -> Array:
    e = num.decay(x)
    step = num.with_sign_of(x, 0.5 * alpha * num.one_minus_decay(x))
    plain = (jnp.where(x >= 0, x, e.times(x)) + step) / (1 + e.value)
    # Near 0 half of the sum may be too small to be a normal number.
    return jnp.where(jnp.abs(x) < 2.0**-60, (0.5 + 0.25 * alpha) * x, plain)


def _b_silu_curvature(x: Array, alpha: Any) -> Array:
    x = extended.limited(x)
    return logistic.long_gated_curvature(Wide(x, 0.0), extended.plus(x, alpha, x))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: 0.5 * num.tanh(0.5 * x), domain="nonnegative", samples=(0.5,)
        )
    },
    dx=lambda x, alpha: logistic.gated_slope(x, extended.plus(extended.limited(x), alpha, x)),
    dxx=_b_silu_curvature,
    limits=lambda alpha: (-alpha / 2, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x, alpha: (x + alpha) / (1 + mp.exp(-x)) - alpha / 2,
    latex=r"(x + \alpha)\,\sigma(x) - \tfrac{\alpha}{2}",
    paper="Horuz et al. 2025, The resurrection of the ReLU, arXiv:2505.22074",
)
def b_silu(x: ArrayLike, alpha: ArrayLike = 1.67) -> Array:
    r"""Bounded SiLU: :math:`(x + \alpha) \, \sigma(x) - \alpha / 2`.

    Its derivative is the surrogate that the paper uses in place of the rectifier's.

    Args:
      x: an array of any shape.
      alpha: twice the depth on the left; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.b_silu(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.655,  0.        ,  1.117 ], dtype=float32)
    """
    return _b_silu_value(jnp.asarray(x), alpha)


def _acon_argument(x: Array, p1: Any, p2: Any, beta: Any) -> Wide:
    return extended.scaled(extended.times(beta, extended.plus(p1, -p2, x), x), x)


def _acon_value(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    gate = logistic.times((p1 - p2) * x, _acon_argument(x, p1, p2, beta))
    # Near 0 one of both terms may be too small to be a normal number.
    near = (0.5 * p1 + 0.5 * p2) * x
    return jnp.where(jnp.abs(x) < 2.0**-60, near, gate + num.flat_where_zero(p2, x))


def _acon_by_p1(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    return _times_slope(x, logistic.silu_slope(_acon_argument(x, p1, p2, beta)))


def _acon_by_p2(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    z = _acon_argument(x, p1, p2, beta)
    return _times_slope(x, logistic.silu_slope(Wide(-z.head, -z.tail)))


def _times_slope(x: Array, slope: Array) -> Array:
    """Return x · slope, and 0 where the slope has died."""
    return jnp.where(slope == 0, 0, x) * slope


def _acon_by_beta(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    line = extended.scaled(extended.plus(p1, -p2, x), x)
    return logistic.slope_times(extended.square(line), _acon_argument(x, p1, p2, beta))


def _acon_slope(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    z = _acon_argument(x, p1, p2, beta)
    share = (p1 - p2) * logistic.long_silu_slope_left(z)
    return jnp.where(z.head >= 0, p1 - share, p2 + share)


def _acon_curvature(x: Array, p1: Any, p2: Any, beta: Any) -> Array:
    apart = p1 - p2
    bent = logistic.silu_curvature(_acon_argument(x, p1, p2, beta))
    return beta * apart * apart * bent


def _acon_slope_limits(p1: Any, p2: Any, beta: Any) -> tuple[float, float]:
    if beta == 0:
        return (p1 + p2) / 2, (p1 + p2) / 2
    return (p2, p1) if beta * (p1 - p2) > 0 else (p1, p2)


def _acon_limits(p1: Any, p2: Any, beta: Any) -> tuple[float, float]:
    left, right = _acon_slope_limits(p1, p2, beta)
    return -left * math.inf if left else 0.0, right * math.inf if right else 0.0


@activation(
    parameters={
        "p1": Parameter(partial=_acon_by_p1, learned=True, initial=1.0, samples=(1.0, 2.0)),
        "p2": Parameter(partial=_acon_by_p2, learned=True, initial=0.0, samples=(0.25, 0.0)),
        "beta": Parameter(partial=_acon_by_beta, learned=True, initial=1.0, samples=(1.0, 3.0)),
    },
    dx=_acon_slope,
    dxx=_acon_curvature,
    limits=_acon_limits,
    slope_limits=_acon_slope_limits,
    reference=lambda mp, x, p1, p2, beta: (
        p1 * x - (p1 - p2) * x / (1 + mp.exp(beta * (p1 - p2) * x))
    ),
    latex=r"(p_1 - p_2)\,x\,\sigma(\beta (p_1 - p_2)\,x) + p_2 x",
    paper="Ma, Zhang, Liu & Sun 2021, Activate or not: learning customized activation, "
    "arXiv:2009.04759",
)
def acon_c(x: ArrayLike, p1: ArrayLike, p2: ArrayLike, beta: ArrayLike) -> Array:
    r"""ACON-C: :math:`(p_1 - p_2) x \, \sigma(\beta (p_1 - p_2) x) + p_2 x`, all three learned.

    A smooth maximum of :math:`p_1 x` and :math:`p_2 x`. The paper draws p1 and p2 from a normal
    distribution; the initial values here, 1 and 0, make it `silu`. Where p1 and p2 have opposite
    signs it has a second zero, near which its error is a few ulp of its two terms.

    Args:
      x: an array of any shape.
      p1: slope of the upper line; broadcasts against ``x``.
      p2: slope of the other line; broadcasts against ``x``.
      beta: sharpness of the bend, 0 for the mean of both lines; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.acon_c(jnp.array([-2.0, 0.0, 2.0]), p1=1.0, p2=0.25, beta=1.0)
      Array([-0.774,  0.        ,  1.726 ], dtype=float32)
    """
    return _acon_value(jnp.asarray(x), p1, p2, beta)


# -- exponential linear gates -------------------------------------------------------------------


def _elish_slope(x: Array) -> Array:
    e = num.tail(jnp.minimum(x, 0))
    v = e.value
    left = e.times_bounded((v * (v + 2) - 1) / num.one_plus_squared(v))
    left = num.near_root(x, fits.ELISH_SLOPE, left)
    return jnp.where(x >= 0, logistic.silu_slope(Wide(x, 0.0)), left)


def _elish_curvature(x: Array) -> Array:
    e = num.tail(jnp.minimum(x, 0))
    v = e.value
    above = v * (5 + v * (3 + v)) - 1
    left = e.times_bounded(above / ((1 + v) * num.one_plus_squared(v)))
    left = num.near_root(x, fits.ELISH_CURVATURE, left)
    return jnp.where(x >= 0, logistic.silu_curvature(Wide(x, 0.0)), left)


_ELISH = "Basirat & Roth 2018, The quest for the golden activation function, arXiv:1808.00783"


@activation(
    dx=_elish_slope,
    dxx=_elish_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={0.0: "right"},
    reference=lambda mp, x: (x if x >= 0 else mp.exp(x) - 1) / (1 + mp.exp(-x)),
    latex=r"\begin{cases} x\,\sigma(x) & x \ge 0 \\ (e^x - 1)\,\sigma(x) & x < 0 \end{cases}",
    paper=_ELISH,
)
def elish(x: ArrayLike) -> Array:
    r"""ELiSH: `silu` from 0 on, below it :math:`(e^x - 1) \, \sigma(x)`.

    Its second derivative jumps at 0, where it is 1/2.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.elish(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.170,  0.       ,  0.731], dtype=float32)
    """
    x = jnp.asarray(x)
    e, below = num.decay(x), jnp.minimum(x, 0)
    above = jnp.where(x >= 0, x, e.times_bounded(num.expm1(below)))
    return above / (1 + e.value)


def _hard_elish_slope(x: Array) -> Array:
    below = jnp.clip(x, -1, 0)
    turned = extended.times(extended.exp(below), extended.plus(2.0, below, x), x)
    left = 0.5 * extended.plus(-1.0, turned, x).value
    middle = jnp.where(x >= 0, jnp.clip(x, 0, 1) + 0.5, left)
    return jnp.where(x >= 1, 1, jnp.where(x <= -1, 0, middle))


def _hard_elish_curvature(x: Array) -> Array:
    below = jnp.clip(x, -1, 0)
    middle = jnp.where(x >= 0, 1, 0.5 * num.tail(below).value * (below + 3))
    return jnp.where(jnp.isnan(x), x, jnp.where(jnp.abs(x) < 1, middle, 0))


@activation(
    dx=_hard_elish_slope,
    dxx=_hard_elish_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={-1.0: "left", 0.0: "right", 1.0: "right"},
    reference=lambda mp, x: (
        (+x if x >= 0 else mp.expm1(x)) * min(max((x + 1) / 2, mp.mpf(0)), mp.mpf(1))
    ),
    latex=r"\max(0, \min(1, \tfrac{x + 1}{2})) \cdot "
    r"\begin{cases} x & x \ge 0 \\ e^x - 1 & x < 0 \end{cases}",
    paper=_ELISH,
)
def hard_elish(x: ArrayLike) -> Array:
    r"""Hard ELiSH: :math:`x` from 0 on, :math:`e^x - 1` below, times a gate from -1 to 1.

    The gate is :math:`(x + 1) / 2`, cut at 0 and 1. The derivative is 0 at -1 and 1 at 1; the
    second derivative jumps at 0, where it is 1.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_elish(jnp.array([-2.0, -0.5, 0.5, 2.0]))
      Array([-0.        , -0.098,  0.375     ,  2.        ], dtype=float32)
    """
    x = jnp.asarray(x)
    below = jnp.clip(x, -1, 0)
    gate = 0.5 * (jnp.clip(x, -1, 1) + 1)
    return jnp.where(x >= 0, x, num.expm1(below)) * gate
