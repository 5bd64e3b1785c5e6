"""Rectifiers whose bounds, bends or slopes are learned, and a quadratic bend."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


def _indicator(x: Array, chosen: Array, value: Any = 1.0) -> Array:
    """Return ``value`` where it is chosen, else 0, and NaN for NaN."""
    return jnp.where(jnp.isnan(x), x, jnp.where(chosen, value, 0.0))


@activation(
    parameters={
        "tau": Parameter(
            partial=lambda x, tau: _indicator(x, x <= tau), initial=0.0, learned=True,
            samples=(0.3, -1.5),
        )
    },
    region=lambda x, tau: x > tau,
    slope=lambda piece, tau: piece,
    output_tells_region=lambda tau: tau == 0,  # Another may be rounded up in 16 bits.
    limits=lambda tau: (tau, math.inf),
    slope_limits=(0.0, 1.0),
    kinks=lambda tau: {tau: "left"},
    reference=lambda mp, x, tau: max(x, mp.mpf(tau)),
    tier="stable",
    latex=r"\max(x, \tau)",
    paper="Singh & Krishnan 2020, Filter response normalization layer, arXiv:1911.09737",
)  # fmt: skip
def tlu(x: ArrayLike, tau: ArrayLike = 0.0) -> Array:
    r"""Thresholded linear unit of filter response normalization: :math:`\max(x, \tau)`.

    At ``tau`` the constant piece owns the point, as in relu, which this is for ``tau = 0``: the
    derivative is 0 by ``x`` and 1 by ``tau``.

    Args:
      x: an array of any shape.
      tau: the least value, usually one per channel, which starts at 0; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.tlu(jnp.array([-2.0, 3.0]), -1.0)
      Array([-1.,  3.], dtype=float32)

    References:
      Singh & Krishnan 2020, arXiv:1911.09737.
    """
    x = jnp.asarray(x)
    return jnp.where(x <= tau, jnp.asarray(tau, x.dtype), x)


def _pact_piece(x: Array, alpha: Any) -> Array:
    return jnp.where(x >= alpha, 2, jnp.where(x < 0, 0, 1))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: _indicator(x, x >= alpha), domain="positive", initial=10.0,
            learned=True, samples=(6.0, 0.7),
        )
    },
    region=_pact_piece,
    slope=lambda piece, alpha: piece == 1,
    limits=lambda alpha: (0.0, alpha),
    slope_limits=(0.0, 0.0),
    kinks=lambda alpha: {0.0: "right", alpha: "right"},
    reference=lambda mp, x, alpha: (abs(x) - abs(x - alpha) + alpha) / 2,
    tier="stable",
    latex=r"\begin{cases} 0 & x < 0 \\ x & 0 \le x < \alpha \\ \alpha & x \ge \alpha \end{cases}",
    paper="Choi et al. 2018, PACT: parameterized clipping activation for quantized neural "
    "networks, arXiv:1805.06085",
)  # fmt: skip
def pact(x: ArrayLike, alpha: ArrayLike) -> Array:
    r"""Parameterized clipping: ``x`` cut at 0 and at a learned ``alpha``.

    The pieces are closed as in the paper: the derivative by ``x`` is 1 at 0 and 0 at ``alpha``,
    where that by ``alpha`` is 1. The quantizer that follows there is not part of it. Codes differ
    in where ``alpha`` starts; 10 is that of one of them.

    Args:
      x: an array of any shape.
      alpha: upper bound, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.pact(jnp.array([-2.0, 3.0, 9.0]), 6.0)
      Array([0., 3., 6.], dtype=float32)

    References:
      Choi et al. 2018, PACT, arXiv:1805.06085.
    """
    x = jnp.asarray(x)
    return jnp.where(x >= alpha, jnp.asarray(alpha, x.dtype), jnp.where(x < 0, 0, x))


def _srelu_piece(x: Array, t_left: Any, a_left: Any, t_right: Any, a_right: Any) -> Array:
    return jnp.where(x >= t_right, 2, jnp.where(x <= t_left, 0, 1))


def _srelu_slope(piece: Array, t_left: Any, a_left: Any, t_right: Any, a_right: Any) -> Array:
    return jnp.where(piece == 0, a_left, jnp.where(piece == 2, a_right, 1.0))


def _line(x: Array, t: Any, a: Any) -> Array:
    """Return t + a (x - t), whose terms may cancel."""
    plain = t + num.flat_where_zero(a, x - t)
    with num.rounded_to(None):
        near = jnp.clip(x, -64.0, 64.0)
        start = num.Wide.of(t, near) - num.product(a, jnp.asarray(t, near.dtype))
        exact = (num.product(a, near) + start).value
    size = jnp.abs(x)
    return jnp.where((size < 64) & (size > 2.0**-30), exact, plain)


def _srelu(x: Array, t_left: Any, a_left: Any, t_right: Any, a_right: Any) -> Array:
    piece = _srelu_piece(x, t_left, a_left, t_right, a_right)
    outside = _line(
        x, jnp.where(piece == 2, t_right, t_left), jnp.where(piece == 2, a_right, a_left)
    )
    return jnp.where(piece == 1, x, outside)


def _srelu_reference(mp: Any, x: Any, t_left: Any, a_left: Any, t_right: Any, a_right: Any) -> Any:
    if x >= t_right:
        return t_right + a_right * (x - t_right)
    return +x if x > t_left else t_left + a_left * (x - t_left)


@activation(
    parameters={
        "t_left": Parameter(
            partial=lambda x, t_left, a_left, t_right, a_right: _indicator(
                x, (x <= t_left) & (x < t_right), 1 - jnp.asarray(a_left)
            ),
            initial=0.0,
            learned=True,
            samples=(-0.5,),
        ),
        "a_left": Parameter(
            partial=lambda x, t_left, a_left, t_right, a_right: _indicator(
                x, (x <= t_left) & (x < t_right), x - t_left
            ),
            initial=0.2,
            learned=True,
            samples=(0.7,),
        ),
        "t_right": Parameter(
            partial=lambda x, t_left, a_left, t_right, a_right: _indicator(
                x, x >= t_right, 1 - jnp.asarray(a_right)
            ),
            initial=1.0,
            learned=True,
            samples=(0.6,),
        ),
        "a_right": Parameter(
            partial=lambda x, t_left, a_left, t_right, a_right: _indicator(
                x, x >= t_right, x - t_right
            ),
            initial=1.0,
            learned=True,
            samples=(0.3,),
        ),
    },
    region=_srelu_piece,
    slope=_srelu_slope,
    limits=lambda t_left, a_left, t_right, a_right: (
        -math.copysign(math.inf, a_left) if a_left else t_left,
        math.copysign(math.inf, a_right) if a_right else t_right,
    ),
    slope_limits=lambda t_left, a_left, t_right, a_right: (a_left, a_right),
    kinks=lambda t_left, a_left, t_right, a_right: {t_left: "left", t_right: "right"},
    reference=_srelu_reference,
    tier="stable",
    latex=r"\begin{cases} t_r + a_r (x - t_r) & x \ge t_r \\ x & t_l < x < t_r \\"
    r" t_l + a_l (x - t_l) & x \le t_l \end{cases}",
    paper="Jin et al. 2016, Deep learning with S-shaped rectified linear activation units, "
    "arXiv:1512.07030",
)
def srelu(
    x: ArrayLike,
    *,
    t_left: ArrayLike = 0.0,
    a_left: ArrayLike = 0.2,
    t_right: ArrayLike = 1.0,
    a_right: ArrayLike = 1.0,
) -> Array:
    r"""S-shaped rectified linear unit: ``x`` between two bends, lines of learned slope beyond them.

    .. math:: t_r + a_r (x - t_r) \text{ from } t_r, \quad t_l + a_l (x - t_l) \text{ up to } t_l

    Some implementations add where this subtracts, or keep the difference of the bends as a
    parameter; here it is as in the paper. Its training starts as a leaky rectifier: with a slope
    of 1 on the right the value of ``t_right``, which the paper then takes from the data, has no
    effect. Code for Keras draws ``a_left`` and ``t_right`` instead. The outer pieces own the bends.

    Args:
      x: an array of any shape.
      t_left: the lower bend; broadcasts against ``x``, as do the others.
      a_left: slope below it.
      t_right: the upper bend, above the lower one.
      a_right: slope above it.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.srelu(jnp.array([-2.0, 0.5, 3.0]), t_right=2.0, a_right=0.5)
      Array([-0.4,  0.5,  2.5], dtype=float32)

    References:
      Jin et al. 2016, arXiv:1512.07030.
    """
    return _srelu(jnp.asarray(x), t_left, a_left, t_right, a_right)


def _right_slope(beta: Any) -> Any:
    if isinstance(beta, int | float):
        return 1 + 1 / (1 + math.exp(-beta))
    return 1 + logistic.times(1.0, beta)


def _arelu_slope(piece: Array, alpha: Any, beta: Any) -> Array:
    return jnp.where(piece == 1, _right_slope(beta), jnp.clip(alpha, 0.01, 0.99))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, beta: _indicator(
                x, (x < 0) & (alpha >= 0.01) & (alpha <= 0.99), x
            ),
            initial=0.9,
            learned=True,
            samples=(0.3, 1.5),
        ),
        "beta": Parameter(
            partial=lambda x, alpha, beta: _indicator(
                x, x >= 0, logistic.slope_times(1.0, jnp.asarray(beta, x.dtype)) * x
            ),
            initial=2.0,
            learned=True,
            samples=(-1.0,),
        ),
    },
    region=lambda x, alpha, beta: x >= 0,
    slope=_arelu_slope,
    limits=(-math.inf, math.inf),
    slope_limits=lambda alpha, beta: (
        min(max(alpha, 0.01), 0.99),
        1 + 1 / (1 + math.exp(-beta)),
    ),
    kinks={0.0: "right"},
    reference=lambda mp, x, alpha, beta: (
        x * (1 + 1 / (1 + mp.exp(-beta)))
        if x >= 0
        else x * min(max(alpha, mp.mpf(1) / 100), mp.mpf(99) / 100)
    ),
    tier="experimental",
    latex=r"\begin{cases} (1 + \sigma(\beta))\, x & x \ge 0 \\"
    r" \min(\max(\alpha, 0.01), 0.99)\, x & x < 0 \end{cases}",
    paper="Chen, Li & Xu 2020, AReLU: attention-based rectified linear unit, arXiv:2006.13858",
)
def arelu(x: ArrayLike, alpha: ArrayLike = 0.9, beta: ArrayLike = 2.0) -> Array:
    r"""Attention-based rectified linear unit: two slopes, both learned.

    Args:
      x: an array of any shape.
      alpha: slope for negative input, cut at 0.01 and 0.99; broadcasts against ``x``.
      beta: the slope for positive input is :math:`1 + \sigma(\beta)`; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``. The derivative at 0 is that of the right; by ``alpha``,
      where it is cut, 0.

    Example:
      >>> advact_jax.arelu(jnp.array([-2.0, 2.0]), 0.25, 0.0)
      Array([-0.5,  3. ], dtype=float32)

    References:
      Chen, Li & Xu 2020, AReLU, arXiv:2006.13858.
    """
    x = jnp.asarray(x)
    return x * jnp.where(x >= 0, _right_slope(beta), jnp.clip(alpha, 0.01, 0.99))


@activation(
    dx=lambda x: jnp.where(x >= 0, 1, jnp.where(x <= -2, 0, x + 1)),
    dxx=lambda x: _indicator(x, (x > -2) & (x < 0)),
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={-2.0: "left", 0.0: "right"},
    reference=lambda mp, x: x * min(max(x / 2 + 1, mp.mpf(0)), mp.mpf(1)),
    tier="experimental",
    latex=r"\tfrac12 x \min(\max(x + 2, 0), 2)",
    paper="Wightman 2020, PyTorch Image Models, timm.layers.HardMish",
)
def hard_mish(x: ArrayLike) -> Array:
    r"""Hard mish: ``x`` from zero on, 0 up to -2, :math:`\tfrac12 x (x + 2)` between.

    The derivative is 0 at -2 and 1 at 0.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_mish(jnp.array([-3.0, -1.0, 2.0]))
      Array([-0. , -0.5,  2. ], dtype=float32)

    References:
      Wightman 2020, PyTorch Image Models, ``timm.layers.hard_mish``.
    """
    x = jnp.asarray(x)
    near = jnp.clip(x, -2, 0)
    return jnp.where(x >= 0, x, near * (0.5 * near + 1))
