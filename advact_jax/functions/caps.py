"""Smooth caps of logits."""

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


def _twice(x: Array, cap: Any) -> num.Wide:
    """Return 2 x / cap, finite, without the error of the division."""
    most = 0.25 * float(jnp.finfo(x.dtype).max)
    return num.quotient(2 * jnp.clip(x, -most, most), cap)


def _slope(x: Array, cap: Any) -> Array:
    if cap is None:
        return jnp.where(jnp.isnan(x), x, 1)
    return logistic.slope_times(4.0, _twice(x, cap))


def _curvature(x: Array, cap: Any) -> Array:
    if cap is None:
        return jnp.where(jnp.isnan(x), x, 0)
    return logistic.curvature_times(8 / jnp.asarray(cap, x.dtype), _twice(x, cap))


def _by_cap(x: Array, cap: Any) -> Array:
    """Return tanh(z) - z sech²(z) = (sinh(w) - w) / (1 + cosh(w)) with w = 2 z, z = x / cap."""
    top, tail = _twice(jnp.abs(x), cap)
    w = top + tail
    # Both by their series, where the difference would cancel.
    near = jnp.minimum(w, 3)
    rest = jnp.where(w < 3, (top - near) + tail, 0)
    square = near * near
    terms = range(1, 17 if num.is_double(x) else 11)
    odd, even = (
        num.polynomial(square, [1 / math.factorial(2 * j + k) for j in terms]) for k in (1, 0)
    )
    inner = (near * square + 3 * rest * square) * odd / (2 + square * even)
    far = jnp.maximum(w, 3)
    e = num.tail(-far).value
    outer = (1 - e * (e + 2 * far)) / num.one_plus_squared(e)
    return num.with_sign_of(x, jnp.where(w < 3, inner, jnp.where(jnp.isinf(w), 1, outer)))


@activation(
    parameters={
        "cap": Parameter(partial=_by_cap, domain="positive", strict=True, samples=(50.0, 1.0, 15.0))
    },
    dx=_slope,
    dxx=_curvature,
    limits=lambda cap: (-math.inf, math.inf) if cap is None else (-cap, cap),
    slope_limits=lambda cap: (1.0, 1.0) if cap is None else (0.0, 0.0),
    reference=lambda mp, x, cap: +x if cap is None else cap * mp.tanh(x / cap),
    tier="stable",
    latex=r"c \tanh(x / c)",
    paper="Gemma Team 2024, Gemma 2: Improving Open Language Models at a Practical Size, "
    "arXiv:2408.00118",
)
def softcap(x: ArrayLike, cap: ArrayLike | None = None) -> Array:
    r"""Smooth cap: close to x where it is small against c, and never beyond c.

    .. math:: c \tanh(x / c)

    Usual caps are 50 for attention scores and 30 for the logits of a vocabulary.

    Args:
      x: an array of any shape.
      cap: the cap c, positive; broadcasts against ``x``. None leaves x as it is.

    Returns:
      An array with the dtype of ``x``.

    Raises:
      ValueError: if ``cap`` is a number that is not positive.

    Example:
      >>> advact_jax.softcap(jnp.array([-1e3, 1.0, 50.0]), 50.0)
      Array([-50.   ,   0.999867,  38.07971 ], dtype=float32)

    References:
      Bello, Pham, Le, Norouzi and Bengio, "Neural combinatorial optimization with reinforcement
      learning", 2016, arXiv:1611.09940.
      Gemma Team, "Gemma 2: improving open language models at a practical size", 2024,
      arXiv:2408.00118.
    """
    x = jnp.asarray(x)
    if cap is None:
        return x
    z = x / cap
    # Where it is x to the last digit, the quotient may be too small to be a number.
    small = 2.0**-27 if num.is_double(x) else 2.0**-13
    return jnp.where(jnp.abs(z) < small, x, cap * num.tanh(z))
