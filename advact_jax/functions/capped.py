"""Gated units with smooth bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _gates
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation, row_function
from advact_jax._spec import Parameter

_STATIC = ("axis", "gate", "interleaved")


@functools.lru_cache(maxsize=64)
def _capped_unit(gate_cap: float, up_cap: float) -> Callable[..., Array]:
    """Return the unit with these caps, declared."""

    def cap(x: Array, bound: float) -> Array:
        linear = jnp.abs(x) < num.pick(x, 1e-4, 1e-8) * bound  # x / bound may be no normal number.
        return jnp.where(linear, x, bound * num.tanh(x / bound))

    def rise(x: Array, bound: float) -> Array:
        return logistic.tanh_slope(x / bound)

    def gate(x: Array) -> Array:
        return logistic.times(cap(x, gate_cap), x)

    def slope(x: Array, c: Any = 1.0) -> Array:
        rising = logistic.times(c * rise(x, gate_cap), x)
        return rising + logistic.slope_times(c * cap(x, gate_cap), x)

    def curvature(x: Array, c: Array) -> Array:
        side, top, e = rise(x, gate_cap), cap(x, gate_cap), num.decay_split(x)
        v, right = e.tail.value, x >= 0
        away = jnp.where(right, top, -top)
        # All three terms of the product's derivative over (1 + v)³: they cancel.
        square = num.one_plus_squared(v)
        rest = (2 * side - away) + v * (2 * side + away)
        above = side * top * (-2 / gate_cap**2) * square + jnp.where(right, v * rest, rest)
        share = c * above / ((1 + v) * square)
        return jnp.where(right, share, e.times(share).value)

    ruled = _gates.ruled(gate, slope)

    @activation(
        parameters={
            "up": Parameter(
                partial=lambda x, up: _gates.unless_nan(up, ruled(x) * rise(up, up_cap)),
                samples=(1.7, -30.0),
            )
        },
        dx=lambda x, up: _gates.unless_nan(up, slope(x, cap(up, up_cap))),
        dxx=lambda x, up: _gates.unless_nan(up, curvature(x, cap(up, up_cap))),
        reference=lambda mp, x, up: (
            gate_cap * mp.tanh(x / gate_cap) / (1 + mp.exp(-x)) * up_cap * mp.tanh(up / up_cap)
        ),
    )
    def _situ_unit(x: ArrayLike, up: ArrayLike) -> Array:
        x, up = jnp.asarray(x), jnp.asarray(up)
        return _gates.unless_nan(up, logistic.times(cap(x, gate_cap) * cap(up, up_cap), x))

    return _situ_unit


def _situ_reference(mp: Any, row: Any, gate_cap: float = 4.0, up_cap: float = 25.0) -> list[Any]:
    unit: Any = _capped_unit(gate_cap, up_cap)
    half = len(row) // 2
    return [unit.spec.reference(mp, x, up) for x, up in zip(row[:half], row[half:], strict=True)]


@row_function(
    static=(*_STATIC, "gate_cap", "up_cap"),
    reference=_situ_reference,
    latex=r"a \tanh(g / a)\,\sigma(g)\, c \tanh(u / c)",
    paper="Moonshot AI 2026, Kimi K3, arXiv:2607.24653",
    notes={
        "derivatives": "Sums that cancel near a zero: errors are counted there in ulps of a "
        "quarter of the largest slope, not of 2^-6.",
        "float32": "Two tanh and a sigmoid: up to 8 ulp in the derivative by u.",
    },
)
def situ_glu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    gate_cap: float = 4.0,
    up_cap: float = 25.0,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""SiTU-GLU, a `swiglu` with smooth bounds: :math:`a \tanh(g/a) \, \sigma(g) \, c \tanh(u/c)`.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      gate_cap: a, a positive Python number.
      up_cap: c, likewise.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if a cap isn't positive, the axis is out of range, its size is odd, or the shapes
        don't fit.

    Example:
      >>> advact_jax.situ_glu(jnp.array([1.0, jnp.inf]), jnp.array([1.0, jnp.inf]))
      Array([  0.7158, 100.    ], dtype=float32)

    References:
      Moonshot AI 2026, "Kimi K3", arXiv:2607.24653.
    """
    for key, bound in {"gate_cap": gate_cap, "up_cap": up_cap}.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise TypeError(
                f"situ_glu: expected {key} to be a number, got {_checks.describe(bound)}."
            )
        if not bound > 0:
            raise ValueError(
                f"situ_glu: expected {key} to be positive, got {_checks.describe(bound)}."
            )
    unit, _ = _gates.declared("situ_glu", _capped_unit(float(gate_cap), float(up_cap)), {})
    return _gates.apply("situ_glu", unit, x, up, axis, gate, interleaved)
