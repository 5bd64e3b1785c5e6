"""The contracts of the functions with tables of coefficients.

Errors are counted in ulps of the largest term that the result is a sum of: where such terms cancel,
no float32 formula is right in ulps of the result.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import advact_jax
from advact_jax import catalog, testing
from advact_jax.functions import powers, rational, spline, tables

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.powers", "functions.rational", "functions.tables", "functions.spline")

INF, NAN = math.inf, math.nan
FUNCTIONS = {
    name: function
    for name, function in catalog.along_axis().items()
    if any(p.is_table for p in function.spec.parameters.values())  # type: ignore[attr-defined]
}
FORMULAS: dict[str, Any] = {
    "rational": rational._rational, "pwlu": tables._pwlu, "apl": tables._apl,
    "poly_relu": powers._poly_relu, "bspline": spline._BSPLINE.formula,
}  # fmt: skip
CASES = [(name, k) for name, f in FUNCTIONS.items() for k in range(len(f.spec.given))]  # type: ignore[attr-defined]
IDS = [f"{name}-{k}" for name, k in CASES]
# One that is compiled in little time.
SMALL = {"rational": 2, "pwlu": 1, "apl": 0, "poly_relu": 1, "bspline": 2}


def given(name: str, k: int, dtype: Any = np.float32) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters as arrays, and what is static."""
    spec = FUNCTIONS[name].spec  # type: ignore[attr-defined]
    every = spec.given[k]
    arrays = {key: np.asarray(v, dtype) for key, v in every.items() if key in spec.parameters}
    return arrays, {key: v for key, v in every.items() if key not in arrays}


def exact(
    name: str, x: np.ndarray, arrays: Any, static: Any, order: int = 0, by: Any = None
) -> Any:
    """The reference or a derivative of it: by x, or by entry ``by`` of a parameter."""
    reference = FUNCTIONS[name].spec.reference  # type: ignore[attr-defined]
    with mpmath.workdps(80):
        numbers = {
            key: [mpmath.mpf(float(c)) for c in v] if v.ndim else mpmath.mpf(float(v))
            for key, v in arrays.items()
        }

        def at(t: Any, **other: Any) -> Any:
            return reference(mpmath.mp, [t], **{**numbers, **other}, **static)[0]

        def one(t: Any) -> Any:
            if by is None:
                return mpmath.diff(at, t, order, relative=bool(t)) if order else at(t)
            key, i = by
            table = numbers[key]

            def moved(c: Any) -> Any:
                return at(t, **{key: [*table[:i], c, *table[i + 1 :]] if i is not None else c})

            return mpmath.diff(moved, table if i is None else table[i])

        return np.array([float(one(mpmath.mpf(float(t)))) for t in x])


def kinks(name: str, arrays: Any, static: Any) -> np.ndarray:
    if name == "pwlu":
        low, high = arrays.get("low", -3.0), arrays.get("high", 3.0)
        return np.linspace(low, high, len(arrays["heights"]))
    if name == "bspline":
        (low, high), degree = static.get("grid", (-1.0, 1.0)), static.get("degree", 3)
        width = (high - low) / (len(arrays["coefficients"]) - degree)
        return low + width * np.arange(-degree, 2 * len(arrays["coefficients"]))
    if name == "rational" and static.get("version", "A") != "A":
        start = 0 if static["version"] == "C" else 1
        b = [0.0] * start + [float(v) for v in arrays["denominator"]]
        return np.real(np.roots(b[::-1]))
    return np.array([0.0, *arrays.get("hinges", ())])


def inputs(name: str, k: int, dtype: Any = "float32", count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(k)
    sizes = 10.0 ** rng.uniform(-6, 4, count // 3) * rng.choice([-1.0, 1.0], count // 3)
    x = np.concatenate([rng.uniform(-6, 6, count), sizes]).astype(jnp.dtype(dtype))
    near = kinks(name, *given(name, k))
    return x[(np.abs(x.astype("float64")[:, None] - near) > 1e-3).all(1)]


def terms(name: str, x: np.ndarray, arrays: Any, static: Any) -> np.ndarray:
    """The size of the largest term."""
    size = np.abs(x)
    if name == "rational":
        a = np.abs(arrays["numerator"])
        positive = exact(name, x, {**arrays, "numerator": np.eye(len(a))[0]}, static)
        return np.polyval(a[::-1], size) * positive
    if name == "poly_relu":
        return np.polyval([*np.abs(arrays["weights"]), abs(arrays.get("bias", 0.0))], size)
    largest = max(np.max(np.abs(v), initial=0) for v in arrays.values())
    return largest * np.maximum(size, 1)


def ulps(found: Any, truth: np.ndarray, size: Any, dtype: Any) -> float:
    info = jnp.finfo(dtype)
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(truth), size))) - info.nmant)
    error = np.abs(np.asarray(found, np.float64) - truth)
    return float(np.max(np.where(np.abs(truth) < float(info.tiny), 0, error / unit)))


@pytest.mark.parametrize("name, k", CASES, ids=IDS)
def test_value_and_derivatives_against_the_reference(name: str, k: int) -> None:
    (arrays, static), x = given(name, k), inputs(name, k)
    function = FUNCTIONS[name]

    def f(x: Any, arrays: Any) -> Any:
        return function(x, **arrays, **static)

    def first(x: Any, arrays: Any) -> Any:
        y, pullback = jax.vjp(f, x, arrays)
        return y, *pullback(jnp.ones_like(y))

    def entries(x: Any, arrays: Any) -> Any:
        per_element = {key: jnp.broadcast_to(v, (*x.shape, *v.shape)) for key, v in arrays.items()}
        slope = jax.grad(lambda x: f(x, arrays).sum())
        return first(x, per_element), jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]

    (y, slope, by), second = jax.jit(entries)(x, arrays)
    wide = x.astype(np.float64)
    size = terms(name, wide, arrays, static)
    assert ulps(y, exact(name, wide, arrays, static), size, "float32") <= 4
    # A derivative is a sum of terms too, each about as large as those of the value or 1; that of a
    # power has its exponent as a factor.
    slopes = np.maximum(size / np.maximum(np.abs(wide), 1), 1)
    power = len(arrays["numerator"]) - 1 if name == "rational" else 1
    assert ulps(slope, exact(name, wide, arrays, static, 1), power * slopes, "float32") <= 4
    # Second differences are divided by the square of the distance of knots.
    factor = 25 if name == "bspline" else power**2
    assert ulps(second, exact(name, wide, arrays, static, 2), factor * slopes, "float32") <= 8
    some = slice(0, None, 4)
    for key, value in arrays.items():
        for i in range(len(value)) if value.ndim else [None]:
            truth = exact(name, wide[some], arrays, static, by=(key, i))
            found = by[key][some] if i is None else by[key][some, i]
            limit = 1.0 if name != "rational" else slopes[some]
            assert ulps(found, truth, limit, "float32") <= 4, (key, i)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name, k", CASES, ids=IDS)
def test_16_bits_are_the_float32_result_rounded_once(name: str, k: int, dtype: str) -> None:
    arrays, static = given(name, k)
    x = jnp.asarray(np.linspace(-8, 8, 4001), dtype)

    @jax.jit
    def both(x: Any) -> Any:
        y, pullback = jax.vjp(lambda x, a: FUNCTIONS[name](x, **a, **static), x, arrays)
        return y, pullback(jnp.ones_like(y))

    narrow, wide = both(x), both(x.astype("float32"))
    assert narrow[0].dtype == narrow[1][0].dtype == x.dtype
    for found, truth in ((narrow[0], wide[0]), (narrow[1][0], wide[1][0])):
        # XLA may fuse otherwise: a result that is near a tie in float32 may go either way.
        close = np.asarray(truth.astype(dtype) == found)
        assert close.mean() > 0.999
        assert ulps(found, np.asarray(truth, np.float64), 2.0**-6, dtype) <= 0.51
    for found, truth in zip(*(jax.tree.leaves(r[1][1]) for r in (narrow, wide)), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(
            found, truth, rtol=1e-4, atol=1e-4 * float(jnp.max(jnp.abs(truth)))
        )


@pytest.mark.parametrize("name, k", [*SMALL.items(), ("rational", 1), ("rational", 3)])
def test_float64_rule_is_that_of_autodiff(name: str, k: int) -> None:
    with jax.enable_x64(True):
        arrays, static = given(name, k, np.float64)
        x = jnp.asarray(inputs(name, k, "float64", 12))
        function = FUNCTIONS[name]

        def ruled(x: Any, arrays: Any) -> Any:
            return function(x, **arrays, **static)

        def plain(x: Any, arrays: Any) -> Any:
            """The formula without the rule."""
            arguments = function.spec.signature.parameters.values()  # type: ignore[attr-defined]
            usual = {
                a.name: a.default
                for a in arguments
                if a.name not in ("x", "key") and a.default is not a.empty
            }
            with jax.disable_jit():
                return FORMULAS[name](x, **{**usual, **static, **arrays})

        def curves(f: Any) -> Any:
            return jax.vmap(jax.jacfwd(jax.jacrev(f, (0, 1)), (0, 1)), (0, None))

        found, wanted = jax.jit(lambda x, a: [curves(f)(x, a) for f in (ruled, plain)])(x, arrays)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name, k", CASES, ids=IDS)
def test_extreme_input(name: str, k: int) -> None:
    arrays, static = given(name, k)
    largest = float(np.finfo("float32").max)
    x = np.array([-largest, -1e25, -1e12, 1e12, 1e25, largest, -INF, INF, NAN], "float32")
    truth = exact(name, x[:6].astype("float64"), arrays, static)
    slopes = exact(name, x[:6].astype("float64"), arrays, static, 1)

    @jax.jit
    def both(x: Any) -> Any:
        def one(x: Any) -> Any:
            return jax.value_and_grad(lambda x, a: FUNCTIONS[name](x, **a, **static), (0, 1))(
                x, arrays
            )

        return jax.vmap(one)(x)

    y, (slope, by) = both(x)
    finite = np.abs(truth) <= largest
    np.testing.assert_allclose(np.asarray(y[:6])[finite], truth[finite], rtol=3e-6, atol=1e-37)
    assert np.all(np.isinf(y[:6][~finite]))
    finite = np.abs(slopes) <= largest
    np.testing.assert_allclose(np.asarray(slope[:6])[finite], slopes[finite], rtol=3e-6, atol=1e-6)
    assert not np.isnan(y[6:8]).any() and not np.isnan(slope[6:8]).any()
    assert np.isnan(y[8]) and np.isnan(slope[8])
    for value in jax.tree.leaves(by):
        value = np.asarray(value).reshape(9, -1)
        assert not np.isnan(value[:6]).any() and np.isnan(value[8]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_coefficients_of_a_channel_are_its_own(name: str) -> None:
    arrays, static = given(name, SMALL[name])
    x = jax.random.normal(jax.random.key(0), (5, 2, 3))
    factors = jnp.asarray([1.0, -0.5, 2.0])

    def f(x: Any, arrays: Any) -> Any:
        return FUNCTIONS[name](x, **arrays, **static)

    each = {key: factors.reshape(3, *(1 for _ in v.shape)) * v for key, v in arrays.items()}

    @jax.jit
    def together(x: Any, each: Any) -> Any:
        y, pullback = jax.vjp(f, x, each)
        return y, *pullback(jnp.cos(y))

    @jax.jit
    def apart(x: Any, each: Any) -> Any:
        return jax.vmap(together, (2, 0), (2, 2, 0))(x, each)[0], jax.vmap(
            lambda x, a: together(x, a)[1:], (2, 0), (2, 0)
        )(x, each)

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        (y, slope, by), (z, (slope_apart, by_apart)) = together(x, each), apart(x, each)
    np.testing.assert_allclose(y, z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, slope_apart, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), by, by_apart)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_input_alone_is_kept(name: str) -> None:
    arrays, static = given(name, SMALL[name])
    assert testing.residual_bytes(lambda x: FUNCTIONS[name](x, **arrays, **static)) <= 8
    # Beside learned coefficients too.
    x = jnp.ones((64, 32))
    kept = jax.eval_shape(
        lambda x, a: jax.vjp(lambda x, a: FUNCTIONS[name](x, **a, **static), x, a)[1], x, arrays
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(kept) if leaf.size > 100) == x.size


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transformations_and_platforms(name: str) -> None:
    arrays, static = given(name, SMALL[name])

    def f(x: Any) -> Any:
        return FUNCTIONS[name](x, **arrays, **static)

    x = jnp.linspace(-0.9, 0.9, 8)
    looped = jax.lax.scan(lambda c, _: (0.5 * f(c), None), x, None, length=2)[0]
    np.testing.assert_allclose(looped, 0.5 * f(0.5 * f(x)), rtol=1e-6, atol=1e-7)
    slope = jax.grad(lambda x: jnp.sum(jax.checkpoint(f)(x)))
    np.testing.assert_allclose(slope(x), jax.jvp(f, (x,), (jnp.ones(8),))[1], rtol=1e-5, atol=1e-6)
    for dtype in ("float32", "bfloat16"):
        shape = jax.ShapeDtypeStruct((4, 8), dtype)
        both = jax.jit(
            jax.value_and_grad(lambda x, a: jnp.sum(FUNCTIONS[name](x, **a, **static)), (0, 1))
        )
        jax.export.export(both, platforms=testing.PLATFORMS)(shape, arrays)
    assert f(jnp.arange(3)).dtype == jnp.float32


# -- rational -----------------------------------------------------------------------------------


def test_all_versions_start_from_the_same_function() -> None:
    x = jnp.linspace(-3, 3, 61)
    for name in ("identity", "relu", "silu", "gelu"):
        found = [
            advact_jax.rational(
                x, *advact_jax.rational_coefficients(name, v, published=False), version=v
            )
            for v in rational.VERSIONS
        ]
        for y in found[1:]:
            np.testing.assert_allclose(y, found[0], rtol=1e-5, atol=1e-6)
        wanted = x if name == "identity" else getattr(jax.nn, name)(x)
        np.testing.assert_allclose(found[0], wanted, atol=0.04)


# What the docstring says of the published coefficients; gelu's are worse in version A.
WORST = {"leaky_relu": 0.034, "relu": 0.034, "gelu": 0.001}


@pytest.mark.parametrize("version", rational.VERSIONS)
@pytest.mark.parametrize("name", rational.QUOTIENTS)
def test_published_coefficients_are_as_close_as_the_docstring_says(
    name: str, version: rational.Version
) -> None:
    numerator, denominator = advact_jax.rational_coefficients(name, version)
    assert len(numerator) == 6 and len(denominator) == (5 if version == "C" else 4)
    x = np.linspace(-3, 3, 1201)
    y = advact_jax.rational(jnp.asarray(x, "float32"), numerator, denominator, version)
    wanted = advact_jax.get("gelu", approximate=False) if name == "gelu" else advact_jax.get(name)
    worst = 0.0042 if (name, version) == ("gelu", "A") else WORST.get(name, 5e-5)
    np.testing.assert_allclose(y, wanted(jnp.asarray(x, "float32")), rtol=0, atol=worst)


def test_published_coefficients_differ_between_versions_but_b_and_d() -> None:
    of = {v: advact_jax.rational_coefficients("tanh", v) for v in rational.VERSIONS}
    for b, d in zip(of["B"], of["D"], strict=True):
        np.testing.assert_array_equal(b, d)
    assert of["A"][0][1] == 1.0003008043819048 and of["C"][0][1] != of["B"][0][1]
    np.testing.assert_array_equal(
        advact_jax.rational_coefficients("silu", "C")[1],
        advact_jax.rational_coefficients("swish", "C")[1],
    )


def test_the_identity_and_other_short_quotients_do_not_overflow() -> None:
    a, b = advact_jax.rational_coefficients("identity", published=False)
    x = jnp.asarray([-3e38, -1e30, 1e30, 3e38, INF], jnp.float32)
    np.testing.assert_array_equal(advact_jax.rational(x, a, b), x)
    np.testing.assert_array_equal(
        jax.vmap(jax.grad(advact_jax.rational), (0, None, None))(x, a, b), jnp.ones(5)
    )
    y = advact_jax.rational(x, jnp.asarray([0.0, 0.0, 3.0, 0.0]), jnp.asarray([0.0, 2.0]))
    np.testing.assert_array_equal(y, jnp.full(5, 1.5))


def test_a_denominator_of_one_can_be_learned_from() -> None:
    fitted = advact_jax.rational_coefficients("identity", published=False)
    a, b = (jnp.asarray(v, "float32") for v in fitted)
    by = jax.grad(lambda b: advact_jax.rational(jnp.float32(2.0), a, b))(b)
    np.testing.assert_array_equal(by, [-4.0, -8.0, -16.0, -32.0])
    right = jax.grad(lambda x: advact_jax.rational(x, jnp.ones(1), jnp.ones(1)))(0.0)
    assert right == -1.0


def test_noise_is_drawn_for_the_whole_call() -> None:
    a, b = (jnp.asarray(v, "float32") for v in advact_jax.rational_coefficients("relu", "D"))
    x, key = jnp.full((3, 4), 2.0), jax.random.key(0)
    noisy = advact_jax.rational(x, a, b, version="D", key=key)
    assert jnp.unique(noisy).size == 1 and noisy[0, 0] != advact_jax.rational(x, a, b)[0, 0]
    constant = advact_jax.rational(x, jnp.ones(1), jnp.zeros(1), version="D", key=key)
    assert 0.9 <= constant[0, 0] <= 1.1


# -- piecewise linear ---------------------------------------------------------------------------


def test_a_kink_belongs_to_the_piece_that_the_docstring_names() -> None:
    heights = jnp.asarray([0.0, 1.0, 0.0, 4.0])
    x = jnp.asarray([-3.0, -1.0, 1.0, 3.0])
    slope = jax.vmap(jax.grad(advact_jax.pwlu), (0, None, None))
    np.testing.assert_array_equal(slope(x, heights, -5.0), [0.5, -0.5, 2.0, 1.0])
    apl = jax.vmap(jax.grad(advact_jax.apl), (0, None, None))
    table = jnp.asarray([2.0]), jnp.asarray([1.0])
    np.testing.assert_array_equal(apl(jnp.asarray([0.0, 1.0]), *table), [-2.0, 1.0])
    assert jax.grad(advact_jax.poly_relu)(0.0, jnp.ones(3)) == 0


def test_heights_move_the_slope_on_both_sides_of_their_knot() -> None:
    heights = jnp.asarray([0.0, 0.0, 0.0])
    mixed = jax.jacfwd(jax.grad(lambda x, h: advact_jax.pwlu(x, h)), 1)
    other = jax.grad(lambda x, h: jax.jacfwd(advact_jax.pwlu, 1)(x, h)[1])
    for x, by in ((-3.0, (-1, 1, 0)), (-1.0, (-1, 1, 0)), (0.0, (0, -1, 1)), (4.0, (0, 0, 0))):
        np.testing.assert_allclose(mixed(x, heights), np.array(by) / 3, rtol=1e-6)
        np.testing.assert_allclose(other(x, heights), by[1] / 3, rtol=1e-6)


def test_hinges_that_cancel_have_a_limit() -> None:
    slopes, hinges = jnp.asarray([0.5, -0.5]), jnp.asarray([1.0, 3.0])
    assert advact_jax.apl(-INF, slopes, hinges) == -1.0
    assert advact_jax.apl(-1e30, slopes, hinges) == 0.0  # A few ulp of the terms, as declared.


# -- splines ------------------------------------------------------------------------------------


def test_splines_of_all_degrees_reproduce_polynomials() -> None:
    x = jnp.linspace(-1.5, 3.5, 41)
    for degree in range(5):
        y = (x - 1) ** degree
        table = advact_jax.fit_bspline(x, y, 6, (-2.0, 4.0), degree)
        found = advact_jax.bspline(x, table, (-2.0, 4.0), degree)
        np.testing.assert_allclose(found, y, atol=2e-4)


def test_a_spline_is_zero_beyond_its_knots() -> None:
    x = jnp.asarray([-INF, -1e30, -2.21, 2.21, INF])
    np.testing.assert_array_equal(advact_jax.bspline(x, jnp.ones(8)), jnp.zeros(5))


def test_fits_of_channels_are_apart_and_jit() -> None:
    x = jax.random.uniform(jax.random.key(0), (40, 2, 3), minval=-1.0)
    fit = jax.jit(lambda x: advact_jax.fit_bspline(x, jnp.sin(x), 4))
    assert fit(x).shape == (2, 3, 7)
    alone = advact_jax.fit_bspline(x[:, 1, 2], jnp.sin(x[:, 1, 2]), 4)
    np.testing.assert_allclose(fit(x)[1, 2], alone, rtol=1e-3, atol=1e-4)
    few = advact_jax.fit_bspline(x[:2, 0, 0], jnp.ones(2), 4)
    assert jnp.all(jnp.isfinite(few))


# -- errors -------------------------------------------------------------------------------------

UNTYPED: Any = advact_jax
ONES = jnp.ones(4)
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "version": (
        lambda: UNTYPED.rational(1.0, ONES, ONES, version="E"), ValueError,
        "rational: expected version to be one of A, B, C, D, got 'E'",
    ),
    "key": (
        lambda: advact_jax.rational(1.0, ONES, ONES, key=jax.random.key(0)), ValueError,
        "rational: expected a key for version D only",
    ),
    "scalar": (
        lambda: advact_jax.rational(1.0, 2.0, ONES), ValueError,
        r"rational: expected numerator to hold its coefficients along the last axis, .* \(\)",
    ),
    "name": (
        lambda: UNTYPED.rational_coefficients("mish"), ValueError, "rational_coefficients: .*mish"
    ),
    "list": (
        lambda: UNTYPED.pwlu(1.0, "a"), TypeError, "to be an array or a number"
    ),
    "one height": (lambda: advact_jax.pwlu(1.0, jnp.ones(1)), ValueError, "at least two heights"),
    "shapes": (
        lambda: advact_jax.pwlu(jnp.ones(3), jnp.ones((2, 4))), ValueError,
        r"pwlu: expected shapes that broadcast together, got x \(3,\), heights \(2,\)",
    ),
    "hinges": (
        lambda: advact_jax.apl(1.0, ONES, jnp.ones(3)), ValueError,
        "apl: expected as many slopes as hinges, got 4 and 3",
    ),
    "weights": (lambda: advact_jax.poly_relu(1.0, jnp.ones(0)), ValueError, "poly_relu: expected"),
    "few": (
        lambda: advact_jax.bspline(1.0, jnp.ones(3)), ValueError,
        "bspline: expected more coefficients than the degree 3",
    ),
    "grid": (
        lambda: advact_jax.bspline(1.0, ONES, grid=(1.0, 1.0)), ValueError, "low < high"
    ),
    "three": (
        lambda: UNTYPED.bspline(1.0, ONES, grid=(0.0, 1.0, 2.0)), TypeError,
        "bspline: expected grid to be a tuple",
    ),
    "array": (
        lambda: UNTYPED.bspline(1.0, ONES, grid=ONES), TypeError, "bspline: expected grid to be a p"
    ),
    "degree": (lambda: advact_jax.bspline(1.0, ONES, degree=-1), ValueError, "at least 0, got -1"),
    "samples": (
        lambda: advact_jax.fit_bspline(ONES, jnp.ones(3), 2), ValueError, "fit_bspline: expected s"
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
