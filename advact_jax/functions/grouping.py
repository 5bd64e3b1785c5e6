"""Functions that change the order of features."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax._declare import row_function


def _reference(mp: Any, row: Any, group_size: int | None = 2) -> list[Any]:
    size = group_size or len(row)
    return [x for i in range(0, len(row), size) for x in sorted(row[i : i + size])]


@row_function(
    static=("group_size", "axis"),
    given=({}, {"group_size": 4}),
    kept=1,
    reference=_reference,
    tier="stable",
    latex=r"\mathrm{sort}(x_{jk}, \ldots, x_{jk + k - 1})",
    paper="Anil, Lucas & Grosse 2019, Sorting out Lipschitz function approximation, "
    "arXiv:1811.05381; Chernodub & Nowicki 2016, Norm-preserving orthogonal permutation linear "
    "unit activation functions (OPLU), arXiv:1604.02313",
)
def group_sort(x: ArrayLike, group_size: int | None = 2, axis: int = -1) -> Array:
    r"""Sort each group of features that lie side by side, smallest first.

    With groups of two it is MaxMin, or OPLU: each pair in order. It keeps every norm, and so does
    its derivative, which is the permutation: of equal entries the first stays first. NaN goes to
    the end of its group. Reverse mode keeps one byte for each element (four in groups of more than
    127).

    Args:
      x: input, real.
      group_size: the size of a group; it divides the size along the axis. None for all of them.
      axis: the axis of the features.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array, or the size or the axis isn't an int.
      ValueError: if the axis is out of range or the size doesn't divide its size.

    Example:
      >>> print(advact_jax.group_sort(jnp.array([1.0, 5.0, 4.0, 3.0])))
      [1. 5. 3. 4.]

    References:
      Anil, Lucas & Grosse 2019, "Sorting out Lipschitz function approximation", arXiv:1811.05381.
      Chernodub & Nowicki 2016, "Norm-preserving orthogonal permutation linear unit activation
      functions (OPLU)", arXiv:1604.02313.
    """
    array, axis = _rows.along("group_sort", x, axis)
    n = array.shape[axis]
    size = n if group_size is None else _checks.integer("group_sort", "group_size", group_size)
    if n == 0 and group_size is None:
        return array
    _checks.divisible("group_sort", f"axis {axis} of x", n, size)
    shape = (*array.shape[:axis], n // size, size, *array.shape[axis + 1 :])
    return _sorted(array.reshape(shape), axis + 1).reshape(array.shape)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _sorted(x: Array, axis: int) -> Array:
    return _pair(x, axis)[0] if x.shape[axis] == 2 else lax.sort(x, dimension=axis)


def _pair(x: Array, axis: int) -> tuple[Array, Array]:
    """Return two entries in order, and whether they have changed places."""
    a, b = jnp.split(x, 2, axis)
    swapped = (a > b) | (jnp.isnan(a) & ~jnp.isnan(b))
    y = jnp.concatenate([jnp.where(swapped, b, a), jnp.where(swapped, a, b)], axis)
    return y, jnp.concatenate([swapped, ~swapped], axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _with_places(x: Array, axis: int) -> tuple[Array, Array]:
    """Return the entries in order and where each was; for NaN, the number -1 - place."""
    small = jnp.int8 if x.shape[axis] <= 127 else jnp.int32
    if x.shape[axis] == 2:
        y, swapped = _pair(x, axis)
        places = swapped.astype(small)
    else:
        before = lax.broadcasted_iota(small, x.shape, axis)
        y, places = lax.sort((x, before), dimension=axis, is_stable=True, num_keys=1)
    return y, jnp.where(jnp.isnan(y), -1 - places, places)


@_with_places.defjvp
def _with_places_rule(axis: int, primals: Any, tangents: Any) -> Any:
    y, places = _with_places(*primals, axis)
    tangent = _permuted(places, tangents[0], axis)
    return (y, places), (tangent, np.zeros(places.shape, jax.dtypes.float0))


@_sorted.defjvp
def _sorted_rule(axis: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    y, places = _with_places(*primals, axis)
    return y, _permuted(places, tangents[0], axis)


def _permuted(places: Array, t: Array, axis: int) -> Array:
    def tangent_map(places: Array, t: Array) -> Array:
        nan = places < 0
        source = jnp.where(nan, -1 - places, places)
        if t.shape[axis] == 2:
            first, second = jnp.split(t, 2, axis)
            moved = jnp.where(source == 0, first, second)
        else:
            moved = jnp.take_along_axis(t, source.astype(jnp.int32), axis, mode="promise_in_bounds")
        return jnp.where(nan, math.nan, 1).astype(t.dtype) * moved

    return jax.checkpoint(tangent_map, prevent_cse=False)(places, t)
