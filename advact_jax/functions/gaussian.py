"""The error function, and functions whose gate is the normal distribution."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _extended as extended
from advact_jax import _gaussian as gauss
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._numerics import Wide
from advact_jax._spec import Parameter

_ROOT_TWO = math.sqrt(2)


def _minus(z: Wide) -> Wide:
    return Wide(-z.head, -z.tail)


def _density_times(c: Any, z: Wide) -> Array:
    """Return c · exp(-z²/2) / sqrt(2 pi), normal wherever it is."""
    return gauss.normal(num.minus_size(z)).density.times(gauss.DENSITY * c)


def _erf_argument(x: Array) -> Wide:
    return extended.scaled(extended.root_two(x), x)


@activation(
    dx=lambda x: _density_times(2 * _ROOT_TWO + 0 * extended.limited(x), _erf_argument(x)),
    dxx=lambda x: _density_times(-4 * _ROOT_TWO * extended.limited(x), _erf_argument(x)),
    limits=(-1.0, 1.0),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x: 1 - mp.erfc(x) if x > 0 else mp.erfc(-x) - 1,
    tier="stable",
    latex=r"\frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2} \, dt",
    paper="Abramowitz & Stegun 1964, Handbook of mathematical functions, 7.1.1",
    names={"onnx": "Erf"},
)
def erf(x: ArrayLike) -> Array:
    r"""Error function: :math:`\tfrac{2}{\sqrt{\pi}} \int_0^x e^{-t^2} \, dt`.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.erf(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.843,  0.       ,  0.843], dtype=float32)
    """
    return gauss.erf(jnp.asarray(x))


# -- laplace ------------------------------------------------------------------------------------


def _laplace_argument(x: Array, mu: Any, sigma: Any) -> Wide:
    most = num.pick(x, 1e15, 1e150)
    moved = extended.plus(jnp.clip(x, -most, most), _opposite(mu), x)
    # Near mu its head may be smaller than its tail, and of the other sign.
    return extended.over(moved.renormalized, sigma, x)


def _opposite(value: Any) -> Any:
    return -value


def _laplace_curvature(x: Array, mu: Any, sigma: Any) -> Array:
    z = _laplace_argument(x, mu, sigma)
    return _density_times(-z.value / (sigma * sigma), z)


def _laplace_by_sigma(x: Array, mu: Any, sigma: Any) -> Array:
    z = _laplace_argument(x, mu, sigma)
    return _density_times(-z.value / sigma, z)


def _laplace_value(x: Array, mu: Any, sigma: Any) -> Array:
    z = _laplace_argument(x, mu, sigma)
    low = gauss.normal(num.minus_size(z)).share.value
    return jnp.where(z.head < 0, low, 1 - low)


@activation(
    parameters={
        "mu": Parameter(
            partial=lambda x, mu, sigma: _density_times(
                -1 / sigma + 0 * extended.limited(x), _laplace_argument(x, mu, sigma)
            ),
            samples=(0.0,),
        ),
        "sigma": Parameter(partial=_laplace_by_sigma, domain="positive", samples=(1.0,)),
    },
    dx=lambda x, mu, sigma: _density_times(
        1 / sigma + 0 * extended.limited(x), _laplace_argument(x, mu, sigma)
    ),
    dxx=_laplace_curvature,
    limits=(0.0, 1.0),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, mu, sigma: mp.erfc((mu - x) / (sigma * mp.sqrt(2))) / 2,
    latex=r"\tfrac12 \left(1 + \operatorname{erf} \frac{x - \mu}{\sigma \sqrt 2}\right)",
    paper="Ma et al. 2022, Mega: moving average equipped gated attention, arXiv:2209.10655",
    names={"huggingface": "laplace"},
)
def laplace(x: ArrayLike, mu: ArrayLike = 0.707107, sigma: ArrayLike = 0.282095) -> Array:
    r"""Laplace function of Mega: the distribution function of a normal variable.

    :math:`\tfrac12 (1 + \operatorname{erf} \tfrac{x - \mu}{\sigma \sqrt 2})`. The defaults let it
    follow the square of the rectifier.

    Args:
      x: an array of any shape.
      mu: mean; broadcasts against ``x``.
      sigma: standard deviation, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.laplace(jnp.array([0.0, 0.707107, 1.0]))
      Array([0.006, 0.5       , 0.850], dtype=float32)
    """
    return _laplace_value(jnp.asarray(x), mu, sigma)


# -- gelu, cut ----------------------------------------------------------------------------------


def _cut_piece(x: Array, min_value: Any, max_value: Any) -> Array:
    y = gauss.gelu_value(x)
    return jnp.where(y < min_value, 0, jnp.where(y > max_value, 2, 1))


def _inside(x: Array, of: Array, min_value: Any, max_value: Any) -> Array:
    inside = jnp.where(_cut_piece(x, min_value, max_value) == 1, of, 0)
    return jnp.where(jnp.isnan(x), x, inside)


def _in_piece(which: int) -> Any:
    def partial(x: Array, min_value: Any, max_value: Any) -> Array:
        piece = _cut_piece(x, min_value, max_value)
        return jnp.where(jnp.isnan(x), x, jnp.where(piece == which, 1, 0))

    return partial


@activation(
    parameters={
        "min_value": Parameter(partial=_in_piece(0), samples=(-0.125,)),
        "max_value": Parameter(partial=_in_piece(2), samples=(1.5,)),
    },
    dx=lambda x, min_value, max_value: _inside(x, gauss.gelu_slope(x), min_value, max_value),
    dxx=lambda x, min_value, max_value: _inside(x, gauss.gelu_curvature(x), min_value, max_value),
    limits=lambda min_value, max_value: (max(min_value, 0.0), max_value),
    slope_limits=(0.0, 0.0),
    kinks=lambda min_value, max_value: {max_value: "left"} if max_value >= 9 else {},
    reference=lambda mp, x, min_value, max_value: min(
        max(x * mp.erfc(-x / mp.sqrt(2)) / 2, mp.mpf(min_value)), mp.mpf(max_value)
    ),
    latex=r"\min(\max(x\,\Phi(x), a), b)",
    paper="Wu et al. 2020, Integer quantization for deep learning inference, arXiv:2004.09602",
    names={"huggingface": "gelu_10"},
)
def clipped_gelu(x: ArrayLike, min_value: ArrayLike = -10.0, max_value: ArrayLike = 10.0) -> Array:
    r"""Clipped gelu: the exact :math:`x \, \Phi(x)`, cut at ``min_value`` and ``max_value``.

    The derivative at a bound is that of gelu; whether a bound is passed is decided by the rounded
    value of gelu. By default the lower bound is never reached.

    Args:
      x: an array of any shape.
      min_value: lower bound; broadcasts against ``x``.
      max_value: upper bound; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.clipped_gelu(jnp.array([-1.0, 0.0, 1.0, 12.0]))
      Array([-0.159,  0.        ,  0.841 , 10.        ], dtype=float32)
    """
    y = gauss.gelu_value(jnp.asarray(x))
    low, high = jnp.asarray(min_value, y.dtype), jnp.asarray(max_value, y.dtype)
    return jnp.where(y > high, high, jnp.where(y < low, low, y))


# -- gates from the normal distribution, with parameters -----------------------------------------


def _smu_argument(x: Array, alpha: Any, mu: Any) -> Wide:
    apart = extended.plus(1.0, _opposite(alpha), x)
    return extended.scaled(extended.times(extended.root_two(x), extended.times(mu, apart, x), x), x)


def _smu_value(x: Array, alpha: Any, mu: Any) -> Array:
    z = _smu_argument(x, alpha, mu)
    share = gauss.normal(num.minus_size(z)).share.times((1 - alpha) * extended.limited(x))
    plain = jnp.where(z.head >= 0, x - share, num.flat_where_zero(alpha, x) + share)
    return _near_zero(x, 0.5 * (1 + alpha), plain)


def _near_zero(x: Array, slope: Any, plain: Array) -> Array:
    """Return slope · x near 0, where a term may be too small to be a normal number."""
    return jnp.where(jnp.abs(x) < 2.0**-60, slope * x, plain)


def _smu_slope(x: Array, alpha: Any, mu: Any) -> Array:
    z = _smu_argument(x, alpha, mu)
    apart = extended.plus(1.0, _opposite(alpha), x)
    share = extended.times(apart, gauss.long_gelu_slope_left(z), x)
    right = z.head >= 0
    return jnp.where(
        right, extended.plus(1.0, _minus(share), x).value, extended.plus(alpha, share, x).value
    )


def _normal_curvature(z: Wide) -> Array:
    """Return the second derivative of z · Phi(z)."""
    z = Wide(extended.limited(z.head), z.tail)
    bent = extended.plus(2.0, _minus(extended.times(z, z, z.head)), z.head).value
    return gauss.normal(num.minus_size(z)).density.times_bounded(gauss.DENSITY * bent)


def _smu_curvature(x: Array, alpha: Any, mu: Any) -> Array:
    apart = 1 - alpha
    return _ROOT_TWO * mu * apart * apart * _normal_curvature(_smu_argument(x, alpha, mu))


def _smu_by_alpha(x: Array, alpha: Any, mu: Any) -> Array:
    slope = gauss.gelu_slope(_minus(_smu_argument(x, alpha, mu)))
    return jnp.where(slope == 0, 0, x) * slope


def _smu_by_mu(x: Array, alpha: Any, mu: Any) -> Array:
    line = extended.scaled(extended.plus(1.0, _opposite(alpha), x), extended.limited(x))
    return _density_times(_ROOT_TWO * extended.square(line), _smu_argument(x, alpha, mu))


def _smu_slope_limits(alpha: Any, mu: Any) -> tuple[float, float]:
    return (alpha, 1.0) if mu * (1 - alpha) > 0 else (1.0, alpha)


def _smu_limits(alpha: Any, mu: Any) -> tuple[float, float]:
    left, right = _smu_slope_limits(alpha, mu)
    return -left * math.inf if left else 0.0, right * math.inf if right else 0.0


@activation(
    parameters={
        "alpha": Parameter(partial=_smu_by_alpha, learned=True, initial=0.25, samples=(0.01, 0.0)),
        "mu": Parameter(
            partial=_smu_by_mu, domain="positive", learned=True, initial=2.5, samples=(1.0,)
        ),
    },
    dx=_smu_slope,
    dxx=_smu_curvature,
    limits=_smu_limits,
    slope_limits=_smu_slope_limits,
    reference=lambda mp, x, alpha, mu: (
        x - (1 - alpha) * x * mp.erfc(mu * (1 - alpha) * x) / 2
        if x > 0
        else alpha * x + (1 - alpha) * x * mp.erfc(-mu * (1 - alpha) * x) / 2
    ),
    latex=r"\tfrac12 \left((1 + \alpha) x + (1 - \alpha) x "
    r"\operatorname{erf}(\mu (1 - \alpha) x)\right)",
    paper="Biswas, Kumar, Banerjee & Pandey 2021, SMU: smooth activation function for deep "
    "networks using smoothing maximum technique, arXiv:2111.04682",
)
def smu(x: ArrayLike, alpha: ArrayLike = 0.25, mu: ArrayLike = 2.5) -> Array:
    r"""Smooth maximum unit: a smooth maximum of ``x`` and ``alpha x``, mu and often alpha learned.

    :math:`\tfrac12 ((1 + \alpha) x + (1 - \alpha) x \operatorname{erf}(\mu (1 - \alpha) x))`.
    Sources conflict on the initial values: alpha 0.25 or 0.01, mu from 1 to 1e6. Those here,
    0.25 and 2.5, are of the first version of the paper as most code has it.

    Args:
      x: an array of any shape.
      alpha: slope on the left; broadcasts against ``x``.
      mu: sharpness of the bend, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.smu(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.253,  0.        ,  0.997 ], dtype=float32)
    """
    return _smu_value(jnp.asarray(x), alpha, mu)
