"""Shrinkage: functions that pull small input to zero."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


def _outside(x: Array, bound: Any) -> Array:
    return jnp.abs(x) > bound


def _hard(x: Any, bound: Any) -> Array:
    return jnp.where(jnp.abs(x) <= bound, 0, x)


def _hard_reference(mp: Any, x: Any, bound: Any) -> Any:
    return +x if abs(x) > bound else mp.mpf(0)


def _exact_in_float16(bound: float) -> bool:
    """Tell whether x - bound is never rounded to 0 for an x of any float type but bound itself."""
    return bound > 2.0**-10 and float(np.float16(bound)) == bound


_KONDA = (
    "Konda, Memisevic & Krueger 2015, Zero-bias autoencoders and the benefits of co-adapting "
    "features, arXiv:1402.3337"
)


@activation(
    parameters={"theta": Parameter(domain="nonnegative", differentiable=False, samples=(0.3,))},
    region=lambda x, theta: _outside(x, theta),
    slope=lambda piece, theta: piece,
    region_from_output=lambda y, theta: y != 0,
    output_tells_region=lambda theta: theta >= 0,
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    kinks=lambda theta: {-theta: "right", theta: "left"},
    reference=lambda mp, x, theta: _hard_reference(mp, x, theta),
    tier="stable",
    latex=r"\begin{cases} x & |x| > \theta \\ 0 & |x| \le \theta \end{cases}",
    paper=_KONDA,
)
def thresholded_linear(x: ArrayLike, theta: ArrayLike = 1.0) -> Array:
    r"""Thresholded linear unit: ``x`` where its magnitude is above ``theta``, else 0.

    The function jumps at the threshold; its derivative by ``theta`` is taken as 0.

    Args:
      x: an array of any shape.
      theta: threshold, not negative; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.thresholded_linear(jnp.array([-2.0, 0.5, 2.0]))
      Array([-2.,  0.,  2.], dtype=float32)
    """
    return _hard(x, theta)


@activation(
    parameters={"threshold": Parameter(domain="nonnegative", differentiable=False, samples=(0.3,))},
    region=lambda x, threshold: _outside(x, threshold),
    slope=lambda piece, threshold: piece,
    region_from_output=lambda y, threshold: y != 0,
    output_tells_region=lambda threshold: threshold >= 0,
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    kinks=lambda threshold: {-threshold: "right", threshold: "left"},
    reference=lambda mp, x, threshold: _hard_reference(mp, x, threshold),
    tier="stable",
    latex=r"\begin{cases} x & |x| > \lambda \\ 0 & |x| \le \lambda \end{cases}",
    paper="Donoho & Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage",
    names={
        "keras": "hard_shrink",
        "torch": (("hardshrink", "Hardshrink"), {}, {"lambd": "threshold"}),
    },
)
def hard_shrink(x: ArrayLike, threshold: ArrayLike = 0.5) -> Array:
    r"""Hard shrinkage: ``x`` where its magnitude is above ``threshold``, else 0.

    The derivative by ``threshold`` is taken as 0.

    Args:
      x: an array of any shape.
      threshold: bound, not negative; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_shrink(jnp.array([-2.0, 0.5, 2.0]))
      Array([-2.,  0.,  2.], dtype=float32)
    """
    return _hard(x, threshold)


@activation(
    parameters={
        "threshold": Parameter(
            partial=lambda x, threshold: jnp.where(jnp.abs(x) <= threshold, 0, -jnp.sign(x)),
            domain="nonnegative",
            initial=0.5,
            learned=True,
            samples=(0.3,),
        )
    },
    region=lambda x, threshold: _outside(x, threshold),
    slope=lambda piece, threshold: piece,
    region_from_output=lambda y, threshold: y != 0,
    output_tells_region=lambda threshold: _exact_in_float16(threshold),
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    kinks=lambda threshold: {-threshold: "right", threshold: "left"},
    reference=lambda mp, x, threshold: mp.sign(x) * max(abs(x) - threshold, mp.mpf(0)),
    tier="stable",
    latex=r"\operatorname{sign}(x) \max(|x| - \lambda, 0)",
    paper="Donoho 1995, De-noising by soft-thresholding",
    names={
        "keras": "soft_shrink",
        "torch": (("softshrink", "Softshrink"), {}, {"lambd": "threshold"}),
    },
)
def soft_shrink(x: ArrayLike, threshold: ArrayLike = 0.5) -> Array:
    r"""Soft shrinkage: pull ``x`` towards zero by ``threshold``, and to zero within it.

    The derivative at plus and minus ``threshold`` is 0.

    Args:
      x: an array of any shape.
      threshold: bound, not negative; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.soft_shrink(jnp.array([-2.0, 0.5, 2.0]))
      Array([-1.5,  0. ,  1.5], dtype=float32)
    """
    return jnp.where(jnp.abs(x) <= threshold, 0, x - num.with_sign_of(jnp.asarray(x), threshold))


@activation(
    parameters={
        "lambd": Parameter(domain="nonnegative", differentiable=False, samples=(0.3,)),
        "bias": Parameter(
            partial=lambda x, lambd, bias: jnp.where(jnp.abs(x) <= lambd, 0, -jnp.sign(x)),
            samples=(0.2,),
        ),
    },
    region=lambda x, lambd, bias: _outside(x, lambd),
    slope=lambda piece, lambd, bias: piece,
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    kinks=lambda lambd, bias: {-lambd: "right", lambd: "left"},
    reference=lambda mp, x, lambd, bias: (
        x - bias if x > lambd else x + bias if x < -lambd else mp.mpf(0)
    ),
    tier="stable",
    paper="ONNX, operator Shrink; Donoho 1995, De-noising by soft-thresholding",
    latex=r"\begin{cases} x - b & x > \lambda \\ x + b & x < -\lambda \\"
    r" 0 & \text{else} \end{cases}",
    names={"onnx": "Shrink"},
)
def shrink(x: ArrayLike, lambd: ArrayLike = 0.5, bias: ArrayLike = 0.0) -> Array:
    r"""ONNX's Shrink: 0 within ``lambd``, else ``x`` moved towards zero by ``bias``.

    A bias of 0 is hard shrinkage, a bias of ``lambd`` soft shrinkage.

    Args:
      x: an array of any shape.
      lambd: bound, not negative; its derivative is taken as 0.
      bias: how far ``x`` is moved.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.shrink(jnp.array([-2.0, 0.5, 2.0]), bias=0.5)
      Array([-1.5,  0. ,  1.5], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.where(x > lambd, x - bias, jnp.where(-x > lambd, x + bias, jnp.where(x == x, 0, x)))


def _tanh_square(x: Array) -> Array:
    near = jnp.clip(x, -0.9, 0.9)
    t = near * near
    series = t * num.fitted(t, fits.TANH_SQUARE)
    return jnp.where(jnp.abs(x) < 0.9, series, 1 - logistic.slope_times(4.0, 2 * x))


def _tanh_square_slope(x: Array) -> Array:
    return -logistic.curvature_times(8.0, 2 * x)


@activation(
    dx=_tanh_square,
    dxx=_tanh_square_slope,
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    reference=lambda mp, x: (x * mp.cosh(x) - mp.sinh(x)) / mp.cosh(x),
    tier="stable",
    paper="PyTorch, torch.nn.Tanhshrink",
    latex=r"x - \tanh x",
    names={
        "keras": "tanh_shrink",
        "torch": ["tanhshrink", "Tanhshrink"],
    },
)
def tanh_shrink(x: ArrayLike) -> Array:
    r"""Tanh shrinkage: :math:`x - \tanh x`.

    Near zero the difference is taken from its series in :math:`x^2`, where the plain formula
    loses all digits.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.tanh_shrink(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.238,  0.        ,  0.238], dtype=float32)
    """
    x = jnp.asarray(x)
    near = jnp.clip(x, -1.5, 1.5)
    t = near * near
    series = num.fitted(t, fits.TANH_SHRINK)
    return jnp.where(jnp.abs(x) < 1.5, near * t * series, x - num.tanh(x))
