"""The contracts of gated units: of the pair of gate and value, of both layouts, of the presets."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import advact_jax
from advact_jax import Activation, _gates, accuracy, catalog, gating, testing
from advact_jax.functions import capped, clamped, units
from advact_jax.functions.rectifiers import relu
from advact_jax.functions.self_gated import gelu
from advact_jax.functions.softplus import softplus

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.gated", "functions.clamped", "functions.capped", "functions.units")

INF, NAN = math.inf, math.nan
Function = Callable[..., Any]

FUNCTIONS: dict[str, Function] = {
    "glu": advact_jax.glu,
    "reglu": advact_jax.reglu,
    "geglu": advact_jax.geglu,
    "geglu exact": functools.partial(advact_jax.geglu, approximate=False),
    "swiglu": advact_jax.swiglu,
    "bilinear": advact_jax.bilinear,
    "dreglu": advact_jax.dreglu,
    "clamped_swiglu": functools.partial(advact_jax.clamped_swiglu, limit=2.0, offset=0.5),
    "swiglu_gpt_oss": advact_jax.swiglu_gpt_oss,
    "swiglu_deepseek_v4": advact_jax.swiglu_deepseek_v4,
    "swiglu_step": advact_jax.swiglu_step,
    "situ_glu": advact_jax.situ_glu,
    "gated_unit": functools.partial(advact_jax.gated_unit, activation="mish"),
    "gated_unit of any": functools.partial(advact_jax.gated_unit, activation=jnp.sin),
}
every = pytest.mark.parametrize("name", FUNCTIONS)


def test_none_is_forgotten() -> None:
    takes = {n for n, f in catalog.along_axis().items() if "up" in f.spec.signature.parameters}  # type: ignore[attr-defined]
    assert takes <= set(FUNCTIONS)


def pair(name: str) -> Function:
    """Return the function of gate and value."""
    return lambda g, u: FUNCTIONS[name](g, up=u)


def slopes(f: Function) -> Function:
    """Return value and both derivatives of an elementwise function of two arrays."""

    def of(g: Any, u: Any) -> Any:
        y, pullback = jax.vjp(f, g, u)
        return y, *pullback(jnp.ones_like(y))

    return of


# -- accuracy, by the contracts of elementwise activations ---------------------------------------

CASES: dict[str, tuple[Function, dict[str, Any]]] = {
    "sigmoid": (units.sigmoid_unit, {"up": -0.3}),
    "silu": (units.silu_unit, {"up": 0.7}),
    "silu with beta": (units.silu_unit, {"up": 0.7, "beta": 1.702}),
    "relu and relu": (units.relu_relu_unit, {"up": 1.7}),
    "relu": (_gates.unit_of(relu), {"up": 0.7}),
    "softplus": (_gates.unit_of(softplus), {"up": 0.7, "beta": 2.0}),
    "before": (clamped._clamped_unit, {"up": -1.5, "limit": 7.0, "alpha": 1.702, "offset": 1.0}),
    "after": (clamped._clamped_unit, {"up": 0.7, "limit": 16.0, "clamp": "after"}),
}


def case_of(function: Function, given: dict[str, Any]) -> testing.Case:
    numbers = {k: v if isinstance(v, str | bool) else np.float32(v) for k, v in given.items()}
    return testing.Case(function, numbers)


@pytest.mark.parametrize("name", CASES)
def test_a_unit_is_as_accurate_as_an_activation(name: str) -> None:
    case = case_of(*CASES[name])
    for dtype in ("bfloat16", "float32"):
        testing.check_accuracy(case, dtype)
        testing.check_nan(case, dtype)
    testing.check_parameter_accuracy(case, "float32")
    testing.check_limits(case, "float32")


@pytest.mark.parametrize("name", CASES)
def test_a_unit_is_its_reference(name: str) -> None:
    case = case_of(*CASES[name])
    testing.check_reference(case)
    if name != "silu with beta":
        testing.check_rule(case)


@pytest.mark.parametrize("up", [1e30, -1e-20])
@pytest.mark.parametrize("name", ["glu", "swiglu"])
def test_products_are_right_wherever_the_activation_is_a_normal_number(
    name: str, up: float
) -> None:
    unit = {"glu": units.sigmoid_unit, "swiglu": units.silu_unit}[name]
    case = case_of(unit, {"up": up})
    x = accuracy.inputs(case.spec, jnp.dtype("float32"), case.given)
    functions = accuracy.together([case])
    (found,), ((truth, _),) = accuracy.evaluate(functions, x), accuracy.truth_at(functions, x)
    errors = accuracy.ulp_errors(found, truth, "float32")
    normal = np.abs(truth) >= 2.0**-126 * max(1, abs(up)) * (1 + 1e-6)
    assert np.isfinite(found[np.abs(truth) < 3e38]).all() and normal.any()
    assert errors[normal].max() <= 4
    assert (np.abs(found[~normal]) <= np.abs(truth[~normal]) * 1.001 + 2.0**-126).all()


@pytest.mark.parametrize("up", [-0.3, 25.0])
@pytest.mark.parametrize("approximate", [True, False])
def test_geglu_is_accurate_but_for_its_notes(approximate: bool, up: float) -> None:
    case = case_of(_gates.unit_of(gelu), {"up": up, "approximate": approximate})
    if up < 1:
        testing.check_accuracy(case, "bfloat16")
    x = accuracy.inputs(case.spec, jnp.dtype("float32"), case.given)
    functions = accuracy.together(accuracy.derivatives(case))
    found, truth = accuracy.evaluate(functions, x), accuracy.truth_at(functions, x)
    for got, wanted, floor, limit in zip(
        found, truth, (0, max(up, 1) / 64, 1 / 64), (4.5, 4, 8), strict=True
    ):
        errors = accuracy.ulp_errors(got, wanted[0], "float32", floor)
        # A gate below the smallest normal number counts as 0.
        assert errors[np.abs(wanted[0]) > 2.0**-126 * abs(up)].max() <= limit
        assert np.isfinite(errors).all()


@pytest.mark.parametrize("up", [1.7, -30.0])
def test_situ_is_accurate_but_for_its_notes(up: float) -> None:
    case = case_of(capped._capped_unit(4.0, 25.0), {"up": up})
    x = accuracy.inputs(case.spec, jnp.dtype("float32"), case.given)
    value, *_ = accuracy.measure(case, case, x)
    assert value.ulps <= 8 and not value.not_finite
    functions = accuracy.together(accuracy.derivatives(case))
    found, truth = accuracy.evaluate(functions, x), accuracy.truth_at(functions, x)
    for got, wanted in zip(found[1:], truth[1:], strict=True):
        errors = accuracy.ulp_errors(got, wanted[0], "float32", np.abs(wanted[0]).max() / 4)
        assert errors.max() <= 8
    testing.check_nan(case, "float32")
    reference: Any = case.spec.reference
    with mpmath.workdps(60):
        for v in (-600.0, -1.5, 1e-30, 0.3, 40.0):
            with jax.enable_x64(True):
                result = float(case(jnp.float64(v)))
            exact: Any = reference(mpmath.mp, mpmath.mpf(v), mpmath.mpf(float(np.float32(up))))
            assert abs(result / exact - 1) < 16 * 2.0**-53


@pytest.mark.parametrize("name", ["glu", "reglu", "geglu", "swiglu", "swiglu_gpt_oss", "situ_glu"])
def test_16_bit_pairs_are_rounded_once(name: str) -> None:
    rng = np.random.default_rng(3)
    for dtype in ("bfloat16", "float16"):
        bits = rng.choice(accuracy.every_input(jnp.dtype(dtype)), (2, 40_000))
        near = rng.normal(0, 3, (2, 40_000)).astype(jnp.dtype(dtype))
        g, u = np.concatenate([bits, near], 1)
        found = jax.jit(slopes(pair(name)))(jnp.asarray(g), jnp.asarray(u))
        with jax.enable_x64(True):
            wide = (jnp.asarray(v.astype(np.float64)) for v in (g, u))
            truth = [np.asarray(t) for t in jax.jit(slopes(pair(name)))(*wide)]
        # Nothing where the activation is no normal number. What is read as 0 is no error.
        small = [np.abs(v.astype(np.float64)) < 1e-36 for v in (g, u)]
        closed = {"geglu": -10, "swiglu_gpt_oss": -48, "reglu": 0}.get(name, -82)
        skip = small[0] | small[1] | (g.astype(np.float64) < closed)
        for order, (a, b) in enumerate(zip(found, truth, strict=True)):
            # Derivatives that change sign: a sum that cancels has the digits of its terms.
            floor: Any = 2.0**-6 * np.abs(u.astype(np.float64)).clip(1, 1e30) if order == 1 else 0
            errors = accuracy.ulp_errors(a, b, dtype, floor)
            worst = np.where(skip, 0, errors)
            at = int(worst.argmax())
            assert worst[at] <= 0.55, (order, dtype, g[at], u[at], a[at], b[at])


# -- ends of the range --------------------------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 3e38, -3e38, 1e-38, 7.0], np.float32)
G, U = (jnp.asarray(v) for v in np.array(list(itertools.product(SPECIAL, SPECIAL))).T)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "gated_unit of any"])
def test_nan_comes_from_nan_alone(name: str) -> None:
    y, by_gate, by_up = jax.jit(slopes(pair(name)))(G, U)
    expected = np.isnan(np.asarray(G) + 0 * np.where(np.isinf(U), 0, U))
    for what, found in {"value": y, "by the gate": by_gate, "by up": by_up}.items():
        # A derivative of bilinear by its gate is up alone, as the notes of identity say.
        alone = name == "bilinear" and what == "by the gate"
        off = np.flatnonzero(np.isnan(found) != (np.isnan(U) if alone else expected))
        assert not off.size, (what, G[off[0]], U[off[0]], found[off[0]])


@every
def test_a_closed_gate_lets_no_infinity_through(name: str) -> None:
    if name in ("bilinear", "geglu", "geglu exact", "glu", "swiglu", "gated_unit", "reglu"):
        closed = {"bilinear": 0.0, "glu": -INF, "reglu": -3.0}.get(name, -INF)
        assert pair(name)(jnp.float32(closed), jnp.float32(INF)) == 0
        assert pair(name)(jnp.float32(2.0), jnp.float32(INF)) == INF


# -- layouts ------------------------------------------------------------------------------------


@every
def test_layouts_are_the_same_function(name: str) -> None:
    f = FUNCTIONS[name]
    g, u = jax.random.normal(jax.random.key(0), (2, 3, 4, 5)) * 4
    wanted = f(g, up=u)
    for axis in (0, 1, -1):
        for gate in ("first", "second"):
            first, second = (g, u) if gate == "first" else (u, g)
            halves = jnp.concatenate([first, second], axis)
            np.testing.assert_array_equal(
                f(halves, axis=axis, gate=gate, interleaved=False), wanted
            )
            mixed = jnp.stack([first, second], axis % 3 + 1)
            mixed = mixed.reshape([n * (1 + (i == axis % 3)) for i, n in enumerate(g.shape)])
            np.testing.assert_array_equal(f(mixed, axis=axis, gate=gate, interleaved=True), wanted)


def test_default_layouts() -> None:
    x = jnp.array([1.0, 2.0, 3.0, 4.0])
    for name, layout in {
        "glu": ("second", False), "swiglu": ("first", False), "swiglu_gpt_oss": ("first", True),
    }.items():  # fmt: skip
        gate, mixed = layout
        assert gating.layout_of(name) == layout
        np.testing.assert_array_equal(
            FUNCTIONS[name](x), FUNCTIONS[name](x, gate=gate, interleaved=mixed)
        )
    np.testing.assert_allclose(advact_jax.glu(x), jax.nn.glu(x), rtol=1e-6)
    assert gating.layout_of("gelu") == ("first", False)


def test_gate_and_value_broadcast_and_promote() -> None:
    g, u = jnp.ones((3, 1), jnp.bfloat16), jnp.ones((2, 1, 4), jnp.float32)
    y = advact_jax.swiglu(g, u)
    assert y.shape == (2, 3, 4) and y.dtype == jnp.float32
    assert advact_jax.swiglu(jnp.arange(4)).dtype == jnp.float32
    by = jax.grad(lambda g: advact_jax.reglu(g, u).sum())(g)
    assert by.shape == g.shape and by.dtype == g.dtype


# -- the presets, from their models' code re-typed ------------------------------------------------


def clip(x: Any, low: float, high: float) -> Any:
    """torch.clamp: the derivative at a bound is 1."""
    return jnp.where(x < low, low, jnp.where(x > high, high, x))


def cap(x: Any, bound: float) -> Any:
    return bound * jnp.tanh(x / bound)


MODELS: dict[str, Function] = {
    "swiglu_gpt_oss": lambda g, u: (
        (clip(u, -7, 7) + 1) * clip(g, -INF, 7) * jax.nn.sigmoid(1.702 * clip(g, -INF, 7))
    ),
    "swiglu_deepseek_v4": lambda g, u: jax.nn.silu(clip(g, -INF, 10)) * clip(u, -10, 10),
    "swiglu_step": lambda g, u: clip(jax.nn.silu(g), -INF, 16) * clip(u, -16, 16),
    "situ_glu": lambda g, u: cap(g, 4) * jax.nn.sigmoid(g) * cap(u, 25),
    "swiglu": lambda g, u: jax.nn.silu(g) * u,
    "geglu": lambda g, u: jax.nn.gelu(g) * u,
    "reglu": lambda g, u: jax.nn.relu(g) * u,
    "dreglu": lambda g, u: jax.nn.relu(g) * jax.nn.relu(u),
    "glu": lambda g, u: jax.nn.sigmoid(g) * u,
    "bilinear": lambda g, u: g * u,
    "gated_unit": lambda g, u: jax.nn.mish(g) * u,
    "gated_unit of any": lambda g, u: jnp.sin(g) * u,
    "clamped_swiglu": lambda g, u: jax.nn.silu(clip(g, -INF, 2)) * (clip(u, -2, 2) + 0.5),
}


@pytest.mark.parametrize("name", MODELS)
def test_value_and_two_derivatives_are_those_of_the_plain_formula(name: str) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 9, (2, 60)), [[7, 7, 10, 2], [7, -7, -10, -2]]], 1)
    with jax.enable_x64(True):
        g, u = (jnp.asarray(v) for v in points)

        def derivatives(f: Function) -> Function:
            second = jax.hessian(lambda v: f(v[0], v[1]))
            forward = jax.jacfwd(jax.jacrev(lambda v: f(v[0], v[1])))
            return lambda g, u: (
                slopes(f)(g, u), jax.vmap(second)(jnp.stack([g, u], 1)),
                jax.vmap(forward)(jnp.stack([g, u], 1)),
            )  # fmt: skip

        found = jax.jit(derivatives(pair(name)))(g, u)
        wanted = jax.jit(derivatives(MODELS[name]))(g, u)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-10), found, wanted
        )


def test_derivative_at_a_bound_is_that_of_the_inner_piece() -> None:
    for dtype in ("bfloat16", "float32"):
        g, u = jnp.asarray([7.0, 7.03125], dtype), jnp.asarray([7.0, 7.03125], dtype)
        _, by_gate, by_up = slopes(pair("swiglu_gpt_oss"))(g, u)
        np.testing.assert_allclose(np.asarray(by_gate, np.float32), [8.0005, 0], rtol=4e-3)
        np.testing.assert_allclose(np.asarray(by_up, np.float32), [7, 0], rtol=4e-3)
        _, _, by_up = slopes(pair("swiglu_gpt_oss"))(g, -u)
        np.testing.assert_allclose(np.asarray(by_up, np.float32), [7, 0], rtol=4e-3)
    # What a port with jnp.clip has, at both bounds.
    assert jax.grad(lambda u: jnp.clip(u, -7, 7))(7.0) == 0.5


def test_parameters_may_be_arrays() -> None:
    g, u = jax.random.normal(jax.random.key(1), (2, 3, 4))
    limits = jnp.array([[0.5], [1.0], [2.0]])

    def loss(limit: Any, alpha: Any, beta: Any) -> Any:
        y = advact_jax.clamped_swiglu(g, u, limit=limit, alpha=alpha, clamp="after")
        return jnp.sum(jnp.sin(y + advact_jax.swiglu(g, u, beta=beta)))

    def plain(limit: Any, alpha: Any, beta: Any) -> Any:
        top = jnp.minimum(g * jax.nn.sigmoid(alpha * g), limit)
        y = top * jnp.clip(u, -limit, limit)
        return jnp.sum(jnp.sin(y + g * jax.nn.sigmoid(beta * g) * u))

    at = (limits, jnp.float32(1.5), jnp.array([1.0, 2.0, 0.5, -1.0]))
    found, wanted = (jax.jit(jax.grad(f, (0, 1, 2)))(*at) for f in (loss, plain))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-6), found, wanted)


def test_gated_unit_takes_names_functions_and_parameters() -> None:
    x = jax.random.normal(jax.random.key(2), (3, 8))
    every: list[tuple[Any, Any]] = [
        ("silu", advact_jax.swiglu(x)),
        (jax.nn.silu, advact_jax.swiglu(x)),
        (Activation("silu", beta=1.702), advact_jax.swiglu(x, beta=1.702)),
        (Activation("gelu", dialect="torch"), advact_jax.geglu(x, approximate=False)),
        ("swiglu_gpt_oss", advact_jax.swiglu_gpt_oss(x)),
        (Activation("clamped_swiglu", limit=1.0), advact_jax.clamped_swiglu(x, limit=1.0)),
        ("identity", advact_jax.bilinear(x)),
    ]
    for activation, wanted in every:
        y = advact_jax.gated_unit(x, activation=activation)
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-7)
    alpha = jnp.full((4,), 0.5)
    found = jax.grad(lambda a: advact_jax.gated_unit(x, activation="elu", alpha=a).sum())(alpha)
    g, u = jnp.split(x, 2, -1)
    np.testing.assert_allclose(found, (jnp.expm1(jnp.minimum(g, 0)) * u).sum(0), rtol=1e-5)


# -- memory, transformations, lowering ------------------------------------------------------------


def kept(f: Function, dtype: Any, packed: bool) -> float:
    """Return the bytes kept per hidden element in a scan over gated blocks."""
    layers, batch, width, hidden = 3, 8, 16, 64

    def net(weights: Any, x: Any) -> Any:
        def block(h: Any, w: Any) -> Any:
            y = f(h @ w[0]) if packed else f(h @ w[0][:, :hidden], up=h @ w[0][:, hidden:])
            return y @ w[1], None

        return jax.lax.scan(block, x, weights)[0].sum()

    weights = (
        jnp.ones((layers, width, 2 * hidden), dtype), jnp.ones((layers, hidden, width), dtype)
    )  # fmt: skip
    found = jax.eval_shape(
        lambda w, x: jax.vjp(net, w, x)[1], weights, jnp.ones((batch, width), dtype)
    )
    sizes = [
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(found)
        if leaf.ndim == 3 and leaf.shape[1] == batch and leaf.shape[-1] >= hidden
    ]
    return sum(sizes) / (layers * batch * hidden)


@every
def test_gate_and_value_alone_are_kept(name: str) -> None:
    for packed in (True, False):
        # The output, which the next product needs, is among them.
        assert kept(FUNCTIONS[name], jnp.float32, packed) <= 12
        assert kept(FUNCTIONS[name], jnp.bfloat16, packed) <= 6


# Those of the catalogue have the tests of functions along an axis.
others = pytest.mark.parametrize("name", ["gated_unit", "gated_unit of any"])


@others
def test_transformations(name: str) -> None:
    f = FUNCTIONS[name]
    x = jax.random.normal(jax.random.key(3), (4, 6, 8))

    def total(x: Any) -> Any:
        return jnp.sum(jnp.sin(f(x)))

    def looped(x: Any) -> Any:
        step = jax.checkpoint(lambda c, row: (c + total(row), None))
        return jax.lax.scan(step, 0.0, x)[0]

    @jax.jit
    def both(x: Any) -> Any:
        by = jax.grad(total)(x)
        vmapped = jax.vmap(jax.grad(total))(x)
        moved = jax.vmap(f, 1, 1)(x)
        tangent = jax.jvp(total, (x,), (by,))[1]
        return f(x), moved, by, vmapped, jax.grad(looped)(x), tangent, jnp.vdot(by, by)

    y, moved, by, *others, tangent, square = both(x)
    np.testing.assert_allclose(y, moved, rtol=1e-6, atol=1e-7)
    for other in others:
        np.testing.assert_allclose(by, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tangent, square, rtol=1e-5)
    f(x)
    other = x + 1
    with jax.no_tracing():
        f(other)


@others
def test_strict_promotion_lowering_and_sharding(name: str) -> None:
    f = FUNCTIONS[name]

    def both(x: Any) -> Any:
        y, pullback = jax.vjp(f, x)
        return y, pullback(y)[0]

    x = jax.ShapeDtypeStruct((8, 10), jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, by = jax.eval_shape(both, x)
    assert (y.shape, y.dtype, by.shape, by.dtype) == ((8, 5), x.dtype, x.shape, x.dtype)
    jax.export.export(jax.jit(both), platforms=("cpu", "cuda", "rocm", "tpu"))(x)
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    mapped = jax.shard_map(both, mesh=mesh, in_specs=spec, out_specs=spec)
    array = jax.random.normal(jax.random.key(0), (4 * len(jax.devices()), 6))
    for a, b in zip(jax.jit(mapped)(array), both(array), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# -- errors -------------------------------------------------------------------------------------

X = jnp.ones((2, 6))
BAD: dict[str, tuple[Function, type[Exception], str]] = {
    "odd": (lambda: advact_jax.swiglu(X[:, :5]), ValueError, "swiglu: .* 2 equal parts"),
    "axis": (lambda: advact_jax.reglu(X, axis=2), ValueError, "reglu: expected axis"),
    "gate": (lambda: advact_jax.glu(X, gate="left"), ValueError, "glu: expected gate to be"),
    "mixed": (
        lambda: advact_jax.swiglu(X, interleaved=1), TypeError, "swiglu: expected interleaved"  # type: ignore[arg-type]
    ),
    "complex": (lambda: advact_jax.dreglu(X + 1j), TypeError, "dreglu: expected x to be real"),
    "up": (lambda: advact_jax.geglu(X, [1.0]), TypeError, "geglu: expected up to be an array"),  # type: ignore[arg-type]
    "shapes": (
        lambda: advact_jax.bilinear(X, X[:, :4]), ValueError, r"bilinear: .* up \(2, 4\)"
    ),
    "clamp": (
        lambda: advact_jax.clamped_swiglu(X, limit=1.0, clamp="during"), TypeError,
        "clamped_swiglu: expected clamp to be 'before' or 'after'",
    ),
    "cap": (lambda: advact_jax.situ_glu(X, gate_cap=0), ValueError, "situ_glu: expected gate_cap"),
    "name": (lambda: advact_jax.gated_unit(X, activation="geluu"), ValueError, "Did you mean gelu"),
    "parameter": (
        lambda: advact_jax.gated_unit(X, activation="gelu", beta=2.0), TypeError,
        "gated_unit: expected parameters of gelu",
    ),
    "missing": (
        lambda: advact_jax.gated_unit(X, activation="prelu"), TypeError, "parameters of prelu"
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(call: Function, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=rf"(?s){message}"):
        call()
