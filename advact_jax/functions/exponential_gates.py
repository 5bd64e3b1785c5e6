"""The input times a gate that is a function of an exponential: lisht, telu, serf, golu."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _gaussian as gauss
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._numerics import Wide
from advact_jax._spec import Parameter

# -- hyperbolic gates ---------------------------------------------------------------------------


def _lisht_slope(x: Array) -> Array:
    e, a = num.decay(2 * x), jnp.abs(x)
    fall = e.times(4 * a / num.one_plus_squared(e.value))
    return num.with_sign_of(x, num.tanh(a) + fall)


def _lisht_curvature(x: Array) -> Array:
    a = jnp.abs(extended.limited(x))
    e = num.decay(2 * a)
    plain = e.times_bounded(8 * (1 - a * num.tanh(a)) / num.one_plus_squared(e.value))
    return num.near_root(a, fits.LISHT_CURVATURE, plain)


@activation(
    dx=_lisht_slope,
    dxx=_lisht_curvature,
    limits=(math.inf, math.inf),
    slope_limits=(-1.0, 1.0),
    reference=lambda mp, x: x * mp.sinh(x) / mp.cosh(x),
    tier="stable",
    latex=r"x \tanh x",
    paper="Roy, Manna, Dubey & Chaudhuri 2019, LiSHT: Non-parametric linearly scaled hyperbolic "
    "tangent activation function, arXiv:1901.05894",
)
def lisht(x: ArrayLike) -> Array:
    r"""LiSHT: :math:`x \tanh x`, a smooth absolute value.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.lisht(jnp.array([-1.0, 0.0, 1.0]))
      Array([0.762, 0.        , 0.762], dtype=float32)
    """
    x = jnp.asarray(x)
    return x * num.tanh(x)


# telu: u = exp(x), tanh(u) and sech²(u). Left of 0, tanh(u) = u · share, so that what is multiplied
# by x is a normal number where u is not.


def _above_one(e: Array) -> Array:
    """Return 1 / e, cut where tanh has long been 1."""
    return 1 / jnp.maximum(e, num.pick(e, 1e-2, 2.5e-3))


def _tanh_share(square: Array) -> Array:
    """Return tanh(u) / u by u² in [0, 2.25]."""
    return 1 - square * num.fitted(square, fits.TANH_SHRINK)


def _telu_value(x: Array) -> Array:
    e = num.decay(x)
    share = _tanh_share(e.value * e.value)
    return jnp.where(x > 0, x * num.tanh(_above_one(e.value)), e.times(x * share))


def _telu_parts(x: Array, long: bool) -> tuple[Array, Array, Array, Array]:
    """Return x, u = exp(x), cut, tanh(u) and sech²(u), which may ask for more digits of u."""
    x = extended.limited(x)
    e, right = num.decay(x).value, x > 0
    above = _above_one(e)
    twice = extended.times(2.0, extended.exp(jnp.clip(x, 0, 6)), x) if long else 2 * above
    fall = num.decay(twice).value
    low = e * _tanh_share(e * e)
    high = num.tanh(above)
    return (
        x, jnp.where(right, above, e), jnp.where(right, high, low),
        jnp.where(right, 4 * fall / num.one_plus_squared(fall), 1 - low * low),
    )  # fmt: skip


def _telu_slope(x: Array) -> Array:
    x, u, height, fall = _telu_parts(x, long=False)
    plain = height + x * (u * fall)
    return num.near_root(x, fits.TELU_SLOPE, plain)


def _telu_curvature(x: Array) -> Array:
    x, u, height, fall = _telu_parts(x, long=True)
    plain = u * fall * (2 + x * (1 - 2 * u * height))
    left = num.near_root(x, fits.TELU_CURVATURE_LEFT, plain)
    return num.near_root(x, fits.TELU_CURVATURE_RIGHT, left)


@activation(
    dx=_telu_slope,
    dxx=_telu_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x: x * (1 - 2 / (mp.exp(2 * mp.exp(x)) + 1)) if x < 9 else +x,
    latex=r"x \tanh(e^x)",
    paper="Fernandez & Mali 2024, TeLU activation function for fast and stable deep learning, "
    "arXiv:2412.20269; Liu & Di 2020, TanhExp: a smooth activation function with high convergence "
    "speed for lightweight neural networks, arXiv:2003.09855",
)
def telu(x: ArrayLike) -> Array:
    r"""TeLU, or TanhExp: :math:`x \tanh(e^x)`.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> print(advact_jax.telu(jnp.array([-1.0, 0.0, 1.0])))
      [-0.352  0.     0.991]
    """
    return _telu_value(jnp.asarray(x))


# -- serf: L = softplus(x) ----------------------------------------------------------------------


def _serf_share(e: Array) -> Array:
    """Return erf(log(1 + e)) / e for e in [0, 1]."""
    return num.fitted(e, fits.SERF)


def _serf_value(x: Array) -> Array:
    e = num.decay_split(x)
    v = e.tail.value
    low = v * num.log1p_share(v)
    left = e.times_moderate(x * _serf_share(v))
    return jnp.where(x > 0, x * gauss.erf(jnp.maximum(x, 0) + low), left)


def _serf_parts(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return x and softplus(x), cut, sigmoid(x) and the derivative of erf at softplus(x)."""
    x = extended.limited(x)
    e = num.decay(x).value
    risen = jnp.minimum(jnp.maximum(x, 0), num.pick(x, 12.0, 30.0))
    log = extended.plus(risen, e * num.log1p_share(e), x)
    square = extended.times(log, log, x)
    bell = num.tail(Wide(-square.head, -square.tail)).value
    return x, log.value, jnp.where(x > 0, 1, e) / (1 + e), 2 / math.sqrt(math.pi) * bell


def _serf_slope(x: Array) -> Array:
    x, log, rise, bell = _serf_parts(x)
    e = num.decay_split(x)
    v = e.tail.value
    bend = num.fitted(v, fits.SERF_BEND)
    left = e.times((1 + x) * _serf_share(v) + x * (v * bend)).value
    plain = jnp.where(x > 0, gauss.erf(log) + x * (rise * bell), left)
    return num.near_root(x, fits.SERF_SLOPE, plain)


def _serf_curvature(x: Array) -> Array:
    x, log, rise, bell = _serf_parts(x)
    e = num.decay_split(x)
    v = e.tail.value
    fall = jnp.where(x > 0, v, 1) / (1 + v)
    part = bell * (2 + x * (fall - 2 * log * rise)) / (1 + v)
    plain = jnp.where(x > 0, part, e.times(part).value)
    left = num.near_root(x, fits.SERF_CURVATURE_LEFT, plain)
    return num.near_root(x, fits.SERF_CURVATURE_RIGHT, left)


@activation(
    dx=_serf_slope,
    dxx=_serf_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x: (
        x - x * mp.erfc(mp.log1p(mp.exp(x))) if x > 0 else x * mp.erf(mp.log1p(mp.exp(x)))
    ),
    latex=r"x \operatorname{erf}(\log(1 + e^x))",
    paper="Nag & Bhattacharyya 2021, SERF: Towards better training of deep neural networks using "
    "log-Softplus ERror activation Function, arXiv:2108.09598",
)
def serf(x: ArrayLike) -> Array:
    r"""Serf: :math:`x \operatorname{erf}(\log(1 + e^x))`.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.serf(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.342,  0.        ,  0.937 ], dtype=float32)
    """
    return _serf_value(jnp.asarray(x))


# -- golu: x · exp(-u), u = beta · exp(-gamma x) -------------------------------------------------


def _golu_fall(x: Array, beta: Any, gamma: Any) -> tuple[Wide, Wide, num.Tail]:
    """Return gamma · x, u and exp(-u), for x so far left that exp(-u) is 0 as at its cut."""
    z = extended.scaled(gamma, extended.limited(x))
    risen = jnp.maximum(z.head, -20.0)
    near = Wide(-risen, jnp.where(z.head > -20.0, -z.tail, 0.0))
    u = extended.times(beta, extended.exp(near), x)
    return z, u, num.tail(Wide(-u.head, -u.tail))


def _times_fall(x: Array, beta: Any, gamma: Any) -> Array:
    fall = _golu_fall(x, beta, gamma)[2]
    return jnp.where(x > 0, x * fall.value, fall.times(x))


def _golu_value(x: Array, alpha: Any, beta: Any, gamma: Any) -> Array:
    return alpha * _times_fall(x, beta, gamma)


def _golu_slope(x: Array, alpha: Any, beta: Any, gamma: Any) -> Array:
    z, u, fall = _golu_fall(x, beta, gamma)
    return fall.times(alpha * extended.plus(1.0, extended.times(z, u, x), x).value)


def _golu_curvature(x: Array, alpha: Any, beta: Any, gamma: Any) -> Array:
    z, u, fall = _golu_fall(x, beta, gamma)
    bent = extended.plus(2.0, extended.times(z, extended.plus(-1.0, u, x), x), x)
    return fall.times(alpha * gamma * u.value * bent.value)


def _golu_by_beta(x: Array, alpha: Any, beta: Any, gamma: Any) -> Array:
    z, _, fall = _golu_fall(x, beta, gamma)
    return -fall.times(_decayed(z, alpha * x))


def _golu_by_gamma(x: Array, alpha: Any, beta: Any, gamma: Any) -> Array:
    z, _, fall = _golu_fall(x, beta, gamma)
    return fall.times(_decayed(z, alpha * beta * x * x))


def _decayed(z: Wide, c: Array) -> Array:
    """Return c · exp(-z), normal wherever it is."""
    return jnp.where(z.head >= 0, num.decay(z).times(c), c * extended.exp(_less(z)).value)


def _less(z: Wide) -> Wide:
    return Wide(jnp.clip(-z.head, 0.0, 20.0), -z.tail)


def _golu_reference(mp: Any, x: Any, alpha: Any, beta: Any, gamma: Any) -> Any:
    u = beta / mp.exp(gamma * x)
    return x * alpha / mp.exp(u) if u < 1e6 else mp.mpf(0)  # mpmath has no patience there.


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, beta, gamma: _times_fall(x, beta, gamma),
            samples=(0.5,),
        ),
        "beta": Parameter(partial=_golu_by_beta, domain="positive", samples=(2.0,)),
        "gamma": Parameter(partial=_golu_by_gamma, domain="positive", samples=(0.7,)),
    },
    dx=_golu_slope,
    dxx=_golu_curvature,
    limits=lambda alpha, beta, gamma: (0.0, alpha * math.inf),
    slope_limits=lambda alpha, beta, gamma: (0.0, alpha),
    reference=_golu_reference,
    latex=r"x\,\alpha \exp(-\beta e^{-\gamma x})",
    paper="Das, Safari, Adriaensen & Hutter 2025, Gompertz linear units, arXiv:2502.03654",
)
def golu(
    x: ArrayLike, alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0, gamma: ArrayLike = 1.0
) -> Array:
    r"""Gompertz linear unit: :math:`x \, \alpha \exp(-\beta e^{-\gamma x})`.

    The authors' code has all three parameters fixed at 1, the defaults here.

    Args:
      x: an array of any shape.
      alpha: height of the gate; broadcasts against ``x``.
      beta: shift of the gate along ``x``, positive; broadcasts against ``x``.
      gamma: steepness of the gate, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.golu(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.066,  0.        ,  0.692 ], dtype=float32)
    """
    return _golu_value(jnp.asarray(x), alpha, beta, gamma)
