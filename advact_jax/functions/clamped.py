"""Gated units whose two factors are bounded, as in large language models of 2025 and 2026."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _gates
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation, row_function
from advact_jax._spec import Parameter
from advact_jax.functions import units
from advact_jax.functions.self_gated import silu

# -- clamped ------------------------------------------------------------------------------------


def _above(x: Array, limit: Any, alpha: Any, clamp: str) -> Array:
    """Tell where the gate is cut.

    Behind the SiLU that is where x - limit > x sigmoid(-alpha x): at a limit of 16 the two sides of
    silu(x) > limit are the same number in float32, those of this are not.
    """
    if clamp == "before":
        return x > limit
    return (x - limit) > logistic.times(x, -alpha * x)


def _at_most(x: Array, limit: Any) -> Array:
    """Return the smaller of two; at a tie the derivative is that of x, where minimum has half."""
    return jnp.where(x > limit, limit, x)


def _value_up(up: Any, limit: Any, offset: Any) -> Array:
    return jnp.where(up < -limit, -limit, _at_most(up, limit)) + offset


def _cut(x: Array, limit: Any, alpha: Any, clamp: str) -> Array:
    """Return the largest gate, where it is cut."""
    top = jnp.asarray(limit, x.dtype)
    return logistic.times(top, num.product(alpha, top)) if clamp == "before" else top


def _inner(x: Array, limit: Any) -> Array:
    """Return x where it may not be cut: what is beyond must not overflow."""
    return _at_most(x, 2 * limit)


def _gate_value(x: Array, limit: Any, alpha: Any, clamp: str) -> Array:
    inner = _inner(x, limit)
    open_gate = logistic.times(inner, num.product(alpha, inner))
    return jnp.where(_above(x, limit, alpha, clamp), _cut(x, limit, alpha, clamp), open_gate)


def _gate_slope(x: Array, limit: Any, alpha: Any, clamp: str) -> Array:
    slope = silu.spec.dx(_inner(x, limit), beta=alpha)  # type: ignore[attr-defined]
    return jnp.where(_above(x, limit, alpha, clamp), 0, slope)


_ruled_gate = _gates.ruled(_gate_value, _gate_slope)


def _inside(formula: Callable[..., Array]) -> Callable[..., Array]:
    """Return a derivative of silu(x) · up as one of the unit: 0 where the gate is cut."""

    def of(x: Array, up: Array, limit: Any, alpha: Any, offset: Any, clamp: str) -> Array:
        found = formula(_inner(x, limit), _value_up(up, limit, offset), alpha)
        return _gates.unless_nan(up, jnp.where(_above(x, limit, alpha, clamp), 0, found))

    return of


def _by_up(x: Array, up: Array, limit: Any, alpha: Any, offset: Any, clamp: str) -> Array:
    through = _ruled_gate(x, limit=limit, alpha=alpha, clamp=clamp)
    return _gates.unless_nan(x, jnp.where(jnp.abs(up) > limit, 0, through), up)


def _by_offset(x: Array, up: Array, limit: Any, alpha: Any, offset: Any, clamp: str) -> Array:
    return _gates.unless_nan(up, _ruled_gate(x, limit=limit, alpha=alpha, clamp=clamp))


def _by_alpha(x: Array, up: Array, limit: Any, alpha: Any, offset: Any, clamp: str) -> Array:
    value = _value_up(up, limit, offset)
    if clamp == "before":
        return units.silu_by_beta_times(_at_most(x, limit), value, alpha)
    found = units.silu_by_beta_times(_inner(x, limit), value, alpha)
    return _gates.unless_nan(up, jnp.where(_above(x, limit, alpha, clamp), 0, found))


def _by_limit(x: Array, up: Array, limit: Any, alpha: Any, offset: Any, clamp: str) -> Array:
    through = _ruled_gate(x, limit=limit, alpha=alpha, clamp=clamp)
    top = jnp.asarray(limit, x.dtype)
    rise = silu.spec.dx(top, beta=alpha) if clamp == "before" else 1.0  # type: ignore[attr-defined]
    moved = jnp.where(jnp.abs(up) > limit, jnp.sign(up) * through, 0)
    lifted = _value_up(up, limit, offset) * rise
    found = moved + jnp.where(_above(x, limit, alpha, clamp), lifted, 0)
    return _gates.unless_nan(x, found, up)


def _clamped_kinks(up: Any, limit: float, alpha: float, offset: Any, clamp: str) -> dict[Any, str]:
    x = limit
    for _ in range(60 if clamp == "after" else 0):  # x = limit (1 + exp(-alpha x))
        x = limit * (1 + math.exp(-alpha * x))
    return {x: "left"}


def _clamped_reference(
    mp: Any, x: Any, up: Any, limit: Any, alpha: Any, offset: Any, clamp: str
) -> Any:
    gate = min(x, limit) if clamp == "before" else x
    gate = gate / (1 + mp.exp(-alpha * gate))
    return (min(max(up, -limit), limit) + offset) * (
        gate if clamp == "before" else min(gate, limit)
    )


@activation(
    parameters={
        "up": Parameter(partial=_by_up, samples=(1.7, -20.0)),
        "limit": Parameter(partial=_by_limit, domain="positive", samples=(7.0, 16.0)),
        "alpha": Parameter(partial=_by_alpha, samples=(1.702,)),
        "offset": Parameter(partial=_by_offset, samples=(1.0,)),
    },
    flags={"clamp": ("before", "after")},
    dx=_inside(units.silu_slope_times),
    dxx=_inside(units.silu_curvature_times),
    kinks=_clamped_kinks,
    reference=_clamped_reference,
    latex=r"g\,\sigma(\alpha g)\,(\max(\min(u, L), -L) + b), \quad g = \min(x, L)",
)
def _clamped_unit(
    x: ArrayLike,
    up: ArrayLike,
    limit: ArrayLike,
    alpha: ArrayLike = 1.0,
    offset: ArrayLike = 0.0,
    clamp: str = "before",
) -> Array:
    x, up = jnp.asarray(x), jnp.asarray(up)
    value = _value_up(up, limit, offset)
    if clamp == "before":
        return units.silu_times(_at_most(x, limit), value, alpha)
    open_gate = units.silu_times(_inner(x, limit), value, alpha)
    return jnp.where(_above(x, limit, alpha, clamp), limit * value, open_gate)


def _clamped_pair(
    mp: Any, x: Any, up: Any, *, limit: Any, alpha: Any = 1, offset: Any = 0, clamp: str = "before"
) -> Any:
    return _clamped_reference(mp, x, up, limit, alpha, offset, clamp)


def _gpt_oss_reference(mp: Any, row: Any) -> list[Any]:
    """Pairs of a gate and a value."""
    pairs = zip(row[::2], row[1::2], strict=True)
    # The double next to 1.702, as a call of `clamped_swiglu` has it.
    return [_clamped_pair(mp, *p, limit=7, alpha=mp.mpf(1.702), offset=1) for p in pairs]


_STATIC = ("axis", "gate", "interleaved")
_GPT_OSS = "OpenAI 2025, gpt-oss-120b & gpt-oss-20b model card, arXiv:2508.10925"


@row_function(
    static=(*_STATIC, "clamp"),
    reference=_gates.of_row(_clamped_pair),
    latex=r"g\,\sigma(\alpha g)\,(\max(\min(u, L), -L) + b), \quad g = \min(x, L)",
    paper=_GPT_OSS,
    given=({"limit": 2.0}, {"limit": 2.0, "alpha": 1.5, "offset": 1.0, "clamp": "after"}),
)
def clamped_swiglu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    limit: ArrayLike,
    alpha: ArrayLike = 1.0,
    offset: ArrayLike = 0.0,
    clamp: str = "before",
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""`swiglu` with both factors bounded by L, before the SiLU or behind it.

    .. math::
      \text{before: } & \bigl(\operatorname{clip}(u, \pm L) + b\bigr)\, g\,\sigma(\alpha g), \quad
      g = \min(x, L) \\
      \text{after: } & \bigl(\operatorname{clip}(u, \pm L) + b\bigr)\, \min(x\,\sigma(\alpha x), L)

    The gate is bounded from above alone. At a bound the derivative is that of the inner piece, as
    with torch.clamp, with which these models were trained; jnp.clip has half of it there.

    ====================  =====  =====  ======  ======  ====================================
    preset                limit  alpha  offset  clamp   models
    ====================  =====  =====  ======  ======  ====================================
    `swiglu_gpt_oss`      7      1.702  1       before  gpt-oss (pairs), MiniMax-M3 (halves)
    `swiglu_deepseek_v4`  10     1      0       before  DeepSeek-V4, GLM-5-next, HY-V4
    `swiglu_step`         16     1      0       after   Step-3.7
    `situ_glu`            4, 25  1      0       smooth  Kimi K3
    ====================  =====  =====  ======  ======  ====================================

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      limit: L, positive; broadcasts against the result, as do alpha and offset.
      alpha: sharpness of the gate.
      offset: b, added to the bounded value.
      clamp: "before" or "after" the SiLU.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real, or clamp or the axis isn't what it must be.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.clamped_swiglu(jnp.array([9.0, 1.0]), jnp.array([-9.0, 2.0]), limit=7.0)
      Array([-48.955   ,   1.4621], dtype=float32)

    References:
      OpenAI 2025, "gpt-oss-120b & gpt-oss-20b model card", arXiv:2508.10925.
    """
    given = {"limit": limit, "alpha": alpha, "offset": offset, "clamp": clamp}
    unit, arrays = _gates.declared("clamped_swiglu", _clamped_unit, given)
    return _gates.apply("clamped_swiglu", unit, x, up, axis, gate, interleaved, *arrays)


def _preset(
    name: str, x: ArrayLike, up: ArrayLike | None, layout: tuple[int, str, bool], **given: Any
) -> Array:
    unit, arrays = _gates.declared(name, _clamped_unit, given)
    return _gates.apply(name, unit, x, up, *layout, *arrays)


@row_function(
    static=_STATIC,
    reference=_gpt_oss_reference,
    latex=r"g\,\sigma(1.702 g)\,(\max(\min(u, 7), -7) + 1), \quad g = \min(x, 7)",
    paper=_GPT_OSS,
)
def swiglu_gpt_oss(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = True,
) -> Array:
    r"""`clamped_swiglu` of gpt-oss: :math:`g\,\sigma(1.702 g)(\operatorname{clip}(u, \pm 7) + 1)`.

    Here :math:`g = \min(x, 7)`, and gates and values alternate along the axis, beginning with a
    gate. MiniMax-M3 has the same with ``interleaved=False``.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      axis: the axis of the features, of even size.
      gate: which comes first, "first" for the gate.
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.swiglu_gpt_oss(jnp.array([1.0, 0.0, 8.0, -9.0]))
      Array([  0.8458, -41.9997  ], dtype=float32)

    References:
      OpenAI 2025, "gpt-oss-120b & gpt-oss-20b model card", arXiv:2508.10925.
    """
    layout = (axis, gate, interleaved)
    return _preset("swiglu_gpt_oss", x, up, layout, limit=7.0, alpha=1.702, offset=1.0)


@row_function(
    static=_STATIC,
    reference=_gates.of_row(functools.partial(_clamped_pair, limit=10)),
    latex=r"\mathrm{silu}(\min(x, 10))\,\max(\min(u, 10), -10)",
    paper="DeepSeek-AI 2026, DeepSeek-V4, arXiv:2606.19348",
)
def swiglu_deepseek_v4(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""`clamped_swiglu` of DeepSeek-V4: silu(min(x, 10)) times u within ±10.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.swiglu_deepseek_v4(jnp.array([1.0, 50.0, 2.0, 50.0]))
      Array([ 1.4621, 99.995  ], dtype=float32)

    References:
      DeepSeek-AI 2026, "DeepSeek-V4", arXiv:2606.19348.
    """
    return _preset("swiglu_deepseek_v4", x, up, (axis, gate, interleaved), limit=10.0)


@row_function(
    static=_STATIC,
    reference=_gates.of_row(
        lambda mp, x, up, limit=16: _clamped_pair(mp, x, up, limit=limit, clamp="after")
    ),
    latex=r"\min(\mathrm{silu}(x), L)\,\max(\min(u, L), -L)",
    paper="StepFun 2026, Step-3.7, as in Hugging Face's step3p7",
)
def swiglu_step(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    limit: ArrayLike = 16.0,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""`clamped_swiglu` of Step-3.7: min(silu(x), L) times u within ±L.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      limit: L, which differs from layer to layer in that model.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.swiglu_step(jnp.array([1.0, 50.0, 2.0, 50.0]))
      Array([  1.4621, 256.    ], dtype=float32)

    References:
      StepFun's Step-3.7 in Hugging Face transformers (step3p7).
    """
    layout = (axis, gate, interleaved)
    return _preset("swiglu_step", x, up, layout, limit=limit, clamp="after")
