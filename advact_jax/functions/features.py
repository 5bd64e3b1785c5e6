"""Functions that split, join or normalise the features along one axis."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks
from advact_jax._declare import activation, row_function
from advact_jax._rows import along as _features
from advact_jax._rule import compute_dtype

# -- maxout -------------------------------------------------------------------------------------


@row_function(
    static=("k", "axis"),
    given=({"k": 2}, {"k": 4}),
    kept=0.5,
    reference=lambda mp, row, k: [max(row[i : i + k]) for i in range(0, len(row), k)],
    tier="stable",
    latex=r"\mathrm{maxout}(x)_j = \max_{0 \le i < k} x_{jk + i}",
    paper="Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout networks, ICML 2013, "
    "arXiv:1302.4389",
    names={"tensorflow-addons": "maxout"},
)
def maxout(x: ArrayLike, k: int, axis: int = -1) -> Array:
    r"""Maximum over each group of k features that lie side by side.

    .. math:: \mathrm{maxout}(x)_j = \max_{0 \le i < k} x_{jk + i}

    This is the grouping of TensorFlow Addons. Its argument is the number of outputs, here it is
    the size of a group: ``maxout(x, 2)`` of the features (a, b, c, d) is (max(a, b), max(c, d)).
    Of equal entries the first has the derivative. Reverse mode keeps one byte for each output
    (four where k > 127).

    Args:
      x: input, real.
      k: how many features make up one output; it divides the size along the axis.
      axis: the axis of the features.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float), 1/k of the size along the
      axis.

    Raises:
      TypeError: if ``x`` isn't a real array, or k or the axis isn't an int.
      ValueError: if the axis is out of range or k doesn't divide its size.

    Example:
      >>> print(advact_jax.maxout(jnp.array([1.0, 5.0, 4.0, 3.0]), 2))
      [5. 4.]

    References:
      Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013,
      arXiv:1302.4389.
    """
    array, axis = _features("maxout", x, axis)
    k = _checks.integer("maxout", "k", k)
    _checks.divisible("maxout", f"axis {axis} of x", array.shape[axis], k)
    shape = (*array.shape[:axis], array.shape[axis] // k, k, *array.shape[axis + 1 :])
    return _largest(array.reshape(shape), axis + 1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _largest(x: Array, axis: int) -> Array:
    return jnp.max(x, axis)


@_largest.defjvp
def _largest_rule(axis: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (x,) = primals
    y = _largest(x, axis)
    small = jnp.int8 if x.shape[axis] <= 127 else jnp.int32

    def members() -> Array:
        return jax.lax.broadcasted_iota(small, x.shape, axis)

    hit = x == jnp.expand_dims(y, axis)
    last = jnp.iinfo(small).max
    first = jnp.min(jnp.where(hit, members(), last), axis, initial=last)
    winner = jnp.where(jnp.isnan(y), small(-1), first)

    def tangent_map(winner: Array, t: Array) -> Array:
        winner = jnp.expand_dims(winner, axis)
        slope = jnp.where(winner < 0, jnp.nan, (members() == winner).astype(t.dtype))
        return jnp.sum(slope.astype(t.dtype) * t, axis)

    return y, jax.checkpoint(tangent_map, prevent_cse=False)(winner, tangents[0])


# -- both signs ---------------------------------------------------------------------------------


@activation(region=lambda x: x > 0, slope=lambda piece: piece == 1)
def _positive(x: ArrayLike) -> Array:
    return jnp.maximum(jnp.asarray(x), 0)


def _both_signs(x: Array, axis: int) -> Array:
    return jnp.concatenate([_positive(x), _positive(-x)], axis)


@row_function(
    reference=lambda mp, row: [*(max(x, mp.mpf(0)) for x in row), *(-min(x, 0) for x in row)],
    kept=2,
    tier="stable",
    latex=r"\mathrm{crelu}(x) = (\max(x, 0), \max(-x, 0))",
    paper="Shang, Sohn, Almeida and Lee, Understanding and improving convolutional neural networks "
    "via concatenated rectified linear units, ICML 2016, arXiv:1603.05201",
    names={"tensorflow": "crelu"},
)
def crelu(x: ArrayLike, axis: int = -1) -> Array:
    r"""Concatenated rectifier: the positive parts of x and of -x.

    .. math:: \mathrm{crelu}(x) = (\max(x, 0), \max(-x, 0))

    The derivative at 0 is 0 in both halves. Reverse mode keeps two bytes for each input.

    Args:
      x: input, real.
      axis: the axis along which the halves are joined.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float), twice the size along the
      axis.

    Raises:
      TypeError: if ``x`` isn't a real array or the axis isn't an int.
      ValueError: if the axis is out of range.

    Example:
      >>> print(advact_jax.crelu(jnp.array([1.0, -2.0])))
      [1. 0. 0. 2.]

    References:
      Shang, Sohn, Almeida and Lee, "Understanding and improving convolutional neural networks via
      concatenated rectified linear units", ICML 2016, arXiv:1603.05201.
    """
    return _both_signs(*_features("crelu", x, axis))


def _antirectifier_reference(mp: Any, row: Any) -> list[Any]:
    mean = mp.fsum(row) / len(row)
    norm = mp.sqrt(mp.fsum(x * x for x in row) - len(row) * mean**2)
    z = [(x - mean) / norm if norm else mp.mpf(0) for x in row]
    return [*(max(x, mp.mpf(0)) for x in z), *(-min(x, 0) for x in z)]


@row_function(
    reference=_antirectifier_reference,
    counted={"all": "row"},
    tier="stable",
    latex=r"z = \frac{x - \bar{x}}{\lVert x - \bar{x} \rVert_2}, \quad (\max(z, 0), \max(-z, 0))",
    paper="Keras, Antirectifier example, 2016",
    names={"keras": "Antirectifier"},
    notes={"float32": "Errors are measured against the norm of the row, which is 1: an entry near "
           "the mean cancels."},
)  # fmt: skip
def antirectifier(x: ArrayLike, axis: int = -1) -> Array:
    r"""Centre each sample, scale it to the length 1, and keep both signs.

    .. math::
      z = \frac{x - \bar{x}}{\lVert x - \bar{x} \rVert_2}, \quad
      \mathrm{antirectifier}(x) = (\max(z, 0), \max(-z, 0))

    A sample whose entries are all equal gives zeros, and its derivative is 0; Keras's example
    divides it by 1e-6 instead. In a sample with infinite entries these count as 1 and -1 and all
    others as 0, which is the limit; its derivative is 0. Reverse mode keeps the input alone.

    Args:
      x: input, real.
      axis: the axis of the features, along which a sample lies.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float), twice the size along the
      axis.

    Raises:
      TypeError: if ``x`` isn't a real array or the axis isn't an int.
      ValueError: if the axis is out of range.

    Example:
      >>> print(advact_jax.antirectifier(jnp.array([1.0, 5.0])))
      [0.         0.70710677 0.70710677 0.        ]

    References:
      Keras, "Antirectifier" example, https://keras.io/examples.
    """
    array, axis = _features("antirectifier", x, axis)

    def whole(x: Array) -> Array:
        z = _standardised(x.astype(compute_dtype(x.dtype)), axis)
        return _both_signs(z, axis).astype(x.dtype)

    return jax.checkpoint(whole, prevent_cse=False)(array)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _standardised(x: Array, axis: int) -> Array:
    return _standardise(x, axis)[0]


@_standardised.defjvp
def _standardised_rule(axis: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (x,), (t,) = primals, tangents
    z, scale, spread = _standardised(x, axis), *_inverse_norm(x, axis)
    t = t - jnp.mean(t, axis, keepdims=True)
    # One factor after the other: their product may overflow.
    return z, (t - z * jnp.sum(z * t, axis, keepdims=True)) * scale * spread


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _inverse_norm(x: Array, axis: int) -> tuple[Array, Array]:
    """Return 1 / norm(x - mean(x)) in two factors, 0 where the norm is 0 or infinite."""
    return _standardise(x, axis)[1:]


@_inverse_norm.defjvp
def _inverse_norm_rule(axis: int, primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    scale, spread = _inverse_norm(x, axis)
    z = _standardised(x, axis)
    along = jnp.sum(z * t, axis, keepdims=True) * scale * spread
    return (scale, spread), (jnp.zeros_like(scale), -spread * along)


def _standardise(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """Return (x - mean) / norm, and 1 / norm as two factors."""
    infinite = jnp.any(jnp.isinf(x), axis, keepdims=True)
    x = jnp.where(infinite, jnp.where(jnp.isinf(x), jnp.sign(x), x * 0), x)
    size = jnp.max(jnp.abs(x), axis, keepdims=True, initial=0)
    # A power of two, so that it rounds nothing; sums of the largest finite numbers then fit.
    down = 2.0 ** -(jnp.finfo(x.dtype).maxexp // 2)
    shrink = jnp.where(size > 1 / down, down, 1.0).astype(x.dtype)
    x = x * shrink
    # Differences from an entry are 0 where all are equal, and small where they are nearly so.
    c = x - jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    c = c - jnp.mean(c, axis, keepdims=True)
    spread = jnp.max(jnp.abs(c), axis, keepdims=True, initial=0)
    flat = spread == 0
    unit = c / jnp.where(flat, 1, spread)
    norm = jnp.sqrt(jnp.sum(unit * unit, axis, keepdims=True))
    dead = flat | infinite
    inverse = jnp.where(flat, 0, 1 / jnp.where(flat, 1, norm))
    outer = jnp.where(dead, 0, shrink / jnp.where(flat, 1, spread))
    return unit * inverse, inverse, outer
