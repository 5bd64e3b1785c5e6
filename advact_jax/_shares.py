"""Shares of a row beside a sink, from which the normalisers of scores are made."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from advact_jax import _rows
from advact_jax._rows import Axes
from advact_jax._thresholds import total


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def with_sink(x: Array, sink: Array | None, mask: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return the shares of a row and that of its sink, this one in the compute type."""
    wide = _rows.allowed(x, mask)
    largest = _rows.maximum(wide, None, axes)
    if sink is not None:
        largest = jnp.maximum(largest, sink)
    c, reach = _rows.offset(largest, _rows.row_length(wide, axes) + 1)
    e = jnp.exp(jnp.minimum(wide - c, reach + 1))
    rest = jnp.zeros_like(c) if sink is None else jnp.exp(jnp.minimum(sink - c, reach + 1))
    # At least 1, or 0 where there is nothing to share.
    inverse = 1 / jnp.maximum(total(e, axes) + rest, 0.5)
    y = e * inverse
    # A row with NaN keeps 0 where it is masked.
    y = y if mask is None else jnp.where(mask, y, 0)
    return y.astype(x.dtype), rest * inverse


@functools.partial(with_sink.defjvp, symbolic_zeros=True)
def _with_sink_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Any, Any]:
    y, rest = with_sink(*primals, axes)
    moved = {
        key: tangent
        for key, tangent in zip(("x", "sink", "mask"), tangents, strict=True)
        if key != "mask" and not _rows.is_zero(tangent)
    }

    def tangent_map(y: Array, rest: Array, moved: dict[str, Array]) -> tuple[Array, Array]:
        p, mean, own = y.astype(rest.dtype), jnp.zeros((), rest.dtype), jnp.zeros((), rest.dtype)
        if "x" in moved:
            t = moved["x"].astype(p.dtype)
            mean = mean + total(p * t, axes)
            # 16-bit outputs don't add up to 1: where one is 1, the others tell its slope.
            own = t if p.dtype == y.dtype else t * (total(p, axes) + rest)
        by_sink = jnp.zeros((), rest.dtype)
        if "sink" in moved:
            by_sink = moved["sink"].astype(p.dtype)
            mean = mean + rest * by_sink
        shape = y.shape
        return (
            jnp.broadcast_to(p * (own - mean), shape).astype(y.dtype),
            jnp.broadcast_to(rest * (by_sink - mean), rest.shape),
        )

    return (y, rest), jax.checkpoint(tangent_map, prevent_cse=False)(y, rest, moved)
