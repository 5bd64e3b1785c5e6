"""Gated units: an activation of one array, the gate, times another, element by element.

A unit is declared like any activation: it is a function of the gate, and what it lets through,
``up``, is one of its parameters. The rule and the tests are then those of all activations.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks
from advact_jax import _numerics as num
from advact_jax._declare import activation, evaluate
from advact_jax._spec import Parameter, Spec

# -- products -----------------------------------------------------------------------------------


def times(a: Array, b: Any) -> Array:
    """Return a · b, where 0 times an infinity is 0: a closed gate lets nothing through."""
    product = a * b
    # Of two numbers a product is NaN for 0 times an infinity alone.
    lost = (product != product) & ~(jnp.isnan(a) | jnp.isnan(b))
    return jnp.where(lost, 0, product)


def unless_nan(value: Any, result: Any, other: Any = 0.0) -> Array:
    """Keep a factor that is exactly 0, or has been cut, from hiding a NaN in one of two."""
    return jnp.where(jnp.isnan(value) | jnp.isnan(other), jnp.nan, result)


# -- an activation times another array ----------------------------------------------------------


def ruled(value: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``value(x, **parameters)`` with ``slope`` as its derivative by ``x``.

    The derivative of a unit by ``up`` is the activation itself, which has its own rule when it is
    differentiated again.
    """

    def of(x: Array, **given: Any) -> Array:
        digits, names = num.result_digits(), [k for k, v in given.items() if isinstance(v, Array)]
        fixed = {key: v for key, v in given.items() if key not in names}

        def at(formula: Callable[..., Any], x: Array, values: Any) -> Array:
            with num.rounded_to(digits):
                return formula(x, **fixed, **dict(zip(names, values, strict=True)))

        @jax.custom_jvp
        def core(x: Array, *values: Array) -> Array:
            return at(value, x, values)

        @core.defjvp
        def rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
            (x, *values), (t, *moved) = primals, tangents
            tangent = at(slope, x, values) * t
            if values:
                by_values = functools.partial(at, value, x)
                tangent += jax.jvp(lambda *v: by_values(v), tuple(values), tuple(moved))[1]
            return core(*primals), tangent

        return core(x, *(given[name] for name in names))

    return of


@functools.lru_cache(maxsize=256)
def unit_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function(x, ...) * up``, declared, for a declared activation."""
    spec: Spec = function.spec  # type: ignore[attr-defined]

    def product(factor: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, up, **given: times(factor(x, **given), up)

    def both_ends(field: str) -> Callable[..., Any]:
        def of(up: float, **given: Any) -> Any:
            ends = spec.at(field, **given)
            return None if ends is None else tuple(e * up if up else 0.0 for e in ends)

        return of

    def by(name: str) -> Parameter:
        declared = spec.parameters[name]
        partial = declared.partial
        if partial is None and declared.differentiable:
            return Parameter(samples=declared.samples, domain=declared.domain)
        return Parameter(
            partial=None if partial is None else product(partial),
            differentiable=declared.differentiable,
            samples=declared.samples,
            domain=declared.domain,
        )

    def formula(x: ArrayLike, up: ArrayLike, **given: Any) -> Array:
        return times(spec.formula(x, **given), up)

    activated = ruled(spec.formula, spec.derivative)
    up = Parameter(
        partial=lambda x, up, **given: unless_nan(up, activated(x, **given)), samples=(0.7, -0.3)
    )
    formula.__name__ = formula.__qualname__ = f"{spec.name}_gate"
    x, *others = spec.signature.parameters.values()
    place = x.replace(name="up", default=inspect.Parameter.empty, annotation=ArrayLike)
    formula.__signature__ = inspect.Signature([x, place, *others])  # type: ignore[attr-defined]
    reference: Any = spec.reference
    return activation(
        parameters={"up": up, **{key: by(key) for key in spec.parameters}},
        flags=spec.flags,
        dx=product(spec.derivative),
        dxx=None if spec.dxx is None else product(spec.dxx),
        limits=both_ends("limits"),
        slope_limits=both_ends("slope_limits"),
        kinks=lambda up, **given: spec.at("kinks", **given),
        reference=reference and (lambda mp, x, up, **given: up * reference(mp, x, **given)),
        latex=rf"\left({spec.latex}\right) u",
        tier=spec.tier,  # type: ignore[arg-type]
        paper=spec.paper,
        notes=spec.notes,
    )(formula)


# -- the two arrays -----------------------------------------------------------------------------


def halves(name: str, x: Array, axis: int, gate: str, interleaved: bool) -> tuple[Array, Array]:
    """Return the gate and what it lets through, from one array that holds both."""
    _checks.divisible(name, f"axis {axis} of x", x.shape[axis], 2)
    if interleaved:
        first, second = (lax.slice_in_dim(x, i, None, 2, axis) for i in (0, 1))
    else:
        first, second = jnp.split(x, 2, axis)
    return (first, second) if gate == "first" else (second, first)


def check_layout(name: str, gate: Any, interleaved: Any) -> None:
    """Raise TypeError or ValueError unless this tells where the gate is."""
    if gate not in ("first", "second"):
        raise ValueError(
            f"{name}: expected gate to be 'first' or 'second', got {_checks.describe(gate)}."
        )
    _checks.boolean(name, "interleaved", interleaved)


def apply(
    name: str,
    unit: Callable[[Array, Array], Array],
    x: ArrayLike,
    up: ArrayLike | None,
    axis: int,
    gate: str,
    interleaved: bool,
    *arrays: Array,
) -> Array:
    """Apply a unit to one array with both halves, or to two arrays.

    What reverse mode keeps are the arguments as they are: no half of an array beside the whole, and
    no 16-bit array in float32.

    Args:
      name: the function's name, for messages.
      unit: the function of the gate and of what it lets through, then of ``arrays``.
      x: one array with both, or the gate.
      up: what the gate lets through.
      axis: the axis of the features, in one array.
      gate: which half is the gate, "first" or "second".
      interleaved: whether they lie side by side.
      arrays: other arrays by which the unit is differentiated.
    """
    check_layout(name, gate, interleaved)
    x = _checks.floating(name, "x", x)
    if up is None:
        index = _checks.axis_index(name, axis, x.ndim)

        def packed(x: Array, *arrays: Array) -> Array:
            return unit(*halves(name, x, index, gate, interleaved), *arrays)

        return jax.checkpoint(packed, prevent_cse=False)(x, *arrays)
    _checks.axis_index(name, axis, max(x.ndim, 1))
    up = _checks.floating(name, "up", up)
    shape = _checks.broadcast_shape(name, {"x": x.shape, "up": up.shape})
    dtype = jnp.result_type(x, up)
    pair = (v.reshape((1,) * (len(shape) - v.ndim) + v.shape) for v in (x, up))
    return jax.checkpoint(
        lambda x, up, *arrays: unit(x.astype(dtype), up.astype(dtype), *arrays), prevent_cse=False
    )(*pair, *arrays)


def declared(
    name: str, unit: Callable[..., Any], parameters: Mapping[str, Any]
) -> tuple[Callable[..., Array], list[Array]]:
    """Return a unit as a function of gate, up and those parameters that are arrays; and these.

    Args:
      name: the name of the public function, for messages.
      unit: the declared unit.
      parameters: those parameters and flags that are not at their default.

    Python numbers become constants of the compiled function, and so do flags.
    """
    spec: Spec = unit.spec  # type: ignore[attr-defined]
    fixed = {k: v for k, v in parameters.items() if k in spec.flags or _is_constant(v)}
    names = [key for key in parameters if key not in fixed]
    for key in set(spec.flags) & set(parameters):
        if parameters[key] not in spec.flags[key]:
            allowed = " or ".join(map(repr, spec.flags[key]))
            raise TypeError(
                f"{name}: expected {key} to be {allowed}, got {_checks.describe(parameters[key])}."
            )

    every = {**spec.defaults, **spec.default_flags, **fixed}
    constants = {key: value for key, value in every.items() if key not in names}

    def call(gate: Array, up: Array, *values: Array) -> Array:
        given = {"up": up, **dict(zip(names, values, strict=True))}
        return evaluate(spec, gate, given, constants)

    return call, [_checks.floating(name, key, parameters[key]) for key in names]


def _is_constant(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) or value is None


def of_row(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Return a reference for a row with the gates in its first half, from one for a pair."""

    def reference(mp: Any, row: Any, **given: Any) -> list[Any]:
        half = len(row) // 2
        return [function(mp, *pair, **given) for pair in zip(row[:half], row[half:], strict=True)]

    return reference
