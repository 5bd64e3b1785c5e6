"""xIELU: the integral of an expanded exponential linear unit, a square on the right."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter

# Value and slope have zeros whose place depends on the parameters, so that no polynomial about them
# can be stored: e^x is needed with about 14 bits more than its last. With x = n log(2) / 8 + t it
# is 2^(n / 8) (1 + expm1(t)), where t is so small that only t + t² / 2 needs a tail.

_LOG2 = Fraction("0.69314718055994530941723212145817656807550013436025525412068")


def _in_two(value: Fraction, bits: int) -> tuple[float, float]:
    """Return a value in [1/16, 2) as one of so many bits after the point, and what is left."""
    top = Fraction(round(value * 2**bits), 2**bits)
    return float(top), float(value - top)


def _eighth_power(j: int) -> Fraction:
    return Fraction(math.isqrt(math.isqrt(math.isqrt(2 ** (j + 8 * 200)))), 2**200)


_STEP_SINGLE, _STEP_DOUBLE = (_in_two(_LOG2 / 8, bits) for bits in (16, 40))
_POWERS_SINGLE, _POWERS_DOUBLE = (
    [_in_two(_eighth_power(j), bits) for j in range(8)] for bits in (23, 52)
)
_CUBIC = [1 / math.factorial(k) for k in range(3, 12)]


class _Exponential(NamedTuple):
    """e^x - 1 and e^x - 1 - x for x in [-64, -2^-6]."""

    less_one: num.Wide
    less_line: num.Wide


def _exponential(x: Array) -> _Exponential:
    high, low = num.pick(x, _STEP_SINGLE, _STEP_DOUBLE)
    count = lax.stop_gradient(jnp.round(x * (8 / math.log(2))))
    whole = jnp.floor(count * 0.125)
    t = x - count * high
    top = num.head(t)
    rest = (t - top) - count * low
    t = t - count * low
    cubic = t * t * t * num.polynomial(t, num.pick(x, _CUBIC[:3], _CUBIC))
    bent = num.Wide(0.5 * top * top, rest * (top + 0.5 * rest) + cubic)
    grown = num.Wide(top, rest) + bent
    factor = _eighths(count - 8 * whole, num.pick(x, _POWERS_SINGLE, _POWERS_DOUBLE))
    e = factor + _split(factor) * _split(grown)
    power = _two_to(whole)
    less_one = num.Wide(e.head * power, e.tail * power) + num.Wide.of(-1.0, x)
    return _Exponential(less_one, less_one + num.Wide(-x, 0.0))


def _eighths(j: Array, powers: list[tuple[float, float]]) -> num.Wide:
    """Return 2^(j / 8)."""
    top, rest = (jnp.full_like(j, part) for part in powers[0])
    for i, (head, tail) in enumerate(powers[1:], 1):
        top, rest = jnp.where(j == i, head, top), jnp.where(j == i, tail, rest)
    return num.Wide(top, rest)


def _two_to(whole: Array) -> Array:
    bits, bias, integer = (52, 1023, jnp.int64) if num.is_double(whole) else (23, 127, jnp.int32)
    return lax.bitcast_convert_type((whole.astype(integer) + bias) << bits, whole.dtype)


def _split(value: num.Wide) -> num.Wide:
    """Return the number with a head of half a mantissa, as products need it."""
    top = num.head(jnp.asarray(value.head))
    return num.Wide(top, (value.head - top) + value.tail)


def _wide(parameter: Any, like: Array) -> num.Wide:
    """Return a parameter with a tail; 0.8 as a Python number means 4 / 5."""
    if not isinstance(parameter, int | float):
        return num.Wide.of(parameter, like)
    short = Fraction(parameter).limit_denominator(10_000)
    exact = short if float(short) == parameter else Fraction(parameter)
    top = Fraction(round(exact * 2**10), 2**10)
    return num.Wide(num.hidden(float(top), like), num.hidden(float(exact - top), like))


def _left(x: Array) -> Array:
    return jnp.clip(x, -64.0, -(2.0**-6))


def _xielu_value(x: Array, alpha_p: Any, alpha_n: Any, beta: Any) -> Array:
    with num.rounded_to(None):  # 16 bits need the digits about the zero as well.
        near = _left(x)
        bent = _wide(alpha_n, x) * _split(_exponential(near).less_line)
        middle = (bent + _wide(beta, x) * num.Wide.of(near, x)).value
    line = num.flat_where_zero(jnp.asarray(beta - alpha_n, x.dtype), x) - alpha_n
    start = x * (beta + alpha_n * (x * _bend(x)))
    left = jnp.where(x <= -64, line, jnp.where(x < -(2.0**-6), middle, start))
    return jnp.where(x > 0, x * (alpha_p * x + beta), left)


def _bend(x: Array) -> Array:
    """Return (e^x - 1 - x) / x² near 0."""
    return num.fitted(x, fits.EXP)


def _xielu_slope(x: Array, alpha_p: Any, alpha_n: Any, beta: Any) -> Array:
    with num.rounded_to(None):
        less_one = _split(_exponential(_left(x)).less_one)
        middle = (_wide(alpha_n, x) * less_one + _wide(beta, x)).value
    start = beta + alpha_n * (x + x * x * _bend(x))
    left = jnp.where(x < -(2.0**-6), middle, start)
    return jnp.where(x > 0, 2 * (alpha_p * x) + beta, left)


def _xielu_curvature(x: Array, alpha_p: Any, alpha_n: Any, beta: Any) -> Array:
    return jnp.where(x > 0, 2 * alpha_p, num.tail(jnp.minimum(x, 0)).times(alpha_n))


def _xielu_by_alpha_n(x: Array, alpha_p: Any, alpha_n: Any, beta: Any) -> Array:
    with num.rounded_to(None):
        middle = _exponential(_left(x)).less_line.value
    left = jnp.where(x <= -64, -x - 1, jnp.where(x < -(2.0**-6), middle, x * x * _bend(x)))
    return jnp.where(x > 0, 0, left)


def _xielu_reference(mp: Any, x: Any, alpha_p: Any, alpha_n: Any, beta: Any) -> Any:
    return beta * x + (alpha_p * x * x if x > 0 else alpha_n * (mp.expm1(x) - x))


def _xielu_limits(alpha_p: float, alpha_n: float, beta: float) -> tuple[float, float]:
    left = -alpha_n if alpha_n == beta else math.copysign(math.inf, alpha_n - beta)
    return left, math.inf


@activation(
    parameters={
        "alpha_p": Parameter(
            partial=lambda x, alpha_p, alpha_n, beta: jnp.maximum(x, 0) * jnp.maximum(x, 0),
            domain="positive",
            initial=0.8,
            learned=True,
            samples=(0.3,),
        ),
        "alpha_n": Parameter(
            partial=_xielu_by_alpha_n, domain="positive", initial=0.8, learned=True, samples=(1.25,)
        ),
        "beta": Parameter(
            partial=lambda x, alpha_p, alpha_n, beta: x,
            domain="nonnegative",
            initial=0.5,
            samples=(0.1,),
        ),
    },
    dx=_xielu_slope,
    dxx=_xielu_curvature,
    limits=_xielu_limits,
    slope_limits=lambda alpha_p, alpha_n, beta: (beta - alpha_n, math.inf),
    kinks={0.0: "left"},
    value_floor=2.0**-13,
    reference=_xielu_reference,
    tier="experimental",
    latex=r"\begin{cases} \alpha_p x^2 + \beta x & x > 0 \\"
    r" \alpha_n (e^x - 1) - \alpha_n x + \beta x & x \le 0 \end{cases}",
    paper="Huang & Schlag 2024, Deriving activation functions using integration, arXiv:2411.13010",
    names={
        "huggingface": (
            "xielu", {}, {"alpha_p_init": "alpha_p", "alpha_n_init": "alpha_n", "eps": None}
        )
    },
    notes={
        "float32, float64": "About its zero on the left, whose place depends on the parameters, "
        "the value is right to 2^-36 (float64: 2^-76): errors are counted in ulps of 2^-13 there.",
    },
)  # fmt: skip
def xielu(
    x: ArrayLike, alpha_p: ArrayLike = 0.8, alpha_n: ArrayLike = 0.8, beta: ArrayLike = 0.5
) -> Array:
    r"""Integral of an expanded exponential linear unit: a square on the right, a bend on the left.

    .. math::
        f(x) = \begin{cases} \alpha_p x^2 + \beta x & x > 0 \\
        \alpha_n (e^x - 1 - x) + \beta x & x \le 0 \end{cases}

    The coefficients are those of the formula. The paper keeps what it learns as inverse softplus,
    of ``alpha_p`` and of ``alpha_n - beta``; `advact_jax.convert` reads such weights. As in the
    paper the value at 0 is 0 and the derivative beta. Hugging Face's cuts the input of the
    exponential at -1e-6, so that between there and 0 its derivative is ``beta - alpha_n``, and its
    value at 0 ``-1e-6 * alpha_n``. The second derivative jumps at 0, where it is ``alpha_n``.

    Args:
      x: an array of any shape.
      alpha_p: the coefficient of the square, positive; broadcasts against ``x``.
      alpha_n: the coefficient of the exponential, usually above ``beta``; broadcasts against ``x``.
      beta: the slope at 0, which the paper does not learn; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.xielu(jnp.array([-2.0, 0.0, 1.0]))
      Array([-0.0917,  0.        ,  1.30 ], dtype=float32)

    References:
      Huang & Schlag 2024, arXiv:2411.13010.
    """
    return _xielu_value(jnp.asarray(x), alpha_p, alpha_n, beta)
