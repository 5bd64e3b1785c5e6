"""Measure errors in ulps: what the contracts test and the accuracy table prints.

The judge of 16 and 32 bits is the float64 path of the same declaration; the tests judge that path
by mpmath. Rules that hold for every figure:

* An error is counted in ulps of the result's type at the truth.
* A truth below the smallest normal number may be flushed to zero, and an input below it may be
  read as zero, as XLA does on CPU and TPU.
* The error of a derivative that changes sign is counted in ulps of 2^-6 where the truth is smaller.
* A result counts as not finite only where the truth, rounded to the type, is finite.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax._spec import RowSpec, Spec

ORDERS = ("value", "first derivative", "second derivative")

# Of the dense part of a sample; the tails are half as many.
POINTS = 25_000

# Worst error allowed, in ulps, for the value, the first and the second derivative.
TOLERANCE = {
    "bfloat16": (0.51, 0.51, 1.0),
    "float16": (0.51, 0.51, 1.0),
    "float32": (4.0, 4.0, 8.0),
    "float64": (8.0, 8.0, 8.0),
}


@dataclasses.dataclass(frozen=True)
class Error:
    """The worst error over a set of inputs.

    Attributes:
      ulps: the worst finite error.
      worst_at: the input where it occurs.
      not_finite: the number of inputs where the result is not finite though the truth is.
      not_finite_at: one of them, or None.

    Example:
      >>> from advact_jax import accuracy
      >>> value, slope, curvature = accuracy.measure_spec(advact_jax.relu6, jnp.float16)
      >>> value.ulps, slope.not_finite
      (0.0, 0)
    """

    ulps: float
    worst_at: float
    not_finite: int
    not_finite_at: float | None


def every_input(dtype: Any) -> np.ndarray:
    """Return every number of a 16-bit type, the infinities included and NaN left out.

    Example:
      >>> from advact_jax import accuracy
      >>> x = accuracy.every_input(jnp.bfloat16)
      >>> x.size, x.min(), x.max()
      (65282, -inf, inf)
    """
    bits = np.arange(2**16, dtype=np.uint16)
    x = bits.view(jnp.dtype(dtype))
    with np.errstate(invalid="ignore"):
        return x[~np.isnan(x)]


def samples(dtype: Any, kinks: tuple[float, ...] = (), count: int = POINTS) -> np.ndarray:
    """Return inputs for float32 or float64: dense, in the tails, and beside kinks and zero.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> x = accuracy.samples(np.float32, kinks=(3.0,), count=100)
      >>> 3.0 in x, float(x[x > 3].min())
      (True, 3.0000002)
    """
    rng = np.random.default_rng(0)
    limits = np.finfo(dtype)
    dense = rng.uniform(-10, 10, count)
    tails = rng.uniform(-110 if limits.bits == 32 else -760, 110, count // 2)
    exponents = rng.uniform(limits.minexp, limits.maxexp, count // 2)
    scattered = np.exp2(exponents) * rng.choice([-1.0, 1.0], exponents.size)
    special = [0.0, -0.0, np.inf, -np.inf, limits.max, -limits.max, limits.tiny, -limits.tiny]
    beside = [near for kink in (*kinks, 0.0) for near in _neighbours(kink, dtype)]
    return np.concatenate([dense, tails, scattered, special, beside]).astype(dtype)


def _neighbours(kink: float, dtype: Any) -> list[Any]:
    """Return the kink, the numbers next to it, and a few at growing distance."""
    at = np.asarray(kink, dtype)
    up, down = (
        np.nextafter(at, np.asarray(np.inf, dtype)),
        np.nextafter(at, np.asarray(-np.inf, dtype)),
    )
    distances = [sign * 2.0**-k for k in range(2, 24) for sign in (1, -1)]
    return [at, up, down, *(at + np.asarray(d, dtype) for d in distances)]


def derivatives(function: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], ...]:
    """Return the elementwise function and its first two derivatives: reverse, forward over it.

    Example:
      >>> from advact_jax import accuracy
      >>> value, first, second = accuracy.derivatives(advact_jax.softplus)
      >>> print(value(0.0), first(0.0), second(0.0))
      0.693 0.5 0.25
    """

    def first(x: Any) -> Any:
        y, pullback = jax.vjp(function, x)
        return pullback(jnp.ones_like(y))[0]

    def second(x: Any) -> Any:
        return jax.jvp(first, (x,), (jnp.ones_like(x),))[1]

    return function, first, second


def ulp_errors(result: Any, truth: Any, dtype: Any, floor: Any = 0.0) -> np.ndarray:
    """Return the errors of ``result`` in ulps of ``dtype``, infinite where it should be finite.

    Args:
      result: array of type ``dtype``.
      truth: array of float64, or of a wider type where ``dtype`` is float64.
      dtype: the type whose ulps count.
      floor: magnitude below which the ulp no longer shrinks; an array where it differs.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> found = np.float32([1.0, 1.0000002, np.inf])
      >>> accuracy.ulp_errors(found, np.float64([1.0, 1.0, 2.0]), np.float32)
      array([ 0.,  2., inf])
    """
    limits = jnp.finfo(dtype)
    tiny, largest = float(limits.tiny), float(limits.max)
    y = np.asarray(result).astype(np.longdouble)
    t = np.asarray(truth).astype(np.longdouble)
    with np.errstate(all="ignore"):
        half = largest * (1 + 2.0 ** -(limits.nmant + 2))
        t = np.where(np.abs(t) >= half, np.copysign(np.inf, t), t)
        size = np.clip(np.abs(t), np.maximum(tiny, floor), largest)
        ulp = np.exp2(np.floor(np.log2(size)) - limits.nmant)
        error = np.abs(y - t) / ulp
        error = np.where((np.abs(t) < tiny) & (np.abs(y) <= tiny), 0, error)
        same = (y == t) | (np.isnan(y) & np.isnan(t))
        # Rounding up to infinity from the last half ulp below it is no error.
        edge = np.isinf(y) & (np.abs(t) > largest * (1 - 2.0**-limits.nmant)) & (y * t > 0)
        edge |= np.isinf(t) & (np.abs(y) == largest) & (y * t > 0)
    error = np.where(same | edge, 0, error)
    return np.where(np.isnan(error), np.inf, error).astype(np.float64)


def measure(
    function: Callable[[Any], Any],
    judge: Callable[[Any], Any],
    x: np.ndarray,
    value_floor: float = 0.0,
) -> tuple[Error, ...]:
    """Measure a function and two derivatives on ``x`` against the float64 path of ``judge``.

    Args:
      function: elementwise function of one array.
      judge: elementwise function that is right in float64.
      x: inputs of the type to measure.
      value_floor: as in a declaration.

    Returns:
      One `Error` for the value, the first and the second derivative.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> naive = lambda x: jnp.log(1 + jnp.exp(x))
      >>> x = np.linspace(-5, 95, 101).astype(np.float32)
      >>> value, first, second = accuracy.measure(naive, advact_jax.softplus, x)
      >>> value.ulps > 10, value.not_finite, value.not_finite_at
      (True, 7, 89.0)
    """
    found = evaluate(together(derivatives(function)), x)
    truths = truth_at(together(derivatives(judge)), x)
    # Values of 16 bits are rounded once, beside a zero too.
    least = value_floor if x.dtype.itemsize > 2 else 0.0
    return tuple(
        summarise(found[order], truths[order], x, order > 0, 0.0 if order else least)
        for order in range(len(found))
    )


def together(functions: Iterable[Callable[[Any], Any]]) -> Callable[[Any], tuple[Any, ...]]:
    """Return one function that returns the results of all, so that all compile at once.

    Example:
      >>> from advact_jax import accuracy
      >>> both = jax.jit(accuracy.together([advact_jax.sigmoid, advact_jax.tanh]))
      >>> print(*both(1.0))
      0.7311 0.7616
    """
    functions = tuple(functions)
    return lambda x: tuple(function(x) for function in functions)


def evaluate(function: Callable[[Any], tuple[Any, ...]], x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return ``function(x)`` computed in the type of ``x``, under jit.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> y, slope = accuracy.evaluate(lambda x: (jnp.tanh(x), 1 / jnp.cosh(x) ** 2), np.ones(1))
      >>> print(y, slope, y.dtype)
      [0.7616] [0.41997] float64
    """
    with jax.enable_x64(x.dtype == np.float64):
        return tuple(np.asarray(y) for y in jax.jit(function)(jnp.asarray(x)))


def truth_at(
    judge: Callable[[Any], tuple[Any, ...]], x: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return float64 truths at ``x``, and with inputs below the smallest normal read as 0.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> relu = accuracy.together([advact_jax.relu])
      >>> ((truth, flushed),) = accuracy.truth_at(relu, np.float32([1e-40]))
      >>> print(truth, flushed)
      [1.00e-40] [0.]
    """
    wide = np.asarray(x).astype(np.float64)
    limits = jnp.finfo(x.dtype)
    flushed = np.where(np.abs(wide) < float(limits.tiny), np.copysign(0.0, wide), wide)
    with jax.enable_x64(True):
        compiled = jax.jit(judge)
        at_x, at_flushed = compiled(jnp.asarray(wide)), compiled(jnp.asarray(flushed))
        return tuple((np.asarray(a), np.asarray(b)) for a, b in zip(at_x, at_flushed, strict=True))


def errors(
    result: np.ndarray,
    truths: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    signed: bool,
    least: float = 0.0,
) -> np.ndarray:
    """Return the error of ``result`` at each input in ulps, by the rules of this module.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> x = np.float32([1.0, 2.0, 3.0])
      >>> (truths,) = accuracy.truth_at(accuracy.together([advact_jax.relu]), x)
      >>> accuracy.errors(np.float32([1.0, 2.0000005, np.inf]), truths, x, signed=False)
      array([ 0.,  2., inf])
    """
    truth = truths[0]
    finite = truth[np.isfinite(truth)]
    floor = 2.0**-6 if signed and finite.size and finite.min() < 0 < finite.max() else least
    return np.minimum(*(ulp_errors(result, t, x.dtype, floor) for t in truths))


def summarise(
    result: np.ndarray,
    truths: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    signed: bool,
    least: float = 0.0,
) -> Error:
    """Return the worst error of ``result``, by the rules of this module.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> x = np.float32([1.0, 2.0, 3.0])
      >>> (truths,) = accuracy.truth_at(accuracy.together([advact_jax.relu]), x)
      >>> accuracy.summarise(np.float32([1.0, 2.0000005, np.inf]), truths, x, signed=False)
      Error(ulps=2.0, worst_at=2.0, not_finite=1, not_finite_at=3.0)
    """
    found = errors(result, truths, x, signed, least)
    broken = ~np.isfinite(found)
    at = np.asarray(x).astype(np.float64)
    worst = int(np.argmax(np.where(broken, -1, found)))
    return Error(
        ulps=float(found[worst]) if not broken.all() else 0.0,
        worst_at=float(at[worst]),
        not_finite=int(broken.sum()),
        not_finite_at=float(at[broken][0]) if broken.any() else None,
    )


def kinks_of(spec: Spec, given: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the kinks of a declaration at these parameters.

    Example:
      >>> from advact_jax import accuracy
      >>> accuracy.kinks_of(advact_jax.hard_tanh.spec, {"max_value": 2.0})
      (-1.0, 2.0)
    """
    kinks = spec.at("kinks", **{key: float_of(value) for key, value in given.items()})
    return tuple(float(kink) for kink in kinks)


def float_of(value: Any) -> Any:
    """Return a parameter as a Python number; flags and None as they are.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> accuracy.float_of(np.float32(0.5)), accuracy.float_of(True)
      (0.5, True)
    """
    return value if isinstance(value, bool | None | str) else float(value)


def inputs(spec: Spec, dtype: Any, given: Mapping[str, Any], points: int = POINTS) -> np.ndarray:
    """Return the inputs on which the contracts measure this type: all, or a sample of so many.

    Example:
      >>> from advact_jax import accuracy
      >>> accuracy.inputs(advact_jax.relu.spec, jnp.float16, {}).size
      63490
      >>> 2.5 in accuracy.inputs(advact_jax.hard_tanh.spec, jnp.float32, {"max_value": 2.5})
      True
    """
    if jnp.finfo(dtype).bits == 16:
        return every_input(dtype)
    return samples(dtype, kinks_of(spec, given), points)


def measure_spec(
    function: Callable[..., Any], dtype: Any, given: Mapping[str, Any] | None = None
) -> tuple[Error, ...]:
    """Measure a declared activation in one type, at the given parameters and flags.

    Example:
      >>> from advact_jax import accuracy
      >>> errors = accuracy.measure_spec(advact_jax.leaky_relu, "bfloat16", {"negative_slope": 0.3})
      >>> print(*(f"{error.ulps:.1f}" for error in errors))
      0.5 0.5 0.0
    """
    spec: Spec = function.spec  # type: ignore[attr-defined]
    bound = functools.partial(function, **(given or {}))
    return measure(bound, bound, inputs(spec, dtype, given or {}), spec.value_floor)


# -- functions along an axis --------------------------------------------------------------------

ROW_TOLERANCE = {
    "bfloat16": (0.51, 4.0, 8.0),
    "float16": (0.51, 4.0, 8.0),
    "float32": (4.0, 8.0, 16.0),
}


@dataclasses.dataclass(frozen=True)
class RowError:
    """The worst error over a set of rows.

    Attributes:
      what: the value or the derivative that is judged.
      ulps: the worst finite error.
      worst_at: the row where it occurs.
      not_finite: the number of rows where the result is not finite though the truth is.
      not_finite_at: one of them, or None.

    Example:
      >>> from advact_jax import accuracy, testing
      >>> (case,) = testing.row_cases(advact_jax.crelu)
      >>> value, jacobian, hessian = accuracy.measure_rows(case, case, jnp.bfloat16)
      >>> value.what, value.ulps, value.not_finite
      ('value', 0.0, 0)
    """

    what: str
    ulps: float
    worst_at: Any
    not_finite: int
    not_finite_at: Any


def sample_rows(dtype: Any, length: int, count: int = 4) -> np.ndarray:
    """Return random rows of several scales, and some whose entries lie far from 0 together.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> rows = accuracy.sample_rows(np.float32, length=8)
      >>> rows.shape, bool((abs(rows[:4]) < 0.01).all()), bool((rows[-4:] < -40).all())
      ((28, 8), True, True)
    """
    rng = np.random.default_rng(length)
    rows = [scale * rng.normal(size=(count, length)) for scale in (1e-3, 0.1, 1.0, 5.0, 30.0)]
    rows += [50 * sign + rng.normal(size=(count, length)) for sign in (1, -1)]
    return np.concatenate(rows).astype(dtype)


def value_floor(spec: RowSpec, dtype: Any, x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return what the errors of each row's values are counted against at least.

    Example:
      >>> import numpy as np
      >>> from advact_jax import accuracy
      >>> x = np.float32([[3.0, -5.0], [0.1, 0.2]])
      >>> truth = np.asarray(advact_jax.logsumexp(x, axis=-1, keepdims=True))
      >>> accuracy.value_floor(advact_jax.logsumexp.spec, np.float32, x, truth)
      array([[5.],
             [1.]])
    """
    counted = spec.counted.get(jnp.dtype(dtype).name, spec.counted.get("all", "entry"))
    if counted == "row":
        return np.max(np.abs(truth), -1, keepdims=True)
    if counted == "input":
        return np.maximum(np.max(np.abs(x).astype(np.float64), -1, keepdims=True), 1)
    return np.full((len(x), 1), {"entry": 0.0, "2^-5": 2.0**-5}[counted])


def measure_rows(function: Any, judge: Any, dtype: Any) -> tuple[RowError, ...]:
    """Measure value, Jacobian and Hessian of rows against the float64 path of ``judge``.

    The errors of derivatives are counted in ulps of the largest entry of the row's Jacobian or
    Hessian, or of the largest entry of a lower order (at most 1) if that is larger: where a share
    is nearly 1, its slope is the small rest.

    Args:
      function: a function of rows along the last axis.
      judge: such a function that is right in float64, with its declaration as ``spec``.
      dtype: the type to measure.

    Returns:
      One `RowError` for the value, the first and the second derivative.

    Example:
      >>> from advact_jax import accuracy, testing
      >>> (case,) = testing.row_cases(advact_jax.hardmax)
      >>> naive = lambda x: (x == x.max(-1, keepdims=True)).astype(x.dtype)
      >>> [error.ulps for error in accuracy.measure_rows(naive, case, jnp.float32)]
      [0.0, 0.0, 0.0]
    """
    worst: list[list[tuple[np.ndarray, np.ndarray]]] = [[], [], []]
    for length in judge.spec.lengths:
        x = sample_rows(dtype, length)
        found = _row_derivatives(function, x)
        truths = _row_derivatives(judge, x.astype(np.float64))
        before = np.zeros((len(x), 1))
        for order, (result, truth) in enumerate(zip(found, truths, strict=True)):
            result, truth = (v.reshape(len(x), -1) for v in (result, truth))
            largest = np.max(np.abs(truth), -1, keepdims=True, initial=1e-300)
            floor = np.maximum(largest, before)
            if order == 0:
                floor = value_floor(judge.spec, dtype, x, truth)
            worst[order].append((x, ulp_errors(result, truth, dtype, floor)))
            before = np.maximum(before, np.minimum(largest, 1))
    return tuple(_worst_row(what, pairs) for what, pairs in zip(ORDERS, worst, strict=True))


def _row_derivatives(function: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
    with jax.enable_x64(x.dtype == np.float64):
        return tuple(np.asarray(y) for y in _compiled_rows(function)(jnp.asarray(x)))


@functools.lru_cache(maxsize=8)
def _compiled_rows(function: Any) -> Callable[[Any], Any]:
    """Return value, Jacobian and Hessian of each row, compiled once for the truth of all types."""

    def weighted(row: Any) -> Any:
        y = function(row)
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32).reshape(y.shape) + 0.5)
        return jnp.sum(y.astype(jnp.promote_types(y.dtype, jnp.float32)) * weights)

    hessian = jax.jacfwd(jax.grad(weighted))
    return jax.jit(jax.vmap(together((function, jax.jacrev(function), hessian))))


def _worst_row(what: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> RowError:
    rows = [row for x, _ in pairs for row in x]
    errors = np.asarray([np.max(error, initial=0) for _, all_of in pairs for error in all_of])
    broken = ~np.isfinite(errors)
    at = int(np.argmax(np.where(broken, -1, errors)))
    return RowError(
        what=what,
        ulps=float(errors[at]) if not broken.all() else 0.0,
        worst_at=rows[at],
        not_finite=int(broken.sum()),
        not_finite_at=rows[int(np.argmax(broken))] if broken.any() else None,
    )
