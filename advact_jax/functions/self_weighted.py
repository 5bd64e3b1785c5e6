"""Functions of rows whose entries are weighted by their own share of the row."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _rows
from advact_jax._declare import row_function
from advact_jax._rows import Axes, Axis


def _solu_reference(mp: Any, row: Any) -> list[Any]:
    total = mp.fsum(mp.exp(x) for x in row)
    return [x * mp.exp(x) / total for x in row]


@row_function(
    reference=_solu_reference,
    tier="experimental",
    latex=r"x_i \frac{e^{x_i}}{\sum_j e^{x_j}}",
    paper="Elhage et al. 2022, Softmax linear units, Transformer Circuits Thread",
)
def solu(x: ArrayLike, axis: Axis = -1) -> Array:
    r"""Softmax linear unit: the input times its softmax.

    .. math:: f(x)_i = x_i \frac{e^{x_i}}{\sum_j e^{x_j}}

    The paper puts a layer norm after it, which is not part of this function. Where the softmax is 0
    the result is 0. Reverse mode keeps the input alone.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array.
      ValueError: if an axis is out of range.

    Example:
      >>> print(advact_jax.solu(jnp.array([2.0, 2.0, -jnp.inf])))
      [1. 1. 0.]

    References:
      Elhage et al. 2022, "Softmax linear units", Transformer Circuits Thread.
    """
    x, axes, _ = _rows.arguments("solu", "x", x, axis)
    return _solu(x, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _solu(x: Array, axes: Axes) -> Array:
    p = _rows.shares(x, None, axes)
    return jnp.where(p == 0, 0, p * jnp.where(p == 0, 0, x.astype(p.dtype))).astype(x.dtype)


@_solu.defjvp
def _solu_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    def tangent_map(x: Array, t: Array) -> Array:
        e, inverse = _rows.ratios(x, None, None, axes)
        p = e * inverse
        # An infinite entry has all of the mass: it moves as it is.
        finite = jnp.where(jnp.isinf(x), 0, x.astype(p.dtype))
        t = t.astype(p.dtype)
        # From the largest entry's tangent, which else the sum would cancel where p is nearly 1.
        largest = (x == jnp.max(x, axes, keepdims=True, initial=-jnp.inf)).astype(p.dtype)
        share = largest / jnp.maximum(jnp.sum(largest, axes, keepdims=True), 1)
        from_largest = t - jnp.sum(share * t, axes, keepdims=True)
        moved = t + finite * (from_largest - jnp.sum(p * from_largest, axes, keepdims=True))
        return (p * moved).astype(x.dtype)

    return _solu(*primals, axes), jax.checkpoint(tangent_map, prevent_cse=False)(
        *primals, *tangents
    )
