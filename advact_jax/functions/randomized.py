"""Functions that draw random numbers."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax import _numerics as num
from advact_jax._declare import row_function
from advact_jax._rows import Axes
from advact_jax._rule import compute_dtype
from advact_jax._shares import with_sink
from advact_jax._spec import Parameter

# -- random slopes ------------------------------------------------------------------------------


@row_function(
    static=("lower", "upper"),
    kept=1,
    reference=lambda mp, row: [x if x > 0 else 11 * x / 48 for x in row],
    tier="stable",
    latex=r"\begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)",
    paper="Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations in "
    "convolutional network, arXiv:1505.00853",
    names={"torch": (["rrelu", "RReLU"], {}, {"training": None})},
)
def rrelu(
    x: ArrayLike, key: Array | None = None, lower: float = 1 / 8, upper: float = 1 / 3
) -> Array:
    r"""Randomized leaky rectifier: the slope for negative input is drawn anew for each element.

    .. math:: f(x) = \begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)

    Without a key r is the mean slope, as when a model is used. Slopes, their range and the
    derivative at 0, which is r, are those of torch. The paper divides by numbers from U(3, 8),
    whose reciprocals end at the same slopes but have another mean. Reverse mode keeps one byte for
    each element and draws the slopes again.

    Args:
      x: input, real.
      key: a key of `jax.random` to draw with; None for the mean slope.
      lower: smallest slope, a Python number.
      upper: largest slope, a Python number.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array, the key none of `jax.random` or a slope no number.
      ValueError: if the smallest slope is above the largest.

    Example:
      >>> advact_jax.rrelu(jnp.array([-48.0, 3.0]))
      Array([-11.,   3.], dtype=float32)
      >>> y = advact_jax.rrelu(-jnp.ones(1000), jax.random.key(0))
      >>> bool(jnp.all((-y >= 1 / 8) & (-y < 1 / 3)))
      True

    References:
      Xu, Wang, Chen & Li 2015, "Empirical evaluation of rectified activations in convolutional
      network", arXiv:1505.00853.
    """
    x, _, _ = _rows.arguments("rrelu", "x", x, None)
    for name, slope in (("lower", lower), ("upper", upper)):
        if isinstance(slope, bool) or not isinstance(slope, int | float | np.number):
            raise TypeError(
                f"rrelu: expected {name} to be a Python number, got {_checks.describe(slope)}."
            )
    if not lower <= upper:
        raise ValueError(f"rrelu: expected lower <= upper, got {lower!r} and {upper!r}.")
    key = None if key is None else _checks.random_key("rrelu", key)
    return _leaky(x, key, float(lower), float(upper))


def _slope(key: Array | None, x: Array, lower: float, upper: float) -> Array | float:
    """Return the slope of each element, or that of all."""
    if key is None:
        return (lower + upper) / 2
    return lower + jax.random.uniform(key, x.shape, compute_dtype(x.dtype)) * (upper - lower)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _leaky(x: Array, key: Array | None, lower: float, upper: float) -> Array:
    wide = x.astype(compute_dtype(x.dtype))
    below = num.flat_where_zero(_slope(key, x, lower, upper), wide)
    return jnp.where(wide > 0, wide, below).astype(x.dtype)


@_leaky.defjvp
def _leaky_rule(lower: float, upper: float, primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, key = primals
    side = jnp.where(jnp.isnan(x), jnp.int8(-1), (x > 0).astype(jnp.int8))

    def tangent_map(side: Array, key: Array | None, t: Array) -> Array:
        slope = jnp.where(side > 0, 1, _slope(key, t, lower, upper))
        slope = jnp.where(side < 0, math.nan, slope)
        return (slope * t.astype(compute_dtype(t.dtype))).astype(t.dtype)

    y = _leaky(x, key, lower, upper)
    return y, jax.checkpoint(tangent_map, prevent_cse=False)(side, key, tangents[0])


# -- a random choice ----------------------------------------------------------------------------


@row_function(
    static=("hard", "axis"),
    needs_key=True,
    kept=8,
    tier="stable",
    latex=r"\mathrm{softmax}((x + g) / \tau), \quad g_i = -\log(-\log u_i), \; u_i \sim U(0, 1)",
    paper="Jang, Gu & Poole 2017, Categorical reparameterization with Gumbel-softmax, "
    "arXiv:1611.01144",
    names={"torch": ("gumbel_softmax", {}, {"dim": "axis", "eps": None})},
    parameters={"tau": Parameter(domain="positive", strict=True)},
)
def gumbel_softmax(
    x: ArrayLike,
    key: Array | None = None,
    tau: ArrayLike = 1.0,
    hard: bool = False,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Array:
    r"""A random choice that can be differentiated: softmax of logits with Gumbel noise.

    .. math:: \mathrm{softmax}((x + g) / \tau), \quad g_i = -\log(-\log u_i)

    The largest entry is where a sample of the distribution softmax(x) is. With ``hard`` the value
    is that sample, a one at its place, and the derivative that of the soft one.

    Args:
      x: logits, real.
      key: a key of `jax.random`, another one in each call: without one there is no choice to make.
      tau: temperature, above 0.
      hard: whether to return the sample itself.
      axis: the axis.
      where: which entries count, bool, broadcast against ``x``; the others are never chosen.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or ``tau`` isn't a real array, ``where`` isn't bool, or the key is missing
        or none of `jax.random`.
      ValueError: if the axis is out of range, a shape doesn't broadcast, or ``tau`` is a Python
        number that isn't positive.

    Example:
      >>> y = advact_jax.gumbel_softmax(jnp.zeros((2, 3)), jax.random.key(0), hard=True)
      >>> print(y.sum(-1))
      [1. 1.]

    References:
      Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017,
      arXiv:1611.01144.
    """
    key = _checks.random_key("gumbel_softmax", key)
    _checks.boolean("gumbel_softmax", "hard", hard)
    x, axes, given = _rows.arguments("gumbel_softmax", "x", x, axis, tau=tau, where=where)
    _checks.axis_index("gumbel_softmax", axis, x.ndim)
    tau = jnp.asarray(given["tau"]).astype(compute_dtype(x.dtype))
    logits = jax.checkpoint(functools.partial(_noisy, axes=axes), prevent_cse=False)(
        x, key, tau, given["where"]
    )
    soft = with_sink(logits, None, given["where"], axes)[0].astype(x.dtype)
    return _straight_through(logits, soft, given["where"], axes[0]) if hard else soft


def _noisy(x: Array, key: Array, tau: Array, mask: Array | None, axes: Axes) -> Array:
    """Return (x + noise) / tau, less a number in each row."""
    # What is infinite stays so, and has no part in the derivative by tau.
    finite = jnp.isfinite(x) if mask is None else jnp.isfinite(x) & mask
    # Less the largest first, near which nothing is lost when the noise is added.
    wide = jnp.where(finite, x, -jnp.inf).astype(tau.dtype)
    largest = lax.stop_gradient(jnp.max(wide, axes, keepdims=True, initial=-jnp.inf))
    below = jnp.where(finite, wide - jnp.where(largest == -jnp.inf, 0, largest), 0)
    noise = jax.random.gumbel(key, x.shape, tau.dtype)
    return jnp.where(finite, (below + noise) / tau, x.astype(tau.dtype))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def _straight_through(logits: Array, soft: Array, mask: Array | None, axis: int) -> Array:
    allowed = _rows.allowed(logits, mask)
    place = lax.broadcasted_iota(jnp.int32, soft.shape, axis)
    chosen = place == jnp.argmax(allowed, axis, keepdims=True)
    return jnp.where(chosen & (soft > 0), 1, jnp.where(jnp.isnan(soft), soft, 0)).astype(soft.dtype)


@_straight_through.defjvp
def _straight_through_rule(axis: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    return _straight_through(*primals, axis), tangents[1]
