"""The float64 path against the declaration's own reference, in mpmath."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import Case, mpmath


def meant(value: Any) -> Fraction | Any:
    """Return the short fraction that a default such as 1/6 or 0.01 stands for."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = Fraction(value).limit_denominator(10_000)
    return short if float(short) == value else Fraction(value)


def reference_points(case: Case, count: int = 150) -> np.ndarray:
    """Return float64 inputs for the comparison with mpmath."""
    rng = np.random.default_rng(1)
    kinks = accuracy.kinks_of(case.spec, case.given)
    beside = [
        k for kink in kinks for k in (kink, np.nextafter(kink, 9e9), np.nextafter(kink, -9e9))
    ]
    near = [kink + s * 2.0**-k for kink in (*kinks, 0.0) for k in (3, 9, 20) for s in (1, -1)]
    sizes = 10.0 ** rng.uniform(-12, 8, count // 5) * rng.choice([-1.0, 1.0], count // 5)
    tails = rng.uniform(-740, 700, 12)
    x = np.concatenate([rng.uniform(-10, 10, count), tails, sizes, beside, near, [0.0]])
    return x[(x == 0) | (np.abs(x) > 1e-300)]


def reference_derivative(case: Case, x: float, order: int, by: str | None = None) -> Any:
    """Return the reference, or a derivative of it, at ``x`` as an mpmath number.

    At a kink the derivative is one-sided, from the side of the piece that owns the point.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.Case(advact_jax.tanh)
      >>> print(testing.reference_derivative(case, 0.5, order=1))
      0.786447732965927
      >>> print(testing.reference_derivative(testing.Case(advact_jax.relu), 0.0, order=1))
      0.0
    """
    mp = mpmath()
    formula: Any = case.spec.reference
    defaults = {key: meant(v) for key, v in case.spec.defaults.items() if key not in case.given}
    arguments = {**case.arguments, **defaults}

    def reference(x: Any, **other: Any) -> Any:
        # Converted at the precision in force, which differentiation raises.
        converted = {
            key: mp.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v
            for key, v in arguments.items()
        }
        return formula(mp, x, **{**converted, **other})

    at = mp.mpf(x)
    if by is not None:
        value = mp.mpf(case.arguments[by]) if by in case.given else mp.mpf(case.spec.defaults[by])
        return mp.diff(lambda p: reference(at, **{by: p}), value, relative=bool(value))
    if order == 0:
        return mp.mpf(reference(at))
    kinks = {float(kink): side for kink, side in case.at("kinks").items()}
    side = {"left": -1, "right": 1}.get(kinks.get(float(x), ""), 0)
    return mp.diff(reference, at, order, direction=side, relative=x != 0)


def check_reference(case: Case) -> None:
    """Check the float64 path, with its derivatives, against the declaration's mpmath reference.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(reference=lambda mp, x: x / (1 + abs(x)))
      ... def squashed(x):
      ...     return x / (1.001 + jnp.abs(x))
      >>> testing.check_reference(testing.Case(squashed))
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: squashed(): expected a value of ...
    """
    if case.spec.reference is None:
        return
    x = reference_points(case)
    results = accuracy.evaluate(accuracy.together(accuracy.derivatives(case)), x)
    for order, result in enumerate(results):
        _check_against_reference(case, x, result, order, None)
    by = case.differentiable
    if by:
        kinks = accuracy.kinks_of(case.spec, case.given)
        x = np.asarray([v for v in x if v not in kinks])[::3]
        functions = [case.derivative_by(key, case.arguments[key]) for key in by]
        for key, result in zip(by, accuracy.evaluate(accuracy.together(functions), x), strict=True):
            _check_against_reference(case, x, result, 0, key)


def _check_against_reference(
    case: Case, x: np.ndarray, result: np.ndarray, order: int, by: str | None
) -> None:
    mp = mpmath()
    tiny = float(np.finfo(np.float64).tiny)
    truths = []
    for v in x:
        with mp.workdps(100):
            truth = reference_derivative(case, float(v), order, by) if abs(v) <= 40 else 0
        if abs(truth) < 1e-40:
            # In a tail a derivative of 1e-300 is the difference of values near 1.
            with mp.workdps(420):
                truth = reference_derivative(case, float(v), order, by)
        truths.append(truth)
    with mp.workdps(60):
        signed = (order > 0 or by is not None) and min(truths) < 0 < max(truths)
        least = case.spec.value_floor if order == 0 and by is None else 0.0
        floor = mp.mpf(2) ** -6 if signed else mp.mpf(least)
        for at, y, truth in zip(x, result, truths, strict=True):
            if abs(truth) < tiny and abs(y) <= tiny:
                continue
            if at == 0 and y == 0 and abs(truth) < mp.mpf(10) ** -50:
                continue  # What numerical differentiation leaves of a zero.
            if abs(truth) > np.finfo(np.float64).max and np.isinf(y):
                continue
            exponent = mp.floor(mp.log(max(abs(truth), floor, mp.mpf(tiny)), 2))
            error = abs(mp.mpf(float(y)) - truth) / mp.mpf(2) ** (exponent - 52)
            if not error <= accuracy.TOLERANCE["float64"][order]:
                what = accuracy.ORDERS[order] if by is None else f"derivative by {by}"
                case.fail(
                    f"expected a {what} of {mp.nstr(truth, 17)} at x = {at!r} in float64, got "
                    f"{y!r}: {mp.nstr(error, 3)} ulp off."
                )
