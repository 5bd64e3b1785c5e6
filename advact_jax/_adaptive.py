"""What the adaptive layers of `linen` and `nnx` share, free of either framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from advact_jax import _checks, _core, _modules, initializers
from advact_jax._rule import compute_dtype
from advact_jax.functions.gates import acon_c
from advact_jax.functions.sigmoids import sigmoid, tanh

# -- arguments ----------------------------------------------------------------------------------


def check_slopes(label: str, **slopes: Any) -> None:
    """Raise TypeError or ValueError unless these are finite numbers in rising order."""
    for key, value in slopes.items():
        _core.finite(label, key, value)
    lower, upper = slopes.values()
    if lower > upper:
        raise ValueError(f"{label}: expected {' <= '.join(slopes)}, got {lower!r} and {upper!r}.")


def check_complex(label: str, dtype: Any, param_dtype: Any) -> None:
    """Raise TypeError unless these are floating-point types; ``dtype`` may be complex or None."""
    if dtype is not None and jnp.issubdtype(dtype, jnp.complexfloating):
        dtype = None
    _modules.check_types(label, dtype, param_dtype)


def initializer(label: str, argument: str, given: Any) -> Any:
    """Return an initializer for a number, an array, an initializer or the name of one."""
    if isinstance(given, _modules.Constant):
        return given
    if _checks.is_array_like(given):
        return _modules.Constant(_checks.real(label, argument, given))
    return _modules.named(initializers.get, label, argument, given)


def window(label: str, given: Any) -> tuple[int, ...]:
    """Return the size of a kernel as a tuple of positive ints."""
    entries = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else None
    if not entries:
        raise TypeError(
            f"{label}: expected kernel_size to be a tuple of ints, such as (3, 3), got "
            f"{_checks.describe(given)}."
        )
    for size in entries:
        _core.positive(label, **{"each entry of kernel_size": size})
    return entries


def image(label: str, x: Any, dtype: Any, size: Sequence[int], features: int | None) -> Array:
    """Return an input of shape (batch, *space, channels) with as many axes of space as given."""
    x = _core.vector(label, x, dtype, features)
    if x.ndim != len(size) + 2:
        raise ValueError(
            f"{label}: expected an x of shape (batch, *space, channels) with {len(size)} axes of "
            f"space for kernel_size={tuple(size)}, got one of shape {x.shape}."
        )
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)


# -- what a layer computes ----------------------------------------------------------------------


def pooled(x: Array, mask: Array | None) -> Array:
    """Return the mean over all axes between the batch and the channels, at least in float32.

    A mask tells which entries count; where none does the mean is 0.
    """
    wide = x.astype(compute_dtype(x.dtype))
    axes = tuple(range(1, x.ndim - 1))
    if not axes:
        return wide
    if mask is None:
        return jnp.mean(wide, axes, keepdims=True)
    keep = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
    count = jnp.sum(jnp.broadcast_to(keep, (*x.shape[:-1], 1)), axes, keepdims=True)
    total = jnp.sum(jnp.where(keep, wide, 0), axes, keepdims=True)
    return total / jnp.maximum(count, 1).astype(wide.dtype)


def lines(theta: Array, k: int, slope_range: float, shift_range: float) -> tuple[Array, Array]:
    """Return slopes and shifts of `advact_jax.dynamic_relu` from what the network says.

    They start at a = (1, 0, ...) and b = 0, and move within the ranges.
    """
    # tanh(θ/2) is the paper's 2 sigmoid(θ) - 1, which would cancel.
    moved = tanh(theta / 2).reshape(*theta.shape[:-1], -1, 2 * k)
    first = (jax.lax.broadcasted_iota(jnp.int32, (k,), 0) == 0).astype(moved.dtype)
    first = first.reshape((1,) * (moved.ndim - 1) + (k,))
    return first + slope_range * moved[..., :k], shift_range * moved[..., k:]


def acon(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    """Return ACON-C with slopes for each channel, and the sharpness sigmoid(beta)."""
    p1, p2 = (p.reshape((1,) * (x.ndim - 1) + (-1,)) for p in (p1, p2))
    return acon_c(x, p1, p2, sigmoid(beta))


def complex_vector(label: str, z: Any, dtype: Any, features: int | None = None) -> Array:
    """Return a real or complex input whose last axis has features."""
    z = _checks.number(label, "x", z)
    if z.ndim == 0 or (features is not None and z.shape[-1] != features):
        expected = "features" if features is None else f"{features} features"
        raise ValueError(
            f"{label}: expected {expected} along the last axis of x, got one of shape {z.shape}."
        )
    return z if dtype is None else z.astype(dtype)
