"""Functions with tables of coefficients, under the rule that the elementwise activations share.

A table holds its coefficients along the last axis; its other axes broadcast against x. Within the
rule the coefficients lie along the first axis, so that ``table[k]`` broadcasts by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _rule
from advact_jax._spec import Formula, Parameter, Spec


def rule(
    name: str, formula: Formula, dx: Formula, dxx: Formula, parameters: Mapping[str, Parameter]
) -> Spec:
    """Return the declaration that the rule needs; the row function has the rest."""
    return Spec(
        name=name, formula=formula, signature=inspect.signature(formula), parameters=parameters,
        flags={}, dx=dx, dxx=dxx, dx_from_output=None, output_tells_slope=None, lean_dx=None,
        region=None, slope=None, region_from_output=None, output_tells_region=None, limits=None,
        slope_limits=None, kinks={}, value_floor=0.0, reference=None, latex="", tier="", paper="",
        names={}, keeps_integers=False, notes={},
    )  # fmt: skip


def given(**tables: Sequence[float]) -> dict[str, Any]:
    """Return tables at which the contracts are checked, as float32 arrays."""
    return {key: np.asarray(table, np.float32) for key, table in tables.items()}


def sizes(name: str, tables: Mapping[str, ArrayLike]) -> dict[str, int]:
    """Return how many coefficients each table has, or raise ValueError where it has none."""
    found = {}
    for key, value in tables.items():
        shape = _checks.real(name, key, value).shape
        if not shape or shape[-1] == 0:
            raise ValueError(
                f"{name}: expected {key} to hold its coefficients along the last axis, got shape "
                f"{shape}."
            )
        found[key] = shape[-1]
    return found


def evaluate(spec: Spec, x: ArrayLike, fixed: Mapping[str, Any], **given: ArrayLike) -> Array:
    """Bring the arguments to common form and apply the rule.

    Args:
      spec: what `rule` returned.
      x: the input.
      fixed: what is known before tracing.
      given: the parameters, tables among them.
    """
    x = _checks.floating(spec.name, "x", x)
    arrays = {key: _checks.real(spec.name, key, value) for key, value in given.items()}
    entries = {key: spec.parameters[key].is_table for key in arrays}
    shapes = {key: v.shape[:-1] if entries[key] else v.shape for key, v in arrays.items()}
    shape = _checks.broadcast_shape(spec.name, {"x": x.shape, **shapes})
    wide = _rule.compute_dtype(x.dtype)
    for key, value in arrays.items():
        value = value.astype(wide)
        if shapes[key]:
            value = value.reshape((1,) * (len(shape) - len(shapes[key])) + value.shape)
        arrays[key] = jnp.moveaxis(value, -1, 0) if entries[key] else value
    if 0 < x.ndim < len(shape):
        x = x.reshape((1,) * (len(shape) - x.ndim) + x.shape)
    return _rule.apply(spec, x, arrays, fixed)


def settled(table: Array) -> Array:
    """Have what follows from coefficients alone computed once, not again for each element."""
    return jax.lax.optimization_barrier(table)
