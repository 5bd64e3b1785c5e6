"""Softmax and its family: exponentials normalised along one axis or several."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows
from advact_jax._declare import row_function
from advact_jax._rows import Axes, Axis
from advact_jax._rule import compute_dtype

_SLOPE_NOTE = (
    "The error of a row of n entries grows with log n if the largest is above 86 - log n. Where "
    "one output is nearly 1, its own derivative is off by a few ulp of 1: the output alone is kept."
)
_LOG_NOTE = (
    "Where one entry has nearly all of the mass, the error is half an ulp of a float32 1, not of "
    "the result: summing the others by themselves takes twice as long. float64 does it."
)
_BRIDLE = "Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990"

# -- the rules ----------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _softmax(x: Array, mask: Array | None, axes: Axes) -> Array:
    y = _rows.shares(x, mask, axes)
    # A row with NaN keeps 0 where it is masked.
    return (y if mask is None else jnp.where(mask, y, 0)).astype(x.dtype)


@_softmax.defjvp
def _softmax_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    y = _softmax(*primals, axes)

    def tangent_map(y: Array, t: Array) -> Array:
        p = y.astype(compute_dtype(y.dtype))
        t = t.astype(p.dtype)
        # 16-bit outputs don't add up to 1: where one is 1, the others tell its slope.
        own = t if p.dtype == y.dtype else t * jnp.sum(p, axes, keepdims=True)
        return (p * (own - jnp.sum(p * t, axes, keepdims=True))).astype(y.dtype)

    return y, jax.checkpoint(tangent_map, prevent_cse=False)(y, tangents[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _log_softmax(x: Array, mask: Array | None, axes: Axes) -> Array:
    below, log_total = _rows.log_total(x, mask, axes)
    y = below - log_total
    # A row with NaN keeps -inf where it is masked.
    return (y if mask is None else jnp.where(mask, y, -jnp.inf)).astype(x.dtype)


@_log_softmax.defjvp
def _log_softmax_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The output would not do: exp of a rounded log-probability is off by many ulp.
    def tangent_map(x: Array, mask: Array | None, t: Array) -> Array:
        p = _rows.ratios(x, None, mask, axes)
        t = t.astype(p[0].dtype)
        moved = t * _rows.counting(x, mask, axes) - _rows.mean_tangent(p, None, (t, None), axes)
        return (moved if mask is None else jnp.where(mask, moved, 0)).astype(x.dtype)

    y = _log_softmax(*primals, axes)
    return y, jax.checkpoint(tangent_map, prevent_cse=False)(*primals, tangents[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _hardmax(x: Array, axes: Axes) -> Array:
    largest = jnp.max(x, axes, keepdims=True, initial=-jnp.inf)
    place = jnp.zeros(x.shape, jnp.int32)
    for axis in axes:
        place = place * x.shape[axis] + lax.broadcasted_iota(jnp.int32, x.shape, axis)
    last = np.iinfo(np.int32).max
    first = jnp.min(jnp.where(x == largest, place, last), axes, keepdims=True, initial=last)
    return jnp.where(jnp.isnan(largest), largest, (place == first).astype(x.dtype))


@_hardmax.defjvp
def _hardmax_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    largest = jnp.max(lax.stop_gradient(primals[0]), axes, keepdims=True, initial=-jnp.inf)
    return _hardmax(*primals, axes), jnp.where(jnp.isnan(largest), largest, 0) * tangents[0]


def _cooled(rule: Any, x: Array, given: dict[str, Array | None], axes: Axes) -> Array:
    """Apply a rule to x / temperature; in 16 bits the quotient is not rounded before."""
    temperature = given["temperature"]
    if temperature is None:
        return rule(x, given["where"], axes)
    wide = compute_dtype(x.dtype)
    mask = given["where"]
    if mask is not None:  # A masked entry may be anything, its part of the derivative is 0.
        x = jnp.where(mask, x, 0)
    return rule(x.astype(wide) / temperature.astype(wide), mask, axes).astype(x.dtype)


# -- the functions ------------------------------------------------------------------------------


@row_function(
    reference=lambda mp, row: [1 / mp.fsum(mp.exp(z - x) for z in row) for x in row],
    lengths=(8, 40),
    tier="stable",
    latex=r"\mathrm{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}",
    paper=_BRIDLE,
    names={
        "jax": "softmax",
        "flax": "softmax",
        "keras": ["softmax", "Softmax"],
        "torch": (("softmax", "Softmax"), {}, {"dim": "axis"}),
        "onnx": "Softmax",
    },
    notes={"float32": _SLOPE_NOTE},
)
def softmax(
    x: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    temperature: ArrayLike | None = None,
) -> Array:
    r"""Exponentials that are scaled to the sum 1.

    .. math:: \mathrm{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}

    Entries of +inf share the mass of their row. A row with nothing allowed (masked, -inf or empty)
    gives zeros, and its derivative is 0. Reverse mode keeps the output alone.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.
      temperature: what ``x`` is divided by first, positive; None is 1. It broadcasts against ``x``,
        and the result can be differentiated by it. Each share is then right to a few ulp of the
        row's largest.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.softmax(jnp.array([0.0, 0.0, jnp.inf, jnp.inf])))
      [0.  0.  0.5 0.5]
      >>> print(advact_jax.softmax(jnp.zeros(3), where=jnp.array([True, True, False])))
      [0.5 0.5 0. ]

    References:
      Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
    """
    x, axes, given = _rows.arguments("softmax", "x", x, axis, where=where, temperature=temperature)
    return _cooled(_softmax, x, given, axes)


@row_function(
    direct=True,
    reference=lambda mp, row: [-mp.log(mp.fsum(mp.exp(z - x) for z in row)) for x in row],
    counted={"float32": "row", "float16": "2^-5", "bfloat16": "2^-5"},
    tier="stable",
    latex=r"\mathrm{log\_softmax}(x)_i = x_i - \log \sum_j e^{x_j}",
    paper=_BRIDLE,
    names={
        "jax": "log_softmax",
        "flax": "log_softmax",
        "keras": "log_softmax",
        "torch": (("log_softmax", "LogSoftmax"), {}, {"dim": "axis"}),
        "onnx": "LogSoftmax",
    },
    notes={"float32, float16, bfloat16": _LOG_NOTE},
)
def log_softmax(
    x: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    temperature: ArrayLike | None = None,
) -> Array:
    r"""Logarithm of `softmax`.

    Where one entry has nearly all of the mass, its logarithm is right to the last digits in
    float64, to half an ulp of a float32 1 in other types.

    .. math:: \mathrm{log\_softmax}(x)_i = x_i - \log \sum_j e^{x_j}

    In a row with k entries of +inf these give -log k, the others -inf; the largest finite number of
    float32 or float64 counts as +inf there. A row with nothing allowed (masked, -inf or empty)
    gives -inf, and its derivative is 0. Reverse mode keeps the input alone.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give -inf.
      temperature: what ``x`` is divided by first, positive; None is 1. It broadcasts against ``x``,
        and the result can be differentiated by it.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.log_softmax(jnp.array([0.0, 0.0, -jnp.inf])))
      [-0.6931472 -0.6931472       -inf]

    References:
      Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.
    """
    x, axes, given = _rows.arguments(
        "log_softmax", "x", x, axis, where=where, temperature=temperature
    )
    return _cooled(_log_softmax, x, given, axes)


@row_function(
    reference=lambda mp, row: [1 / mp.fsum(mp.exp(x - z) for z in row) for x in row],
    tier="stable",
    paper="PyTorch, torch.nn.Softmin",
    latex=r"\mathrm{softmin}(x)_i = \frac{e^{-x_i}}{\sum_j e^{-x_j}}",
    names={
        "torch": (("softmin", "Softmin"), {}, {"dim": "axis"}),
    },
    notes={"float32": _SLOPE_NOTE},
)
def softmin(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    r"""Softmax of -x: the smallest entry gets the largest share.

    .. math:: \mathrm{softmin}(x)_i = \frac{e^{-x_i}}{\sum_j e^{-x_j}}

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.softmin(jnp.array([0.0, 0.0, jnp.inf])))
      [0.5 0.5 0. ]

    References:
      PyTorch, ``torch.nn.functional.softmin``.
    """
    x, axes, given = _rows.arguments("softmin", "x", x, axis, where=where)
    return _softmax(-x, given["where"], axes)


@row_function(
    static=(),
    channel_axis=-3,
    reference=softmax.spec.reference,  # type: ignore[attr-defined]
    tier="stable",
    latex=r"\mathrm{softmax}(x)_{chw} = \frac{e^{x_{chw}}}{\sum_k e^{x_{khw}}}",
    paper="PyTorch, torch.nn.Softmax2d",
    names={"torch": "Softmax2d"},
    notes={"float32": _SLOPE_NOTE},
)
def softmax2d(x: ArrayLike) -> Array:
    """Softmax over the channels of an image, whose axis is the third from the end.

    This is torch's ``Softmax2d``, for images with channels first. With channels last, as usual in
    JAX, it is ``softmax(x, axis=-1)``.

    Args:
      x: input, real, of the shape (channels, height, width) or (images, channels, height, width);
        more axes in front are images too.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array.
      ValueError: if it has less than three axes.

    Example:
      >>> print(advact_jax.softmax2d(jnp.zeros((4, 1, 2)))[0])
      [[0.25 0.25]]

    References:
      PyTorch, ``torch.nn.Softmax2d``.
    """
    if jnp.ndim(_checks.real("softmax2d", "x", x)) < 3:
        raise ValueError(
            "softmax2d: expected x of the shape (channels, height, width) or (images, channels, "
            f"height, width), got {_checks.describe(x)}."
        )
    array, axes, _ = _rows.arguments("softmax2d", "x", x, -3)
    return _softmax(array, None, axes)


@row_function(
    reference=lambda mp, row: [mp.mpf(i == row.index(max(row))) for i, _ in enumerate(row)],
    kept=0,
    tier="stable",
    paper="ONNX, operator Hardmax",
    latex=r"\mathrm{hardmax}(x)_i = [i = \min \arg\max_j x_j]",
    names={"onnx": "Hardmax"},
)
def hardmax(x: ArrayLike, axis: Axis = -1) -> Array:
    r"""One at the first of the largest entries, zero elsewhere.

    .. math:: \mathrm{hardmax}(x)_i = [i = \min \arg\max_j x_j]

    The derivative is 0. A row with NaN is NaN, and so is its derivative.

    Args:
      x: input, real.
      axis: the axis, the axes (the first in row-major order counts), or None for all of them.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array.
      ValueError: if an axis is out of range.

    Example:
      >>> print(advact_jax.hardmax(jnp.array([1.0, 3.0, 3.0])))
      [0. 1. 0.]

    References:
      ONNX operator ``Hardmax``.
    """
    x, axes, _ = _rows.arguments("hardmax", "x", x, axis)
    return _hardmax(x, axes)
