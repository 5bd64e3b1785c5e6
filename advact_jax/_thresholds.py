"""Thresholds of sparse maps onto the simplex: p = max(z - tau, 0)^r, of which the sum is 1.

Newton's method on the r-norm of max(z - tau, 0), which is convex, comes from below without a step
back. Each step divides the product of residual and support by 4 at least (Dinkelbach), so the loop
is bounded; rows of ordinary numbers take 4 to 8 steps, where sorting takes 5 to 25 times as long.

The last steps are taken with heads on a grid, whose sum over the row is exact: a small entry is the
difference of numbers near 1, and keeps its digits.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from advact_jax import _checks, _rows
from advact_jax import _numerics as num
from advact_jax._rows import Axes


def total(x: Array, axes: Axes) -> Array:
    """Return the sum of each row, the axes kept."""
    return jnp.sum(x, axes, keepdims=True)


def distances(x: Array, mask: Array | None, axes: Axes) -> num.Wide:
    """Return x - m with its rounding error, m the largest entry of the row.

    In a row with +inf it is 0 for these and far below for all others; in a row with nothing
    allowed it is -inf or far below.
    """
    wide = _rows.allowed(x, mask)
    most = float(jnp.finfo(wide.dtype).max)
    m = _rows.maximum(x, mask, axes)
    top = jnp.minimum(m, most)
    below = jnp.minimum((wide - top) - jnp.minimum(m - top, most), 0)
    back = below - wide
    lost = (wide - (below - back)) - (top + back)
    return num.Wide(below, jnp.where((below > -1e3) & (wide <= most), lost, 0))


def steps(length: int, dtype: jnp.dtype) -> int:
    """Return the steps that Newton's method takes at most for rows of this length."""
    return math.ceil(math.log2(max(length, 2))) + (28 if dtype == jnp.float64 else 14)


def _zero(x: Array, axes: Axes) -> Array:
    """Return 0 for each row, made from it: NaN where it is, and varying over devices as it does."""
    return 0 * _rows.maximum(x, None, axes)


def for_each_row(name: str, key: str, value: Array | None, axes: Axes) -> Array:
    """Return an argument of `_rows.arguments`, or raise ValueError if it varies within a row."""
    array = jnp.asarray(value)
    if any(array.shape[axis] != 1 for axis in axes):
        raise ValueError(
            f"{name}: expected {key} to have the size 1 along the axis, one number for each row, "
            f"got {_checks.describe(value)} for the axes {axes}."
        )
    return array


def rooted(x: Array, mask: Array | None, axes: Axes, power: int) -> tuple[Array, Array]:
    """Return max(z - tau, 0) with z = x / power, whose power, 1 or 2, has the sum 1 in each row.

    Also the distance from the largest entry at which an entry gets nothing: power · tau.
    """
    scale = 1 / power  # Exact.
    d = distances(x, mask, axes)
    z = num.Wide(scale * d.head, scale * d.tail)
    # What is more than 1 below the largest entry is never above the threshold.
    top = jnp.maximum(z.head, -2)
    tau = _threshold(top, axes, power)
    root, moved = _refined(top, jnp.where(z.head < -2, 0, z.tail), tau, axes, power)
    return root, power * (tau + moved)


def _threshold(z: Array, axes: Axes, power: int) -> Array:
    """Return the threshold from below, to half of the digits and more."""
    close = 2.0 ** (-40 if num.is_double(z) else -18)
    most = steps(_rows.row_length(z, axes), z.dtype)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        tau, _, count = state
        above = jnp.maximum(z - tau, 0)
        if power == 1:
            slope = total(jnp.sign(above), axes)
            rest = total(above, axes) - 1
        else:
            slope, size = total(above, axes), total(above * above, axes)
            rest = size - jnp.sqrt(size)
        # A row with nothing allowed stays where it is.
        move = jnp.where(slope > 0, rest / jnp.where(slope > 0, slope, 1), 0)
        return tau + jnp.maximum(move, 0), jnp.any(move > close), count + 1

    start = _zero(z, axes) - 1
    state = (start, jnp.any(start < 0), jnp.int32(0))
    return lax.while_loop(lambda state: state[1] & (state[2] < most), step, state)[0]


def _refined(z: Array, tail: Array, tau: Array, axes: Axes, power: int) -> tuple[Array, Array]:
    """Return max(z + tail - tau, 0) and by how much two Newton steps with exact sums move tau."""
    # Squares of heads have twice the digits.
    grid = 2.0 ** (-(50 if num.is_double(z) else 22) // power)
    tau_head = num.on_grid(tau, grid)
    head = num.on_grid(z, grid)
    tail = ((z - head) + tail) - (tau - tau_head)
    head = head - tau_head
    moved = jnp.zeros_like(tau)
    for _ in range(2):
        inside = (head + (tail - moved) > 0).astype(z.dtype)
        top, rest = inside * head, inside * (tail - moved)
        if power == 1:
            slope = total(inside, axes)
            residual = (total(top, axes) - 1) + total(rest, axes)
        else:
            slope = 2 * total(top + rest, axes)
            residual = (total(top * top, axes) - 1) + total(rest * (2 * top + rest), axes)
        moved = moved + jnp.where(slope > 0, residual / jnp.where(slope > 0, slope, 1), 0)
    return jnp.maximum(head + (tail - moved), 0), moved


# -- any power ----------------------------------------------------------------------------------


def powers(x: Array, mask: Array | None, power: Array, axes: Axes) -> tuple[Array, Array]:
    """Return max(1 + a (x - m - t), 0)^(1 / a) with the sum 1 in each row, for a = ``power`` > 0.

    For small powers it is exp(x - m - t), where t is the logarithm of a sum. Also returned is the
    distance from the largest entry at which an entry gets nothing.
    """
    d = distances(x, mask, axes)
    t = _shift(d.head, power, axes)
    u = d.head - t
    # With the rounding error of the difference; far below, nothing counts.
    back = u - d.head
    lost = (d.head - (u - back)) - (t + back)
    tail = jnp.where(power * u > -2, lost + d.tail, 0)
    scale, inverse = num.Wide.of(power, power), _inverse(power)
    p, moved = jnp.zeros_like(u), jnp.zeros_like(t)
    for last in (False, False, True):
        p, y = _power(num.Wide(u, tail - moved), scale, inverse)
        if not last:
            slope = total(p / jnp.where(y > 0, y, 1), axes)
            rest = total(p, axes) - 1
            moved = moved + jnp.where(slope > 0, rest / jnp.where(slope > 0, slope, 1), 0)
    return p, (t - 1 / power) + moved


def _shift(d: Array, power: Array, axes: Axes) -> Array:
    """Return t, to half of the digits and more."""
    close = 2.0 ** (-40 if num.is_double(d) else -18)
    length = max(_rows.row_length(d, axes), 2)
    most = 4 * steps(length, d.dtype)

    def step(state: Any) -> Any:
        t, low, high, _, count = state
        v = jnp.maximum(power * (d - t), -1)
        p = jnp.exp(jnp.log1p(v) / power)
        size = total(p, axes)
        slope = total(p / jnp.where(v > -1, 1 + v, 1), axes)
        some = size > 0
        size, slope = jnp.where(some, size, 1), jnp.where(some, slope, 1)
        low, high = jnp.where(size >= 1, t, low), jnp.where(size <= 1, t, high)
        norm = size * -jnp.expm1(-power * jnp.log(size)) / power
        moved = t + norm / slope
        # The norm is convex for powers up to 1; beyond, every second step halves the interval.
        halve = ~((moved > low) & (moved < high)) | (count % 2 == 1)
        moved = jnp.where((power > 1) & halve, (low + high) / 2, jnp.maximum(moved, 0))
        far = jnp.abs(moved - t) * jnp.maximum(power, 1) > close
        return moved, low, high, jnp.any(far), count + 1

    largest = -jnp.expm1(-power * math.log(length)) / power
    zero = _zero(d, axes)
    state = (zero, zero, zero + largest, jnp.any(zero == 0), jnp.int32(0))
    return lax.while_loop(lambda state: state[3] & (state[4] < most), step, state)[0]


def _inverse(a: Array) -> num.Wide:
    plain = 1 / a
    top, (high, low) = num.head(plain), num.Wide.of(a, a)
    one = num.hidden(1.0, a)
    return num.Wide(top, ((one - top * high) - top * low) / a)


def _power(u: num.Wide, scale: num.Wide, inverse: num.Wide) -> tuple[Array, Array]:
    """Return max(1 + scale u, 0)^inverse, and its base."""
    top = jnp.maximum(u.head, -2 / scale.value)
    v = num.Wide(num.head(top), (top - num.head(top)) + u.tail) * scale
    one = num.hidden(1.0, top)
    first = one + v.head
    rest = (v.head - (first - one)) + v.tail
    base = first + rest
    rest = rest - (base - first)
    inside = base > 0
    log = _log(jnp.where(inside, base, 1))
    tail = log.tail + rest / jnp.where(inside, base, 1)
    whole = log.head + tail
    head = num.head(whole)
    exponent = num.Wide(head, (whole - head) + (tail - (whole - log.head))) * inverse
    p = num.tail(num.Wide(jnp.minimum(exponent.head, 0), exponent.tail)).value
    return jnp.where(inside, p, jnp.maximum(base, 0)), base


def _log(x: Array) -> num.Wide:
    """Return log(x) of a positive x with a tail: 2 artanh((f - 1) / (f + 1)) + n log 2."""
    integer, bits, root = (
        (jnp.int64, 52, 0x3FE6A09E667F3BCD) if num.is_double(x) else (jnp.int32, 23, 0x3F3504F3)
    )
    word = lax.bitcast_convert_type(x, integer)
    n = (word - root) >> bits
    f = lax.bitcast_convert_type(word - (n << bits), x.dtype)
    one = num.hidden(1.0, x)
    g, den = f - one, f + one
    den_tail = f - (den - one)
    den_head = num.head(den)
    plain = g / den
    r = num.head(plain)
    r_tail = ((g - r * den_head) - r * ((den - den_head) + den_tail)) / den
    terms = range(1, 14 if num.is_double(x) else 7)
    square = plain * plain
    series = plain * square * num.polynomial(square, [2 / (2 * j + 1) for j in terms])
    count = n.astype(x.dtype)
    high, low = num.pick(x, num._LOG2_SINGLE, num._LOG2_DOUBLE)
    return num.Wide(count * high, count * low) + num.Wide(2 * r, 2 * r_tail + series)
