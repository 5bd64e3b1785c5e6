"""The contracts of functions along an axis, row by row."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import PLATFORMS, RowCase, mpmath


def check_row_accuracy(case: RowCase, dtype: Any) -> None:
    """Check value, Jacobian and Hessian of sample rows against the float64 path.

    Values count in ulps of the entry (or of what the declaration says), derivatives as
    `accuracy.measure_rows` says.

    Example:
      >>> from advact_jax import testing
      >>> (case,) = testing.row_cases(advact_jax.crelu)
      >>> testing.check_row_accuracy(case, jnp.bfloat16)
    """
    if case.spec.reference is None:
        return
    dtype = jnp.dtype(dtype)
    for error in accuracy.measure_rows(case, case, dtype):
        if error.not_finite:
            case.fail(
                f"expected a finite {error.what} in {dtype.name} where the truth is finite, got "
                f"{error.not_finite} rows where it is not, such as {error.not_finite_at}."
            )
        limit = accuracy.ROW_TOLERANCE[dtype.name][accuracy.ORDERS.index(error.what)]
        if error.ulps > limit:
            case.fail(
                f"expected a {error.what} in {dtype.name} within {limit} ulp, got {error.ulps:.3g} "
                f"ulp in the row {error.worst_at}."
            )


def check_row_reference(case: RowCase) -> None:
    """Check the float64 path, and its derivative along a direction, against the reference.

    Example:
      >>> from advact_jax import testing
      >>> (case,) = testing.row_cases(advact_jax.softmax)
      >>> testing.check_row_reference(case)
    """
    mp = mpmath()

    if case.spec.reference is None:
        return
    for length in case.spec.lengths:
        rows = accuracy.sample_rows(np.float64, length)[::5]
        along = np.cos(np.arange(length) + 0.5)
        values, slopes = _with_slopes(case, rows, along)
        for row, value, slope in zip(rows, values, slopes, strict=True):
            with mp.workdps(60):
                step = mp.mpf(10) ** -20
                truth, above, below = (
                    _moved_reference(case, row, along, t) for t in (mp.mpf(0), step, -step)
                )
                slope_truth = [(a - b) / (2 * step) for a, b in zip(above, below, strict=True)]
            _compare(case, "value", row, value, truth, _value_size(case, row, truth), 8)
            size = np.max(np.abs(np.asarray(slope_truth, float)), initial=1e-300)
            size = max(size, min(1.0, np.max(np.abs(value), initial=0)))
            _compare(case, "derivative", row, slope, slope_truth, size, 64)


def _value_size(case: RowCase, row: Any, truth: list[Any]) -> float:
    exact = np.asarray([[float(v) for v in truth]])
    return float(accuracy.value_floor(case.spec, np.float64, row[None], exact)[0, 0])


def _moved_reference(case: RowCase, row: Any, along: Any, t: Any) -> list[Any]:
    """Return the reference at row + t · along, as a list."""
    mp = mpmath()

    at = [mp.mpf(float(a)) + t * float(b) for a, b in zip(row, along, strict=True)]
    result = case.reference(mp, at)
    return list(result) if isinstance(result, list | tuple) else [result]


def _with_slopes(case: RowCase, rows: np.ndarray, along: np.ndarray) -> tuple[Any, Any]:
    with jax.enable_x64(True):
        x = jnp.asarray(rows, jnp.float64)
        tangent = jnp.broadcast_to(jnp.asarray(along), x.shape)
        y, slope = jax.jit(lambda x: jax.jvp(case, (x,), (tangent,)))(x)
    count = len(rows)
    return np.asarray(y).reshape(count, -1), np.asarray(slope).reshape(count, -1)


def _compare(
    case: RowCase, what: str, row: Any, found: Any, truth: Any, size: Any, limit: float
) -> None:
    exact = np.asarray([float(v) for v in truth])
    error = np.max(accuracy.ulp_errors(found, exact, np.float64, size), initial=0)
    if not error <= limit:
        case.fail(
            f"expected a {what} in float64 of {exact}, got {found}: {error:.3g} ulp off in the row "
            f"{row}."
        )


def check_row_strange(case: RowCase) -> None:
    """Check that NaN stays in its row, and that no row without NaN gives one."""
    for length in case.spec.lengths:
        _check_strange(case, length)


def _check_strange(case: RowCase, length: int) -> None:
    most = float(jnp.finfo(jnp.float32).max)
    fills = [[0.0], [most], [-most], [math.inf], [-math.inf], [math.inf, 0.0], [-math.inf, 2.0]]
    fills += [[most, -most], [-most, 1.0]]
    beside = accuracy.sample_rows(np.float32, length)[:2]
    beside[0, 1] = math.nan
    rows = [np.resize(np.asarray(fill, np.float32), length) for fill in fills]
    y, slope = _value_and_slope(case, jnp.asarray([*rows, *beside]))
    for what, found in (("value", y), ("derivative", slope)):
        for row, result in zip(rows, found[:-2], strict=True):
            if np.isnan(result).any():
                case.fail(f"expected a {what} that is not NaN for the row {row}, got {result}.")
        if not np.isnan(found[-2]).any():
            case.fail(f"expected a {what} of NaN in a row with NaN, got {found[-2]}.")
        if np.isnan(found[-1]).any():
            case.fail(f"expected NaN to stay in its row, got a {what} of {found[-1]} beside it.")


def _value_and_slope(case: RowCase, x: Any) -> tuple[np.ndarray, np.ndarray]:
    value, first, _ = accuracy.derivatives(case)
    y, slope = jax.jit(accuracy.together((value, first)))(x)
    return np.asarray(y).reshape(len(x), -1), np.asarray(slope).reshape(len(x), -1)


def check_row_transformations(case: RowCase) -> None:
    """Check all modes of differentiation, vmap, scan, checkpoint and strict promotion."""
    length = max(case.spec.lengths)
    x = jnp.asarray(np.random.default_rng(4).normal(size=(2, 3, length)), jnp.float32)
    # Along ones the sums over a row may cancel.
    along = jnp.broadcast_to(jnp.cos(jnp.arange(length, dtype=x.dtype)).reshape(1, 1, -1), x.shape)
    value, first, _ = accuracy.derivatives(case.weighted)

    def total(x: Any) -> Any:
        return case.weighted(x).astype(jnp.float32).sum()

    @jax.jit
    def found(x: Any) -> dict[str, Any]:
        small = x[0, 0]
        every = jax.vmap(jax.vmap(first))
        return {
            "reverse mode": (first(x), jax.grad(total)(x)),
            "forward mode": (jax.linearize(value, x)[1](along), jax.jvp(value, (x,), (along,))[1]),
            "forward and reverse mode": (jax.jacrev(case)(small), jax.jacfwd(case)(small)),
            "reverse over reverse": (
                jax.jvp(first, (x,), (along,))[1],
                jax.vjp(first, x)[1](along)[0],
            ),
            "vmap of the value": (value(x), jax.vmap(jax.vmap(value))(x)),
            "vmap over the middle axis": (value(x), jax.vmap(value, 1, 1)(x)),
            "vmap of the derivative": (first(x), every(x)),
            "scan": (first(x), jax.lax.scan(lambda c, row: (c, first(row)), 0, x)[1]),
            "checkpoint": (first(x), jax.grad(jax.checkpoint(total))(x)),
        }

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for what, (wanted, got) in found(x).items():
            case.expect_close(what, got, wanted)


def check_row_jit(case: RowCase) -> None:
    """Check that a second call compiles nothing."""
    length = max(case.spec.lengths)
    case(jnp.zeros((2, length)))
    with jax.no_tracing():
        case(jnp.ones((2, length)))


def check_row_dtypes(case: RowCase) -> None:
    """Check that value and derivatives keep the input's dtype, where float64 is allowed too."""
    length = max(case.spec.lengths)
    with jax.enable_x64(True):
        for dtype in (jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64):
            x = jax.ShapeDtypeStruct((2, length), dtype)
            for what, function in zip(accuracy.ORDERS, accuracy.derivatives(case), strict=True):
                y = jax.eval_shape(function, x)
                if y.dtype != dtype:
                    case.fail(f"expected a {what} of {x.dtype} for such an input, got {y.dtype}.")
    y = jax.eval_shape(case, jax.ShapeDtypeStruct((2, length), jnp.int32))
    if y.dtype != jnp.float32:
        case.fail(f"expected integer input to be promoted to float32, got {y.dtype}.")


def check_row_residuals(case: RowCase) -> None:
    """Check that reverse mode keeps no more than the declaration says."""
    x = jax.ShapeDtypeStruct((64, 10 * max(case.spec.lengths)), jnp.float32)
    leaves = jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(case, x)[1], x))
    # What is one number for a row is not counted.
    kept = [leaf.size * leaf.dtype.itemsize for leaf in leaves if leaf.size > x.shape[0]]
    if sum(kept) > case.spec.kept * x.size:
        case.fail(
            f"expected at most {case.spec.kept} bytes per float32 entry to be kept, got "
            f"{sum(kept) / x.size}."
        )


def check_row_lowering(case: RowCase, platforms: tuple[str, ...] = PLATFORMS) -> None:
    """Check that value and gradient lower for each platform, which needs no such hardware."""
    for dtype in (jnp.float32, jnp.bfloat16):
        shape = jax.ShapeDtypeStruct((4, max(case.spec.lengths)), dtype)
        both = accuracy.together(accuracy.derivatives(case)[:2])
        jax.export.export(jax.jit(both), platforms=platforms)(shape)


def check_row_errors(case: RowCase) -> None:
    """Check that a complex input, a list and an axis out of range raise, naming the function."""
    x = jnp.zeros((2, max(case.spec.lengths)))
    bad: list[tuple[type[Exception], str, Any]] = [
        (TypeError, "a list", functools.partial(case.call, [1.0, 2.0])),
    ]
    if not case.spec.takes_complex:
        bad.append((TypeError, "a complex input", functools.partial(case, x + 1j)))
    if "axis" in case.spec.signature.parameters:
        bad.append((ValueError, "axis 7", functools.partial(case.call, x, axis=7)))
    for kind, what, call in bad:
        try:
            call()
        except kind as error:
            if str(error).startswith(f"{case.spec.name}: "):
                continue
            case.fail(f"expected {what} to raise an error that names the function, got {error}")
        case.fail(f"expected {what} to raise {kind.__name__}.")


ROW_STRUCTURE = (
    check_row_strange,
    check_row_transformations,
    check_row_jit,
    check_row_dtypes,
    check_row_residuals,
    check_row_lowering,
    check_row_errors,
)
