"""Functions of complex numbers."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax import _numerics as num
from advact_jax._declare import row_function
from advact_jax._rule import compute_dtype


@row_function(
    static=(),
    given=({"bias": -0.5},),
    counted={"all": "input"},
    takes_complex=True,
    reference=lambda mp, row, bias: [mp.sign(z) * max(abs(z) + bias, 0) for z in row],
    tier="stable",
    latex=r"\max(|z| + b, 0) \frac{z}{|z|}",
    paper="Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, "
    "arXiv:1511.06464",
    notes={"float32": "Where |z| + b cancels, the error is an ulp of z, as for any sum.",
           "float16, bfloat16": "Where |z| + b cancels, the error is a float32 ulp of z."},
)  # fmt: skip
def modrelu(z: ArrayLike, bias: ArrayLike) -> Array:
    r"""Rectifier of the modulus: the size is shifted and cut at 0, the direction stays.

    .. math:: f(z) = \max(|z| + b, 0) \frac{z}{|z|}, \quad f(0) = 0

    The derivative is 0 where ``abs(z) + bias <= 0``, and at z = 0. With a bias of 0, the paper's
    initial value, the function is the identity, and its derivative is 1 at 0 too. For complex input
    gradients follow JAX: `jax.grad` gives the conjugate of the direction of steepest ascent.
    Reverse mode keeps the input alone.

    Args:
      z: input, complex or real.
      bias: real; broadcasts against ``z``.

    Returns:
      An array of the dtype of ``z`` (integers are promoted to float).

    Raises:
      TypeError: if ``z`` isn't an array of numbers, or the bias isn't real.
      ValueError: if the shapes don't broadcast.

    Example:
      >>> print(advact_jax.modrelu(jnp.array([3.0 + 4.0j, 0.5j]), -1.0))
      [2.4+3.2j 0. +0.j ]

    References:
      Arjovsky, Shah & Bengio 2016, "Unitary evolution recurrent neural networks", arXiv:1511.06464.
    """
    z = _checks.number("modrelu", "z", z)
    bias = _checks.real("modrelu", "bias", bias)
    shape = _checks.broadcast_shape("modrelu", {"z": z.shape, "bias": bias.shape})
    bias = bias.reshape((1,) * (len(shape) - bias.ndim) + bias.shape)
    wide = compute_dtype(jnp.finfo(z.dtype).dtype)
    return _modrelu(jnp.broadcast_to(z, shape), bias.astype(wide))


def _parts(z: Array, dtype: Any) -> tuple[Array, Array | None]:
    """Return real and imaginary part: complex products of infinities would be NaN."""
    if jnp.issubdtype(z.dtype, jnp.complexfloating):
        return jnp.real(z), jnp.imag(z)
    return z.astype(dtype), None


def _joined(re: Array, im: Array | None, dtype: Any) -> Array:
    return re.astype(dtype) if im is None else lax.complex(re, im)


def _direction(re: Array, im: Array | None) -> tuple[Array, Array, Array, Array]:
    """Return z/abs(z) in two parts, and abs(z) as a power of two and a number near 1."""
    if im is None:
        return jnp.sign(re), jnp.zeros_like(re), jnp.ones_like(re), jnp.abs(re)
    infinite = jnp.isinf(re) | jnp.isinf(im)
    # The direction of an infinite number is that of its infinite parts.
    ends = [jnp.where(jnp.isinf(v), jnp.sign(v), v * 0) for v in (re, im)]
    re, im = (jnp.where(infinite, end, v) for end, v in zip(ends, (re, im), strict=True))
    unit = num.power_of_two(jnp.maximum(jnp.abs(re), jnp.abs(im)))
    re, im = re * (1 / unit), im * (1 / unit)
    square = re * re + im * im
    zero = square == 0
    size = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))
    inverse = 1 / jnp.where(zero, 1, size)
    return re * inverse, im * inverse, jnp.where(infinite, jnp.inf, unit), size


def _is_active(unit: Array, size: Array, bias: Array) -> Array:
    """Tell where the output is not cut to 0; NaN counts as active."""
    inside = size * unit + bias <= 0
    return ~inside | ((size == 0) & (bias == 0))


@jax.custom_jvp
def _modrelu(z: Array, bias: Array) -> Array:
    re, im = _parts(z, bias.dtype)
    ure, uim, unit, size = _direction(re, im)
    active = _is_active(unit, size, bias)
    # Not the size times the direction, which would round z where the bias is small.
    shifted = [
        jnp.where(active, v + bias * u, 0) for v, u in ((re, ure), (im, uim)) if v is not None
    ]
    return _joined(shifted[0], shifted[1] if im is not None else None, z.dtype)


@functools.partial(_modrelu.defjvp, symbolic_zeros=True)
def _modrelu_rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
    moved = [i for i in (0, 1) if not _rows.is_zero(tangents[i])]

    def tangent_map(z: Array, bias: Array, *some: Array) -> Array:
        re, im = _parts(z, bias.dtype)
        ure, uim, unit, size = _direction(re, im)
        active = _is_active(unit, size, bias) & ~((size == 0) & (bias != 0))
        total: list[Any] = [0.0, 0.0]
        along: list[Any]
        for i, t in zip(moved, some, strict=True):
            if i == 1:
                along = [ure * t, uim * t]
            else:
                tre, tim = _parts(t, bias.dtype)
                along = [tre, tim]
                if im is not None:
                    # Across the direction, z turns by 1/abs(z) and the shifted z by as much.
                    most = float(jnp.finfo(bias.dtype).max)
                    turn = jnp.minimum(bias / jnp.where(size == 0, 1, size) * (1 / unit), most)
                    across = turn * (ure * tim - uim * tre)  # type: ignore[operator]
                    along = [tre - uim * across, tim + ure * across]  # type: ignore[operator]
            total = [a if b is None else a + b for a, b in zip(total, along, strict=True)]
        nan = jnp.isnan(re) if im is None else jnp.isnan(re) | jnp.isnan(im)
        factor = jnp.where(nan, jnp.nan, 1).astype(bias.dtype)
        parts = [factor * jnp.where(active, part, 0) for part in total]
        return _joined(parts[0], None if im is None else parts[1], z.dtype)

    return _modrelu(*primals), jax.checkpoint(tangent_map, prevent_cse=False)(
        *primals, *(tangents[i] for i in moved)
    )
