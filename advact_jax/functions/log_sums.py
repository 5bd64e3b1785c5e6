"""Logarithms of sums and means of exponentials along one axis or several."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _numerics, _rows
from advact_jax._declare import row_function
from advact_jax._rows import Axes, Axis
from advact_jax._rule import compute_dtype

_RIDGE_NOTE = (
    "Where one entry has nearly all of the mass, the error is half an ulp of a float32 1, not of "
    "the result: summing the others by themselves takes twice as long. float64 does it. "
    "Where the result is close to 0 because its terms cancel, the error is a few ulp of the "
    "largest entry, not of the result."
)
_MEAN_NOTE = (
    "The error is a few ulp of the largest entry or of 1, not of the result: the mean of the "
    "exponentials of small numbers is close to 1."
)
_BLANCHARD = (
    "Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, "
    "IMA Journal of Numerical Analysis, 2021"
)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def _logsumexp(
    x: Array, b: Array | None, mask: Array | None, axes: Axes, mean: bool, alone: bool
) -> tuple[Array, Array]:
    """Return log(abs(sum(b · exp(x)))) and the sign of the sum, with the axes kept.

    Alone, without its derivative, a row with +inf needs no care. The two values are the same.
    """
    if b is None and not mean and _numerics.is_double(x):
        m, total = _rows.maximum(x, mask, axes), _rows.exponentials(x, mask, axes)[2]
        log_total, sign = _rows.log_total(x, mask, axes)[1], jnp.minimum(total, 1)
        return jnp.where(total == 0, -jnp.inf, m + log_total), sign
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


@row_function(
    static=("axis", "keepdims", "return_sign"),
    reference=lambda mp, row: mp.log(mp.fsum(mp.exp(x) for x in row)),
    paper=_BLANCHARD,
    counted={"all": "input"},
    tier="stable",
    latex=r"\mathrm{logsumexp}(a) = \log \sum_i b_i e^{a_i}",
    names={
        "jax": "logsumexp",
        "flax": "logsumexp",
        "torch": "logsumexp",
        "keras": "logsumexp",
        "onnx": "ReduceLogSumExp",
    },
    notes={"float32, float16, bfloat16": _RIDGE_NOTE},
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
    with +inf the derivative is shared among those entries (and the largest finite number of float32
    or float64, if it is there). Where an entry of ``b`` is 0, that of ``a`` doesn't count, and both
    derivatives are 0 as in jax.nn.

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
