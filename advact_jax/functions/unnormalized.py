"""Bounded functions that stand in the place of a normalisation layer, scaled and shifted."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _gaussian as gauss
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter

_SUM_NOTE = (
    "Where gamma · f + beta cancels, the error is a few ulp of beta, not of the result: the "
    "function is meant for what follows a sum."
)
_NOTES = {"float32": _SUM_NOTE, "float16, bfloat16": _SUM_NOTE}


def _ones(x: Array) -> Array:
    return jnp.where(jnp.isnan(x), x, 1)


def _finite(x: Array) -> Array:
    """Cut infinities, whose product with an alpha of 0 would be NaN."""
    most = float(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -most, most)


def _affine(gamma: Any, y: Array, beta: Any) -> Array:
    """Return gamma · y + beta."""
    scaled = y if isinstance(gamma, int | float) and gamma == 1 else gamma * y
    return scaled if isinstance(beta, int | float) and beta == 0 else scaled + beta


def _ends(alpha: Any, gamma: Any, beta: Any, **others: Any) -> tuple[Any, Any]:
    size = gamma if alpha > 0 else -gamma
    return beta - size, beta + size


# -- tanh ---------------------------------------------------------------------------------------


def _twice(x: Array, alpha: Any) -> num.Wide:
    z = num.product(alpha, _finite(x))
    return num.Wide(2 * z.head, 2 * z.tail)


def _tanh_slope_times(c: Any, x: Array, alpha: Any) -> Array:
    """Return c · tanh'(alpha · x)."""
    return logistic.slope_times(4 * c, _twice(x, alpha))


def _tanh_curvature(x: Array, alpha: Any, gamma: Any) -> Array:
    return logistic.curvature_times(8 * gamma * (alpha * alpha), _twice(x, alpha))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, gamma, beta: _tanh_slope_times(gamma * x, x, alpha),
            initial=0.5,
            learned=True,
            samples=(0.3,),
        ),
        "gamma": Parameter(
            partial=lambda x, alpha, gamma, beta: num.tanh(alpha * _finite(x)),
            initial=1.0,
            learned=True,
            samples=(-0.7,),
        ),
        "beta": Parameter(
            partial=lambda x, alpha, gamma, beta: _ones(x),
            initial=0.0,
            learned=True,
            samples=(2.5,),
        ),
    },
    dx=lambda x, alpha, gamma, beta: _tanh_slope_times(gamma * alpha, x, alpha),
    dxx=lambda x, alpha, gamma, beta: _tanh_curvature(x, alpha, gamma),
    limits=_ends,
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, alpha, gamma, beta: (
        gamma * mp.sinh(alpha * x) / mp.cosh(alpha * x) + beta
    ),
    tier="experimental",
    latex=r"\gamma \tanh(\alpha x) + \beta",
    paper="Zhu, Chen, He, LeCun & Liu 2025, Transformers without normalization, arXiv:2503.10622",
    notes=_NOTES,
)
def dyt(
    x: ArrayLike, alpha: ArrayLike = 0.5, gamma: ArrayLike = 1.0, beta: ArrayLike = 0.0
) -> Array:
    r"""Dynamic tanh: :math:`\gamma \tanh(\alpha x) + \beta`.

    It takes the place of a layer norm or RMS norm. The paper learns one alpha for a layer, and a
    gamma and a beta for each channel; `DyT` in `advact_jax.linen` and `advact_jax.nnx` does so.
    Its alpha starts at 0.5, other values are for large language models.

    Args:
      x: an array of any shape.
      alpha: steepness; broadcasts against ``x``.
      gamma: height; broadcasts against ``x``.
      beta: shift; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.dyt(jnp.array([-2.0, 0.0, jnp.inf]), gamma=2.0, beta=1.0)
      Array([-0.52319,  1.        ,  3.        ], dtype=float32)

    References:
      Zhu, Chen, He, LeCun & Liu 2025, Transformers without normalization, arXiv:2503.10622.
    """
    return _affine(gamma, num.tanh(jnp.asarray(alpha * _finite(jnp.asarray(x)))), beta)


# -- erf ----------------------------------------------------------------------------------------

_PEAK = 2 / math.sqrt(math.pi)
# Up to here the power series serves.
_SMALL = 0.5
_ERF = tuple((-1) ** n * _PEAK / (math.factorial(n) * (2 * n + 1)) for n in range(13))


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0


def _shifted(x: Array, alpha: Any, shift: Any) -> num.Wide:
    """Return alpha · x + shift, which keeps its digits where the sum cancels."""
    z = num.product(alpha, _finite(x))
    if _is_zero(shift):
        return z
    # Where it is cut the error function is 1, and an infinite sum would have a tail of NaN.
    return num.Wide(jnp.clip(z.head, -1e30, 1e30), z.tail) + num.Wide.of(shift, x)


def _erf(x: Array, alpha: Any, shift: Any) -> Array:
    y = _erf_of(_shifted(x, alpha, shift).value)
    if not _is_zero(shift):
        return y
    # The product alone may be too small to be a normal number.
    return jnp.where(jnp.abs(x) < 1e-15, (_PEAK * alpha) * x, y)


@jax.custom_jvp
def _erf_of(z: Array) -> Array:
    """Return erf(z) within 2 ulp (XLA's own is off by 5 in float32)."""
    small = jnp.clip(z, -_SMALL, _SMALL)
    inside = small * num.polynomial(small * small, _ERF[: num.pick(z, 8, 13)])
    outside = 1 - 2 * gauss.normal(-math.sqrt(2) * jnp.abs(z)).share.value
    return jnp.where(small == z, inside, num.with_sign_of(z, outside))


# For what is derived from the formula: the declared derivatives are exact.
_erf_of.defjvp(lambda z, t: (_erf_of(*z), _PEAK * jnp.exp(-z[0] * z[0]) * t[0]))


def _bell(z: num.Wide) -> num.Tail:
    """Return exp(-z²), with the digits that rounding z² would lose."""
    # At 30 the result is 0 in float64 too.
    top = num.Wide.of(jnp.clip(z.head, -30, 30), z.head)
    whole = num.Wide(top.head, top.tail + jnp.clip(z.tail, -1, 1))
    square = whole * whole
    near = square.value
    return num.tail(num.Wide(-near, -((square.head - near) + square.tail)))


def _erf_slope_times(c: Any, x: Array, alpha: Any, shift: Any) -> Array:
    return _bell(_shifted(x, alpha, shift)).times(_PEAK * c)


def _erf_curvature(x: Array, alpha: Any, shift: Any, gamma: Any) -> Array:
    z = _shifted(x, alpha, shift)
    return _bell(z).times((-2 * _PEAK) * (gamma * (alpha * alpha)) * z.value)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, shift, gamma, beta: _erf_slope_times(
                gamma * x, x, alpha, shift
            ),
            initial=0.5,
            learned=True,
            samples=(0.3,),
        ),
        "shift": Parameter(
            partial=lambda x, alpha, shift, gamma, beta: _erf_slope_times(gamma, x, alpha, shift),
            initial=0.0,
            learned=True,
            samples=(0.25,),
        ),
        "gamma": Parameter(
            partial=lambda x, alpha, shift, gamma, beta: _erf(x, alpha, shift),
            initial=1.0,
            learned=True,
            samples=(-0.7,),
        ),
        "beta": Parameter(
            partial=lambda x, alpha, shift, gamma, beta: _ones(x),
            initial=0.0,
            learned=True,
            samples=(2.5,),
        ),
    },
    dx=lambda x, alpha, shift, gamma, beta: _erf_slope_times(gamma * alpha, x, alpha, shift),
    dxx=lambda x, alpha, shift, gamma, beta: _erf_curvature(x, alpha, shift, gamma),
    limits=_ends,
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, alpha, shift, gamma, beta: gamma * mp.erf(alpha * x + shift) + beta,
    tier="experimental",
    latex=r"\gamma \, \mathrm{erf}(\alpha x + s) + \beta",
    paper="Chen, Lu, Zhu, Sun & Liu 2025, Stronger normalization-free transformers, "
    "arXiv:2512.10938",
    notes=_NOTES,
)
def derf(
    x: ArrayLike,
    alpha: ArrayLike = 0.5,
    shift: ArrayLike = 0.0,
    gamma: ArrayLike = 1.0,
    beta: ArrayLike = 0.0,
) -> Array:
    r"""Dynamic error function: :math:`\gamma \, \mathrm{erf}(\alpha x + s) + \beta`.

    It takes the place of a layer norm or RMS norm. The paper learns one alpha and one shift for a
    layer, and a gamma and a beta for each channel; `Derf` in `advact_jax.linen` and
    `advact_jax.nnx` does so. They start at 0.5, 0, 1 and 0, as in the authors' code.

    Args:
      x: an array of any shape.
      alpha: steepness; broadcasts against ``x``.
      shift: s, added inside; broadcasts against ``x``.
      gamma: height; broadcasts against ``x``.
      beta: shift of the output; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.derf(jnp.array([-2.0, 0.0, jnp.inf]), gamma=2.0, beta=1.0)
      Array([-0.6854016,  1.       ,  3.       ], dtype=float32)

    References:
      Chen, Lu, Zhu, Sun & Liu 2025, Stronger normalization-free transformers, arXiv:2512.10938.
    """
    return _affine(gamma, _erf(jnp.asarray(x), alpha, shift), beta)
