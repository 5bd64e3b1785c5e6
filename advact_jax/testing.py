"""Contracts of an activation, as functions that a test calls.

`check_activation` checks a declared function, the user's own included. Every contract here is also
tested for each activation of the library. A broken contract raises `ContractError`, an
AssertionError that says what was expected, what came, and where.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax._spec import Spec


class ContractError(AssertionError):
    """A contract of an activation does not hold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A declared activation at given parameters and flags.

    Attributes:
      function: the public function.
      given: parameters and flags by name; the others stay at their default.
    """

    function: Callable[..., Any]
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """The declaration."""
        return self.function.spec  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The function's name and what is given."""
        inside = ", ".join(f"{key}={_plain(value)}" for key, value in self.given.items())
        return f"{self.spec.name}({inside})"

    def __call__(self, x: Any) -> Any:
        """Call the function at these parameters."""
        return self.function(x, **self.given)

    @property
    def arguments(self) -> dict[str, Any]:
        """All parameters and flags as Python values, defaults included."""
        full = {**self.spec.defaults, **self.spec.default_flags, **self.given}
        return {key: _plain(value) for key, value in full.items()}

    def formula(self, x: Any, **other: Any) -> Any:
        """Return the declared formula without the rule: what plain autodiff would see."""
        return self.spec.formula(x, **{**self.arguments, **other})

    def at(self, field: str) -> Any:
        """Return a field of the declaration at these parameters."""
        return self.spec.at(field, **self.arguments)

    def fail(self, message: str) -> None:
        """Raise a `ContractError` that names the function."""
        raise ContractError(f"{self.name}: {message}")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | str) else float(value)


def cases(function: Callable[..., Any]) -> list[Case]:
    """Return the cases to check: the defaults, each flag, and each sample of each parameter."""
    spec: Spec = function.spec  # type: ignore[attr-defined]
    required = {
        key: np.float32(parameter.samples[0])
        for key, parameter in spec.parameters.items()
        if key not in spec.defaults
    }
    found = [Case(function, required)]
    for key, values in spec.flags.items():
        found += [
            Case(function, {**required, key: v}) for v in values if v != spec.default_flags[key]
        ]
    for key, parameter in spec.parameters.items():
        found += [Case(function, {**required, key: np.float32(v)}) for v in parameter.samples]
    return found


# -- accuracy -----------------------------------------------------------------------------------


def check_accuracy(case: Case, dtype: Any, judge: Callable[[Any], Any] | None = None) -> None:
    """Check value and two derivatives against the float64 path, in ulps of ``dtype``.

    For 16 bits every input is checked; for float32 a dense sample, the tails, and the
    neighbourhoods of kinks and of zero. Where the truth is finite the result must be.
    """
    x = accuracy.inputs(case.spec, jnp.dtype(dtype), case.given)
    errors = accuracy.measure(case, judge or case, x)
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


def check_parameter_accuracy(case: Case, dtype: Any) -> None:
    """Check the derivative by each parameter against the float64 path, in ulps of ``dtype``."""
    dtype = jnp.dtype(dtype)
    x = accuracy.inputs(case.spec, dtype, case.given)
    by = {
        key: _derivative_by(case, key, float(jnp.asarray(case.arguments[key], dtype)))
        for key in differentiable(case)
    }
    if not by:
        return
    together = accuracy.together(by.values())
    found, truths = accuracy.evaluate(together, x), accuracy.truth_at(together, x)
    for key, result, truth in zip(by, found, truths, strict=True):
        error = accuracy.summarise(result, truth, x, signed=True)
        _check_errors(case, dtype, [error], f" of the derivative by {key}")


def differentiable(case: Case) -> list[str]:
    """Return the parameters by which the case can be differentiated."""
    return [
        key
        for key, parameter in case.spec.parameters.items()
        if parameter.differentiable and case.arguments[key] is not None
    ]


def _derivative_by(case: Case, key: str, value: float) -> Callable[[Any], Any]:
    others = {name: v for name, v in case.given.items() if name != key}

    def by(x: Any) -> Any:
        def of_parameter(p: Any) -> Any:
            return case.function(x, **others, **{key: p})

        y, pullback = jax.vjp(of_parameter, jnp.full_like(x, value))
        return pullback(jnp.ones_like(y))[0]

    return by


def check_nan(case: Case, dtype: Any) -> None:
    """Check that NaN gives NaN, in value, gradient and the derivative by each parameter."""
    x = jnp.asarray([math.nan, 0.5], dtype)
    value, first, _ = accuracy.derivatives(case)
    for what, function in (("value", value), ("gradient", first)):
        if not np.isnan(np.asarray(function(x)).astype(np.float32)[0]):
            case.fail(f"expected a {what} of NaN at NaN, got {function(x)[0]}.")
    for key, given in case.arguments.items():
        if key in case.spec.parameters and given is not None:
            found = _derivative_by(case, key, given)(x)
            if not np.isnan(np.asarray(found).astype(np.float32)[0]):
                case.fail(f"expected a derivative by {key} of NaN at NaN, got {found[0]}.")


# -- the reference ------------------------------------------------------------------------------


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
    """
    import mpmath as mp

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
    """Check the float64 path, with its derivatives, against the declaration's mpmath reference."""
    if case.spec.reference is None:
        return
    x = reference_points(case)
    results = accuracy.evaluate(accuracy.together(accuracy.derivatives(case)), x)
    for order, result in enumerate(results):
        _check_against_reference(case, x, result, order, None)
    by = differentiable(case)
    if by:
        kinks = accuracy.kinks_of(case.spec, case.given)
        x = np.asarray([v for v in x if v not in kinks])[::3]
        functions = [_derivative_by(case, key, case.arguments[key]) for key in by]
        for key, result in zip(by, accuracy.evaluate(accuracy.together(functions), x), strict=True):
            _check_against_reference(case, x, result, 0, key)


def _check_against_reference(
    case: Case, x: np.ndarray, result: np.ndarray, order: int, by: str | None
) -> None:
    import mpmath as mp

    tiny = float(np.finfo(np.float64).tiny)
    truths = []
    for v in x:
        # Far in a tail a derivative of 1e-300 is the difference of values near 1.
        with mp.workdps(420 if abs(v) > 40 else 100):
            truths.append(reference_derivative(case, float(v), order, by))
    with mp.workdps(60):
        signed = (order > 0 or by is not None) and min(truths) < 0 < max(truths)
        floor = mp.mpf(2) ** -6 if signed else mp.mpf(0)
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


def check_limits(case: Case, dtype: Any) -> None:
    """Check value and slope at minus and plus infinity against the declared limits."""
    value, first, _ = accuracy.derivatives(case)
    x = jnp.asarray([-math.inf, math.inf], dtype)
    for field, function in (("limits", value), ("slope_limits", first)):
        expected = case.at(field)
        if expected is None:
            continue
        found, wanted = np.asarray(function(x)), np.asarray(expected).astype(jnp.dtype(dtype))
        if not np.array_equal(found, wanted):
            case.fail(f"expected {field} {wanted} at -inf and inf in {dtype}, got {found}.")


# -- the rule -----------------------------------------------------------------------------------


def check_rule(case: Case) -> None:
    """Check the declared derivatives against autodiff of the plain formula, in float64.

    First and second derivatives by ``x``, by each parameter, and mixed, in closed form at points
    away from the kinks; forward and reverse mode agree. Parameters take all their sample values.
    """
    kinks = accuracy.kinks_of(case.spec, case.given)
    points = np.asarray([v for v in np.linspace(-4.13, 4.27, 41) if v not in kinks])
    learnt = differentiable(case)
    flags = {key: v for key, v in case.given.items() if key in case.spec.flags}
    with jax.enable_x64(True):
        values = [jnp.asarray(case.arguments[key], jnp.float64) for key in learnt]
        held = {key: v for key, v in case.given.items() if key not in learnt and key not in flags}

        def ruled(x: Any, *parameters: Any) -> Any:
            return case.function(x, **held, **flags, **dict(zip(learnt, parameters, strict=True)))

        def plain(x: Any, *parameters: Any) -> Any:
            return case.formula(x, **dict(zip(learnt, parameters, strict=True)))

        every = tuple(range(1 + len(learnt)))
        in_axes = (0, *(None for _ in learnt))
        transforms = (jax.jacrev, jax.jacfwd, jax.hessian)

        mapped = [
            (
                jax.vmap(transform(ruled, every), in_axes),
                jax.vmap(transform(plain, every), in_axes),
            )
            for transform in transforms
        ]
        compiled = jax.jit(
            lambda x, *values: [(found(x, *values), wanted(x, *values)) for found, wanted in mapped]
        )
        for at in (values, *_samples(case, learnt, values)):
            for transform, (found, wanted) in zip(
                transforms, compiled(jnp.asarray(points), *at), strict=True
            ):
                for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                    off = np.flatnonzero(~np.isclose(a, b, rtol=1e-7, atol=1e-9))
                    if off.size:
                        case.fail(
                            f"expected {transform.__name__} at x = {points[off[0]]} to be "
                            f"{b[off[0]]}, as autodiff of the formula has it, got {a[off[0]]}."
                        )


def _samples(case: Case, names: list[str], values: list[Any]) -> list[list[Any]]:
    """Return the values with one replaced by each of its declared samples."""
    return [
        [jnp.float64(sample) if other == key else v for other, v in zip(names, values, strict=True)]
        for key in names
        for sample in case.spec.parameters[key].samples
    ]


def check_modes(case: Case, dtype: Any = jnp.float32) -> None:
    """Check that reverse, forward, linearize and both second orders give the same."""
    x = jnp.asarray(np.linspace(-3.3, 3.1, 17), dtype)
    ones = jnp.ones_like(x)
    _, first, second = accuracy.derivatives(case)

    def total(v: Any) -> Any:
        return case(v).astype(jnp.float32).sum()

    @jax.jit
    def modes(x: Any) -> dict[str, Any]:
        return {
            "reverse mode": (first(x), jax.grad(total)(x)),
            "forward mode": (first(x), jax.jvp(case, (x,), (ones,))[1]),
            "linearize": (first(x), jax.linearize(case, x)[1](ones)),
            "reverse over reverse": (second(x), jax.vjp(first, x)[1](ones)[0]),
            "hessian": (jnp.diag(second(x)), jax.hessian(total)(x)),
        }

    for what, (wanted, found) in modes(x).items():
        _same(case, what, found, wanted)


def _same(case: Case, what: str, found: Any, wanted: Any) -> None:
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        case.fail(
            f"expected {what} to be {wanted.dtype}{wanted.shape}, got {found.dtype}{found.shape}."
        )
    a, b = (np.asarray(v).astype(np.float64) for v in (found, wanted))
    scale = float(jnp.finfo(found.dtype).eps) * 4
    if not np.allclose(a, b, rtol=scale, atol=scale * 2.0**-6, equal_nan=True):
        case.fail(f"expected {what} to give {wanted}, got {found}.")


# -- transformations ----------------------------------------------------------------------------


def check_dtypes(case: Case) -> None:
    """Check that the output and the gradient have the input's dtype and shape, whatever it is."""
    for shape in ((), (0,), (2, 0, 3), (2, 3, 4)):
        _check_dtype(case, jax.ShapeDtypeStruct(shape, jnp.float32))
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        with jax.enable_x64(True):  # A stray NumPy scalar would widen the formula here.
            _check_dtype(case, jax.ShapeDtypeStruct((3,), dtype))
    integers = case(jnp.asarray([-1, 0, 2]))
    floats = case(jnp.asarray([-1.0, 0.0, 2.0]))
    _expect_equal(case, "integer input", integers.astype(floats.dtype), floats)
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
    """Check that parameters broadcast, keep the output's dtype and get gradients of their shape."""
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
            _expect_equal(case, f"{key} of shape {shape}", y, whole)
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


def _expect_equal(case: Case, what: str, found: Any, wanted: Any) -> None:
    if not np.array_equal(np.asarray(found), np.asarray(wanted), equal_nan=True):
        case.fail(f"expected {what} to give {wanted}, got {found}.")


def check_vmap(case: Case) -> None:
    """Check vmap over every axis, of the value and of the gradient."""
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
        _same(case, f"vmap over axis {i % 3}", found, plain[i // 3])


def check_jit(case: Case) -> None:
    """Check that jit changes nothing and that a second call compiles nothing."""
    x = jnp.asarray(np.linspace(-4, 4, 24), jnp.float32)
    for function in accuracy.derivatives(case)[:2]:
        _same(case, "jit", jax.jit(function)(x), function(x))
    case(x)
    size = case.function._cache_size()  # type: ignore[attr-defined]
    case(x + 1)
    if case.function._cache_size() != size:  # type: ignore[attr-defined]
        case.fail("expected no compilation at the second call with the same types.")


def check_scan_and_remat(case: Case) -> None:
    """Check scan, jax.checkpoint around the function, and both together, with gradients."""
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
            _same(case, "scan or checkpoint", a, b)


def check_shard_map(case: Case) -> None:
    """Check shard_map over all devices, of the value and of the gradient."""
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.asarray(devices), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    x = jnp.asarray(np.linspace(-4, 4, 6 * len(devices)), jnp.float32)
    function = accuracy.together(accuracy.derivatives(case)[:2])
    mapped = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))
    for found, wanted in zip(mapped(x), jax.jit(function)(x), strict=True):
        _same(case, "shard_map", found, wanted)


def check_strict(case: Case) -> None:
    """Check strict dtype promotion and rank promotion "raise", with parameters of one axis."""
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
    """Check that no tracer leaks from the function and its gradient."""
    with jax.checking_leaks():
        jax.eval_shape(accuracy.derivatives(case)[1], jax.ShapeDtypeStruct((4,), jnp.float32))


# -- memory and lowering ------------------------------------------------------------------------


def residual_bytes(function: Callable[[Any], Any], dtype: Any = jnp.float32) -> float:
    """Return the bytes kept per hidden element for the backward pass of a scan over MLP blocks.

    The input of the next product, which every net keeps, is included.
    """
    layers, batch, width, hidden = 3, 8, 16, 64

    def net(weights: Any, x: Any) -> Any:
        def block(h: Any, w: Any) -> Any:
            return function(h @ w[0]) @ w[1], None

        return jax.lax.scan(block, x, weights)[0].sum()

    weights = (jnp.ones((layers, width, hidden), dtype), jnp.ones((layers, hidden, width), dtype))
    x = jnp.ones((batch, width), dtype)
    kept = jax.eval_shape(lambda w, x: jax.vjp(net, w, x)[1], weights, x)
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(kept)
        if leaf.shape[-2:] == (batch, hidden)
    ) / (layers * batch * hidden)


def check_residuals(case: Case) -> None:
    """Check that the backward pass keeps no more than the declaration says."""
    limit = case.spec.residual_bytes
    if case.given and case.spec.region is not None:
        limit = max(limit, 5)
    found = residual_bytes(case)
    if found > limit:
        case.fail(f"expected at most {limit} bytes per float32 element to be kept, got {found}.")


PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def check_lowering(case: Case, platforms: tuple[str, ...] = PLATFORMS) -> None:
    """Check that value and gradient lower for each platform, which needs no such hardware."""
    for dtype in (jnp.float32, jnp.bfloat16):
        shape = jax.ShapeDtypeStruct((4, 8), dtype)
        for function in accuracy.derivatives(case)[:2]:
            jax.export.export(jax.jit(function), platforms=platforms)(shape)


def check_pallas(case: Case) -> None:
    """Check use inside a Pallas kernel, in interpret mode."""
    from jax.experimental import pallas

    x = jnp.asarray(np.linspace(-4, 4, 32).reshape(4, 8), jnp.float32)

    def kernel(x_ref: Any, y_ref: Any) -> None:
        y_ref[...] = case(x_ref[...])

    call = pallas.pallas_call(
        kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True
    )
    _same(case, "a Pallas kernel", call(x), case(x))


# -- all of them --------------------------------------------------------------------------------


def check_activation(
    function: Callable[..., Any],
    *,
    given: Mapping[str, Any] | None = None,
    dtypes: tuple[Any, ...] = (jnp.bfloat16, jnp.float16, jnp.float32),
    exact: bool = True,
) -> None:
    """Check the contracts of a declared activation, the user's own for instance.

    Value and derivatives against the mpmath reference (where there is one) and against autodiff of
    the formula; accuracy and finiteness in each dtype; NaN; limits; vmap, jit, scan and checkpoint;
    dtypes and shapes; bytes kept; lowering for CPU, CUDA, ROCm and TPU.

    Args:
      function: a function declared with `advact_jax.activation`.
      given: parameters and flags at which to check; without it, every sample and flag declared.
      dtypes: the types whose accuracy is measured.
      exact: whether to measure accuracy; False checks the rest, in a fraction of the time.

    Raises:
      ContractError: naming the contract that does not hold, what was expected, and what came.
      TypeError: if the function is not a declared activation.

    Example:
      >>> import advact_jax
      >>> from advact_jax.testing import check_activation
      >>> check_activation(advact_jax.soft_sign, exact=False)
    """
    if not isinstance(getattr(function, "spec", None), Spec):
        raise TypeError(
            "check_activation: expected a function declared with advact_jax.activation, got "
            f"{function!r}."
        )
    every = cases(function) if given is None else [Case(function, given)]
    for case in every:
        if case.spec.flags or case is every[0]:
            for check in STRUCTURE:
                check(case)
        if exact:
            for dtype in dtypes:
                check_accuracy(case, dtype)
            check_reference(case)
        check_rule(case)
        check_parameter_shapes(case)
        for dtype in dtypes:
            check_nan(case, dtype)
            check_limits(case, dtype)


STRUCTURE: tuple[Callable[[Case], None], ...] = (
    check_modes,
    check_dtypes,
    check_vmap,
    check_jit,
    check_scan_and_remat,
    check_strict,
    check_residuals,
    check_lowering,
)
