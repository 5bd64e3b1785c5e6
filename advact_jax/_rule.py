"""The one differentiation rule that all elementwise activations share.

* It is a ``jax.custom_jvp`` with symbolic zeros: the partial derivative of what is not
  differentiated is not computed, and every mode of differentiation works.
* The tangent map is rematerialised: reverse mode keeps the input (or the output, or one byte that
  tells the piece, where these tell the derivative) and never an array of derivatives.
* Inputs of 16 bits or fewer are computed in float32 and rounded once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from advact_jax import _numerics
from advact_jax._spec import Spec


def compute_dtype(dtype: Any) -> Any:
    """Return the type in which a formula runs: float32 for narrower types, else the same."""
    return jnp.dtype(jnp.float32) if _bits(dtype) < 32 else dtype


def _bits(dtype: Any) -> int:
    return jnp.finfo(dtype).bits


def _digits(dtype: Any) -> int | None:
    """Return to how many digits results are rounded that are computed in a wider type."""
    return jnp.finfo(dtype).nmant + 1 if _bits(dtype) < 32 else None


def _derivative_function(
    spec: Spec, names: tuple[str, ...], fixed: Mapping[str, Any], digits: int | None
) -> Any:
    """Return f'(x, *values) with the declared second derivative as its rule."""

    def plain(x: Array, *values: Array) -> Array:
        with _numerics.rounded_to(digits):
            return spec.derivative(x, **fixed, **dict(zip(names, values, strict=True)))

    if spec.dxx is None:
        return plain
    dxx = spec.dxx
    first = jax.custom_jvp(plain)

    @functools.partial(first.defjvp, symbolic_zeros=True)
    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        x, *values = primals
        tx, *others = tangents
        out = first(*primals)
        tangent = jnp.zeros_like(out)
        if not _is_zero(tx):
            with _numerics.rounded_to(digits):
                second = dxx(x, **fixed, **dict(zip(names, values, strict=True)))
            tangent = tangent + second * tx
        if not all(map(_is_zero, others)):
            tangent = tangent + _tangent(functools.partial(plain, x), values, others)
        return out, tangent

    return first


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _tangent(function: Any, primals: Sequence[Array], tangents: Sequence[Any]) -> Array:
    """Return the derivative along those tangents that are not zero."""
    moved = [i for i, t in enumerate(tangents) if not _is_zero(t)]

    def of_moved(*some: Array) -> Array:
        full = list(primals)
        for i, value in zip(moved, some, strict=True):
            full[i] = value
        return function(*full)

    return jax.jvp(of_moved, [primals[i] for i in moved], [tangents[i] for i in moved])[1]


def _partial(spec: Spec, name: str, x: Array, given: dict[str, Any]) -> Array | list[Array]:
    """Return the derivative by one parameter, in the type of ``x``, or by each of a table."""
    declared = spec.parameters[name]
    if not declared.differentiable:
        return jnp.where(jnp.isnan(x), x, 0)
    if declared.partial is not None:
        return declared.partial(x, **given)
    others = {key: value for key, value in given.items() if key != name}
    value = given[name]
    return jax.jvp(
        lambda v: spec.formula(x, **others, **{name: v}), (value,), (jnp.ones_like(value),)
    )[1]


def apply(spec: Spec, x: Array, given: Mapping[str, Array], fixed: Mapping[str, Any]) -> Array:
    """Evaluate a declaration under the shared rule.

    Args:
      spec: the declaration.
      x: floating-point input.
      given: traced parameters, already in the compute type and with as many axes as the result.
      fixed: parameters that are Python constants, and flags.

    Returns:
      An array of the dtype of ``x``.
    """
    names, dtype = tuple(given), x.dtype
    wide, digits = compute_dtype(dtype), _digits(dtype)
    first = _derivative_function(spec, names, fixed, digits)

    # In one piece, or the scan of a net takes what does not depend on x out of its loop: constants,
    # each broadcast to an array like x, which every turn then reads.
    @jax.custom_jvp
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def core(x: Array, *values: Array) -> Array:
        with _numerics.rounded_to(digits):
            y = spec.formula(x.astype(wide), **fixed, **dict(zip(names, values, strict=True)))
        return y.astype(dtype)

    @functools.partial(core.defjvp, symbolic_zeros=True)
    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        x, *values = primals
        y = core(*primals)
        moved = tuple(i for i, t in enumerate(tangents) if not _is_zero(t))
        kept, derivative = _kept(spec, x, y, tuple(values), names, fixed, moved, first)

        def tangent_map(kept: Any, values: tuple[Array, ...], *some: Array) -> Array:
            total = jnp.zeros((), wide)
            for i, tangent in zip(moved, some, strict=True):
                coefficient: Array | list[Array]
                if i == 0:
                    coefficient = derivative(kept, *values)
                else:
                    with _numerics.rounded_to(digits):
                        coefficient = _partial(
                            spec, names[i - 1], kept.astype(wide),
                            {**fixed, **dict(zip(names, values, strict=True))},
                        )  # fmt: skip
                if isinstance(coefficient, list):
                    total = total + _along(coefficient, tangent.astype(wide), y.shape)
                else:
                    spread = tangent if i == 0 else _spread(tangent, y.shape)
                    total = total + coefficient * spread.astype(wide)
            return jnp.broadcast_to(total, y.shape).astype(dtype)

        return y, jax.checkpoint(tangent_map, prevent_cse=_PREVENT_CSE)(
            kept, tuple(values), *(tangents[i] for i in moved)
        )

    return core(x, *given.values())


def _along(coefficients: list[Array], tangents: Array, shape: tuple[int, ...]) -> Array:
    """Return the derivative along a tangent of a table, whose first axis holds the entries."""
    split = jax.lax.split(tangents, (1,) * len(coefficients))
    return functools.reduce(
        jnp.add, (c * _spread(t[0], shape) for c, t in zip(coefficients, split, strict=True))
    )


def _spread(tangent: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast a parameter's tangent, along all axes but the last by a product with ones.

    Its transpose, the sum for the parameter's gradient, is then a product too: XLA on CPU fuses a
    plain sum with all that leads to it into a loop without vectors, several times as slow.
    """
    tangent = tangent.reshape((1,) * (len(shape) - tangent.ndim) + tangent.shape)
    along = [i for i, n in enumerate(shape[:-1]) if n > 1 and tangent.shape[i] == 1]
    if not along:
        return tangent
    rest = [n for i, n in enumerate(shape) if i not in along]
    row = jnp.broadcast_to(jnp.squeeze(tangent, along), rest)
    ones = jnp.ones([shape[i] for i in along], tangent.dtype)
    outer = jnp.tensordot(ones, row, 0, precision="highest")
    return jnp.moveaxis(outer, range(len(along)), along)


# See the memory notes in the documentation: a barrier costs speed where forward and backward pass
# fuse, and saves nothing under scan, where XLA cannot merge the two passes.
_PREVENT_CSE = False


def _kept(
    spec: Spec,
    x: Array,
    y: Array,
    values: tuple[Array, ...],
    names: tuple[str, ...],
    fixed: Mapping[str, Any],
    moved: tuple[int, ...],
    first: Callable[..., Array],
) -> tuple[Any, Callable[..., Array]]:
    """Choose what reverse mode keeps, and how the derivative follows from it.

    The input serves always. Where ``x`` alone moves, the output or one byte may serve instead.
    """
    wide = compute_dtype(x.dtype)
    if spec.keep is not None:
        return spec.keep(x, y, first)
    if moved == (0,) and spec.region is not None:
        given = {**fixed, **dict(zip(names, values, strict=True))}
        if spec.output_tells(fixed):
            return y, lambda y, *values: spec.slope_from_output(y.astype(wide), **fixed)
        codes = spec.codes(x.astype(wide), **given)
        return codes, lambda codes, *values: spec.slope_of(
            codes, wide, **fixed, **dict(zip(names, values, strict=True))
        )
    from_output = spec.dx_from_output
    # An output of 16 bits is rounded, and a derivative that follows from it once more.
    exact = _bits(x.dtype) >= 32 or spec.dx is None
    if moved == (0,) and from_output is not None and exact and spec.slope_by_output(fixed):

        def slope(y: Array, *values: Array) -> Array:
            return from_output(y.astype(wide), **fixed, **dict(zip(names, values, strict=True)))

        if spec.dx is None:
            return y, slope
        return _moving_as_derivative(first)(x, y, *values), _of_moving(slope)
    return x, lambda x, *values: first(x.astype(wide), *values)


# Where the output tells the first derivative exactly but the second one roughly, that one is taken
# from the input: the output is kept with a tangent that is the derivative's own.


def _moving_as_derivative(first: Callable[..., Array]) -> Any:
    """Return a function of x, y and the parameters that gives y, with the tangent of ``first``."""

    @jax.custom_jvp
    def output(x: Array, y: Array, *values: Array) -> Array:
        return y

    @functools.partial(output.defjvp, symbolic_zeros=True)
    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        (x, _, *values), (tx, _, *others) = primals, tangents
        return output(*primals), _tangent(first, (x, *values), (tx, *others))

    return output


def _of_moving(slope: Callable[..., Array]) -> Any:
    """Return the slope of an output that moves as the slope does."""
    derivative = jax.custom_jvp(slope)
    derivative.defjvp(lambda primals, tangents: (derivative(*primals), tangents[0]))
    return derivative
