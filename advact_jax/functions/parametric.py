"""Exponential and algebraic units whose shape is learned."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter

# -- exponential units ---------------------------------------------------------------------------


def _below(x: Any) -> Array:
    return jnp.minimum(jnp.asarray(x), 0)


def _plain_if_tiny(exact: num.Wide, plain: Array) -> num.Wide:
    """Return the plain result where the tail of the exact one is too small to be normal."""
    tiny = jnp.abs(plain) < 2.0**-60
    return num.Wide(jnp.where(tiny, plain, exact.head), jnp.where(tiny, 0.0, exact.tail))


def _shrunk(x: Array, beta: Any) -> num.Wide:
    """Return min(x, 0) / beta."""
    return _plain_if_tiny(num.quotient(_below(x), beta), _below(x) / beta)


def _stretched(x: Array, beta: Any) -> num.Wide:
    """Return min(x, 0) · beta."""
    return _plain_if_tiny(num.product(beta, _below(x)), beta * _below(x))


def _pelu_by_beta(x: Array, alpha: Any, beta: Any) -> Array:
    z = _shrunk(x, beta)
    coefficient = -(alpha / beta) * (x / beta)
    return jnp.where(x >= 0, coefficient, num.tail(z).times(coefficient))


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, beta: jnp.where(x >= 0, x / beta, num.expm1(_shrunk(x, beta))),
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(0.3, 2.5),
        ),
        "beta": Parameter(
            partial=_pelu_by_beta, domain="positive", initial=1.0, learned=True, samples=(0.7, 3.0)
        ),
    },
    dx=lambda x, alpha, beta: jnp.where(
        x >= 0, alpha / beta, num.tail(_shrunk(x, beta)).times(alpha / beta)
    ),
    dxx=lambda x, alpha, beta: jnp.where(
        x >= 0, 0, num.tail(_shrunk(x, beta)).times(alpha / beta / beta)
    ),
    limits=lambda alpha, beta: (-alpha, math.inf),
    slope_limits=lambda alpha, beta: (0.0, alpha / beta),
    kinks={0.0: "right"},
    reference=lambda mp, x, alpha, beta: alpha * x / beta if x >= 0 else alpha * mp.expm1(x / beta),
    tier="stable",
    latex=r"\begin{cases} \tfrac{\alpha}{\beta}\, x & x \ge 0 \\"
    r" \alpha (e^{x / \beta} - 1) & x < 0 \end{cases}",
    paper="Trottier, Giguère & Chaib-draa 2017, Parametric exponential linear unit for deep "
    "convolutional neural networks, arXiv:1605.09332",
)
def pelu(x: ArrayLike, alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0) -> Array:
    r"""Parametric exponential linear unit: elu with a learned scale and width, and one slope at 0.

    The second derivative jumps at 0, where it is 0. Both parameters start at 1, where it
    is elu.

    Args:
      x: an array of any shape.
      alpha: minus the limit for very negative input, positive; broadcasts against ``x``.
      beta: width of the exponential, positive; the slope from 0 on is ``alpha / beta``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.pelu(jnp.array([-1.0, 0.0, 2.0]), 1.0, 2.0)
      Array([-0.393,  0.   ,  1.   ], dtype=float32)

    References:
      Trottier, Giguère & Chaib-draa 2017, arXiv:1605.09332.
    """
    x = jnp.asarray(x)
    left = alpha * num.expm1(_shrunk(x, beta))
    return jnp.where(x >= 0, (alpha / beta) * x, left)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha, beta: jnp.where(x > 0, 0, num.expm1(_stretched(x, beta))),
            initial=0.25,
            learned=True,
            samples=(1.0, -0.5),
        ),
        "beta": Parameter(
            partial=lambda x, alpha, beta: jnp.where(
                x > 0, 0, num.tail(_stretched(x, beta)).times(alpha * x)
            ),
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(0.3, 2.0),
        ),
    },
    dx=lambda x, alpha, beta: jnp.where(
        x > 0, 1, num.tail(_stretched(x, beta)).times(alpha * beta)
    ),
    dxx=lambda x, alpha, beta: jnp.where(
        x > 0, 0, num.tail(_stretched(x, beta)).times(alpha * beta * beta)
    ),
    limits=lambda alpha, beta: (-alpha, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={0.0: "left"},
    reference=lambda mp, x, alpha, beta: +x if x > 0 else alpha * mp.expm1(beta * x),
    tier="stable",
    latex=r"\begin{cases} x & x > 0 \\ \alpha (e^{\beta x} - 1) & x \le 0 \end{cases}",
    paper="Li et al. 2018, Improving deep neural network with multiple parametric exponential "
    "linear units, arXiv:1606.00305",
)
def mpelu(x: ArrayLike, alpha: ArrayLike = 0.25, beta: ArrayLike = 1.0) -> Array:
    r"""Multiple parametric exponential linear unit: ``x`` above zero, else a learned exponential.

    A small ``beta`` makes the left side nearly a line, as in prelu; ``beta = 1`` is elu. The
    derivative at 0 is ``alpha * beta``. It is learned from 0.25 and 1, as in some code; where the
    paper starts was not checked.

    Args:
      x: an array of any shape.
      alpha: minus the limit for very negative input; broadcasts against ``x``.
      beta: rate of the exponential, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.mpelu(jnp.array([-1.0, 0.0, 2.0]), 1.0, 2.0)
      Array([-0.865,  0.   ,  2.   ], dtype=float32)

    References:
      Li et al. 2018, arXiv:1606.00305.
    """
    x = jnp.asarray(x)
    return jnp.where(x > 0, x, alpha * num.expm1(_stretched(x, beta)))


# -- inverse square roots ------------------------------------------------------------------------


class _Radicand(NamedTuple):
    """q = 1 + alpha x², its root, and x, cut where nothing changes any more."""

    q: num.Wide
    root: Array
    x: Array

    def exact(self, value: Array, power: float) -> Array:
        """Return some factor / (sqrt(q) · q^power) from that with ``root`` and ``q.head``."""
        if num.is_narrow():
            return value
        top = num.head(self.root)
        low = self.root - top
        of_root = ((self.q.head - top * top) - low * (self.root + top)) + self.q.tail
        return value - value * ((power * self.q.tail + 0.5 * of_root) / self.q.head)


def _radicand(x: Array, alpha: Any, single: float, double: float) -> _Radicand:
    bound = num.pick(x, single, double)
    x = jnp.clip(x, -bound, bound)
    square = num.Wide.of(x, x) * num.Wide.of(x, x)
    top = square.head if num.is_narrow() else num.head(square.head)
    rest = (square.head - top) + square.tail
    q = num.Wide.of(1.0, x) + num.Wide.of(alpha, x) * num.Wide(top, rest)
    q = q.renormalized
    return _Radicand(q, jnp.sqrt(q.head), x)


def _bounded(x: Array, alpha: Any) -> _Radicand:
    """Return the radicand for what has a limit; q is large enough at this bound."""
    return _radicand(x, alpha, 2.0**40, 2.0**300)


def _vanishing(x: Array, alpha: Any) -> _Radicand:
    """Return the radicand for what is too small to be normal beyond this bound."""
    return _radicand(x, alpha, 2.0**60, 2.0**500)


def _isru(x: Array, alpha: Any) -> Array:
    at = _bounded(x, alpha)
    return at.exact(at.x / at.root, 0.0)


def _isru_slope(x: Array, alpha: Any) -> Array:
    at = _vanishing(x, alpha)
    return at.exact(1 / (at.q.head * at.root), 1.0)


def _isru_curvature(x: Array, alpha: Any) -> Array:
    at = _vanishing(x, alpha)
    bend = (-3 * alpha) * at.x / at.q.head  # in this order, so that nothing is too small or large
    return at.exact(bend * (1 / (at.q.head * at.root)), 2.0)


def _isru_by_alpha(x: Array, alpha: Any) -> Array:
    at = _bounded(x, alpha)
    return -0.5 * at.exact(at.x / at.q.head * at.x * (at.x / at.root), 1.0)


_CARLILE = (
    "Carlile, Delamarter, Kinney, Marti & Whitney 2017, Improving deep learning by inverse square "
    "root linear units (ISRLUs), arXiv:1710.09967"
)


@activation(
    parameters={
        "alpha": Parameter(
            partial=_isru_by_alpha,
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(0.3, 3.0),
        )
    },
    dx=_isru_slope,
    dxx=_isru_curvature,
    limits=lambda alpha: (-(alpha**-0.5), alpha**-0.5),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, alpha: x / mp.sqrt(1 + alpha * x * x),
    tier="stable",
    latex=r"\frac{x}{\sqrt{1 + \alpha x^2}}",
    paper=_CARLILE,
)
def isru(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    r"""Inverse square root unit: :math:`x / \sqrt{1 + \alpha x^2}`, a sigmoid without exponentials.

    Args:
      x: an array of any shape.
      alpha: positive; the limits are plus and minus its root's inverse; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.isru(jnp.array([-1.0, 0.0, 1.0]), 3.0)
      Array([-0.5,  0. ,  0.5], dtype=float32)

    References:
      Carlile et al. 2017, arXiv:1710.09967.
    """
    return _isru(jnp.asarray(x), alpha)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: jnp.where(x >= 0, 0, _isru_by_alpha(_below(x), alpha)),
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(0.3, 3.0),
        )
    },
    dx=lambda x, alpha: jnp.where(x >= 0, 1, _isru_slope(_below(x), alpha)),
    dxx=lambda x, alpha: jnp.where(x >= 0, 0, _isru_curvature(_below(x), alpha)),
    limits=lambda alpha: (-(alpha**-0.5), math.inf),
    slope_limits=(0.0, 1.0),
    kinks={0.0: "right"},
    reference=lambda mp, x, alpha: +x if x >= 0 else x / mp.sqrt(1 + alpha * x * x),
    tier="stable",
    latex=r"\begin{cases} x & x \ge 0 \\ \frac{x}{\sqrt{1 + \alpha x^2}} & x < 0 \end{cases}",
    paper=_CARLILE,
)
def isrlu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    r"""Inverse square root linear unit: ``x`` from zero on, `isru` below.

    Its first two derivatives are continuous; the third jumps at 0.

    Args:
      x: an array of any shape.
      alpha: positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.isrlu(jnp.array([-1.0, 0.0, 2.0]), 3.0)
      Array([-0.5,  0. ,  2. ], dtype=float32)

    References:
      Carlile et al. 2017, arXiv:1710.09967.
    """
    x = jnp.asarray(x)
    return jnp.where(x >= 0, x, _isru(_below(x), alpha))
