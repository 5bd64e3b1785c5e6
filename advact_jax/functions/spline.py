"""B-splines on an even grid, and their least-squares fit."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _tables
from advact_jax._declare import row_function
from advact_jax._rule import compute_dtype
from advact_jax._spec import Parameter

Grid = tuple[float, float]

# -- evaluation ---------------------------------------------------------------------------------


def _place(x: Array, count: int, grid: Grid, degree: int) -> tuple[Array, Array]:
    """Return the number of each element's interval, from the first knot on, and its place there.

    The count of coefficients and the degree are those of the spline. Distances are taken from the
    middle of the grid, so that the error is that of rounding ``x`` there.
    """
    low, high = grid
    intervals = count - degree
    width, middle = (high - low) / intervals, low + (high - low) / 2
    first = intervals / 2 + degree  # intervals from the first knot to the middle
    reach = first + 1.0
    t = jnp.clip((x - middle) * (1 / width), -reach, reach)
    number = jnp.floor(t + first)
    return number, t - (number - first)


def _weights(u: Array, degree: int) -> list[Array]:
    """Return the B-splines that are not 0 in an interval, the one that ends first leading.

    These are de Boor's sums of products that are not negative, for knots at distance 1.
    """
    found = [jnp.where(jnp.isnan(u), u, 1)]
    for j in range(1, degree + 1):
        saved: Any = 0.0
        for r in range(j):
            share = found[r] * (1 / j)
            found[r] = saved + (r + 1 - u) * share
            saved = (u + (j - r - 1)) * share
        found.append(saved)
    return found


def _sum(x: Array, table: Array, number: Array, u: Array, degree: int) -> Array:
    """Return the spline of a degree with these coefficients, at a place from `_place`."""
    count = len(table)
    total = jnp.zeros_like(x)
    for r, weight in enumerate(_weights(u, degree)):
        # The interval in which this B-spline is that of coefficient k has the number k + d - r.
        chosen = jnp.zeros_like(x)
        for k in range(count):
            chosen = jnp.where(number == k + degree - r, table[k], chosen)
        total = total + weight * chosen
    return total


def _differences(table: Array, scale: float) -> Array:
    """Return the coefficients of the derivative of a spline."""
    end = jnp.zeros_like(table[:1])
    return (jnp.concatenate([table, end]) - jnp.concatenate([end, table])) * scale


def _derivative(order: int) -> Any:
    def derivative(x: Array, coefficients: Array, grid: Grid, degree: int) -> Array:
        if order > degree:
            return jnp.where(jnp.isnan(x), x, 0)
        count = len(coefficients)
        number, u = _place(x, count, grid, degree)
        table = coefficients
        for _ in range(order):
            table = _differences(table, (count - degree) / (grid[1] - grid[0]))
        return _sum(x, _tables.settled(table), number, u, degree - order)

    return derivative


def _basis(x: Array, coefficients: Array, grid: Grid, degree: int) -> list[Array]:
    count = len(coefficients)
    number, u = _place(x, count, grid, degree)
    weights = _weights(u, degree)
    found = []
    for k in range(count):
        share = jnp.where(jnp.isnan(x), x, 0)
        for r, weight in enumerate(weights):
            share = jnp.where(number == k + degree - r, weight, share)
        found.append(share)
    return found


_PARAMETERS = {"coefficients": Parameter(is_table=True, learned=True, partial=_basis)}
_BSPLINE = _tables.rule("bspline", _derivative(0), _derivative(1), _derivative(2), _PARAMETERS)


# -- the function -------------------------------------------------------------------------------


def checked(name: str, count: int, grid: Any, degree: Any) -> tuple[Grid, int]:
    """Return the grid and the degree, or raise TypeError or ValueError."""
    degree = _checks.integer(name, "degree", degree)
    if degree < 0:
        raise ValueError(f"{name}: expected a degree of at least 0, got {degree}.")
    if count <= degree:
        raise ValueError(
            f"{name}: expected more coefficients than the degree {degree} along the last axis, one "
            f"more for each interval, got {count}."
        )
    if not isinstance(grid, tuple) or len(grid) != 2:
        raise TypeError(f"{name}: expected grid to be a tuple (low, high), got {grid!r}.")
    low, high = (float(v) for v in grid)
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"{name}: expected a grid (low, high) with low < high, got {grid!r}.")
    return (low, high), degree


def _reference(
    mp: Any, row: Any, coefficients: Any, grid: Any = (-1.0, 1.0), degree: int = 3
) -> list[Any]:
    table = [mp.convert(c) for c in coefficients]
    low, high = (mp.mpf(v) for v in grid)
    width = (high - low) / (len(coefficients) - degree)

    def b(t: Any, k: int, d: int) -> Any:
        if d == 0:
            return mp.mpf(k <= t < k + 1)
        return ((t - k) * b(t, k, d - 1) + (k + d + 1 - t) * b(t, k + 1, d - 1)) / d

    return [
        mp.fsum(c * b((x - low) / width + degree, k, degree) for k, c in enumerate(table))
        for x in row
    ]


@row_function(
    static=("grid", "degree"),
    counted={"all": "input"},
    parameters=_PARAMETERS,
    given=(
        {"grid": (-4.0, 4.0)}
        | _tables.given(coefficients=(0.5, -1.0, 0.25, 2.0, 1.0, -0.5, 0.125, 1.5)),
        {"grid": (0.0, 4.0), "degree": 1} | _tables.given(coefficients=(1.0, -0.5, 2.0)),
        {"grid": (-2.0, 2.0), "degree": 2} | _tables.given(coefficients=(1.0, -0.5, 2.0)),
        {"grid": (-2.0, 2.0), "degree": 0} | _tables.given(coefficients=(1.0, -0.5)),
    ),
    reference=_reference,
    tier="experimental",
    latex=r"\sum_k c_k B_{k,d}(x)",
    paper="Liu et al. 2024, KAN: Kolmogorov-Arnold networks, arXiv:2404.19756",
    notes={
        "float32": "The error is a few ulp of the largest coefficient's share, and of x times the "
        "slope; where these cancel, it is more ulps of the result."
    },
)
def bspline(
    x: ArrayLike,
    coefficients: ArrayLike,
    grid: Grid = (-1.0, 1.0),
    degree: int = 3,
) -> Array:
    r"""Spline: a piecewise polynomial, as a sum of B-splines on an even grid.

    .. math:: f(x) = \sum_{k=0}^{G+d-1} c_k B_{k,d}(x)

    The grid of G intervals goes on by d more on either side, as in KAN: beyond ``low`` and ``high``
    the spline fades to 0 over d intervals, and is 0 from there on, NaN excepted. A knot belongs to
    the interval on its right. Reverse mode keeps ``x`` alone.

    Args:
      x: input, real.
      coefficients: the G + d coefficients c along the last axis; the other axes, if any, broadcast
        against ``x``.
      grid: the ends (low, high) of the grid, known before tracing.
      degree: the degree d of the polynomials.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or the coefficients aren't a real array, the grid isn't a tuple of two, or
        the degree isn't an int.
      ValueError: if there are no more coefficients than the degree, the grid isn't in order, the
        degree is negative, or shapes don't broadcast.

    Example:
      >>> hat = jnp.array([0.0, 1.0, 0.0])  # two intervals
      >>> print(advact_jax.bspline(jnp.array([-9.0, -0.5, 0.0, 0.25]), hat, degree=1))
      [0.   0.5  1.   0.75]

    References:
      Liu et al., "KAN: Kolmogorov-Arnold networks", 2024, arXiv:2404.19756.
    """
    count = _tables.sizes("bspline", {"coefficients": coefficients})["coefficients"]
    grid, degree = checked("bspline", count, grid, degree)
    return _tables.evaluate(
        _BSPLINE, x, {"grid": grid, "degree": degree}, coefficients=coefficients
    )


# -- fit ----------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("intervals", "grid", "degree"))
def fit_bspline(
    x: ArrayLike,
    y: ArrayLike,
    intervals: int,
    grid: Grid = (-1.0, 1.0),
    degree: int = 3,
) -> Array:
    """Return the coefficients with which `bspline` fits samples best, by least squares.

    With the samples of a spline this moves it to another grid, a finer or a wider one. Where the
    samples leave coefficients open, these are as small as possible.

    Args:
      x: the places of the samples along the first axis; further axes are fitted each by itself.
      y: the values there, of the same shape.
      intervals: the number of intervals of the grid.
      grid: the ends (low, high) of the grid.
      degree: the degree of the polynomials.

    Returns:
      An array of shape ``(*further axes, intervals + degree)``, float32 or float64.

    Raises:
      TypeError: if ``x`` or ``y`` isn't a real array, or ``intervals`` or the degree isn't an int.
      ValueError: if the shapes differ or there are no samples, or as in `bspline`.

    Example:
      >>> x = jnp.linspace(-1, 1, 50)
      >>> finer = advact_jax.fit_bspline(x, x**3, intervals=4)
      >>> print(finer.shape, bool(jnp.allclose(advact_jax.bspline(x, finer), x**3, atol=1e-4)))
      (7,) True

    References:
      Liu et al., "KAN: Kolmogorov-Arnold networks", 2024, arXiv:2404.19756, section 2.4.
    """
    x, y = (_checks.real("fit_bspline", key, v) for key, v in (("x", x), ("y", y)))
    if x.shape != y.shape or x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(
            f"fit_bspline: expected samples x and y of one shape along the first axis, got "
            f"{x.shape} and {y.shape}."
        )
    intervals = _checks.integer("fit_bspline", "intervals", intervals)
    grid, degree = checked("fit_bspline", intervals + degree, grid, degree)
    dtype = compute_dtype(jnp.promote_types(x.dtype, jnp.promote_types(y.dtype, jnp.bfloat16)))
    samples = x.shape[0]

    def fit(x: Array, y: Array) -> Array:
        matrix = jnp.stack(_basis(x, jnp.zeros(intervals + degree, dtype), grid, degree), -1)
        return jnp.linalg.lstsq(matrix, y)[0]

    flat = (v.astype(dtype).reshape(samples, -1) for v in (x, y))
    return jax.vmap(fit, 1)(*flat).reshape(*x.shape[1:], intervals + degree)
