"""Fit the polynomials of `advact_jax._coefficients`: near-minimax by Chebyshev interpolation.

Run `python tests/numerics/fit.py` to print the file anew; a test fails when it is stale.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np


class Fit(NamedTuple):
    """A function of t on [low, high] and the degrees that reach float32 and float64.

    With ``rounded_from`` the first coefficient is that of float32, rounded, and the others are
    fitted from there on, so that they make up for the rounding where it counts. ``degree_coarse``
    reaches a few millionths, of which nothing is seen in bfloat16.
    """

    meaning: str
    function: Callable[[Any], Any]
    low: float
    high_single: float
    degree_single: int
    high_double: float
    degree_double: int
    rounded_from: float | None = None
    degree_coarse: int | None = None


def _exp(t: Any) -> Any:
    return (mp.exp(t) - 1 - t) / t**2 if t else mp.mpf(1) / 2


def _exp_cube(t: Any) -> Any:
    return (mp.exp(t) - 1 - t - t**2 / 2) / t**3 if t else mp.mpf(1) / 6


def _exp2(t: Any) -> Any:
    return (mp.mpf(2) ** t - 1) / t if t else mp.log(2)


def _exp2_even(t: Any) -> Any:
    x = mp.sqrt(t)
    return x * mp.coth(x * mp.log(2) / 2) if t else 2 / mp.log(2)


def _erf(t: Any) -> Any:
    x = mp.sqrt(t)
    return mp.erf(x) / x if t else 2 / mp.sqrt(mp.pi)


def _serf_share(t: Any) -> Any:
    return mp.erf(mp.log1p(t)) / t if t else 2 / mp.sqrt(mp.pi)


def _serf_bend(t: Any) -> Any:
    if t < mp.mpf(10) ** -10:
        return -1 / mp.sqrt(mp.pi)
    slope = 2 / mp.sqrt(mp.pi) * mp.exp(-(mp.log1p(t) ** 2)) / (1 + t)
    return (slope - _serf_share(t)) / t


def _atan(t: Any) -> Any:
    x = mp.sqrt(t)
    return mp.atan(x) / x if t else mp.mpf(1)


def _atlu(t: Any) -> Any:
    x = mp.sqrt(t)
    return (mp.atan(x) - x / (1 + t)) / (mp.pi * x**3) if t else 2 / (3 * mp.pi)


def _atlu_near(t: Any) -> Any:
    x = t + mp.mpf(1.0625)
    return (mp.atan(1 / x) - x / (1 + x * x)) / mp.pi


def _log1p(t: Any) -> Any:
    return mp.log1p(t) / t if t else mp.mpf(1)


def _tanh_shrink(t: Any) -> Any:
    x = mp.sqrt(t)
    return (x - mp.tanh(x)) / x**3 if t else mp.mpf(1) / 3


def _tanh_square(t: Any) -> Any:
    x = mp.sqrt(t)
    return mp.tanh(x) ** 2 / t if t else mp.mpf(1)


def _tanh_lag(t: Any) -> Any:
    x = mp.sqrt(t)
    return (mp.tanh(x) - x * mp.sech(x) ** 2) / x**3 if t else mp.mpf(2) / 3


MILLS = 4.9375  # c below: the leading coefficients are then nearly float32 numbers.


def _moebius(a: float) -> float:
    return (a - MILLS) / (a + MILLS)


def _normal_tail(t: Any) -> Any:
    a = mp.mpf(MILLS) * (1 + mp.mpf(t)) / (1 - mp.mpf(t))
    return mp.erfc(a / mp.sqrt(2)) / 2 * mp.exp(a * a / 2)


def _celu_slope(t: Any) -> Any:
    return (mp.expm1(t) - t * mp.exp(t)) / t**2 if t else -mp.mpf(1) / 2


FITS = {
    "EXP": Fit(
        "(exp(t) - 1 - t) / t^2 on [-0.35, 0.35]", _exp, -0.35, 0.35, 4, 0.35, 12, degree_coarse=3
    ),
    "EXP_CUBE": Fit(
        "(exp(t) - 1 - t - t^2 / 2) / t^3 on [-0.36, 0.36]", _exp_cube, -0.36, 0.36, 5, 0.36, 13
    ),
    "EXP2": Fit(
        "(2^t - 1) / t on [-0.51, 0.51]", _exp2, -0.51, 0.51, 5, 0.51, 13, degree_coarse=4
    ),
    "EXP2_EVEN": Fit(
        "t coth(t log(2) / 2) = f in t^2, for 2^t = (f + t) / (f - t), abs(t) <= 0.505",
        _exp2_even, 0.0, 0.505**2, 2, 0.505**2, 5, rounded_from=0.1, degree_coarse=1,
    ),
    "LOG1P": Fit("log(1 + t) / t on [0, 1]", _log1p, 0.0, 1.0, 11, 1.0, 23, degree_coarse=6),
    "TANH_SHRINK": Fit(
        "(x - tanh x) / x^3, t = x^2 on [0, 2.25]", _tanh_shrink, 0.0, 2.25, 11, 2.25, 22
    ),
    "NORMAL_TAIL": Fit(
        "(1 - Phi(a)) exp(a^2 / 2), t = (a - c) / (a + c), a to 14.4 and to 38.5",
        _normal_tail, -1.0, _moebius(14.4), 11, _moebius(38.5), 24, degree_coarse=8,
    ),
    "TANH_SQUARE": Fit(
        "tanh(x)^2 / x^2, t = x^2 on [0, 0.81]", _tanh_square, 0.0, 0.81, 7, 0.81, 15
    ),
    "ATAN": Fit("atan(x) / x, t = x^2 on [0, 1]", _atan, 0.0, 1.0, 10, 1.0, 21),
    "ATLU": Fit(
        "(atan(x) - x / (1 + x^2)) / (pi x^3), t = x^2 on [0, 0.4]", _atlu, 0.0, 0.4, 8, 0.4, 19
    ),
    "ATLU_NEAR": Fit(
        "(atan(1 / x) - x / (1 + x^2)) / pi, x = t + 1.0625, t on [-0.57, 0.57]",
        _atlu_near, -0.57, 0.57, 15, 0.57, 34,
    ),
    "SERF": Fit("erf(log(1 + t)) / t on [0, 1]", _serf_share, 0.0, 1.0, 12, 1.0, 27),
    "SERF_BEND": Fit("its derivative", _serf_bend, 0.0, 1.0, 12, 1.0, 27),
    "ERF": Fit("erf(x) / x, t = x^2 on [0, 1]", _erf, 0.0, 1.0, 6, 1.0, 14, degree_coarse=4),
    "TANH_LAG": Fit(
        "(tanh x - x / cosh(x)^2) / x^3, t = x^2 on [0, 1]", _tanh_lag, 0.0, 1.0, 8, 1.0, 18
    ),
    "CELU_ALPHA": Fit("(expm1(t) - t exp(t)) / t^2 on [-1, 0]", _celu_slope, -1.0, 0.0, 7, 0.0, 14),
}  # fmt: skip


class Root(NamedTuple):
    """A derivative near a zero of it, where a polynomial about the zero keeps its digits."""

    meaning: str
    function: Callable[[Any], Any]
    order: int
    guess: float
    below: float
    above: float
    degree_single: int
    degree_double: int


def _silu(x: Any) -> Any:
    return x / (1 + mp.exp(-x))


def _gelu(x: Any) -> Any:
    return x * mp.ncdf(x)


def _gelu_tanh(x: Any) -> Any:
    return x / (1 + mp.exp(-mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


def _mish(x: Any) -> Any:
    return x * mp.tanh(mp.log1p(mp.exp(x)))


def _lisht(x: Any) -> Any:
    return x * mp.tanh(x)


def _telu(x: Any) -> Any:
    return x * mp.tanh(mp.exp(x))


def _serf(x: Any) -> Any:
    return x * mp.erf(mp.log1p(mp.exp(x)))


def _sqrtsoftplus(x: Any) -> Any:
    return mp.sqrt(mp.log1p(mp.exp(x)))


def _elish(x: Any) -> Any:
    return mp.expm1(x) / (1 + mp.exp(-x))


ROOTS = {
    "SILU_CURVATURE": Root("silu''", _silu, 2, 2.399, 1.0, 1.0, 12, 28),
    "GELU_SLOPE": Root("gelu', exact", _gelu, 1, -0.752, 0.75, 0.75, 10, 20),
    "GELU_TANH_CURVATURE": Root("gelu'', tanh", _gelu_tanh, 2, 1.418, 0.75, 0.75, 14, 28),
    "MISH_SLOPE": Root("mish'", _mish, 1, -1.192, 0.75, 1.25, 14, 28),
    "MISH_CURVATURE_LEFT": Root("mish''", _mish, 2, -2.256, 0.75, 0.75, 10, 22),
    "MISH_CURVATURE_RIGHT": Root("mish''", _mish, 2, 1.49, 0.75, 0.75, 14, 28),
    "LISHT_CURVATURE": Root("lisht''", _lisht, 2, 1.2, 0.5, 0.75, 12, 28),
    "TELU_SLOPE": Root("telu'", _telu, 1, -1.07, 0.75, 0.75, 12, 26),
    "TELU_CURVATURE_LEFT": Root("telu''", _telu, 2, -2.2, 0.75, 0.75, 12, 24),
    "TELU_CURVATURE_RIGHT": Root("telu''", _telu, 2, 0.8, 0.5, 0.5, 14, 30),
    "SERF_SLOPE": Root("serf'", _serf, 1, -1.1, 0.75, 0.75, 12, 26),
    "SERF_CURVATURE_LEFT": Root("serf''", _serf, 2, -2.2, 0.75, 0.75, 12, 24),
    "SERF_CURVATURE_RIGHT": Root("serf''", _serf, 2, 1.3, 0.5, 0.5, 14, 30),
    "SQRTSOFTPLUS_CURVATURE": Root("sqrtsoftplus''", _sqrtsoftplus, 2, 0.92, 1.25, 0.5, 12, 28),
    "ELISH_SLOPE": Root("elish' left of 0", _elish, 1, -0.88, 0.75, 0.75, 12, 24),
    "ELISH_CURVATURE": Root("elish'' left of 0", _elish, 2, -1.71, 0.75, 0.75, 12, 24),
}


def root_fit(root: Root, double: bool) -> tuple[float, list[float]]:
    """Return the rounded root r and the polynomial in x - r, constant term f(r) first."""
    with mp.workdps(60):
        exact = mp.findroot(lambda x: mp.diff(root.function, x, root.order), root.guess or 0.1)
        at = mp.mpf(float(exact) if double else float(np.float32(float(exact))))
        start = mp.diff(root.function, at, root.order)

        def quotient(t: Any) -> Any:
            if abs(t) < mp.mpf(10) ** -15:
                return mp.diff(root.function, at, root.order + 1)
            return (mp.diff(root.function, at + t, root.order) - start) / t

        degree = root.degree_double if double else root.degree_single
        fitted = chebyfit(quotient, -mp.mpf(root.below), root.above, degree)
        return float(at), [float(c) for c in (start, *fitted)]


def chebyfit(function: Callable[[Any], Any], low: Any, high: Any, degree: int) -> list[Any]:
    """Return mpmath's near-minimax polynomial, constant term first."""
    with warnings.catch_warnings():
        # The order of the result has two spellings, one for each generation of mpmath.
        warnings.simplefilter("ignore", DeprecationWarning)
        return mp.chebyfit(function, [low, high], degree + 1)[::-1]


def coefficients(fit: Fit) -> list[list[float]]:
    """Return near-minimax polynomials, constant term first: float32, float64, coarse if asked."""
    with mp.workdps(60):
        low, high = mp.mpf(fit.low), mp.mpf(fit.high_double)
        found = [
            _short_fit(fit, fit.degree_single),
            chebyfit(fit.function, low, high, fit.degree_double),
        ]
        if fit.degree_coarse is not None:
            found.append(_short_fit(fit, fit.degree_coarse))
    return [[float(c) for c in polynomial] for polynomial in found]


def _short_fit(fit: Fit, degree: int) -> list[Any]:
    high = mp.mpf(fit.high_single)
    if fit.rounded_from is None:
        return chebyfit(fit.function, mp.mpf(fit.low), high, degree)
    first = float(np.float32(float(fit.function(mp.mpf(0)))))

    def others(t: Any) -> Any:
        return (fit.function(t) - first) / t

    return [first, *chebyfit(others, mp.mpf(fit.rounded_from), high, degree - 1)]


class Quotient(NamedTuple):
    """A function s + c x + even or odd part, to be fitted on [-3, 3] by P / Q with an even Q."""

    part: Callable[[Any], Any]
    odd: bool
    constant: float
    slope: Any
    powers: tuple[int, ...]  # those of Q, whose coefficients are to be positive


QUOTIENTS = {
    "relu": Quotient(lambda x: abs(x) / 2, False, 0.0, "0.5", (2, 4)),
    "leaky_relu": Quotient(lambda x: abs(x) * mp.mpf("0.495"), False, 0.0, "0.505", (2, 4)),
    "tanh": Quotient(mp.tanh, True, 0.0, "0", (2, 4)),
    "sigmoid": Quotient(lambda x: mp.tanh(x / 2) / 2, True, 0.5, "0", (2, 4)),
    "gelu": Quotient(lambda x: x * mp.erf(x / mp.sqrt(2)) / 2, False, 0.0, "0.5", (2,)),
    "silu": Quotient(lambda x: x * mp.tanh(x / 2) / 2, False, 0.0, "0.5", (2, 4)),
}


def quotient_fit(quotient: Quotient, points: int = 60) -> tuple[list[float], list[float]]:
    """Return a_0 to a_5 and b_1 to b_4, by least squares that Q of the last step weights."""
    with mp.workdps(40):
        above = (1, 3, 5) if quotient.odd else (0, 2, 4)
        grid = [mp.mpf(3 * k) / points for k in range(points + 1)]
        values = [quotient.part(x) for x in grid]
        weights = [mp.mpf(1)] * len(grid)
        for _ in range(8):
            rows = [
                [w * x**k for k in above] + [-w * y * x**k for k in quotient.powers]
                for x, y, w in zip(grid, values, weights, strict=True)
            ]
            right = [w * y for w, y in zip(weights, values, strict=True)]
            size = len(rows[0])
            normal = mp.matrix(size)
            side = mp.matrix(size, 1)
            for i in range(size):
                side[i] = mp.fdot((row[i], r) for row, r in zip(rows, right, strict=True))
                for j in range(size):
                    normal[i, j] = mp.fdot((row[i], row[j]) for row in rows)
            solution = list(mp.lu_solve(normal, side))
            below = dict(zip(quotient.powers, solution[3:], strict=True))
            weights = [1 / (1 + mp.fsum(b * x**k for k, b in below.items())) for x in grid]
        a = {k: mp.mpf(0) for k in range(6)} | dict(zip(above, solution[:3], strict=True))
        for k, b in {0: mp.mpf(1), **below}.items():
            a[k] += quotient.constant * b
            a[k + 1] += mp.mpf(quotient.slope) * b
        return _short(a.values()), _short(below.get(k, mp.mpf(0)) for k in range(1, 5))


def _short(numbers: Any) -> list[float]:
    return [float(mp.nstr(v, 9)) for v in numbers]


def render() -> str:
    """Return the text of `advact_jax/_coefficients.py`."""
    lines = [
        '"""Polynomials for float32, for float64 and, where there is a third, for bfloat16.',
        "",
        "Printed by tests/numerics/fit.py; do not edit.",
        '"""',
        "",
        f"MILLS = {MILLS}  # c in NORMAL_TAIL",
    ]
    for name, fit in FITS.items():
        lines += [f"# {fit.meaning}", f"{name} = ("]
        for polynomial in coefficients(fit):
            lines += ["    (", *(f"        {c!r}," for c in polynomial), "    ),"]
        lines.append(")")
    for name, root in ROOTS.items():
        lines += [
            f"# {root.meaning} near its zero r: r, the bounds of t = x - r, the polynomial in t",
            f"{name} = (",
        ]
        for double in (False, True):
            at, fitted = root_fit(root, double)
            lines += [
                "    (",
                f"        {at!r},",
                f"        {-root.below!r},",
                f"        {root.above!r},",
                "        (",
            ]
            lines += [f"            {c!r}," for c in fitted]
            lines += ["        ),", "    ),"]
        lines.append(")")
    lines += ["# P / Q on [-3, 3]: the coefficients of P from x^0 on, those of Q from x^1 on"]
    lines += ["QUOTIENTS = {"]
    for name, quotient in QUOTIENTS.items():
        lines.append(f'    "{name}": (')
        for numbers in quotient_fit(quotient):
            lines += ["        (", *(f"            {c!r}," for c in numbers), "        ),"]
        lines.append("    ),")
    lines.append("}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
