"""Functions that draw random numbers in training."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax import _numerics as num
from advact_jax._declare import row_function
from advact_jax._rule import compute_dtype


def _checked_key(name: str, key: Any) -> Array:
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if (typed and shape == ()) or (dtype == jnp.uint32 and shape == (2,)):
        return key
    raise TypeError(
        f"{name}: expected key to be one key of jax.random, or None for the mean slope, got "
        f"{_checks.describe(key)}."
    )


@row_function(
    static=("lower", "upper"),
    kept=1,
    reference=lambda mp, row: [x if x > 0 else 11 * x / 48 for x in row],
    tier="stable",
    latex=r"\begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)",
    paper="Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations in "
    "convolutional network, arXiv:1505.00853",
    names={"torch": (["rrelu", "RReLU"], {}, {"training": None})},
)
def rrelu(
    x: ArrayLike, key: Array | None = None, lower: float = 1 / 8, upper: float = 1 / 3
) -> Array:
    r"""Randomized leaky rectifier: the slope for negative input is drawn anew for each element.

    .. math:: f(x) = \begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)

    Without a key r is the mean slope, as when a model is used. Slopes, their range and the
    derivative at 0, which is r, are those of torch. The paper divides by numbers from U(3, 8),
    whose reciprocals end at the same slopes but have another mean. Reverse mode keeps one byte for
    each element and draws the slopes again.

    Args:
      x: input, real.
      key: a key of `jax.random` to draw with; None for the mean slope.
      lower: smallest slope, a Python number.
      upper: largest slope, a Python number.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array, the key none of `jax.random` or a slope no number.
      ValueError: if the smallest slope is above the largest.

    Example:
      >>> advact_jax.rrelu(jnp.array([-48.0, 3.0]))
      Array([-11.,   3.], dtype=float32)
      >>> y = advact_jax.rrelu(-jnp.ones(1000), jax.random.key(0))
      >>> bool(jnp.all((-y >= 1 / 8) & (-y < 1 / 3)))
      True

    References:
      Xu, Wang, Chen & Li 2015, "Empirical evaluation of rectified activations in convolutional
      network", arXiv:1505.00853.
    """
    x, _, _ = _rows.arguments("rrelu", "x", x, None)
    for name, slope in (("lower", lower), ("upper", upper)):
        if isinstance(slope, bool) or not isinstance(slope, int | float | np.number):
            raise TypeError(
                f"rrelu: expected {name} to be a Python number, got {_checks.describe(slope)}."
            )
    if not lower <= upper:
        raise ValueError(f"rrelu: expected lower <= upper, got {lower!r} and {upper!r}.")
    key = None if key is None else _checked_key("rrelu", key)
    return _leaky(x, key, float(lower), float(upper))


def _slope(key: Array | None, x: Array, lower: float, upper: float) -> Array | float:
    """Return the slope of each element, or that of all."""
    if key is None:
        return (lower + upper) / 2
    return lower + jax.random.uniform(key, x.shape, compute_dtype(x.dtype)) * (upper - lower)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _leaky(x: Array, key: Array | None, lower: float, upper: float) -> Array:
    wide = x.astype(compute_dtype(x.dtype))
    below = num.flat_where_zero(_slope(key, x, lower, upper), wide)
    return jnp.where(wide > 0, wide, below).astype(x.dtype)


@_leaky.defjvp
def _leaky_rule(lower: float, upper: float, primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, key = primals
    side = jnp.where(jnp.isnan(x), jnp.int8(-1), (x > 0).astype(jnp.int8))

    def tangent_map(side: Array, key: Array | None, t: Array) -> Array:
        slope = jnp.where(side > 0, 1, _slope(key, t, lower, upper))
        slope = jnp.where(side < 0, math.nan, slope)
        return (slope * t.astype(compute_dtype(t.dtype))).astype(t.dtype)

    y = _leaky(x, key, lower, upper)
    return y, jax.checkpoint(tangent_map, prevent_cse=False)(side, key, tangents[0])
