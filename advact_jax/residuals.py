"""Activations that keep less for the backward pass, at the cost of digits of the derivative."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, registry
from advact_jax._declare import evaluate, public
from advact_jax._rule import compute_dtype
from advact_jax._spec import Spec

__all__ = ["lean"]

Kept = Literal["output", "side", "slope"]
_Keep = Callable[..., tuple[Any, Callable[..., Array]]]


def lean(
    activation: str | Callable[..., Any], keep: Kept = "slope"
) -> Callable[[ArrayLike], Array]:
    r"""Return an activation with the same values that keeps less for the backward pass.

    The functions of this library keep their input: 4 bytes of float32 beside the 4 of the output,
    which the next layer keeps anyway. Here what is kept tells the derivative less exactly:

    - "output": nothing beside the output, from which the derivative follows; jax.nn does so for
      tanh and sigmoid. No digits are left where the output has rounded to its limit.
    - "side": one bit for each entry, the side of the minimum; the derivative is looked up in a
      table by the output. For functions that fall to one minimum and rise from there.
    - "slope": one byte for each entry, the nearest of some 250 slopes, among them 0, 1/2 and 1.

    ``python benchmarks/lean.py`` prints the error and the memory of each.

    Args:
      activation: a name, a declared elementwise activation or an `Activation`; its parameters are
        fixed.
      keep: what to keep.

    Returns:
      A declared activation of one argument. Equal arguments give the same function. "side" and
      "slope" have a first derivative only: asking for a second one raises TypeError.

    Raises:
      TypeError: if ``activation`` isn't declared, or is one along an axis.
      ValueError: if ``keep`` isn't one of these, or not possible for this activation.

    Example:
      >>> gelu = advact_jax.lean("gelu")
      >>> x = jnp.array([-1.0, 0.0, 1.0])
      >>> bool((gelu(x) == advact_jax.gelu(x)).all())
      True
      >>> print(jax.grad(advact_jax.gelu)(1.0), jax.grad(gelu)(1.0))
      1.08296 1.085

    References:
      Novikov, Bershatsky, Gusak, Shonenkov, Dimitrov and Oseledets, "Few-bit backward: quantized
      gradients of activation functions for memory footprint reduction", arXiv:2202.00441.
      Andoorveedu, Zhu, Zheng and Pekhimenko, "Tempo: accelerating transformer-based model training
      through memory footprint reduction", arXiv:2210.10246.
    """
    if keep not in get_args(Kept):
        allowed = " or ".join(map(repr, get_args(Kept)))
        raise ValueError(f"lean: expected keep to be {allowed}, got {_checks.describe(keep)}.")
    function, spec, fixed = registry.elementwise("lean", activation)
    missing = set(spec.parameters) - set(spec.defaults) - set(fixed)
    if missing:
        raise ValueError(
            f"lean: expected a value for {', '.join(sorted(missing))}, which {spec.name} has no "
            "default for. Pass an advact_jax.Activation."
        )
    return _lean(function, tuple(sorted(fixed.items())), keep)


@functools.lru_cache(maxsize=256)
def _lean(
    function: Callable[..., Any], given: tuple[tuple[str, Any], ...], keep: Kept
) -> Callable[[ArrayLike], Array]:
    spec: Spec = function.spec  # type: ignore[attr-defined]
    fixed = {**spec.defaults, **spec.default_flags, **dict(given)}
    made = _FOR[keep](spec, fixed)
    x, *_ = spec.signature.parameters.values()

    def formula(x: ArrayLike) -> Array:
        return spec.formula(x, **fixed)

    def at(field: str) -> Any:
        value = getattr(spec, field)
        return functools.partial(value, **fixed) if callable(value) else value

    formula.__name__ = formula.__qualname__ = spec.name
    formula.__doc__ = f"`{spec.name}` that keeps less: see `advact_jax.lean`."
    changed = dataclasses.replace(
        spec,
        formula=formula,
        signature=inspect.Signature([x]),
        parameters={},
        flags={},
        dx=functools.partial(spec.derivative, **fixed),
        dxx=at("dxx"),
        dx_from_output=None,
        lean_dx=None,
        region=None,
        slope=None,
        limits=spec.at("limits", **fixed),
        slope_limits=spec.at("slope_limits", **fixed),
        kinks=spec.at("kinks", **fixed),
        reference=at("reference"),
        names={},
        keep=made,
    )
    entry = functools.partial(evaluate, changed, given={}, fixed={})
    result = public(changed, entry, (), direct=True)
    result.__reduce_ex__ = lambda protocol: (_lean, (function, given, keep))
    return result


# -- the output alone ---------------------------------------------------------------------------


def _by_output(spec: Spec, fixed: dict[str, Any]) -> _Keep:
    formula = spec.dx_from_output or spec.lean_dx
    if formula is None:
        raise ValueError(
            f"lean: expected an activation whose output tells its derivative for keep='output', "
            f"got {spec.name}. Try keep='side' or keep='slope'."
        )

    def keep(x: Array, y: Array, derivative: Any) -> tuple[Any, Callable[..., Array]]:
        return y, lambda y: formula(y.astype(compute_dtype(y.dtype)), **fixed)

    return keep


# -- the slope in a byte ------------------------------------------------------------------------

_NAN = 255
# The fewest slopes that a step from 0 to 1 is divided into.
_FEWEST = 32


def _by_slope(spec: Spec, fixed: dict[str, Any]) -> _Keep:
    slopes = _Curve.of(spec, fixed).slope
    least, most = min(slopes.min(), 0.0), max(slopes.max(), 0.0)
    # 0 and 1 are among the slopes, so that what is shut off or passed on stays so.
    # An even number of parts has 1/2 among them, the slope of many a gate at 0.
    parts = 2 * int((_NAN - 2) / (2 * (most - least))) if most > least else _FEWEST
    below = int(np.ceil(-least * parts))
    if parts < _FEWEST:
        raise ValueError(
            f"lean: expected an activation whose slopes span at most {_NAN // _FEWEST} for "
            f"keep='slope', got {spec.name}, whose slopes reach from {least:.3g} to {most:.3g}."
        )

    def code(slope: Array) -> Array:
        nearest = jnp.clip(jnp.round(slope * parts) + below, 0, _NAN - 1)
        return jnp.where(jnp.isnan(slope), _NAN, nearest).astype(jnp.uint8)

    def keep(x: Array, y: Array, derivative: Any) -> tuple[Any, Callable[..., Array]]:
        wide = compute_dtype(x.dtype)

        def slope(kept: Array) -> Array:
            return jnp.where(kept == _NAN, jnp.nan, (kept.astype(wide) - below) * (1 / parts))

        return _once(spec.name, lambda x: code(derivative(x.astype(wide))))(x), slope

    return keep


# -- the side of the minimum --------------------------------------------------------------------

_ENTRIES = 2048
_NOISE = 1e-14


def _by_side(spec: Spec, fixed: dict[str, Any]) -> _Keep:
    curve = _Curve.of(spec, fixed)
    i = int(np.argmin(curve.y))
    falls, rises = np.diff(curve.y[: i + 1]), np.diff(curve.y[i:])
    if not (0 < i < curve.y.size - 1 and np.all(falls < _NOISE) and np.all(rises > -_NOISE)):
        raise ValueError(
            "lean: expected an activation that falls to one minimum and rises from there for "
            f"keep='side', got {spec.name}. Try keep='slope'."
        )
    least_at, least = curve.x[i], curve.y[i]
    # The square root of the height above the minimum runs evenly through it.
    root = np.sqrt(curve.y - least)
    end = {"left": root[0], "right": np.sqrt(_FAR / 4)}
    nodes = {side: np.linspace(0, end[side], _ENTRIES) for side in end}
    tables = {
        "left": np.interp(nodes["left"], root[i::-1], curve.slope[i::-1]),
        "right": np.interp(nodes["right"], root[i:], curve.slope[i:]),
    }
    both = np.concatenate([tables["left"], tables["right"]])

    def keep(x: Array, y: Array, derivative: Any) -> tuple[Any, Callable[..., Array]]:
        wide, size = compute_dtype(x.dtype), x.shape[-1] if x.ndim else 1
        is_packed = size % 8 == 0

        def right_of(x: Array) -> Array:
            side = x > jnp.asarray(least_at, x.dtype)
            return jnp.packbits(side, axis=-1) if is_packed else side

        def slope(kept: tuple[Array, Array]) -> Array:
            y, side = kept
            right = jnp.unpackbits(side, axis=-1).astype(bool) if is_packed else side
            height = jnp.sqrt(jnp.maximum(y.astype(wide) - least, 0))
            scale = (_ENTRIES - 1) / jnp.where(right, end["right"], end["left"])
            place = jnp.minimum(height * scale, _ENTRIES - 1)
            index = jnp.minimum(place, _ENTRIES - 2).astype(jnp.int32)
            table = jnp.asarray(both, wide)
            start = index + jnp.where(right, _ENTRIES, 0)
            low, high = jnp.take(table, start, mode="clip"), jnp.take(table, start + 1, mode="clip")
            found = low + (high - low) * (place - index)
            return jnp.where(jnp.isnan(y), jnp.nan, found).astype(wide)

        return (y, _once(spec.name, right_of)(x)), slope

    return keep


# -- shared -------------------------------------------------------------------------------------

_FOR: dict[str, Callable[[Spec, dict[str, Any]], _Keep]] = {
    "output": _by_output,
    "side": _by_side,
    "slope": _by_slope,
}
_FAR = 80.0


class _Curve(NamedTuple):
    """Samples of a function, closer where it bends."""

    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray

    @classmethod
    def of(cls, spec: Spec, fixed: dict[str, Any]) -> _Curve:
        near = np.linspace(-12, 12, 96_001)
        x = np.concatenate(
            [np.linspace(-_FAR, -12, 2001)[:-1], near, np.linspace(12, _FAR, 2001)[1:]]
        )

        @jax.jit
        def both(x: Array) -> tuple[Array, Array]:
            return jnp.asarray(spec.formula(x, **fixed)), spec.derivative(x, **fixed)

        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            y, slope = (np.asarray(v, np.float64) for v in both(jnp.asarray(x)))
        return cls(x, y, np.broadcast_to(slope, x.shape))


def _once(name: str, encode: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return a function whose own derivative is an error: it would be 0 where the truth is not."""
    coded = jax.custom_jvp(encode)

    @coded.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        raise TypeError(
            f"lean: expected first derivatives only, got a second one of {name}, of which too "
            "little is kept. Use the activation itself."
        )

    return coded
