"""Exponential linear units and the exponential."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


def _negative(x: Array) -> Array:
    return jnp.minimum(x, 0)


def _elu_slope(x: Array, alpha: Any) -> Array:
    return jnp.where(x > 0, 1, num.tail(_negative(x)).times(alpha))


def _elu_curvature(x: Array, alpha: Any) -> Array:
    return jnp.where(x > 0, 0, num.tail(_negative(x)).times(alpha))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: num.expm1(_negative(x)),
            domain="nonnegative",
            initial=1.0,
            learned=True,
            samples=(0.3, 2.0),
        )
    },
    dx=_elu_slope,
    dxx=_elu_curvature,
    lean_dx=lambda y, alpha: jnp.where(y > 0, 1, y + alpha),
    limits=lambda alpha: (-alpha, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={0.0: "left"},
    reference=lambda mp, x, alpha: +x if x > 0 else alpha * mp.expm1(x),
    tier="stable",
    latex=r"\begin{cases} x & x > 0 \\ \alpha (e^x - 1) & x \le 0 \end{cases}",
    paper="Clevert, Unterthiner & Hochreiter 2016, Fast and accurate deep network learning by "
    "exponential linear units, arXiv:1511.07289",
    names={
        "jax": "elu",
        "flax": "elu",
        "keras": ["elu", "ELU"],
        "torch": ["elu", "ELU"],
        "onnx": "Elu",
    },
)
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    r"""Exponential linear unit: ``x`` above zero, else :math:`\alpha (e^x - 1)`.

    The derivative at 0 is alpha.

    Args:
      x: an array of any shape.
      alpha: minus the limit for very negative input; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.elu(jnp.array([-1.0, 0.0, 2.0]))
      Array([-0.632,  0.        ,  2.        ], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.where(x > 0, x, alpha * num.expm1(_negative(x)))


def _celu_argument(x: Array, alpha: Any) -> num.Wide:
    return num.quotient(_negative(x), alpha)


def _celu_by_alpha(x: Array, alpha: Any) -> Array:
    z = _celu_argument(x, alpha)
    top = jnp.asarray(z.value)
    near = jnp.maximum(top, -1)
    series = num.fitted(near, fits.CELU_ALPHA)
    plain = num.expm1(z) - num.tail(z).times(top)
    return jnp.where(top > -1, near * near * series, plain)


@activation(
    parameters={
        "alpha": Parameter(
            partial=_celu_by_alpha, domain="positive", initial=1.0, learned=True, samples=(0.3, 2.0)
        )
    },
    dx=lambda x, alpha: jnp.where(x > 0, 1, num.tail(_celu_argument(x, alpha)).value),
    dxx=lambda x, alpha: jnp.where(x > 0, 0, num.tail(_celu_argument(x, alpha)).times(1 / alpha)),
    lean_dx=lambda y, alpha: jnp.where(y > 0, 1, y / alpha + 1),
    limits=lambda alpha: (-alpha, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={0.0: "left"},
    reference=lambda mp, x, alpha: +x if x > 0 else alpha * mp.expm1(x / alpha),
    tier="stable",
    latex=r"\max(x, 0) + \min(0, \alpha (e^{x/\alpha} - 1))",
    paper="Barron 2017, Continuously differentiable exponential linear units, arXiv:1704.07483",
    names={
        "jax": "celu",
        "flax": "celu",
        "keras": "celu",
        "torch": ["celu", "CELU"],
        "onnx": "Celu",
    },
)
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    r"""Continuously differentiable exponential linear unit.

    ``x`` above zero, else :math:`\alpha (e^{x/\alpha} - 1)`; the derivative at 0 is 1 for every
    alpha.

    Args:
      x: an array of any shape.
      alpha: minus the limit for very negative input, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.celu(jnp.array([-1.0, 0.0, 2.0]))
      Array([-0.632,  0.        ,  2.        ], dtype=float32)
    """
    x = jnp.asarray(x)
    z = _celu_argument(x, alpha)
    # For the smallest inputs, whose quotient cannot be split, the value is x itself.
    return jnp.where(num.lead(z) > -(2.0**-60), x, alpha * num.expm1(z))


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
# ONNX's: rounded to float32.
_ONNX_ALPHA = 1.67326319217681884765625
_ONNX_GAMMA = 1.05070102214813232421875


@activation(
    dx=lambda x: jnp.where(
        x > 0, _SELU_SCALE, num.tail(_negative(x)).times(_SELU_SCALE * _SELU_ALPHA)
    ),
    dxx=lambda x: jnp.where(
        x > 0, 0, num.tail(_negative(x)).times(_SELU_SCALE * _SELU_ALPHA)
    ),
    lean_dx=lambda y: jnp.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    limits=(-_SELU_SCALE * _SELU_ALPHA, math.inf),
    slope_limits=(0.0, _SELU_SCALE),
    kinks={0.0: "left"},
    reference=lambda mp, x: mp.mpf("1.0507009873554804934193349852946")
    * (+x if x > 0 else mp.mpf("1.6732632423543772848170429916717") * mp.expm1(x)),
    tier="stable",
    latex=r"\lambda \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & x \le 0 \end{cases}",
    paper="Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks, "
    "arXiv:1706.02515",
    names={
        "jax": "selu",
        "flax": "selu",
        "keras": "selu",
        "torch": ["selu", "SELU"],
    },
)  # fmt: skip
def selu(x: ArrayLike) -> Array:
    r"""Scaled exponential linear unit, with the paper's alpha 1.6733 and scale 1.0507.

    Use it with LeCun normal initial weights and AlphaDropout. The derivative at 0 is scale times
    alpha.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.selu(jnp.array([-1.0, 0.0, 2.0]))
      Array([-1.111,  0.       ,  2.101 ], dtype=float32)
    """
    x = jnp.asarray(x)
    low = (_SELU_SCALE * _SELU_ALPHA) * num.expm1(_negative(x))
    return jnp.where(x > 0, _SELU_SCALE * x, low)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, gamma: gamma * num.expm1(_negative(x)),
            domain="nonnegative",
            samples=(0.3,),
        ),
        "gamma": Parameter(
            partial=lambda x, alpha, gamma: jnp.where(x > 0, x, alpha * num.expm1(_negative(x))),
            domain="positive",
            samples=(2.5,),
        ),
    },
    dx=lambda x, alpha, gamma: jnp.where(x > 0, gamma, num.tail(_negative(x)).times(gamma * alpha)),
    dxx=lambda x, alpha, gamma: jnp.where(x > 0, 0, num.tail(_negative(x)).times(gamma * alpha)),
    limits=lambda alpha, gamma: (-alpha * gamma, math.inf),
    slope_limits=lambda alpha, gamma: (0.0, gamma),
    kinks={0.0: "left"},
    reference=lambda mp, x, alpha, gamma: gamma * (+x if x > 0 else alpha * mp.expm1(x)),
    tier="stable",
    latex=r"\gamma \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & x \le 0 \end{cases}",
    paper="ONNX, operator Selu; Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing "
    "neural networks, arXiv:1706.02515",
    names={"onnx": "Selu"},
)
def scaled_elu(
    x: ArrayLike, alpha: ArrayLike = _ONNX_ALPHA, gamma: ArrayLike = _ONNX_GAMMA
) -> Array:
    r"""Scaled exponential linear unit with two constants: :math:`\gamma` times `elu`.

    This is ONNX's Selu, whose defaults are those of `selu` rounded to float32. The derivative at 0
    is gamma times alpha.

    Args:
      x: an array of any shape.
      alpha: as in `elu`; broadcasts against ``x``.
      gamma: scale, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.scaled_elu(jnp.array([-1.0, 0.0, 2.0]), 1.0, 2.0)
      Array([-1.264,  0.       ,  4.       ], dtype=float32)

    References:
      ONNX operator ``Selu``.
    """
    x = jnp.asarray(x)
    return jnp.where(x > 0, gamma * x, (gamma * alpha) * num.expm1(_negative(x)))


@activation(
    dx_from_output=lambda y: y,
    limits=(0.0, math.inf),
    slope_limits=(0.0, math.inf),
    reference=lambda mp, x: mp.cosh(x) + mp.sinh(x) if abs(x) < 1 else 1 / mp.exp(-x),
    tier="stable",
    paper="Keras, keras.activations.exponential",
    latex=r"e^x",
    names={"keras": "exponential", "onnx": "Exp"},
)
def exponential(x: ArrayLike) -> Array:
    """Exponential function. The backward pass keeps the output alone.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.exponential(jnp.array([0.0, 1.0]))
      Array([1.       , 2.718], dtype=float32)
    """
    x = jnp.asarray(x)
    if num.is_narrow():
        return jnp.exp(x)
    # XLA's own is off by 5 ulp in float32 beside the largest finite result.
    beyond = x > num.pick(x, 88.0, 709.0)
    return jnp.exp(x - jnp.where(beyond, 1.0, 0.0)) * jnp.where(beyond, math.e, 1.0)


def _log1mexp_slope(x: Array) -> Array:
    e = num.decay(x)
    return num.with_sign_of(x, e.times(1 / num.one_minus_decay(x)))


def _log1mexp_curvature(x: Array) -> Array:
    share = 1 / num.one_minus_decay(x)
    return -num.decay(x).times(share * share)


@activation(
    dx=_log1mexp_slope,
    dxx=_log1mexp_curvature,
    limits=(0.0, 0.0),
    slope_limits=(0.0, 0.0),
    kinks={0.0: "right"},
    reference=lambda mp, x: mp.log(-mp.expm1(-abs(x))) if x else -mp.inf,
    tier="stable",
    latex=r"\log(1 - e^{-|x|})",
    paper="Mächler 2012, Accurately computing log(1 - exp(-|a|)), vignette of the R package Rmpfr",
    names={"jax": "log1mexp"},
)
def log1mexp(x: ArrayLike) -> Array:
    r"""Logarithm of what an exponential leaves of 1: :math:`\log(1 - e^{-|x|})`.

    As in its source it takes the size of ``x``; jax.nn's is NaN below 0. At 0 it is -inf, with a
    slope of inf.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.log1mexp(jnp.array([0.0, 1e-6, 1.0, 40.0]))
      Array([         -inf, -1.381e+01, -4.586e-01, -4.248e-18], dtype=float32)
    """
    x = jnp.asarray(x)
    e = num.decay(x)
    # The logarithm of 1 - e in place of log1p, which XLA has less exact: what rounding the
    # difference has changed, changes both sides of the quotient alike.
    rest = num.opaque(1.0, x) - e.value
    taken = 1 - rest
    far = e.times(jnp.where(taken > 0, jnp.log(rest) / jnp.where(taken > 0, taken, 1), -1))
    return jnp.where(e.value < 0.5, far, jnp.log(num.one_minus_decay(x)))
