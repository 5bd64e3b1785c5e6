"""Accuracy against the float64 path, NaN, and the limits at the infinities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import Case


def check_accuracy(
    case: Case,
    dtype: Any,
    judge: Callable[[Any], Any] | None = None,
    *,
    points: int = accuracy.POINTS,
) -> None:
    """Check value and two derivatives against the float64 path, in ulps of ``dtype``.

    For 16 bits every input is checked; for float32 a dense sample of so many points, the tails, and
    the neighbourhoods of kinks and of zero. Where the truth is finite the result must be.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation()
      ... def shrink(x):
      ...     return x - jnp.tanh(x)
      >>> case = testing.Case(shrink)
      >>> testing.check_accuracy(case, jnp.float16, judge=advact_jax.tanh_shrink)
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: shrink(): expected a value in float16 within 0.51 ...
    """
    x = accuracy.inputs(case.spec, jnp.dtype(dtype), case.given, points)
    errors = accuracy.measure(case, judge or case, x, case.spec.value_floor)
    _check_errors(case, jnp.dtype(dtype), errors)


def _check_errors(case: Case, dtype: Any, errors: Iterable[accuracy.Error], of: str = "") -> None:
    tolerances = accuracy.TOLERANCE[dtype.name]
    for what, error, limit in zip(accuracy.ORDERS, errors, tolerances, strict=False):
        if error.not_finite:
            case.fail(
                f"expected a finite {what}{of} in {dtype.name} where the truth is finite, got "
                f"{error.not_finite} inputs where it is not, such as x = {error.not_finite_at!r}."
            )
        if error.ulps > limit:
            case.fail(
                f"expected a {what}{of} in {dtype.name} within {limit} ulp, got {error.ulps:.3g} "
                f"ulp at x = {error.worst_at!r}."
            )


def check_parameter_accuracy(case: Case, dtype: Any, *, points: int = accuracy.POINTS) -> None:
    """Check the derivative by each parameter against the float64 path, in ulps of ``dtype``.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.Case(advact_jax.prelu, {"alpha": 0.25})
      >>> testing.check_parameter_accuracy(case, jnp.bfloat16)
    """
    dtype = jnp.dtype(dtype)
    x = accuracy.inputs(case.spec, dtype, case.given, points)
    by = {
        key: case.derivative_by(key, float(jnp.asarray(case.arguments[key], dtype)))
        for key in case.differentiable
    }
    if not by:
        return
    together = accuracy.together(by.values())
    found, truths = accuracy.evaluate(together, x), accuracy.truth_at(together, x)
    for key, result, truth in zip(by, found, truths, strict=True):
        error = accuracy.summarise(result, truth, x, signed=True)
        _check_errors(case, dtype, [error], f" of the derivative by {key}")


def check_nan(case: Case, dtype: Any) -> None:
    """Check that NaN gives NaN, in value, gradient and the derivative by each parameter.

    A note on "nan" tells why a gradient doesn't.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation()
      ... def rectified(x):
      ...     return jnp.where(x > 0, x, 0)
      >>> testing.check_nan(testing.Case(rectified), jnp.float32)
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: rectified(): expected a value of NaN at NaN, got 0.0.
    """
    x = jnp.asarray([math.nan, 0.5], dtype)
    value, first, _ = accuracy.derivatives(case)
    of_x = [("value", value), ("gradient", first)]
    for what, function in of_x[: 1 if "nan" in case.spec.notes else 2]:
        if not np.isnan(np.asarray(function(x)).astype(np.float32)[0]):
            case.fail(f"expected a {what} of NaN at NaN, got {function(x)[0]}.")
    for key, given in case.arguments.items():
        if key in case.spec.parameters and given is not None:
            found = case.derivative_by(key, given)(x)
            if not np.isnan(np.asarray(found).astype(np.float32)[0]):
                case.fail(f"expected a derivative by {key} of NaN at NaN, got {found[0]}.")


def check_limits(case: Case, dtype: Any) -> None:
    """Check value and slope at minus and plus infinity against the declared limits.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(limits=(0.0, 1.0))
      ... def centred(x):
      ...     return jnp.tanh(x)
      >>> testing.check_limits(testing.Case(centred), "float32")
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: centred(): expected limits [0. 1.] at -inf and inf in
      float32, got [-1.  1.].
    """
    value, first, _ = accuracy.derivatives(case)
    x = jnp.asarray([-math.inf, math.inf], dtype)
    for field, function in (("limits", value), ("slope_limits", first)):
        expected = case.at(field)
        if expected is None:
            continue
        found, wanted = np.asarray(function(x)), np.asarray(expected).astype(jnp.dtype(dtype))
        if not np.array_equal(found, wanted):
            case.fail(f"expected {field} {wanted} at -inf and inf in {dtype}, got {found}.")
