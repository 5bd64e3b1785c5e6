"""Gated units of any activation, by name or as a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _gates, registry
from advact_jax._rule import compute_dtype
from advact_jax._spec import RowSpec, Spec

__all__ = ["gated_unit", "layout_of"]


def _is_unit(function: Any) -> bool:
    """Tell whether a function takes the gate and ``up`` itself, such as swiglu."""
    spec = getattr(function, "spec", None)
    return isinstance(spec, RowSpec) and {"up", "gate"} <= set(spec.signature.parameters)


def layout_of(activation: str | Callable[..., Any]) -> tuple[str, bool]:
    """Return which half is the gate, and whether both are interleaved, where nothing else is said.

    Args:
      activation: what `gated_unit` takes.

    Example:
      >>> from advact_jax.gating import layout_of
      >>> layout_of("glu"), layout_of("swiglu_gpt_oss")
      (('second', False), ('first', True))
    """
    function, fixed = registry.resolve("layout_of", activation)
    if not _is_unit(function):
        return "first", False
    defaults = {k: p.default for k, p in function.spec.signature.parameters.items()}  # type: ignore[attr-defined]
    found = {**defaults, **fixed}
    return found["gate"], found["interleaved"]


def gated_unit(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    activation: str | Callable[..., Any] = "silu",
    axis: int = -1,
    gate: str | None = None,
    interleaved: bool | None = None,
    **parameters: ArrayLike,
) -> Array:
    r"""Gated unit of any activation: :math:`f(g) \, u`.

    0 times an infinity is 0, so that a closed gate lets nothing through. 16-bit arrays are computed
    in float32 and rounded once. Reverse mode keeps the input alone, and recomputes f and its
    derivative. An f(g) below the smallest normal number counts as 0, however large u is; `glu` and
    `swiglu` (activation="sigmoid" and "silu") are right there too.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      activation: f: a name, an activation of this library, any elementwise function of an array, or
        a gated unit such as "swiglu_gpt_oss", which is then used as it is.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second"; None is the first, or as the unit has it.
      interleaved: whether gate and value alternate along the axis; None is False, or as the unit
        has it.
      **parameters: parameters of the activation: numbers, or arrays that broadcast against the
        result and by which it may be differentiated.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real, the axis isn't an int, the activation is neither a name nor
        a function, or it has no such parameter.
      ValueError: if the name is unknown, the axis is out of range, its size is odd, or the shapes
        don't fit.

    Example:
      >>> x = jnp.array([1.0, -1.0, 2.0, 2.0])
      >>> advact_jax.gated_unit(x, activation="relu")
      Array([2., 0.], dtype=float32)
      >>> advact_jax.gated_unit(x, activation="silu", beta=1.702, interleaved=True)
      Array([-0.8458,  3.8713 ], dtype=float32)

    References:
      Shazeer 2020, "GLU variants improve transformer", arXiv:2002.05202.
    """
    function, fixed = registry.resolve("gated_unit", activation)
    first, mixed = layout_of(activation)
    gate, interleaved = gate or first, mixed if interleaved is None else interleaved
    axis = _checks.integer("gated_unit", "axis", axis)
    _gates.check_layout("gated_unit", gate, interleaved)
    given = {**fixed, **parameters}
    if _is_unit(function):
        layout = {"axis": axis, "gate": gate, "interleaved": interleaved}
        return function(x, up=up, **{**given, **layout})
    numbers = {k: v for k, v in given.items() if v is None or isinstance(v, bool | int | float)}
    arrays = {k: _checks.real("gated_unit", k, given[k]) for k in given if k not in numbers}
    # A Python number becomes a constant of the compiled function, and so does a flag.
    unit = _compiled(function, axis, gate, interleaved, tuple(sorted(numbers.items())))
    return unit(x, up, arrays)


@functools.lru_cache(maxsize=1024)
def _compiled(
    function: Callable[..., Any],
    axis: int,
    gate: str,
    interleaved: bool,
    numbers: tuple[tuple[str, Any], ...],
) -> Callable[..., Array]:
    spec = getattr(function, "spec", None)

    @jax.jit
    def gated_unit(x: Any, up: Any, arrays: dict[str, Any]) -> Array:
        given = {**dict(numbers), **arrays}
        if isinstance(spec, Spec):
            unit = _gates.unit_of(function)
            _checked(spec, given)
            call, values = _gates.declared("gated_unit", unit, given)
            return _gates.apply("gated_unit", call, x, up, axis, gate, interleaved, *values)
        names = tuple(arrays)

        def plain(g: Array, u: Array, *values: Array) -> Array:
            wide = compute_dtype(g.dtype)
            every = {**dict(numbers), **dict(zip(names, values, strict=True))}
            y = _gates.times(function(g.astype(wide), **every).astype(wide), u.astype(wide))
            return y.astype(g.dtype)

        values = [_checks.floating("gated_unit", key, arrays[key]) for key in names]
        return _gates.apply("gated_unit", plain, x, up, axis, gate, interleaved, *values)

    return gated_unit


def _checked(spec: Spec, given: dict[str, Any]) -> None:
    """Raise TypeError unless these are parameters of the activation, and none is missing."""
    known = {**spec.parameters, **spec.flags}
    missing = set(spec.parameters) - set(spec.defaults) - set(given)
    if missing or not set(given) <= set(known):
        raise TypeError(
            f"gated_unit: expected parameters of {spec.name} ({', '.join(known) or 'none'}), got "
            f"{', '.join(given) or 'none'}."
        )
