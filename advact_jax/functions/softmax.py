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
    "Where one entry has nearly all of the mass, the error is half an ulp of 1, not of the result, "
    "as in jax.nn: summing the others by themselves takes longer. Other types do it."
)
_RIDGE_NOTE = (
    "Where the result is close to 0 because its terms cancel, the error is a few ulp of the "
    "largest entry, not of the result."
)
_MEAN_NOTE = (
    "The error is a few ulp of the largest entry or of 1, not of the result: the mean of the "
    "exponentials of small numbers is close to 1."
)
_BRIDLE = "Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990"
_BLANCHARD = (
    "Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, "
    "IMA Journal of Numerical Analysis, 2021"
)

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
        t = t.astype(p.dtype)
        moved = t * _rows.counting(x, mask, axes) - jnp.sum(p * t, axes, keepdims=True)
        return (moved if mask is None else jnp.where(mask, moved, 0)).astype(x.dtype)

    y = _log_softmax(*primals, axes)
    return y, jax.checkpoint(tangent_map, prevent_cse=False)(*primals, tangents[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def _logsumexp(
    x: Array, b: Array | None, mask: Array | None, axes: Axes, mean: bool, alone: bool
) -> tuple[Array, Array]:
    """Return log(abs(sum(b · exp(x)))) and the sign of the sum, with the axes kept.

    Alone, without its derivative, a row with +inf needs no care. The two values are the same.
    """
    if b is None and not mean and x.dtype != jnp.float32:
        m, total = _rows.maximum(x, mask, axes), _rows.exponentials(x, mask, axes)[2]
        log_total, sign = _rows.log_total(x, mask, axes)[1], jnp.minimum(total, 1)
        return jnp.where(total == 0, -jnp.inf, m + log_total).astype(x.dtype), sign.astype(x.dtype)
    m = _rows.maximum(x, mask, axes)
    if b is None and alone:
        m = jnp.where(jnp.isinf(m), 0, m)
        total = jnp.sum(jnp.exp(_rows.allowed(x, mask) - m), axes, keepdims=True)
    else:
        _, e, total = _rows.exponentials(x, mask, axes)
        total = total if b is None else jnp.sum(e * b, axes, keepdims=True)
    total = total / _rows.count(x, mask, axes) if mean else total
    # An empty row has a sum of 0.
    return (m + jnp.log(jnp.abs(total))).astype(x.dtype), jnp.sign(total).astype(x.dtype)


@functools.partial(_logsumexp.defjvp, symbolic_zeros=True)
def _logsumexp_rule(axes: Axes, mean: bool, alone: bool, primals: Any, tangents: Any) -> Any:
    y, sign = _logsumexp(*primals, axes, mean, False)
    moved = [i for i in (0, 1) if not _rows.is_zero(tangents[i])]

    def tangent_map(primals: Any, *some: Array) -> Array:
        along: list[Any] = [None, None]
        for i, tangent in zip(moved, some, strict=True):
            along[i] = tangent
        p = _rows.ratios(*primals, axes)
        return _rows.mean_tangent(p, primals[1], along, axes).astype(y.dtype)

    some = [tangents[i] for i in moved]
    tangent = jax.checkpoint(tangent_map, prevent_cse=False)(primals, *some)
    return (y, sign), (jnp.broadcast_to(tangent, y.shape), jnp.zeros_like(sign))


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
    counted={"float32": "row"},
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
    notes={"float32": _LOG_NOTE},
)
def log_softmax(
    x: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    temperature: ArrayLike | None = None,
) -> Array:
    r"""Logarithm of `softmax`.

    Where one entry has nearly all of the mass its logarithm is right to the last digits, but in
    float32, where it is right to half an ulp of 1.

    .. math:: \mathrm{log\_softmax}(x)_i = x_i - \log \sum_j e^{x_j}

    In a row with k entries of +inf these give -log k, the others -inf (the largest finite number
    may give the lowest one). A row with nothing allowed
    (masked, -inf or empty) gives -inf, and its derivative is 0. Reverse mode keeps the input alone.

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
      >>> print(advact_jax.log_softmax(jnp.array([0.0, -40.0], jnp.bfloat16)))
      [-4.25549e-18 -40]

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


@row_function(
    static=("axis", "keepdims", "return_sign"),
    reference=lambda mp, row: mp.log(mp.fsum(mp.exp(x) for x in row)),
    paper=_BLANCHARD,
    counted={"all": "input"},
    tier="stable",
    latex=r"\mathrm{logsumexp}(a) = \log \sum_i b_i e^{a_i}",
    names={
        "jax": "logsumexp",
        "torch": "logsumexp",
        "keras": "logsumexp",
        "onnx": "ReduceLogSumExp",
    },
    notes={"float32": f"{_LOG_NOTE} {_RIDGE_NOTE}"},
)
def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Array | tuple[Array, Array]:
    r"""Logarithm of a sum of exponentials, without overflow.

    .. math:: \mathrm{logsumexp}(a) = \log \sum_i b_i e^{a_i}

    A row with nothing allowed (masked, -inf or empty) gives -inf, and its derivative is 0. In a row
    with +inf the derivative is shared among those entries. Where an entry of ``b`` is 0, that of
    ``a`` doesn't count, and both derivatives are 0 as in jax.nn.

    Args:
      a: input, real.
      axis: the axis, the axes, or None for all of them.
      b: factors of the exponentials, broadcast against ``a``.
      keepdims: whether the axes stay, with size 1.
      return_sign: whether the sign of the sum is returned too; else a negative sum gives NaN.
      where: which entries count, bool, broadcast against ``a``.

    Returns:
      An array of the dtype of ``a`` (integers are promoted to float), or a pair of such arrays:
      the logarithm of the sum's absolute value, and the sum's sign.

    Raises:
      TypeError: if ``a`` or ``b`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or shapes don't broadcast.

    Example:
      >>> print(advact_jax.logsumexp(jnp.array([1000.0, 1000.0])))
      1000.6932

    References:
      Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
      IMA Journal of Numerical Analysis, 2021.
    """
    keepdims = _checks.boolean("logsumexp", "keepdims", keepdims)
    a, axes, given = _rows.arguments("logsumexp", "a", a, axis, b=b, where=where)
    factors, mask = given["b"], given["where"]
    if factors is not None:
        factors = factors.astype(compute_dtype(a.dtype))
        mask = factors != 0 if mask is None else mask & (factors != 0)
        factors = jnp.where(mask, factors, 0)
        mask, factors = jnp.broadcast_to(mask, a.shape), jnp.broadcast_to(factors, a.shape)
    result, sign = _logsumexp(a, factors, mask, axes, False, True)
    if not keepdims:
        result, sign = jnp.squeeze(result, axes), jnp.squeeze(sign, axes)
    if _checks.boolean("logsumexp", "return_sign", return_sign):
        return result, sign
    return result if factors is None else jnp.where(sign < 0, jnp.nan, result)


@row_function(
    direct=True,
    static=("axis", "keepdims"),
    reference=lambda mp, row: mp.log(mp.fsum(mp.exp(x) for x in row) / len(row)),
    paper=_BLANCHARD,
    names={"jax": "logmeanexp"},
    counted={"all": "input"},
    tier="stable",
    latex=r"\mathrm{logmeanexp}(x) = \log \frac{1}{n} \sum_{i=1}^n e^{x_i}",
    notes={"float32": _MEAN_NOTE, "float16, bfloat16": _MEAN_NOTE},
)
def logmeanexp(
    x: ArrayLike,
    axis: Axis = None,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Array:
    r"""Logarithm of the mean of exponentials, without overflow.

    .. math:: \mathrm{logmeanexp}(x) = \log \frac{1}{n} \sum_{i=1}^n e^{x_i}

    The mean is over the entries that ``where`` allows. A row with nothing allowed (masked, -inf or
    empty) gives -inf, and its derivative is 0.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``.
      keepdims: whether the axes stay, with size 1.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.logmeanexp(jnp.array([1000.0, 1000.0])))
      1000.0

    References:
      Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
      IMA Journal of Numerical Analysis, 2021.
    """
    keepdims = _checks.boolean("logmeanexp", "keepdims", keepdims)
    x, axes, given = _rows.arguments("logmeanexp", "x", x, axis, where=where)
    result, _ = _logsumexp(x, None, given["where"], axes, True, True)
    return result if keepdims else jnp.squeeze(result, axes)
