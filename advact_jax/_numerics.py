"""Small numerical tools that the formulas of the activations share.

Formulas run in float32 or float64. For 16-bit inputs they run in float32 and are rounded once at
the end, so an error of a few float32 ulps cannot be seen there; `rounded_to` says so at trace time,
and the tools that compensate rounding errors then leave the compensation out. In bfloat16, whose
results have 8 digits, some polynomials are shorter too.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from advact_jax import _coefficients as fits

_DIGITS: contextvars.ContextVar[int | None] = contextvars.ContextVar("digits", default=None)


@contextlib.contextmanager
def rounded_to(digits: int | None) -> Iterator[None]:
    """Say, while a formula is traced, to how many digits its result will be rounded.

    That is the size of the mantissa of a type of 16 bits or fewer; None for wider types.
    """
    token = _DIGITS.set(digits)
    try:
        yield
    finally:
        _DIGITS.reset(token)


def result_digits() -> int | None:
    """Return what `rounded_to` has said."""
    return _DIGITS.get()


def is_narrow() -> bool:
    """Tell whether the formula being traced is rounded to 16 bits or fewer at its end."""
    return result_digits() is not None


def is_double(x: Array) -> bool:
    """Tell whether ``x`` is float64, whose polynomials need more terms."""
    return x.dtype == jnp.float64


def pick(x: Array, single: Any, double: Any, coarse: Any = None) -> Any:
    """Return the coefficients that fit the precision of ``x``.

    The coarse ones, if there are any, are for results of bfloat16.
    """
    digits = result_digits()
    if coarse is not None and digits is not None and digits <= 8:
        return coarse
    return double if is_double(x) else single


def choose(condition: Any, here: Any, there: Any) -> Any:
    """Return ``jnp.where``; for a truth value of NumPy's without compiling anything."""
    if isinstance(condition, np.bool_):
        return here if condition else there
    return jnp.where(condition, here, there)


def polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """Evaluate a polynomial by Horner's rule, constant term first."""
    result = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        result = result * x + np.asarray(c, x.dtype)
    return result


def fitted(x: Array, fit: tuple[Any, ...]) -> Array:
    """Evaluate the polynomial of a fit that has the digits of ``x`` or of the result."""
    return polynomial(x, pick(x, *fit))


# -- numbers with a tail ------------------------------------------------------------------------


def head(x: Array) -> Array:
    """Cut ``x`` to half of its mantissa, so that a product of two heads is exact.

    Bits are masked because XLA may drop a pair of conversions, and masking is one instruction.
    """
    integer, mask = (jnp.int64, -(1 << 27)) if is_double(x) else (jnp.int32, -(1 << 12))
    bits = lax.bitcast_convert_type(x, integer) & integer(mask)
    return moving_with(x, lax.bitcast_convert_type(bits, x.dtype))


@jax.custom_jvp
def moving_with(x: Array, value: Array) -> Array:
    """Return ``value`` with the derivative of ``x``, of which it is a rounding."""
    return value


moving_with.defjvp(lambda primals, tangents: (moving_with(*primals), tangents[0]))


def power_of_two(size: Array) -> Array:
    """Return the largest power of two up to a positive finite number, without a derivative.

    It and its inverse are normal numbers, so that scaling by them rounds nothing.
    """
    integer, bits, most = (jnp.int64, 52, 1023) if is_double(size) else (jnp.int32, 23, 127)
    inside = jnp.clip(lax.stop_gradient(size), 2.0 ** (1 - most), 2.0 ** (most - 1))
    exponent = lax.bitcast_convert_type(inside, integer) & integer(-(1 << bits))
    return lax.bitcast_convert_type(exponent, size.dtype)


def on_grid(x: Array, step: float) -> Array:
    """Round to a multiple of ``step``, a power of two, for x far below 2^22 (2^51) steps."""
    large = hidden(1.5 * 2.0 ** (52 if is_double(x) else 23) * step, x)
    return moving_with(x, (x + large) - large)


def opaque(value: Array | float, like: Array) -> Array:
    """Hide a constant from XLA, which would turn (x + c) + d into x + (c + d).

    Where the result is narrow this only spares digits, and is left out.
    """
    return jnp.asarray(value, like.dtype) if is_narrow() else hidden(value, like)


def hidden(value: Array | float, like: Array) -> Array:
    """Hide a constant from XLA where the formula would be wrong otherwise."""
    constant = jnp.asarray(value, like.dtype)
    found = lax.optimization_barrier(constant)
    if isinstance(like, jax.core.Tracer) and not isinstance(found, jax.core.Tracer):
        # `jax.ensure_compile_time_eval` has computed it: only what is traced hides it now.
        found, _ = lax.optimization_barrier((constant, like))
    return found


class Wide(NamedTuple):
    """An unevaluated sum of a head and a tail: about 1.5 times the digits.

    A product takes heads of half a mantissa, which `of` gives, so that the product of
    heads is exact whether or not the compiler fuses it into a multiply-add.
    """

    head: Array
    tail: Array | float

    @classmethod
    def of(cls, x: Any, like: Array) -> Wide:
        """Split an array or a number, which keeps what rounding to float32 would lose."""
        if isinstance(x, int | float):
            start = _python_head(float(x), like.dtype)
            return cls(opaque(start, like), opaque(x - start, like))
        if is_narrow():
            return cls(x, 0.0)
        top = head(x)
        return cls(top, x - top)

    def __add__(self, other: Wide) -> Wide:  # type: ignore[override]
        if is_narrow():
            return Wide(self.value + other.value, 0.0)
        a, b = jnp.asarray(self.head), jnp.asarray(other.head)
        total = a + b
        part = total - a
        error = (a - (total - part)) + (b - part)
        return Wide(total, error + (self.tail + other.tail))

    def __sub__(self, other: Wide) -> Wide:
        return self + Wide(-other.head, -other.tail)

    def __mul__(self, other: Wide) -> Wide:  # type: ignore[override]
        if is_narrow():
            return Wide(self.value * other.value, 0.0)
        small = self.head * other.tail + self.tail * (other.head + other.tail)
        return Wide(self.head * other.head, small)

    @property
    def value(self) -> Array:
        """The number, rounded."""
        return self.head + self.tail

    @property
    def renormalized(self) -> Wide:
        """The same sum with a tail far below its head, however much has cancelled."""
        top = self.value
        return Wide(top, (self.head - top) + self.tail)


def _python_head(x: float, dtype: Any) -> float:
    """`head` for a Python number, done before tracing."""
    bits = 26 if dtype == jnp.float64 else 12
    mantissa, exponent = np.frexp(x)
    return float(np.ldexp(np.round(np.ldexp(mantissa, bits)), int(exponent) - bits))


def product(a: Any, b: Array) -> Wide:
    """Multiply with an error far below an ulp of the product; exact where ``a`` is a Python 1."""
    if isinstance(a, int | float) and a == 1:
        return Wide(b, 0.0)
    if is_narrow():
        return Wide(a * b, 0.0)
    return guarded(Wide.of(a, b) * Wide.of(b, b), a * b)


def quotient(a: Array, b: Any) -> Wide:
    """Divide with an error far below an ulp of the quotient; exact where ``b`` is a Python 1."""
    if isinstance(b, int | float) and b == 1:
        return Wide(a, 0.0)
    plain = a / b
    if is_narrow():
        return Wide(plain, 0.0)
    divisor = Wide.of(b if isinstance(b, int | float) else opaque(b, b), a)
    top = head(plain)
    rest = (a - top * divisor.head) - top * divisor.tail
    return guarded(Wide(top, rest / b), plain)


def guarded(exact: Wide, plain: Array) -> Wide:
    """Fall back on the plain result where splitting overflows; exponentials are 0 there."""
    small = jnp.abs(plain) < 2.0**16
    return Wide(jnp.where(small, exact.head, plain), jnp.where(small, exact.tail, 0.0))


# -- exponentials -------------------------------------------------------------------------------


class Tail(NamedTuple):
    """exp(z) for z <= 0, raised by a power of two, so that coefficient · exp(z) is right where
    exp(z) alone is too small to be a normal number.
    """  # noqa: D205

    raised: Array

    @property
    def value(self) -> Array:
        """exp(z), which may be flushed to zero."""
        return self.raised * 2.0 ** -raised_by(self.raised)

    def times(self, coefficient: Array | float) -> Array:
        """Return coefficient · exp(z), and 0 where exp(z) is 0 and the coefficient infinite."""
        scale = 2.0 ** -raised_by(self.raised)
        if isinstance(coefficient, int | float):
            return self.raised * (coefficient * scale)
        # Where exp(z) is not small, a large coefficient times what is raised would overflow.
        low = jnp.where(self.raised <= _floor(self.raised), 0.0, coefficient * self.raised * scale)
        return jnp.where(self.raised > 1, coefficient * self.value, low)

    def times_moderate(self, coefficient: Array) -> Array:
        """Return what `times` does, for a coefficient that is huge only where exp(z) is 0."""
        scale = 2.0 ** -raised_by(self.raised)
        return jnp.where(self.raised <= _floor(self.raised), 0.0, coefficient * self.raised * scale)

    def times_bounded(self, coefficient: Array) -> Array:
        """Return coefficient · exp(z) for a coefficient of at most a million."""
        return coefficient * self.raised * 2.0 ** -raised_by(self.raised)


def raised_by(x: Array) -> int:
    """Return the exponent of the power of two by which a `Tail` is raised."""
    return 53 if is_double(x) else 24


def _floor(x: Array) -> float:
    """Return what a `Tail` is at least, at the z where it stops to fall."""
    return 2.0**-1019 if is_double(x) else 2.0**-124


HALF_LOG2 = math.log(2) / 2
_LOG2_SINGLE = (0.693359375, -2.1219444005469057e-4)
_LOG2_DOUBLE = (0.6931471803691238, 1.9082149292705877e-10)


def tail(z: Array | Wide) -> Tail:
    """Return exp(z) for z <= 0 as a `Tail`, within an ulp; a `Wide` z counts with its tail."""
    top, rest = above_floor(z)
    less_one, power = _reduced(top, rest, raised_by(top))
    return Tail((1 + less_one) * power)


class Split(NamedTuple):
    """(1 + less_one) · power, raised as a `Tail` is."""

    less_one: Array
    power: Array

    @property
    def tail(self) -> Tail:
        """The number."""
        return Tail((1 + self.less_one) * self.power)

    def times(self, c: Array) -> Tail:
        """Return c times the number, which is rounded less than the product with `tail`."""
        return Tail((c + c * self.less_one) * self.power)

    def times_moderate(self, c: Array) -> Array:
        """Return what `Tail.times_moderate` does, rounded less."""
        raised = self.tail.raised
        return jnp.where(raised <= _floor(raised), 0.0, self.times(c).value)

    @property
    def parts(self) -> tuple[Array, Array]:
        """The number as a power of two and what is left, which is rounded less than their sum."""
        whole = Tail(self.power).value
        return whole, whole * self.less_one


def decay_split(z: Array | Wide) -> Split:
    """Return exp(-abs(z)) as a `Split`."""
    top, rest = above_floor(minus_size(z))
    return Split(*_reduced(top, rest, raised_by(top)))


def above_floor(z: Array | Wide) -> tuple[Array, Array | float]:
    """Return z cut where the `Tail` of its exponential stops to fall, and the tail of z."""
    top, rest = z if isinstance(z, Wide) else (z, 0.0)
    top = jnp.maximum(jnp.asarray(top), -744.0 if is_double(jnp.asarray(top)) else -103.2)
    if not is_nothing(rest):
        rest = jnp.clip(rest, -0.5, 0.5)  # More is there only below the floor.
    return top, rest


class Power(NamedTuple):
    """2^(n + t) with the whole number n in a power of two, raised as a `Tail` is."""

    t: Array
    power: Array

    @classmethod
    def of(cls, near: Array, top: Array, *rest: Array | float) -> Power:
        """Reduce the sum of ``top`` and the rest, which is above the floor and 0.01 from ``near``.

        ``top`` has few enough digits that its fraction is exact, and the rest is added in the order
        given. That n is taken from ``near``, which is known earlier, shortens the chain of
        operations that wait for each other.
        """
        count, power = _whole(near, raised_by(near))
        return cls(functools.reduce(operator.add, rest, top - count), power)

    @property
    def split(self) -> Split:
        """The number as a `Split`."""
        less_one = self.t * fitted(self.t, fits.EXP2)
        return Split(less_one, self.power)

    @property
    def fraction(self) -> tuple[Tail, Array]:
        """The number as a numerator and a denominator, which takes fewer operations."""
        return fraction_of(self.t, self.power, 1.0)


def fraction_of(t: Array, power: Array, log2: float) -> tuple[Tail, Array]:
    """Return a numerator and a denominator of 2^(t / log2 + n), where ``power`` is 2^n."""
    even = _even(t, log2)
    return Tail((even + t) * power), even - t


def _even(t: Array, log2: float) -> Array:
    """Return the even function f for which 2^(t / log2) is (f + t) / (f - t)."""
    of_two = pick(t, *fits.EXP2_EVEN)
    return polynomial(t * t, [c * log2 ** (1 - 2 * i) for i, c in enumerate(of_two)])


def _reduced(top: Array, rest: Array | float, raised: int) -> tuple[Array, Array]:
    """Return exp(t) - 1 and 2^(n + raised), where top + rest = n log 2 + t."""
    t, power = remainder(top, raised)
    t = t + rest
    series = fitted(t, fits.EXP)
    return t + t * t * series, power


def remainder(
    top: Array, raised: int, log2: float = math.log(2), *, rounded: bool = False
) -> tuple[Array, Array]:
    """Return t and 2^(n + raised), where top = n log2 + t.

    The product may be ``rounded`` where t need not be exact, as it need not where the result is
    narrow. ``log2`` is log 2 times a power of two.
    """
    if rounded or is_narrow():
        count, power = _whole(top * (1 / log2), raised)
        return top - count * log2, power
    leading, left_out, power = reduced(top, raised, log2)
    return leading - left_out, power


def reduced(top: Array, raised: int, log2: float = math.log(2)) -> tuple[Array, Array, Array]:
    """Return a, b and 2^(n + raised), where top = n log2 + (a - b) and a is exact."""
    count, power = _whole(top * (1 / log2), raised)
    # The leading part of log 2 is short, so that its product with the count is exact.
    high, low = (log2 / math.log(2) * part for part in pick(top, _LOG2_SINGLE, _LOG2_DOUBLE))
    return top - count * high, count * low, power


def _whole(x: Array, raised: int) -> tuple[Array, Array]:
    """Round to a whole number n; return it and 2^(n + raised).

    n is rounded by adding a number so large that its last place is 1: its bits then hold n, and
    what is added to n makes them the exponent of the power of two.
    """
    bits, bias, integer = (52, 1023, jnp.int64) if is_double(x) else (23, 127, jnp.int32)
    large = hidden(1.5 * 2.0**bits + bias + raised, x)
    shifted = lax.stop_gradient(x + large)
    power = lax.bitcast_convert_type(
        lax.bitcast_convert_type(shifted, integer) << integer(bits), x.dtype
    )
    return shifted - large, power


def is_nothing(rest: Any) -> bool:
    """Tell whether a tail is the number 0, which costs nothing to add."""
    return isinstance(rest, float) and rest == 0.0


def decay(z: Array | Wide) -> Tail:
    """Return exp(-abs(z)) as a `Tail`."""
    return tail(minus_size(z))


def minus_size(z: Array | Wide) -> Any:
    """Return -abs(z)."""
    if not isinstance(z, Wide):
        return -jnp.abs(z)
    top, rest = jnp.asarray(z.head), z.tail
    if not is_nothing(rest):
        rest = jnp.where(top > 0, -rest, rest)
    return Wide(-jnp.abs(top), rest)


def expm1(z: Array | Wide) -> Array:
    """Return exp(z) - 1 for z <= 0, within 2 ulp (XLA's own is off by 5 in JAX 0.10).

    With exp(z) = (1 + r) 2^n it is r 2^n + (2^n - 1), which does not cancel.
    """
    top, rest = z if isinstance(z, Wide) else (z, 0.0)
    top = jnp.maximum(jnp.asarray(top), -50.0)  # There it is -1.
    if not is_nothing(rest):
        rest = jnp.clip(rest, -0.5, 0.5)
    less_one, power = _reduced(top, rest, 0)
    return less_one * power + (power - 1)


def log1p_share(e: Array) -> Array:
    """Return log(1 + e) / e for e in [0, 1], within an ulp, without a logarithm or a division."""
    return fitted(e, fits.LOG1P)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent within 3 ulp (XLA's own: 4.4 in float32, 7 in float64).

    With exp(-2 abs(x)) = 2^n (f + t) / (f - t), nothing cancels in the difference of the two.
    n log 2 is rounded only where the exponential is small.
    """
    top = jnp.maximum(-jnp.abs(x), -25.0)
    t, power = remainder(top, 0, HALF_LOG2, rounded=True)
    even, less, more = _even(t, HALF_LOG2), 1 - power, 1 + power
    return with_sign_of(x, (even * less - t * more) / (even * more - t * less))


def with_sign_of(x: Array, magnitude: Any) -> Array:
    """Give ``magnitude`` the sign of ``x``; the sign of zero counts."""
    return jnp.copysign(magnitude, x)


# -- what formulas are made of ------------------------------------------------------------------


def lead(z: Array | Wide) -> Array:
    """Return the array that tells the sign and size of ``z``."""
    return jnp.asarray(z.head) if isinstance(z, Wide) else z


def size(z: Array | Wide) -> Any:
    """Return abs(z)."""
    least = minus_size(z)
    return Wide(-least.head, -least.tail) if isinstance(least, Wide) else -least


def one_plus_squared(e: Array) -> Array:
    """Return (1 + e)² for small positive e, rounded less than the plain square."""
    return 1 + e * (2 + e)


def one_minus_decay(z: Array | Wide) -> Array:
    """Return 1 - exp(-abs(z)), which does not cancel near zero."""
    return -expm1(minus_size(z))


def near_root(z: Array | Wide, fit: tuple[Any, Any], elsewhere: Array) -> Array:
    """Return the polynomial about a zero of a derivative, which keeps its digits there."""
    if is_narrow():
        return elsewhere
    root, low, high, (start, *rest) = pick(lead(z), *fit)
    t = lead(z) - np.asarray(root, lead(z).dtype)
    t = t + z.tail if isinstance(z, Wide) else t
    inside = jnp.clip(t, low, high)
    return jnp.where(inside == t, inside * polynomial(inside, rest) + start, elsewhere)


def flat_where_zero(slope: Any, x: Array) -> Array:
    """Return slope · x, which is 0 at infinity too where the slope is 0."""
    if isinstance(slope, int | float):
        return slope * x if slope else jnp.where(jnp.isnan(x), x, 0)
    return jnp.where((slope == 0) & jnp.isinf(x), 0, slope * x)


def used_often(quotient: Array) -> Array:
    """Return the quotient, so that XLA on CPU does not split the loop at its second use."""
    return quotient + hidden(0.0, quotient)
