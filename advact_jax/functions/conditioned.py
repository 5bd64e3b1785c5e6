"""Piecewise linear functions whose pieces a network computes from their input."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax._declare import row_function
from advact_jax._rule import compute_dtype

# -- a condition --------------------------------------------------------------------------------


@row_function(
    static=(),
    given=({"condition": 0.25},),
    kept=1,
    reference=lambda mp, row, condition: [max(x, mp.mpf(condition)) for x in row],
    tier="experimental",
    latex=r"\max(x, T(x))",
    paper="Ma, Zhang & Sun 2020, Funnel activation for visual recognition, arXiv:2007.11824",
)
def funnel_relu(x: ArrayLike, condition: ArrayLike) -> Array:
    r"""Funnel rectifier: the larger one of the input and a condition on it.

    .. math:: f(x) = \max(x, T(x))

    The paper's condition is a depthwise convolution and a batch norm of the input, as in `FReLU` of
    `advact_jax.linen` and `advact_jax.nnx`. Of equals the input has the derivative. Reverse mode
    keeps one byte for each element.

    Args:
      x: input, real.
      condition: T(x); broadcasts against ``x``.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if the shapes don't broadcast.

    Example:
      >>> print(advact_jax.funnel_relu(jnp.array([1.0, -2.0]), jnp.array([0.5, -1.0])))
      [ 1. -1.]

    References:
      Ma, Zhang & Sun 2020, "Funnel activation for visual recognition", arXiv:2007.11824.
    """
    x, _, given = _rows.arguments("funnel_relu", "x", x, None, condition=condition)
    return _larger(x, given["condition"].astype(compute_dtype(x.dtype)))  # type: ignore[union-attr]


@jax.custom_jvp
def _larger(x: Array, other: Array) -> Array:
    return jnp.maximum(x.astype(other.dtype), other).astype(x.dtype)


@_larger.defjvp
def _larger_rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, other = primals
    wide = x.astype(other.dtype)
    owner = jnp.where(
        jnp.isnan(wide) | jnp.isnan(other), jnp.int8(-1), (wide < other).astype(jnp.int8)
    )

    def tangent_map(owner: Array, tx: Array, tother: Array) -> Array:
        total = _where_owned(owner, 0, 1) * tx.astype(other.dtype)
        total = total + _where_owned(owner, 1, 1) * tother
        return total.astype(x.dtype)

    return _larger(*primals), jax.checkpoint(tangent_map, prevent_cse=False)(owner, *tangents)


def _where_owned(owner: Array, piece: int, value: Any) -> Array:
    """Return a coefficient where a piece is the largest, 0 elsewhere, and NaN for NaN."""
    return jnp.where(owner < 0, math.nan, jnp.where(owner == piece, value, 0))


# -- lines --------------------------------------------------------------------------------------

_SLOPES = np.array([1.0, 0.0, -0.25], "float32")
_SHIFTS = np.array([0.0, 0.5, 0.25], "float32")


@row_function(
    static=(),
    given=({"a": _SLOPES, "b": _SHIFTS},),
    counted={"all": "input"},
    reference=lambda mp, row, a, b: [
        max(mp.mpf(float(s)) * x + mp.mpf(float(c)) for s, c in zip(a, b, strict=True)) for x in row
    ],
    tier="experimental",
    latex=r"\max_k (a_k x + b_k)",
    paper="Chen, Dai, Liu, Chen, Yuan & Liu 2020, Dynamic ReLU, arXiv:2003.10027",
    notes={"float32": "Where a_k x + b_k cancels, the error is an ulp of its terms.",
           "float16, bfloat16": "Where a_k x + b_k cancels, the error is a float32 ulp of its "
           "terms."},
)  # fmt: skip
def dynamic_relu(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Array:
    r"""Dynamic rectifier: the largest of several lines, whose coefficients are given.

    .. math:: f(x) = \max_k (a_k x + b_k)

    The paper computes the coefficients from the input, as `DynamicReLU` of `advact_jax.linen` and
    `advact_jax.nnx` does. Where lines meet, the first one has the derivative: with a = (1, 0) and
    b = 0 it is 1 at 0. Reverse mode keeps the input and the coefficients.

    Args:
      x: input, real.
      a: slopes; the last axis is that of the lines, the others broadcast against ``x``.
      b: values at 0, likewise, for as many lines.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if the shapes don't fit.

    Example:
      >>> a, b = jnp.array([1.0, 0.25]), jnp.array([0.0, 1.0])
      >>> print(advact_jax.dynamic_relu(jnp.array([-4.0, 4.0]), a, b))
      [0. 4.]

    References:
      Chen, Dai, Liu, Chen, Yuan & Liu 2020, "Dynamic ReLU", arXiv:2003.10027.
    """
    x, _, _ = _rows.arguments("dynamic_relu", "x", x, None)
    a, b = (_checks.real("dynamic_relu", k, v) for k, v in (("a", a), ("b", b)))
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1] or a.shape[-1] == 0:
        raise ValueError(
            "dynamic_relu: expected a and b to have one entry for each line along their last axis, "
            f"got shapes {a.shape} and {b.shape}."
        )
    shapes = {"x": x.shape, "a[..., k]": a.shape[:-1], "b[..., k]": b.shape[:-1]}
    shape = _checks.broadcast_shape("dynamic_relu", shapes)
    wide = compute_dtype(x.dtype)
    a, b = (v.astype(wide).reshape((1,) * (len(shape) + 1 - v.ndim) + v.shape) for v in (a, b))
    return _largest_line(jnp.broadcast_to(x, shape), a, b)


def _best(x: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the largest of the lines, and its number; -1 for NaN."""
    wide = x.astype(a.dtype)
    best, owner = jnp.zeros_like(wide), jnp.zeros(x.shape, jnp.int32)
    for k in range(a.shape[-1]):
        # A line that is flat stays so at infinity.
        flat = (a[..., k] == 0) & jnp.isinf(wide)
        line = a[..., k] * jnp.where(flat, 0, wide) + b[..., k]
        above = jnp.isnan(line) | (line > best) if k else jnp.full(x.shape, True)
        best, owner = jnp.where(above, line, best), jnp.where(above, k, owner)
    return best, jnp.where(jnp.isnan(best), -1, owner)


@jax.custom_jvp
def _largest_line(x: Array, a: Array, b: Array) -> Array:
    return _best(x, a, b)[0].astype(x.dtype)


@functools.partial(_largest_line.defjvp, symbolic_zeros=True)
def _largest_line_rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
    moved = [i for i in range(3) if not _rows.is_zero(tangents[i])]

    def tangent_map(x: Array, a: Array, b: Array, *some: Array) -> Array:
        owner = _best(x, a, b)[1]
        total = jnp.zeros(x.shape, a.dtype)
        for i, t in zip(moved, some, strict=True):
            for k in range(a.shape[-1]):
                factor = (a[..., k], x.astype(a.dtype), 1)[i]
                along = t.astype(a.dtype) if i == 0 else t[..., k]
                total = total + _where_owned(owner, k, factor) * along
        return total.astype(x.dtype)

    return _largest_line(*primals), jax.checkpoint(tangent_map, prevent_cse=False)(
        *primals, *(tangents[i] for i in moved)
    )
