"""Self-gated functions whose gate is expanded beyond 0 and 1 by a learned amount."""

from __future__ import annotations

import math
from typing import Any

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

_HUANG = "Huang 2024, Expanded gating ranges improve activation functions, arXiv:2405.20768"


def _near_zero(x: Array, plain: Array) -> Array:
    """Return x / 2 near 0, where a term may be too small to be a normal number."""
    return jnp.where(jnp.abs(x) < 2.0**-60, 0.5 * x, plain)


def _xsilu_value(x: Array, alpha: Any) -> Array:
    e = num.decay(x)
    share = e.times((1 + 2 * alpha) * x / (1 + e.value))
    high, low = num.flat_where_zero(1 + alpha, x) - share, share + num.flat_where_zero(-alpha, x)
    return _near_zero(x, jnp.where(x >= 0, high, low))


def _xsilu_slope(x: Array, alpha: Any) -> Array:
    share = (1 + 2 * alpha) * logistic.long_silu_slope_left(Wide(x, 0.0))
    return jnp.where(x >= 0, (1 + alpha) - share, share - alpha)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: x * num.tanh(0.5 * x), learned=True, initial=0.0,
            samples=(-0.2,),
        )
    },
    dx=_xsilu_slope,
    dxx=lambda x, alpha: (1 + 2 * alpha) * logistic.silu_curvature(Wide(x, 0.0)),
    limits=lambda alpha: (alpha * math.inf if alpha else 0.0, math.inf),
    slope_limits=lambda alpha: (-alpha, 1 + alpha),
    reference=lambda mp, x, alpha: x * ((1 + 2 * alpha) / (1 + mp.exp(-x)) - alpha),
    latex=r"x\,(\sigma(x) (1 + 2\alpha) - \alpha)",
    paper=_HUANG,
)  # fmt: skip
def xsilu(x: ArrayLike, alpha: ArrayLike = 0.0) -> Array:
    r"""Expanded SiLU: `silu` whose gate goes from -alpha to 1 + alpha, alpha learned.

    Where alpha is positive it has a second zero, near which its error is a few ulp of its two
    terms.

    Args:
      x: an array of any shape.
      alpha: how far the gate goes below 0 and above 1; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.xsilu(jnp.array([-1.0, 0.0, 1.0]), 0.1)
      Array([-0.223,  0.        ,  0.777 ], dtype=float32)
    """
    return _xsilu_value(jnp.asarray(x), alpha)


def _xgelu_value(x: Array, alpha: Any) -> Array:
    share = gauss.normal(-jnp.abs(x)).share.times((1 + 2 * alpha) * extended.limited(x))
    low = share + num.flat_where_zero(-alpha, x)
    return _near_zero(x, jnp.where(x >= 0, x * (1 + alpha) - share, low))


def _xgelu_slope(x: Array, alpha: Any) -> Array:
    share = (1 + 2 * alpha) * gauss.gelu_slope_left(x)
    return jnp.where(x >= 0, 1 + alpha - share, share - alpha)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: x * gauss.erf(x * math.sqrt(0.5)), learned=True, initial=0.0,
            samples=(-0.2,),
        )
    },
    dx=_xgelu_slope,
    dxx=lambda x, alpha: (1 + 2 * alpha) * gauss.gelu_curvature(x),
    limits=lambda alpha: (alpha * math.inf if alpha else 0.0, math.inf),
    slope_limits=lambda alpha: (-alpha, 1 + alpha),
    reference=lambda mp, x, alpha: x * ((1 + 2 * alpha) * mp.erfc(-x / mp.sqrt(2)) / 2 - alpha),
    latex=r"x\,(\Phi(x) (1 + 2\alpha) - \alpha)",
    paper=_HUANG,
)  # fmt: skip
def xgelu(x: ArrayLike, alpha: ArrayLike = 0.0) -> Array:
    r"""Expanded gelu: the exact `gelu` with a gate from -alpha to 1 + alpha, alpha learned.

    Where alpha is positive it has a second zero, near which its error is a few ulp of its two
    terms.

    Args:
      x: an array of any shape.
      alpha: how far the gate goes below 0 and above 1; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.xgelu(jnp.array([-1.0, 0.0, 1.0]), 0.1)
      Array([-0.090,  0.        ,  0.910 ], dtype=float32)
    """
    return _xgelu_value(jnp.asarray(x), alpha)


# -- xatlu: g(x) = 1/2 + atan(x) / pi --------------------------------------------------------------

_PER_PI = 1 / math.pi


def _atan_share(square: Array) -> Array:
    """Return atan(t) / t by t² in [0, 1]."""
    return num.fitted(square, fits.ATAN)


def _atlu_left(a: Array) -> Array:
    """Return a · g(-a) for a >= 0."""
    t = jnp.minimum(a, 1 / jnp.maximum(a, 1))
    share = _PER_PI * _atan_share(t * t)
    return jnp.where(a > 1, share, a * (0.5 - a * share))


def _xatlu_value(x: Array, alpha: Any) -> Array:
    a = jnp.abs(x)
    share = (1 + 2 * alpha) * _atlu_left(a)
    low = num.flat_where_zero(-alpha, x) - share
    plain = jnp.where(x >= 0, (1 + alpha) * x - share, low)
    return _near_zero(x, plain)


def _xatlu_slope(x: Array, alpha: Any) -> Array:
    a = jnp.abs(x)
    most = jnp.maximum(a, 1.6)
    inverse = 1 / (most * most)
    series = num.fitted(inverse, fits.ATLU)
    far = series / (most * most * most)
    # Between both series the sum would cancel.
    s = jnp.clip(a, 0.5, 1.6) - 1.0625
    middle = num.fitted(s, fits.ATLU_NEAR)
    b = jnp.minimum(a, 0.5)
    near = 0.5 - _PER_PI * b * (_atan_share(b * b) + 1 / (1 + b * b))
    left = jnp.where(a > 1.6, far, jnp.where(a > 0.5, middle, near))
    share = (1 + 2 * alpha) * left
    return jnp.where(x >= 0, (1 + alpha) - share, share - alpha)


def _xatlu_curvature(x: Array, alpha: Any) -> Array:
    fall = 1 / (1 + x * x)
    return (2 * _PER_PI) * (1 + 2 * alpha) * fall * fall


def _xatlu_by_alpha(x: Array, alpha: Any) -> Array:
    a = jnp.abs(x)
    t = jnp.minimum(a, 1 / jnp.maximum(a, 1))
    angle = (2 * _PER_PI) * t * _atan_share(t * t)
    return a * jnp.where(a > 1, 1 - angle, angle)


@activation(
    parameters={
        "alpha": Parameter(partial=_xatlu_by_alpha, learned=True, initial=0.0, samples=(-0.2,))
    },
    dx=_xatlu_slope,
    dxx=_xatlu_curvature,
    limits=lambda alpha: (alpha * math.inf if alpha else -1 / math.pi, math.inf),
    slope_limits=lambda alpha: (-alpha, 1 + alpha),
    reference=lambda mp, x, alpha: (
        x
        * (
            (1 + 2 * alpha)
            * (mp.atan(-1 / x) / mp.pi if x < 0 else mp.mpf(1) / 2 + mp.atan(x) / mp.pi)
            - alpha
        )
    ),
    latex=r"x\,(g(x) (1 + 2\alpha) - \alpha), \quad g(x) = \tfrac12 + \tfrac1\pi \arctan x",
    paper=_HUANG,
)
def xatlu(x: ArrayLike, alpha: ArrayLike = 0.0) -> Array:
    r"""Expanded arctan linear unit: a gate from -alpha to 1 + alpha made of the arctangent.

    At the initial alpha, 0, the limit on the left is :math:`-1 / \pi`. Where alpha is positive it
    has a second zero, near which its error is a few ulp of its two terms.

    Args:
      x: an array of any shape.
      alpha: how far the gate goes below 0 and above 1; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.xatlu(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.25,  0.  ,  0.75], dtype=float32)
    """
    return _xatlu_value(jnp.asarray(x), alpha)
