"""The rule of sparse maps onto the simplex, which the maps and their losses share.

With s = p^(2 - alpha) where p > 0, the derivative along a tangent of the logits is s (t - mean(t)),
the mean weighted with s. A change of alpha moves the map as a change of the logits does, that
`_by_alpha` gives, so both have one rule, and the output alone is kept for them.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _rows, _thresholds
from advact_jax._numerics import polynomial
from advact_jax._rows import Axes, Axis
from advact_jax._rule import compute_dtype

# The powers whose threshold is found exactly, by alpha.
_EXACT = {2.0: 1, 1.5: 2}


def solved(x: Array, mask: Array | None, alpha: Array | float, axes: Axes) -> tuple[Array, Array]:
    """Return the map in the compute type, and the distance from the largest entry where it ends."""
    if isinstance(alpha, float):
        power = _EXACT[alpha]
        root, end = _thresholds.rooted(x, mask, axes, power)
        p = root if power == 1 else root * root
    else:
        p, end = _thresholds.powers(x, mask, order_of(alpha), axes)
    # A row with NaN keeps 0 where it is masked.
    return (p if mask is None else jnp.where(mask, p, 0)), end


def order_of(alpha: Array) -> Array:
    """Return alpha - 1, and for alpha = 1 so small a number that softmax is what comes out."""
    return jnp.where(
        alpha >= 1, jnp.maximum(alpha - 1, float(jnp.finfo(alpha.dtype).eps) ** 2), jnp.nan
    )


def _weights(p: Array, alpha: Array | float) -> Array:
    """Return p^(2 - alpha), the derivative by its own logit but for the mean, 0 where p is 0."""
    if isinstance(alpha, float) and alpha == 2:
        return jnp.sign(p)
    some = jnp.where(p > 0, p, 1)
    powered = jnp.sqrt(some) if isinstance(alpha, float) else jnp.exp((2 - alpha) * jnp.log(some))
    return jnp.where(p > 0, powered, p)  # NaN stays.


def bend(v: Array) -> Array:
    """Return (1 - exp(v) (1 - v)) / v² for v <= 0, which is 1/2 at 0."""
    count = 22 if v.dtype == jnp.float64 else 13
    near = polynomial(jnp.maximum(v, -1), [(j + 1) / math.factorial(j + 2) for j in range(count)])
    far = jnp.minimum(v, -1)
    return jnp.where(v > -1, near, (1 - jnp.exp(far) * (1 - far)) / (far * far))


def _by_alpha(p: Array, alpha: Array) -> Array:
    """Return the change of the logits that moves the map as a change of alpha does."""
    log = jnp.log(jnp.where(p > 0, p, 1))
    return -log * log * bend((alpha - 1) * log)


def _moved(p: Array, alpha: Array | float, tx: Any, talpha: Any, axes: Axes) -> Array:
    """Return the derivative of the map along tangents of x and alpha, from its values."""
    s = _weights(p, alpha)
    along = jnp.zeros((), p.dtype)
    if not _rows.is_zero(tx):
        along = along + tx.astype(p.dtype)
    if not _rows.is_zero(talpha):
        along = along + _by_alpha(p, jnp.asarray(alpha)) * talpha
    mean = _thresholds.total(s * along, axes) / jnp.maximum(_thresholds.total(s, axes), 0.5)
    return s * (along - mean)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def sparse_map(
    x: Array, mask: Array | None, alpha: Array | None, axes: Axes, fixed: float
) -> Array:
    """Return entmax in the type of x, with the fixed alpha where none is given."""
    return solved(x, mask, fixed if alpha is None else alpha, axes)[0].astype(x.dtype)


@functools.partial(sparse_map.defjvp, symbolic_zeros=True)
def _rule(axes: Axes, fixed: float, primals: Any, tangents: Any) -> tuple[Array, Array]:
    y = sparse_map(*primals, axes, fixed)
    return y, map_tangent(y, primals[2], tangents[0], tangents[2], axes, fixed)


def map_tangent(
    y: Array, alpha: Array | None, tx: Any, talpha: Any, axes: Axes, fixed: float
) -> Array:
    """Return the derivative of the map along tangents of x and alpha, from its output."""
    given = {"tx": tx, "talpha": talpha}
    given = {key: t for key, t in given.items() if not _rows.is_zero(t)}

    def tangent_map(y: Array, alpha: Array | None, given: dict[str, Array]) -> Array:
        p = y.astype(compute_dtype(y.dtype))
        moved = _moved(
            p, fixed if alpha is None else alpha, given.get("tx"), given.get("talpha"), axes
        )
        return moved.astype(y.dtype)

    return jax.checkpoint(tangent_map, prevent_cse=False)(y, alpha, given)


# -- arguments ----------------------------------------------------------------------------------


def arguments(
    name: str, x: ArrayLike, axis: Axis, where: ArrayLike | None, alpha: ArrayLike | None
) -> tuple[Array, Axes, Array | None, Array | None]:
    """Return the input, its axes, alpha in the compute type, and the mask."""
    x, axes, given = _rows.arguments(name, "x", x, axis, where=where, alpha=alpha)
    alpha = given["alpha"]
    if alpha is not None:
        alpha = _thresholds.for_each_row(name, "alpha", alpha, axes)
        alpha = alpha.astype(compute_dtype(x.dtype))
    return x, axes, alpha, given["where"]
