"""Piecewise linear functions with tables of coefficients."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _numerics as num
from advact_jax import _tables
from advact_jax._declare import row_function
from advact_jax._spec import Parameter


def _nan_or(x: Array, value: Array | float) -> Array:
    """Return the value, or NaN where ``x`` is NaN."""
    return jnp.where(jnp.isnan(x), x, value)


# -- piecewise linear on equal intervals --------------------------------------------------------


def _pieces(
    heights: Array, left_slope: Array, right_slope: Array, low: Array, high: Array
) -> list[tuple[Array, Array, Array]]:
    """Return the knot, the height there and the slope to its right, the left tail first."""
    count = heights.shape[0] - 1
    width = (high - low) / count
    knots = [low, *(low + k * width for k in range(1, count)), high]
    slopes = [left_slope, *((heights[k + 1] - heights[k]) / width for k in range(count))]
    anchors = [low, *knots]
    levels = [heights[0], *(heights[k] for k in range(count + 1))]
    return list(zip(anchors, levels, [*slopes, right_slope], strict=True))


def _owned(x: Array, pieces: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Return the piece that owns each element: the one to the right of its knot.

    Comparisons and choices are one loop over the elements, where a gather would stand alone and
    its derivative be a scatter.
    """
    (anchor, level, slope), *rest = pieces
    anchor, level, slope = (jnp.broadcast_to(v, x.shape) for v in (anchor, level, slope))
    for knot, height, right in rest:
        beyond = x >= knot
        anchor = jnp.where(beyond, knot, anchor)
        level = jnp.where(beyond, height, level)
        slope = jnp.where(beyond, right, slope)
    return anchor, level, slope


def _pwlu(
    x: Array, heights: Array, left_slope: Array, right_slope: Array, low: Array, high: Array
) -> Array:
    pieces = _pieces(heights, left_slope, right_slope, low, high)
    anchor, level, slope = _owned(x, pieces)
    return level + num.flat_where_zero(slope, x - anchor)


def _pwlu_slope(
    x: Array, heights: Array, left_slope: Array, right_slope: Array, low: Array, high: Array
) -> Array:
    pieces = _pieces(heights, left_slope, right_slope, low, high)
    return _nan_or(x, _owned(x, pieces)[2])


def _tents(x: Array, heights: Array, low: Array, high: Array, **_: Array) -> list[Array]:
    count = heights.shape[0] - 1
    width = (high - low) / count
    knots = [low, *(low + k * width for k in range(1, count)), high]
    tents = []
    for k, knot in enumerate(knots):
        right = jnp.ones_like(x)
        if k < count:
            right = jnp.where(x >= knots[k + 1], 0, (knots[k + 1] - x) / width)
        left = jnp.ones_like(x)
        if k:
            left = jnp.where(x >= knots[k - 1], (x - knots[k - 1]) / width, 0)
        tents.append(_nan_or(x, jnp.where(x >= knot, right, left)))
    return tents


def _by_low(x: Array, low: Array, high: Array, left_slope: Array, **others: Array) -> Array:
    given = {"left_slope": left_slope, "low": low, "high": high, **others}
    inside = -_pwlu_slope(x, **given) * ((high - x) / (high - low))
    return _nan_or(x, jnp.where(x >= high, 0, jnp.where(x >= low, inside, -left_slope)))


def _by_high(x: Array, low: Array, high: Array, right_slope: Array, **others: Array) -> Array:
    given = {"right_slope": right_slope, "low": low, "high": high, **others}
    inside = -_pwlu_slope(x, **given) * ((x - low) / (high - low))
    return _nan_or(x, jnp.where(x >= high, -right_slope, jnp.where(x >= low, inside, 0)))


_PWLU_PARAMETERS = {
    "heights": Parameter(is_table=True, learned=True, partial=_tents),
    "left_slope": Parameter(
        learned=True,
        initial=0.0,
        partial=lambda x, low, **_: jnp.where(x >= low, 0, x - low),
    ),
    "right_slope": Parameter(
        learned=True,
        initial=1.0,
        partial=lambda x, high, **_: jnp.where(x < high, 0, x - high),
    ),
    "low": Parameter(learned=True, initial=-3.0, partial=_by_low),
    "high": Parameter(learned=True, initial=3.0, partial=_by_high),
}
_PWLU = _tables.rule(
    "pwlu", _pwlu, _pwlu_slope, lambda x, **_: _nan_or(x, jnp.zeros_like(x)), _PWLU_PARAMETERS
)


def _pwlu_reference(
    mp: Any,
    row: Any,
    heights: Any,
    left_slope: Any = 0.0,
    right_slope: Any = 1.0,
    low: Any = -3.0,
    high: Any = 3.0,
) -> list[Any]:
    h = [mp.convert(v) for v in heights]
    left, right, low, high = (mp.mpf(v) for v in (left_slope, right_slope, low, high))
    count = len(h) - 1

    def one(x: Any) -> Any:
        t = (x - low) / (high - low) * count
        if t < 0:
            return h[0] + left * (x - low)
        if t >= count:
            return h[-1] + right * (x - high)
        k = int(mp.floor(t))
        return h[k] + (h[k + 1] - h[k]) * (t - k)

    return [one(x) for x in row]


@row_function(
    static=(),
    counted=dict.fromkeys(("float32", "float64"), "input"),
    parameters=_PWLU_PARAMETERS,
    given=(
        _tables.given(heights=(0.0, 0.0, 0.0, 1.0, 2.0)),
        {"left_slope": -0.25, "low": -1.0, "high": 2.0} | _tables.given(heights=(0.5, -1.0, 2.0)),
    ),
    reference=_pwlu_reference,
    tier="experimental",
    latex=r"\begin{cases} h_0 + l (x - a) & x < a \\ h_k + (h_{k+1} - h_k) \frac{x - a_k}{d} & "
    r"a_k \le x < a_{k+1} \\ h_N + r (x - b) & x \ge b \end{cases}",
    paper="Zhou, Zhu, Wang, Yan and Zhang 2021, Learning specialized activation functions with the "
    "piecewise linear unit, arXiv:2104.03693",
    notes={
        "float32": "The error is a few ulp of the largest of the height at the knot, slope · x and "
        "slope · knot; where these cancel, it is more ulps of the result."
    },
)
def pwlu(
    x: ArrayLike,
    heights: ArrayLike,
    left_slope: ArrayLike = 0.0,
    right_slope: ArrayLike = 1.0,
    low: ArrayLike = -3.0,
    high: ArrayLike = 3.0,
) -> Array:
    r"""Piecewise linear unit: a polygon over equal intervals, and a straight tail on either side.

    .. math:: f(x) = \begin{cases} h_0 + l (x - a) & x < a \\
        h_k + (h_{k+1} - h_k) (x - a_k) / d & a_k \le x < a_{k+1} \\
        h_N + r (x - b) & x \ge b \end{cases}, \quad a_k = a + k d, \quad d = (b - a) / N

    At a knot the derivative is that of the piece to its right. Reverse mode keeps ``x`` alone.

    Args:
      x: input, real.
      heights: the values at the N + 1 knots along the last axis; the other axes, if any, broadcast
        against ``x``. N >= 1.
      left_slope: slope l below ``low``; broadcasts against ``x``, as those that follow.
      right_slope: slope r from ``high`` on.
      low: the first knot a.
      high: the last knot b, above ``low``.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if there are less than two heights, or shapes don't broadcast.

    Example:
      >>> heights = jnp.array([0.0, 0.0, 0.0, 1.5, 3.0])
      >>> print(advact_jax.pwlu(jnp.array([-4.0, 1.0, 5.0]), heights))
      [0. 1. 5.]

    References:
      Zhou, Zhu, Wang, Yan and Zhang, "Learning specialized activation functions with the piecewise
      linear unit", ICCV 2021, arXiv:2104.03693.
    """
    if _tables.sizes("pwlu", {"heights": heights})["heights"] < 2:
        raise ValueError("pwlu: expected at least two heights along the last axis, got one.")
    return _tables.evaluate(
        _PWLU, x, {}, heights=heights, left_slope=left_slope, right_slope=right_slope, low=low,
        high=high,
    )  # fmt: skip


# -- rectifier and hinges -----------------------------------------------------------------------


def _hinged(x: Array, slopes: Array, hinges: Array) -> list[tuple[Array, Array, Array]]:
    return [(x >= b, a, b) for a, b in zip(slopes, hinges, strict=True)]


def _apl(x: Array, slopes: Array, hinges: Array) -> Array:
    y = jnp.maximum(x, 0)
    total = bias = jnp.zeros((), x.dtype)
    for beyond, a, b in _hinged(x, slopes, hinges):
        y = y + jnp.where(beyond, 0, a * (b - x))
        total, bias = total + a, bias + a * b
    # Where the slopes add up to 0, infinite terms of both signs would give NaN.
    return jnp.where(x == -jnp.inf, num.flat_where_zero(-total, x) + bias, y)


def _apl_slope(x: Array, slopes: Array, hinges: Array) -> Array:
    slope = (x > 0).astype(x.dtype)
    for beyond, a, _ in _hinged(x, slopes, hinges):
        slope = slope - jnp.where(beyond, 0, a)
    return _nan_or(x, slope)


_APL_PARAMETERS = {
    "slopes": Parameter(
        is_table=True,
        learned=True,
        partial=lambda x, slopes, hinges: [
            jnp.where(beyond, 0, b - x) for beyond, _, b in _hinged(x, slopes, hinges)
        ],
    ),
    "hinges": Parameter(
        is_table=True,
        learned=True,
        partial=lambda x, slopes, hinges: [
            _nan_or(x, jnp.where(beyond, 0, a)) for beyond, a, _ in _hinged(x, slopes, hinges)
        ],
    ),
}
_APL = _tables.rule(
    "apl", _apl, _apl_slope, lambda x, **_: _nan_or(x, jnp.zeros_like(x)), _APL_PARAMETERS
)


@row_function(
    static=(),
    counted=dict.fromkeys(("float32", "float64"), "input"),
    parameters=_APL_PARAMETERS,
    given=(
        _tables.given(slopes=(0.2, -0.3), hinges=(0.5, -1.25)),
        _tables.given(slopes=(0.25,), hinges=(0.0,)),
    ),
    reference=lambda mp, row, slopes, hinges: [
        (x + abs(x)) / 2
        + mp.fsum(
            mp.convert(a) * (abs(b - x) + b - x) / 2
            for a, b in zip(slopes, map(mp.convert, hinges), strict=True)
        )
        for x in row
    ],
    tier="experimental",
    latex=r"\max(x, 0) + \sum_s a_s \max(0, b_s - x)",
    paper="Agostinelli, Hoffman, Sadowski and Baldi 2014, Learning activation functions to improve "
    "deep neural networks, arXiv:1412.6830",
    notes={"float32": "The error is a few ulp of the largest term of the sum, not of the result."},
)
def apl(x: ArrayLike, slopes: ArrayLike, hinges: ArrayLike) -> Array:
    r"""Adaptive piecewise linear unit: a rectifier and S learned hinges.

    .. math:: f(x) = \max(x, 0) + \sum_{s=1}^S a_s \max(0, b_s - x)

    Codes differ in where slopes and hinges start; the layer `APL` starts as a rectifier. At a kink
    the derivative is that of the side where the term is 0: to the left at 0, to the right at a
    hinge. Reverse mode keeps ``x`` alone.

    Args:
      x: input, real.
      slopes: the S slopes a along the last axis; the other axes, if any, broadcast against ``x``.
      hinges: the S places b, in the same way.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if the numbers of slopes and hinges differ, or shapes don't broadcast.

    Example:
      >>> print(advact_jax.apl(jnp.array([-2.0, 0.0, 2.0]), jnp.array([0.5]), jnp.array([1.0])))
      [1.5 0.5 2. ]

    References:
      Agostinelli, Hoffman, Sadowski and Baldi, "Learning activation functions to improve deep
      neural networks", 2014, arXiv:1412.6830.
    """
    sizes = _tables.sizes("apl", {"slopes": slopes, "hinges": hinges})
    if sizes["slopes"] != sizes["hinges"]:
        raise ValueError(
            f"apl: expected as many slopes as hinges, got {sizes['slopes']} and {sizes['hinges']}."
        )
    return _tables.evaluate(_APL, x, {}, slopes=slopes, hinges=hinges)
