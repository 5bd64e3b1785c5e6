"""Sines of a product a · x at every finite x, from as many bits of 2 / pi as that takes.

The product of two mantissas is a whole number. Times a window of the bits of 2 / pi, cut where a
full circle begins, it is the angle as a fraction of the circle (Payne & Hanek 1983): integers only,
no table look-up and no branch, so that it runs on every backend; on CPU it takes less time than
XLA's sine. Float32 counts in limbs of 16 bits, float64 in limbs of 32.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from advact_jax import _numerics as num

_LIMBS = 7  # Of the angle: enough for 24 (53) bits wherever a number of this type may lie.
_WORD = 32


def _two_over_pi(bits: int) -> int:
    """Return floor(2^bits · 2 / pi), by Machin's formula for pi."""
    unit = 1 << (bits + 32)

    def arctan_of_inverse(n: int) -> int:
        total, term, k = 0, unit // n, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term, k = term // (n * n), k + 1
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return (2 * unit << bits) // pi


class _Format(NamedTuple):
    """How numbers of a type are made of bits."""

    integer: Any
    limb: int
    mantissa: int
    bias: int

    @property
    def mask(self) -> int:
        return (1 << self.limb) - 1


def _format(x: Array) -> _Format:
    return _Format(*num.pick(x, (jnp.uint32, 16, 23, 150), (jnp.uint64, 32, 52, 1075)))


class Angle(NamedTuple):
    """An angle: a number of quarters of a circle and a rest of at most an eighth, with a tail."""

    quarters: Array
    rest: num.Wide

    @property
    def sin(self) -> Array:
        """The sine."""
        return self._chosen(_sin(self.rest), _cos(self.rest), 0)

    @property
    def cos(self) -> Array:
        """The cosine."""
        return self._chosen(_sin(self.rest), _cos(self.rest), 1)

    @property
    def wide_sin(self) -> num.Wide:
        """The sine with a tail."""
        return self._wide(0)

    @property
    def wide_cos(self) -> num.Wide:
        """The cosine with a tail."""
        return self._wide(1)

    @property
    def one_less_cos(self) -> Array:
        """1 - cos, which does not cancel."""
        return self._one_less(0)

    @property
    def one_more_sin(self) -> Array:
        """1 + sin, which does not cancel."""
        return self._one_less(1)

    def _wide(self, turned: int) -> num.Wide:
        sin, cos = _wide_sin(self.rest), _wide_cos(self.rest)
        return num.Wide(
            self._chosen(jnp.asarray(sin.head), cos.head, turned),
            self._chosen(jnp.asarray(sin.tail), cos.tail, turned),
        )

    def _chosen(self, sin: Array, cos: Any, turned: int) -> Array:
        quarters = self.quarters + turned
        value = jnp.where(quarters & 1 == 1, cos, sin)
        return jnp.where(quarters & 2 == 2, -value, value)

    def _one_less(self, turned: int) -> Array:
        sin, quarters = _sin(self.rest), (self.quarters + turned) & 3
        below = _versine(self.rest)
        odd = jnp.where(quarters == 1, 1 + sin, 1 - sin)
        return jnp.where(quarters & 1 == 1, odd, jnp.where(quarters == 0, below, 2 - below))


# Taylor's coefficients: in [-pi / 4, pi / 4] a best polynomial spares at most one of them.
_SIN = [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, 10)]
_COS = [(-1) ** k / math.factorial(2 * k) for k in range(2, 10)]


def sine_share(square: Array) -> Array:
    """Return (sin(t) - t) / t³ of t², for t in [-pi / 4, pi / 4]."""
    return num.polynomial(square, num.pick(square, _SIN[:4], _SIN))


def versine_share(square: Array) -> Array:
    """Return (1 - cos(t)) / t² of t², for t in [-pi / 4, pi / 4]."""
    series = num.polynomial(square, num.pick(square, _COS[:4], _COS))
    return 0.5 - square * series


def _sin(rest: num.Wide) -> Array:
    t = jnp.asarray(rest.head)
    return t + (t * (t * t) * sine_share(t * t) + rest.tail)


def _cos(rest: num.Wide) -> Array:
    return 1 - _versine(rest)


def _wide_sin(rest: num.Wide) -> num.Wide:
    t = jnp.asarray(rest.head)
    if num.is_narrow():
        return num.Wide(_sin(rest), jnp.zeros_like(t))
    square, factor = num.Wide.of(t, t), num.Wide.of(-1 / 6, t)
    square = square * square
    cube = split(split(square) * factor) * num.Wide.of(t, t)
    fourth = (t * t) * (t * t)
    series = t * fourth * num.polynomial(t * t, num.pick(t, _SIN[1:4], _SIN[1:]))
    moved = rest.tail * (1 - t * t * (0.5 - t * t * (1 / 24)))
    return num.Wide(t, jnp.zeros_like(t)) + num.Wide(cube.head, cube.tail + (series + moved))


def _wide_cos(rest: num.Wide) -> num.Wide:
    t = jnp.asarray(rest.head)
    if num.is_narrow():
        return num.Wide(_cos(rest), jnp.zeros_like(t))
    top, square = num.head(t), t * t
    series = square * square * num.polynomial(square, num.pick(t, _COS[:4], _COS))
    low = (top - t) * (0.5 * (t + top)) - rest.tail * (t * (1 - square * (1 / 6)))
    one = num.hidden(1.0, t)  # or XLA would add it at the end
    return num.Wide(one, series + low) + num.Wide(-0.5 * top * top, 0.0)


def split(value: num.Wide) -> num.Wide:
    """Return the number with a head of half a mantissa, as products need it."""
    if num.is_narrow():
        return value
    top = num.head(jnp.asarray(value.head))
    return num.Wide(top, (value.head - top) + value.tail)


def _versine(rest: num.Wide) -> Array:
    t = jnp.asarray(rest.head)
    return t * (t * versine_share(t * t) + rest.tail)


def angle(a: Any, x: Array) -> Angle:
    """Return the angle a · x; of NaN and of infinity it is NaN.

    Its derivative is that of a · x.
    """
    near = _product(a, x)
    plain = jnp.asarray(near.value)
    is_one = isinstance(a, int | float) and a == 1
    factor = None if is_one else lax.stop_gradient(jnp.asarray(a, x.dtype))
    quarters, far = _reduced(factor, lax.stop_gradient(x), num.result_digits())
    is_near = jnp.abs(plain) < 0.78
    turned = jnp.where(is_near, 0, quarters)
    head = jnp.where(is_near, near.head, far.head)
    head = jnp.where(jnp.isfinite(x) & (plain == plain), head, jnp.nan)
    moved = num.moving_with(plain, lax.stop_gradient(head))
    return Angle(
        turned, num.Wide(moved, lax.stop_gradient(jnp.where(is_near, near.tail, far.tail)))
    )


def _product(a: Any, x: Array) -> num.Wide:
    """Return a · x, with a tail where it is small and its tail not below the normal numbers."""
    plain = a * x
    if num.is_narrow() or (isinstance(a, int | float) and a == 1):
        return num.Wide(plain, 0.0)
    exact = (num.Wide.of(a, x) * num.Wide.of(x, x)).renormalized
    fits = (jnp.abs(plain) > 2.0**-60) & (jnp.abs(plain) < 1)
    return num.Wide(jnp.where(fits, exact.head, plain), jnp.where(fits, exact.tail, 0.0))


@functools.partial(jax.jit, static_argnums=2)  # Traced once where a rule needs it many times.
def _reduced(a: Array | None, x: Array, digits: int | None) -> tuple[Array, num.Wide]:
    """Return quarters and the rest of a · x where this is at least 0.7; without a, it is 1."""
    with num.rounded_to(digits):
        return _of_bits(a, x)


def _of_bits(a: Array | None, x: Array) -> tuple[Array, num.Wide]:
    form = _format(x)
    mantissa, exponent, negative = _parts(x, form)
    if a is None:
        product, most, least = _limbs(mantissa, form), form.bias, -form.mantissa - 1
    else:
        other, shift, other_negative = _parts(a, form)
        product, most = _times(mantissa, other, form), 2 * form.bias
        exponent, negative = exponent + shift, negative ^ other_negative
        least = -2 * form.mantissa - 2
    exponent = jnp.clip(exponent, least, most)
    window = _window(exponent, least, most, form)
    limbs = _low_product(product, window, form)
    return _in_quarters(limbs, negative, form)


def _parts(x: Array, form: _Format) -> tuple[Array, Array, Array]:
    """Return m, e and the sign of x = ± m 2^e."""
    bits = lax.bitcast_convert_type(x, form.integer)
    one = 1 << form.mantissa
    width = 8 if form.limb == 16 else 11
    exponent = ((bits >> form.mantissa) & ((1 << width) - 1)).astype(jnp.int32)
    mantissa = (bits & form.integer(one - 1)) | form.integer(one)
    return mantissa, exponent - form.bias, jnp.signbit(x)


def _limbs(value: Array, form: _Format) -> list[Array]:
    return [value & form.mask, value >> form.limb]


def _times(a: Array, b: Array, form: _Format) -> list[Array]:
    """Return the product of two mantissas in limbs."""
    (a0, a1), (b0, b1) = _limbs(a, form), _limbs(b, form)
    low = a0 * b0
    middle = a0 * b1 + a1 * b0 + (low >> form.limb)
    return [low & form.mask, middle & form.mask, *_limbs(a1 * b1 + (middle >> form.limb), form)]


def _window(exponent: Array, least: int, most: int, form: _Format) -> list[Array]:
    """Return floor(2^(exponent - 2 + length) · 2 / pi) mod 2^length in limbs, lowest first."""
    length = _LIMBS * form.limb
    constant = _two_over_pi(most - 2 + length)
    shift = most - exponent
    needed = -(-length // _WORD) + 1
    steps = ((most - least) // _WORD).bit_length()
    count = needed + (1 << steps)
    words: list[Any] = [
        form.integer((constant >> (_WORD * i)) & (2**_WORD - 1)) for i in range(count)
    ]
    skipped = shift >> 5
    for step in reversed(range(steps)):
        jump, kept = 1 << step, needed + (1 << step) - 1
        chosen = (skipped & jump) != 0
        words = [jnp.where(chosen, words[i + jump], words[i]) for i in range(kept)]
    bit = (shift & 31).astype(form.integer)
    mask = form.integer(2**_WORD - 1)
    shifted = [
        ((low >> bit) | ((high << 1) << (31 - bit))) & mask
        for low, high in zip(words, words[1:], strict=False)
    ]
    if form.limb == _WORD:
        return shifted[:_LIMBS]
    return [half for word in shifted for half in _limbs(word, form)][:_LIMBS]


def _low_product(a: list[Array], b: list[Array], form: _Format) -> list[Array]:
    """Return the product modulo 2^length, in limbs."""
    columns: list[list[Array]] = [[] for _ in range(_LIMBS + 1)]
    for i, left in enumerate(a):
        for j, right in enumerate(b[: _LIMBS - i]):
            part = left * right
            columns[i + j].append(part & form.mask)
            columns[i + j + 1].append(part >> form.limb)
    limbs, carry = [], None
    for column in columns[:_LIMBS]:
        total = sum(column[1:], start=column[0])
        total = total if carry is None else total + carry
        limbs.append(total & form.mask)
        carry = total >> form.limb
    return limbs


def _in_quarters(limbs: list[Array], negative: Array, form: _Format) -> tuple[Array, num.Wide]:
    """Return quarters and the rest, in radians, of a fraction of the circle."""
    top = limbs[-1]
    eighths = top >> (form.limb - 3)
    quarters = ((eighths + 1) >> 1).astype(jnp.int32)
    # An odd eighth is below the next quarter: what is missing there is the complement.
    below = (eighths & 1) == 1
    flip = jnp.where(below, form.integer(form.mask), form.integer(0))
    quarter = form.integer((1 << (form.limb - 2)) - 1)
    limbs = [limb ^ flip for limb in limbs]
    limbs[-1] = limbs[-1] & quarter
    dtype = jnp.float64 if form.limb == 32 else jnp.float32
    unit = 4.0 * 2.0 ** (-2 * form.limb)
    half = form.limb // 2 if form.limb == 16 else 9
    # The head has the top limb and as much of the next as a mantissa holds.
    high, low = limbs[-2] >> half, limbs[-2] & form.integer((1 << half) - 1)
    head = ((limbs[-1] << (form.limb - half)) | high).astype(dtype) * (unit * 2.0**half)
    tail = low.astype(dtype)
    for i, limb in enumerate(limbs[-3:-6:-1], 1):
        tail = tail + limb.astype(dtype) * 2.0 ** (-form.limb * i)
    tail = tail * unit
    minus = below ^ negative
    quarters = jnp.where(negative, -quarters, quarters) & 3
    radians = _radians(head, tail)
    return quarters, num.Wide(
        jnp.where(minus, -radians.head, radians.head), jnp.where(minus, -radians.tail, radians.tail)
    )


def _radians(head: Array, tail: Array) -> num.Wide:
    """Return pi / 2 times a `Wide`, its head rounded."""
    if num.is_narrow():
        return num.Wide((head + tail) * (math.pi / 2), jnp.zeros_like(head))
    turned = num.Wide.of(head, head) * num.Wide.of(math.pi / 2, head)
    rest = turned.tail + (tail * (math.pi / 2) + head * 6.123233995736766e-17)
    return num.Wide(turned.head, rest).renormalized
