"""Normalisers of attention scores beside softmax, and what is done to scores before."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _numerics as num
from advact_jax import _rows, _thresholds
from advact_jax._declare import row_function
from advact_jax._rows import Axes, Axis
from advact_jax._rule import compute_dtype
from advact_jax._shares import with_sink
from advact_jax._spec import Parameter
from advact_jax._thresholds import total

_OPENAI = "OpenAI 2025, gpt-oss-120b and gpt-oss-20b Model Card, arXiv:2508.10925"
_SLOPE_NOTE = (
    "Where one output is nearly 1, its own derivative is off by a few ulp of 1: the output alone "
    "is kept. The derivative of a 16-bit output is computed from the rounded output."
)


# -- softmax with a sink ------------------------------------------------------------------------


def _sink_reference(mp: Any, row: list[Any], sink: Any = 0) -> list[Any]:
    return [1 / (mp.exp(sink - x) + mp.fsum(mp.exp(z - x) for z in row)) for x in row]


@row_function(
    given=({"sink": 0.5}, {"sink": -3.0}),
    reference=_sink_reference,
    tier="stable",
    latex=r"p_i = \frac{e^{x_i}}{e^s + \sum_j e^{x_j}}",
    paper=_OPENAI,
    parameters={"sink": Parameter(initial=0.0, learned=True)},
    notes={"float32": _SLOPE_NOTE, "float16, bfloat16": _SLOPE_NOTE},
)
def softmax_with_sink(
    x: ArrayLike, sink: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None
) -> Array:
    r"""Softmax of a row with one more logit, whose share is left out: an attention sink.

    .. math:: p_i = \frac{e^{x_i}}{e^s + \sum_j e^{x_j}}

    The shares add up to less than 1, so that a head can attend to nothing. A sink of -inf makes it
    softmax. A row with nothing allowed (masked, -inf or empty) gives zeros, and its derivatives are
    0; entries of +inf share the mass of their row. Reverse mode keeps the output, and the share of
    the sink for each row.

    Args:
      x: input, real.
      sink: the logit s; a number, or an array that broadcasts against ``x`` and has the size 1
        along the axis: one logit for each head is ``sink[:, None, None]`` where the last axes of
        ``x`` are heads, queries and keys.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or ``sink`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range, shapes don't broadcast, or the sink differs in a row.

    Example:
      >>> print(advact_jax.softmax_with_sink(jnp.zeros(3), 0.0))
      [0.25 0.25 0.25]

    References:
      Xiao et al., "Efficient streaming language models with attention sinks", arXiv:2309.17453.
      OpenAI, "gpt-oss-120b & gpt-oss-20b model card", 2025, arXiv:2508.10925.
    """
    x, axes, given = _rows.arguments("softmax_with_sink", "x", x, axis, sink=sink, where=where)
    sink = _thresholds.for_each_row("softmax_with_sink", "sink", given["sink"], axes)
    return with_sink(x, sink.astype(compute_dtype(x.dtype)), given["where"], axes)[0]


@row_function(
    reference=_sink_reference,
    tier="stable",
    latex=r"p_i = \frac{e^{x_i}}{1 + \sum_j e^{x_j}}",
    paper="Miller 2023, Attention Is Off By One",
    notes={"float32": _SLOPE_NOTE, "float16, bfloat16": _SLOPE_NOTE},
)
def softmax_one(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    r"""Softmax that can attend to nothing: `softmax_with_sink` with a sink of 0.

    .. math:: p_i = \frac{e^{x_i}}{1 + \sum_j e^{x_j}}

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
      >>> print(advact_jax.softmax_one(jnp.array([0.0, -jnp.inf])))
      [0.5 0. ]

    References:
      Miller, "Attention is off by one", 2023, https://www.evanmiller.org/attention-is-off-by-one.html
    """
    x, axes, given = _rows.arguments("softmax_one", "x", x, axis, where=where)
    sink = jnp.zeros((1,) * x.ndim, compute_dtype(x.dtype))
    return with_sink(x, sink, given["where"], axes)[0]


# -- softpick -----------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _picked(x: Array, mask: Array | None, axes: Axes, epsilon: float) -> tuple[Array, Array]:
    """Return softpick, and exp(x) over its denominator, in the compute type."""
    wide = _rows.allowed(x, mask)
    # The threshold 0 counts as the largest entry does.
    largest = jnp.maximum(_rows.maximum(wide, None, axes), 0)
    c, reach = _rows.offset(largest, _rows.row_length(wide, axes) + 1)
    # The size of exp(x) - 1, which does not cancel.
    size = -num.expm1(-jnp.abs(wide)) * jnp.exp(jnp.minimum(jnp.maximum(wide, 0) - c, reach + 1))
    size = jnp.where(wide == -jnp.inf, 0, size)
    whole = total(size, axes) + epsilon * jnp.exp(-c)
    inverse = jnp.where(whole > 0, 1 / jnp.where(whole > 0, whole, 1), 0 * whole)
    p = jnp.where(wide > 0, size, 0 * whole) * inverse
    e = jnp.exp(jnp.minimum(wide - c, reach + 1)) * inverse
    return (p, e) if mask is None else (jnp.where(mask, p, 0), jnp.where(mask, e, 0))


@_picked.defjvp
def _picked_rule(axes: Axes, epsilon: float, primals: Any, tangents: Any) -> tuple[Any, Any]:
    x, t = primals[0], tangents[0]
    p, e = _picked(*primals, axes, epsilon)
    t = t.astype(p.dtype)
    # 0 belongs to the piece below, where nothing is picked.
    mean = total(jnp.where(x > 0, e, -e) * t, axes)
    return (p, e), (jnp.where(x > 0, e * t, 0 * mean) - p * mean, e * (t - mean))


def _softpick_reference(mp: Any, row: list[Any], epsilon: float = 1e-8) -> list[Any]:
    sizes = [mp.expm1(x) for x in row]
    whole = mp.fsum(abs(v) for v in sizes) + mp.mpf(epsilon)
    return [max(v, 0) / whole for v in sizes]


@row_function(
    static=("axis", "epsilon"),
    reference=_softpick_reference,
    tier="experimental",
    latex=r"\mathrm{softpick}(x)_i = \frac{\max(e^{x_i} - 1, 0)}{\sum_j |e^{x_j} - 1| + \epsilon}",
    paper="Zuhri, Fuadi and Aji 2025, Softpick: No Attention Sink, No Massive Activations with "
    "Rectified Softmax, arXiv:2504.20966",
)
def softpick(
    x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None, epsilon: float = 1e-8
) -> Array:
    r"""Rectified softmax: entries up to 0 get nothing, and a row may add up to less than 1.

    .. math:: \mathrm{softpick}(x)_i = \frac{\max(e^{x_i} - 1, 0)}{\sum_j |e^{x_j} - 1| + \epsilon}

    Where an entry is -inf it doesn't count, as if it were masked. At 0 the derivative is that from
    below. Entries of +inf share the mass of their row, whose derivative is finite. A row with
    nothing allowed gives zeros. Reverse mode keeps the input.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.
      epsilon: added to the denominator, a number; it keeps rows near 0 from jumping.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.softpick(jnp.log(jnp.array([3.0, 2.0, 0.5]))))
      [0.571 0.286 0.   ]

    References:
      Zuhri, Fuadi and Aji, "Softpick: no attention sink, no massive activations with rectified
      softmax", 2025, arXiv:2504.20966.
    """
    x, axes, given = _rows.arguments("softpick", "x", x, axis, where=where)
    mask = given["where"]

    def picked(x: Array) -> Array:
        return _picked(x, mask, axes, epsilon)[0].astype(x.dtype)

    return jax.checkpoint(picked, prevent_cse=False)(x)


# -- entropy ------------------------------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _surprise(x: Array, mask: Array | None, axes: Axes) -> tuple[Array, Array, Array]:
    """Return the shares p, -log(p) and the entropy, in the compute type."""
    d = _thresholds.distances(x, mask, axes)
    # Nothing is left of the exponential where it is cut.
    below = jnp.maximum(d.head, -1e4)
    e = jnp.exp(below) * (1 + d.tail)
    # The largest have d = 0; what 1 + the others would round away is summed by itself.
    others = total(jnp.where(below < 0, e, 0), axes)
    count = total((below == 0).astype(e.dtype), axes)
    some = jnp.maximum(count, 1)
    log_total = jnp.log(some) + jnp.log1p(others / some)
    p = e / jnp.where(count > 0, some + others, 1)
    surprise = log_total - (below + d.tail)
    return p, surprise, total(p * surprise, axes)


@_surprise.defjvp
def _surprise_rule(axes: Axes, primals: Any, tangents: Any) -> tuple[Any, Any]:
    p, surprise, entropy = _surprise(*primals, axes)
    t = tangents[0].astype(p.dtype)
    # Only differences count: from the largest entry, whose p may be 1 but for what p can't hold.
    x, mask = (lax.stop_gradient(v) for v in primals)
    top = (_thresholds.distances(x, mask, axes).head == 0).astype(p.dtype)
    t = t - total(top * t, axes) / jnp.maximum(total(top, axes), 1)
    mean = total(p * t, axes)
    along = total(p * (surprise - entropy) * t, axes)
    return (p, surprise, entropy), (p * (t - mean), mean - t, along)


def _entropy_reference(mp: Any, row: list[Any]) -> Any:
    shares = [1 / mp.fsum(mp.exp(z - x) for z in row) for x in row]
    return -mp.fsum(p * mp.log(p) for p in shares)


@row_function(
    reference=_entropy_reference,
    tier="stable",
    latex=r"H(x) = -\sum_i p_i \log p_i, \quad p = \mathrm{softmax}(x)",
    paper="Shannon 1948, A Mathematical Theory of Communication",
)
def entropy(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    r"""Entropy of `softmax`, in nats.

    .. math:: H(x) = -\sum_i p_i \log p_i, \quad p = \mathrm{softmax}(x)

    It is a sum of terms that are not negative, and right to the last digits also where one entry
    has nearly all of the mass. Entries of +inf share it. A row with nothing allowed (masked, -inf
    or empty) gives 0, and its derivative is 0. Reverse mode keeps the input.

    Args:
      x: logits, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float), without the axes.

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.entropy(jnp.array([[0.0, 0.0], [0.0, -30.0]])))
      [6.9315e-01 2.9008e-12]

    References:
      Shannon, "A mathematical theory of communication", 1948.
    """
    x, axes, given = _rows.arguments("entropy", "x", x, axis, where=where)
    mask = given["where"]

    def of(x: Array) -> Array:
        return jnp.squeeze(_surprise(x, mask, axes)[2], axes).astype(x.dtype)

    return jax.checkpoint(of, prevent_cse=False)(x)
