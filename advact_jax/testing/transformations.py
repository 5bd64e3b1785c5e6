"""Types, shapes, vmap, jit, scan, checkpoint, shard_map, strict promotion, leaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import Case


def check_dtypes(case: Case) -> None:
    """Check that the output and the gradient have the input's dtype and shape, whatever it is.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.Case(advact_jax.relu)
      >>> case(jnp.array([-1, 2], jnp.int32)).dtype, case.spec.keeps_integers
      (dtype('int32'), True)
      >>> testing.check_dtypes(case)
    """
    for shape in ((), (0,), (2, 0, 3), (2, 3, 4)):
        _check_dtype(case, jax.ShapeDtypeStruct(shape, jnp.float32))
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        with jax.enable_x64(True):  # A stray NumPy scalar would widen the formula here.
            _check_dtype(case, jax.ShapeDtypeStruct((3,), dtype))
    integers = case(jnp.asarray([-1, 0, 2]))
    floats = case(jnp.asarray([-1.0, 0.0, 2.0]))
    case.expect_equal("integer input", integers.astype(floats.dtype), floats)
    if case.spec.keeps_integers and not any(k in case.spec.parameters for k in case.given):
        if integers.dtype != jnp.int32:
            case.fail(f"expected integer output for integer input, got {integers.dtype}.")
    elif integers.dtype != jnp.float32:
        case.fail(f"expected integer input to be promoted to float32, got {integers.dtype}.")


def _check_dtype(case: Case, x: jax.ShapeDtypeStruct) -> None:
    for what, function in zip(accuracy.ORDERS, accuracy.derivatives(case), strict=True):
        y = jax.eval_shape(function, x)
        if y.dtype != x.dtype or y.shape != x.shape:
            case.fail(
                f"expected a {what} of {x.dtype}{x.shape} for such an input, got "
                f"{y.dtype}{y.shape}."
            )


def check_parameter_shapes(case: Case) -> None:
    """Check that parameters broadcast, keep the output's dtype and get gradients of their shape.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(parameters={"alpha": advact_jax.Parameter()})
      ... def scaled(x, alpha=2.0):
      ...     return alpha * x
      >>> testing.check_parameter_shapes(testing.Case(scaled))
    """
    for key in case.spec.parameters:
        value = case.arguments[key]
        if value is None:
            continue
        others = {name: v for name, v in case.given.items() if name != key}
        x = jnp.asarray(np.linspace(-2, 2, 24).reshape(2, 3, 4), jnp.bfloat16)

        def both(p: Any, x: Any = x, others: Any = others, key: str = key) -> Any:
            y, pullback = jax.vjp(lambda p: case.function(x, **others, **{key: p}), p)
            return y, pullback(jnp.ones_like(y))[0]

        shapes = ((), (4,), (3, 1), (2, 1, 1))
        filled = [jnp.full(shape, value, jnp.float32) for shape in shapes]
        (whole, whole_slope), *results = jax.jit(lambda *p: [both(v) for v in p])(*filled)
        for shape, (y, slope) in zip(shapes[1:], results, strict=True):
            case.expect_equal(f"{key} of shape {shape}", y, whole)
            if y.dtype != x.dtype:
                case.fail(f"expected {x.dtype} with a float32 {key}, got {y.dtype}.")
            if slope.shape != shape or slope.dtype != jnp.float32:
                case.fail(
                    f"expected a gradient by {key} of float32{shape}, got "
                    f"{slope.dtype}{slope.shape}."
                )
            if not np.allclose(slope.sum(), whole_slope, rtol=1e-5, atol=1e-5):
                case.fail(
                    f"expected gradients by {key} to add up to {whole_slope}, got {slope.sum()}."
                )


def check_vmap(case: Case) -> None:
    """Check vmap over every axis, of the value and of the gradient.

    Example:
      >>> from advact_jax import testing
      >>> testing.check_vmap(testing.Case(advact_jax.relu))
      >>> @advact_jax.activation()
      ... def centred(x):
      ...     return x - jnp.mean(x)
      >>> testing.check_vmap(testing.Case(centred))
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: centred(): expected vmap over axis 0 to give ...
    """
    x = jnp.asarray(np.linspace(-4, 4, 24).reshape(2, 3, 4), jnp.float32)
    functions = accuracy.derivatives(case)[:2]

    @jax.jit
    def mapped(x: Any) -> list[Any]:
        return [
            jax.vmap(function, in_axes=axis, out_axes=axis - 3)(x)
            for function in functions
            for axis in range(3)
        ]

    plain = jax.jit(accuracy.together(functions))(x)
    for i, found in enumerate(mapped(x)):
        case.expect_close(f"vmap over axis {i % 3}", found, plain[i // 3])


def check_jit(case: Case) -> None:
    """Check that jit changes nothing and that a second call compiles nothing.

    Example:
      >>> from advact_jax import testing
      >>> testing.check_jit(testing.Case(advact_jax.relu))
    """
    x = jnp.asarray(np.linspace(-4, 4, 24), jnp.float32)
    for function in accuracy.derivatives(case)[:2]:
        case.expect_close("jit", jax.jit(function)(x), function(x))
    case(x)
    size = case.function._cache_size()  # type: ignore[attr-defined]
    case(x + 1)
    if case.function._cache_size() != size:  # type: ignore[attr-defined]
        case.fail("expected no compilation at the second call with the same types.")


def check_scan_and_remat(case: Case) -> None:
    """Check scan, jax.checkpoint around the function, and both together, with gradients.

    Example:
      >>> from advact_jax import testing
      >>> testing.check_scan_and_remat(testing.Case(advact_jax.relu))
    """
    x = jnp.asarray(np.linspace(-2, 2, 8), jnp.float32)

    def loop(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jax.lax.scan(lambda c, _: (0.5 * function(c), None), x, None, length=3)[0]

    def unrolled(x: Any) -> Any:
        for _ in range(3):
            x = 0.5 * case(x)
        return x

    functions = (unrolled, loop(case), loop(jax.checkpoint(case)), jax.checkpoint(unrolled))
    every = [accuracy.together(accuracy.derivatives(function)[:2]) for function in functions]
    wanted, *results = jax.jit(accuracy.together(every))(x)
    for found in results:
        for a, b in zip(found, wanted, strict=True):
            case.expect_close("scan or checkpoint", a, b)


def check_shard_map(case: Case) -> None:
    """Check shard_map over all devices, of the value and of the gradient.

    Example:
      >>> from advact_jax import testing
      >>> testing.check_shard_map(testing.Case(advact_jax.relu))
    """
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.asarray(devices), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    x = jnp.asarray(np.linspace(-4, 4, 6 * len(devices)), jnp.float32)
    function = accuracy.together(accuracy.derivatives(case)[:2])
    mapped = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))
    for found, wanted in zip(mapped(x), jax.jit(function)(x), strict=True):
        case.expect_close("shard_map", found, wanted)


def check_strict(case: Case) -> None:
    """Check strict dtype promotion and rank promotion "raise", with parameters of one axis.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(parameters={"alpha": advact_jax.Parameter()})
      ... def scaled(x, alpha=2.0):
      ...     return alpha * x
      >>> testing.check_strict(testing.Case(scaled))
    """
    x = jax.ShapeDtypeStruct((2, 3, 4), jnp.bfloat16)
    arrays = {
        key: jnp.full((4,), value, jnp.float32)
        for key, value in case.arguments.items()
        if key in case.spec.parameters and value is not None
    }
    flags = {key: value for key, value in case.given.items() if key in case.spec.flags}

    def shaped(x: Any) -> Any:
        return case.function(x, **arrays, **flags)

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for function in (case, shaped):
            for derivative in accuracy.derivatives(function):
                jax.eval_shape(derivative, x)


def check_leaks(case: Case) -> None:
    """Check that no tracer leaks from the function and its gradient.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation()
      ... def cubic(x):
      ...     return x + 0.1 * x**3
      >>> testing.check_leaks(testing.Case(cubic))
    """
    with jax.checking_leaks():
        jax.eval_shape(accuracy.derivatives(case)[1], jax.ShapeDtypeStruct((4,), jnp.float32))
