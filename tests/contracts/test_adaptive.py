"""The contracts of the functions that look across features, draw, or are given their pieces."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import advact_jax
from advact_jax import catalog

pytestmark = pytest.mark.sampled
SUBJECTS = (
    "functions.grouping",
    "functions.normalizing",
    "functions.self_weighted",
    "functions.conditioned",
    "functions.randomized",
    "functions.complex_valued",
    "functions.unnormalized",
)

INF, NAN = math.inf, math.nan
NAMES = (
    "rrelu", "group_sort", "modrelu", "poly_norm", "standardize", "gaussian_topk", "solu",
    "dynamic_relu", "funnel_relu",
)  # fmt: skip
KEY = jax.random.key(3)
CASES = {
    f"{name}-{i}": (name, given)
    for name in NAMES
    for i, given in enumerate(catalog.lookup(name).spec.given or ({},))  # type: ignore[attr-defined]
}
every_case = pytest.mark.parametrize("case", CASES)
every_function = pytest.mark.parametrize("name", NAMES)
close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def function_of(case: str) -> Callable[..., Any]:
    name, given = CASES[case]
    return functools.partial(catalog.lookup(name), **given)


def of(name: str) -> Callable[..., Any]:
    return function_of(f"{name}-0")


ROWS = np.random.default_rng(0).normal(size=(5, 8)) * np.array([[1e-3], [1], [3], [10], [100]])


def exact(case: str, row: Any) -> Any:
    name, given = CASES[case]
    with mpmath.workdps(60):
        values = [mpmath.mpf(float(x)) for x in row]
        found = catalog.lookup(name).spec.reference(mpmath.mp, values, **given)  # type: ignore[attr-defined]
        return np.array([float(v) for v in found])


# -- derivatives --------------------------------------------------------------------------------


def plain_standardize(x: Any, mean: Any = None, variance: Any = None) -> Any:
    mean = x.mean(-1, keepdims=True) if mean is None else mean
    variance = ((x - mean) ** 2).mean(-1, keepdims=True) if variance is None else variance
    return (x - mean) / jnp.sqrt(variance + 1e-5)


def plain_poly_norm(x: Any, weights: Any = (1 / 3, 1 / 3, 1 / 3), bias: Any = 0.0) -> Any:
    powers = [x**3, x**2, x]
    normed = [z / jnp.sqrt((z * z).mean(-1, keepdims=True) + 1e-6) for z in powers]
    return sum(w * z for w, z in zip(weights, normed, strict=True)) + bias


def plain_gaussian_topk(x: Any, sparsity: float) -> Any:
    cut = jax.scipy.special.ndtri(sparsity) * jnp.std(x, -1, keepdims=True)
    return jax.nn.relu(x - x.mean(-1, keepdims=True) - cut)


PLAIN: dict[str, Callable[..., Any]] = {
    "rrelu": lambda x: jnp.where(x > 0, x, 11 / 48 * x),
    "group_sort": lambda x, group_size=2: jnp.sort(
        x.reshape(*x.shape[:-1], -1, group_size or x.shape[-1]), -1
    ).reshape(x.shape),
    "modrelu": lambda z, bias: jnp.sign(z) * jax.nn.relu(jnp.abs(z) + bias),
    "poly_norm": plain_poly_norm,
    "standardize": plain_standardize,
    "gaussian_topk": plain_gaussian_topk,
    "solu": lambda x: jax.nn.softmax(x) * x,
    "dynamic_relu": lambda x, a, b: jnp.max(x[..., None] * a + b, -1),
    "funnel_relu": lambda x, condition: jnp.maximum(x, condition),
}


@every_case
def test_two_derivatives_are_those_of_the_plain_formula(case: str) -> None:
    name, given = CASES[case]
    f, plain = function_of(case), functools.partial(PLAIN[name], **given)
    with jax.enable_x64(True):
        x = jnp.asarray(ROWS[1:4])

        @jax.jit
        def found(x: Any) -> Any:
            return [
                (jax.vmap(g(f))(x), jax.vmap(g(plain))(x))
                for g in (jax.jacfwd, lambda f: jax.jacfwd(jax.jacrev(f)))
            ]

        for ours, theirs in found(x):
            np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_derivatives_by_what_is_given() -> None:
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x, w, b = (jnp.asarray(rng.normal(size=n)) for n in ((4, 6), (3, 1, 6), (4, 1)))
        mean, variance = x.mean(-1, keepdims=True) + 0.1, jnp.abs(b) + 1
        a, c = (jnp.asarray(rng.normal(size=(4, 1, 3))) for _ in range(2))
        both: list[tuple[Any, Any, tuple[Any, ...]]] = [
            (advact_jax.poly_norm, plain_poly_norm, (x, w, b)),
            (lambda x, m: advact_jax.standardize(x, mean=m), plain_standardize, (x, mean)),
            (
                lambda x, m, v: advact_jax.standardize(x, mean=m, variance=v),
                plain_standardize,
                (x, mean, variance),
            ),
            (
                lambda x, v: advact_jax.standardize(x, variance=v),
                lambda x, v: plain_standardize(x, None, v),
                (x, variance),
            ),
            (advact_jax.modrelu, PLAIN["modrelu"], (x, b)),
            (advact_jax.dynamic_relu, PLAIN["dynamic_relu"], (x, a, c)),
            (advact_jax.funnel_relu, PLAIN["funnel_relu"], (x, b)),
        ]
        for ours, plain, arguments in both:
            every = tuple(range(len(arguments)))
            for at in (every, every[1:]):

                def sums(*args: Any, at: Any = at, ours: Any = ours, plain: Any = plain) -> Any:
                    return [
                        jax.grad(lambda *v, f=f: jnp.sum(jnp.sin(f(*v))), at)(*args)
                        for f in (ours, plain)
                    ]

                found, wanted = jax.jit(sums)(*arguments)
                for one, other in zip(found, wanted, strict=True):
                    assert one.shape == other.shape
                    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


# -- NaN, infinities, the largest and the smallest ----------------------------------------------


STRANGE = (
    (0.0,) * 4, (0.1,) * 4, (1.0, -1.0, 1.0, -1.0), (INF, 1.0, 2.0, 3.0), (-INF, 1.0, 2.0, 3.0),
    (INF, -INF, 0.0, 1.0), (INF,) * 4, (-INF,) * 4,
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@every_function
def test_no_strange_row_gives_nan(name: str, dtype: str) -> None:
    f = of(name)
    most, least = (float(v) for v in (jnp.finfo(dtype).max, jnp.finfo(dtype).smallest_normal))
    ends = [
        [most] * 4, [-most, -most, most, most], [most, most / 2, 0, -most], [least, 0, -least, 0],
        [most, least, 1, 2],
    ]  # fmt: skip
    x = jnp.array([*STRANGE, *ends]).astype(dtype)
    y, g, forward = jax.jit(
        lambda x: (
            f(x),
            jax.vjp(f, x)[1](jnp.ones_like(x))[0],
            jax.jvp(f, (x,), (jnp.ones_like(x),))[1],
        )
    )(x)
    for found in (y, g, forward):
        assert found.dtype == x.dtype
        assert not jnp.isnan(found).any(), x[jnp.isnan(found).any(-1)]
    if name in ("poly_norm", "standardize"):
        assert jnp.isfinite(y).all() and jnp.isfinite(g).all()


def test_the_limits_of_rows_with_infinite_entries() -> None:
    x = jnp.array([INF, 1.0, 2.0, 3.0])
    close(advact_jax.standardize(x), plain_standardize(jnp.array([1e9, 1.0, 2.0, 3.0])), atol=1e-5)
    close(advact_jax.poly_norm(x), plain_poly_norm(jnp.array([1e6, 1.0, 2.0, 3.0])), atol=1e-5)
    np.testing.assert_array_equal(advact_jax.gaussian_topk(x, 0.5), [INF, 0, 0, 0])
    np.testing.assert_array_equal(advact_jax.solu(x), [INF, 0, 0, 0])
    grad = jax.grad(lambda x: advact_jax.gaussian_topk(x, 0.7)[0])
    large = grad(jnp.array([1e7, 1.0, 2.0, 3.0]))
    close(grad(x), large, atol=1e-5)


def test_no_power_overflows_or_vanishes() -> None:
    row = jnp.array([2.0, -1.0, 0.5, 3.0])
    for size in (2.0**100, 2.0**-100):
        if size > 1:
            close(advact_jax.poly_norm(row * size), advact_jax.poly_norm(row, epsilon=0.0))
            close(advact_jax.standardize(row * size), advact_jax.standardize(row, epsilon=0.0))
        close(advact_jax.poly_norm(row * size, epsilon=0), advact_jax.poly_norm(row, epsilon=0))
        close(
            advact_jax.standardize(row * size, epsilon=0.0),
            advact_jax.standardize(row, epsilon=0.0),
        )
    # Epsilon counts where the row is small.
    close(advact_jax.poly_norm(row * 1e-6, jnp.array([0.0, 0.0, 1.0])), row * 1e-3)
    half = jnp.asarray(row * 1e4, jnp.float16)
    close(advact_jax.poly_norm(half), plain_poly_norm(row), rtol=1e-3)


# -- each by itself -----------------------------------------------------------------------------


def test_standardize_is_a_drop_in_that_does_not_cancel() -> None:
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 40, 5)) + 1, jnp.float32)
    mask = jnp.asarray(np.random.default_rng(3).random((3, 40, 1)) > 0.3)
    for axis in (1, (0, 1), None):
        wanted = jax.nn.standardize(x, axis, where=mask)
        close(advact_jax.standardize(x, axis, where=mask), wanted, rtol=1e-4, atol=1e-5)
    mean, variance = x.mean(0), x.var(0)
    close(
        advact_jax.standardize(x, 0, mean, variance, 1e-3),
        jax.nn.standardize(x, 0, mean, variance, 1e-3),
    )
    far = jnp.array([4097.0, 4098.0, 4099.0])
    truth = exact("standardize-0", np.asarray(far))
    close(advact_jax.standardize(far), truth)
    assert np.abs(jax.nn.standardize(far) - truth).max() > 0.01


def test_standardize_without_allowed_entries() -> None:
    x = jnp.array([[1.0, 2.0, NAN], [3.0, INF, 5.0]])
    mask = jnp.array([[False] * 3, [True, False, True]])
    y = advact_jax.standardize(x, where=mask)
    np.testing.assert_allclose(y, np.array([[0, 0, 0], [-1, INF, 1]]), rtol=1e-4)
    grad = jax.grad(lambda x: jnp.sum(jnp.where(mask, advact_jax.standardize(x, where=mask), 0)))
    np.testing.assert_allclose(grad(x), jnp.zeros_like(x), atol=1e-6)


def test_group_sort_by_size() -> None:
    x = jnp.array([[3.0, 1.0, 2.0, 0.0, 5.0, 4.0]])
    np.testing.assert_array_equal(advact_jax.group_sort(x), [[1, 3, 0, 2, 4, 5]])
    np.testing.assert_array_equal(advact_jax.group_sort(x, 3), [[1, 2, 3, 0, 4, 5]])
    np.testing.assert_array_equal(advact_jax.group_sort(x, None), [[0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(advact_jax.group_sort(x, 1), x)
    np.testing.assert_array_equal(advact_jax.group_sort(x.T, 3, axis=0).T, [[1, 2, 3, 0, 4, 5]])
    assert advact_jax.group_sort(jnp.ones((2, 0)), None).shape == (2, 0)
    many = jnp.asarray(np.random.default_rng(0).normal(size=(2, 300)))
    np.testing.assert_array_equal(advact_jax.group_sort(many, None), np.sort(many, -1))


@pytest.mark.parametrize("size", [2, 4, None])
def test_group_sort_leaves_equals_in_order_and_moves_gradients(size: int | None) -> None:
    x = jnp.array([1.0, 1.0, 0.0, -0.0, -INF, -INF, INF, INF])
    weights = jnp.arange(1.0, 9.0)
    grad = jax.grad(lambda x: jnp.sum(advact_jax.group_sort(x, size) * weights))(x)
    places = [i for g in np.arange(8).reshape(-1, size or 8) for i in sorted(g, key=lambda i: x[i])]
    np.testing.assert_array_equal(grad[jnp.array(places)], weights)
    broken = jnp.array([NAN, 1.0, 2.0, NAN])
    y, g = (
        advact_jax.group_sort(broken),
        jax.grad(lambda x: jnp.sum(advact_jax.group_sort(x) * weights[:4]))(broken),
    )
    np.testing.assert_array_equal(y, [1, NAN, 2, NAN])
    np.testing.assert_array_equal(g, [NAN, 1, 3, NAN])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_modrelu_of_complex_numbers(dtype: str) -> None:
    with jax.enable_x64(dtype == "complex128"):
        rng = np.random.default_rng(5)
        z = jnp.asarray(rng.normal(size=50) + 1j * rng.normal(size=50), dtype)
        bias = jnp.asarray(rng.normal(size=50), jnp.finfo(dtype).dtype)

        def plain(z: Any, bias: Any) -> Any:
            return jax.nn.relu(jnp.abs(z) + bias) * z / jnp.abs(z)

        def loss(f: Any) -> Any:
            return lambda z, b: jnp.sum(jnp.sin(f(z, b).real) + jnp.cos(2 * f(z, b).imag))

        assert advact_jax.modrelu(z, bias).dtype == dtype
        rtol, atol = (1e-4, 2e-5) if dtype == "complex64" else (1e-11, 1e-12)
        np.testing.assert_allclose(
            advact_jax.modrelu(z, bias), plain(z, bias), rtol=rtol, atol=atol
        )
        for argument in (0, 1):
            found, wanted = (
                jax.jit(jax.grad(loss(f), argument))(z, bias) for f in (advact_jax.modrelu, plain)
            )
            np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)
        t = jnp.asarray(rng.normal(size=50) + 1j * rng.normal(size=50), dtype)
        found, wanted = (
            jax.jvp(lambda z: jax.grad(loss(f))(z, bias), (z,), (t,))[1]  # noqa: B023
            for f in (advact_jax.modrelu, plain)
        )
        np.testing.assert_allclose(found, wanted, rtol=10 * rtol, atol=10 * atol)


def test_modrelu_at_its_ends() -> None:
    f, most = advact_jax.modrelu, float(jnp.finfo(jnp.float32).max)

    def slope(z: Any, bias: float) -> Any:
        return jax.vjp(lambda z: f(z, bias), z)[1](jnp.ones_like(z))[0]

    zero = jnp.zeros(1, "complex64")
    for bias, wanted in ((-1.0, 0), (1.0, 0), (0.0, 1)):
        assert f(zero, bias) == 0 and slope(zero, bias) == wanted
        assert f(0.0, bias) == 0 and jax.grad(f)(0.0, bias) == wanted
        assert jax.grad(lambda b: f(zero, b).real.sum())(bias) == 0
    z = jnp.array([complex(most, most), complex(INF, 1), complex(-INF, INF), complex(3e-38, 0)])
    np.testing.assert_array_equal(f(z, 0.0), z)
    np.testing.assert_array_equal(f(z, -1.0), [z[0], z[1], z[2], 0])
    for bias in (0.0, -1.0, 1.0):
        assert np.isfinite(slope(z, bias)).all()
    assert f(jnp.array([3 + 4j]), -5.0) == 0 and slope(jnp.array([3 + 4j]), -5.0) == 0
    assert np.isnan(f(jnp.array([complex(NAN, 1)]), 0.0)).all()
    assert np.isnan(slope(jnp.array([complex(1, NAN)]), -9.0)).all()


def test_dynamic_relu_gives_a_tie_to_the_first_line() -> None:
    a, b = jnp.array([1.0, 0.0, 1.0]), jnp.zeros(3)
    x = jnp.array([0.0, -0.0, INF, -INF, 2.0])
    y, pullback = jax.vjp(advact_jax.dynamic_relu, x, a, b)
    np.testing.assert_array_equal(y, [0, 0, INF, 0, 2])
    by_x, by_a, by_b = pullback(jnp.array([1.0, 1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_array_equal(by_x, [1, 1, 0, 0, 1])
    np.testing.assert_array_equal(by_b, [3, 1, 0])
    assert by_a[0] != by_a[0] or by_a[0] == 2  # 0 times the infinite derivative at inf
    alone = jax.grad(lambda a: jnp.sum(advact_jax.dynamic_relu(x[-1:], a, b)))(a)
    np.testing.assert_array_equal(alone, [2, 0, 0])


def test_funnel_relu_gives_a_tie_to_the_input() -> None:
    x, c = jnp.array([1.0, 0.0, -INF, INF, 2.0, NAN]), jnp.array([1.0, -0.0, -INF, 1.0, 3.0, 0.0])
    y, pullback = jax.vjp(advact_jax.funnel_relu, x, c)
    np.testing.assert_array_equal(y, [1, 0, -INF, INF, 3, NAN])
    by_x, by_c = pullback(jnp.ones(6))
    np.testing.assert_array_equal(by_x, [1, 1, 1, 1, 0, NAN])
    np.testing.assert_array_equal(by_c, [0, 0, 0, 0, 1, NAN])


def test_gaussian_topk_keeps_the_share_that_it_is_told() -> None:
    x = jax.random.normal(jax.random.key(0), (4, 4096))
    for sparsity in (0.5, 0.9, 0.95):
        share = jnp.mean(advact_jax.gaussian_topk(x, sparsity) == 0, -1)
        assert jnp.abs(share - sparsity).max() < 0.02
    flat = jnp.full((2, 5), 0.1)
    y, pullback = jax.vjp(lambda x: advact_jax.gaussian_topk(x, 0.2), flat)
    assert (y == 0).all() and (pullback(jnp.ones_like(y))[0] == 0).all()


# -- random slopes ------------------------------------------------------------------------------


def test_rrelu_draws_each_slope_between_its_ends() -> None:
    x = jnp.concatenate([-jnp.ones(20_000), jnp.ones(3), jnp.zeros(1)])
    y, pullback = jax.vjp(lambda x: advact_jax.rrelu(x, KEY), x)
    slopes = -y[:20_000]
    assert (slopes >= 1 / 8).all() and (slopes < 1 / 3).all()
    assert abs(slopes.mean() - 11 / 48) < 2e-3 and len(np.unique(slopes)) > 15_000
    (grad,) = pullback(jnp.ones_like(x))
    np.testing.assert_array_equal(grad[:20_000], slopes)
    np.testing.assert_array_equal(grad[20_000:-1], 1)
    assert 1 / 8 <= grad[-1] < 1 / 3  # as torch: 0 belongs to the negative side
    again = advact_jax.rrelu(x, KEY)
    np.testing.assert_array_equal(again, y)
    assert (advact_jax.rrelu(x, jax.random.key(4)) != y).any()
    half = advact_jax.rrelu(x.astype(jnp.bfloat16), KEY)
    np.testing.assert_array_equal(half, y.astype(jnp.bfloat16))
    close(advact_jax.rrelu(x, jax.random.PRNGKey(3)), y)


def test_rrelu_without_a_key_has_the_mean_slope() -> None:
    x = jnp.array([-48.0, -INF, -0.0, 0.0, 2.0, INF])
    np.testing.assert_array_equal(advact_jax.rrelu(x), [-11, -INF, 0, 0, 2, INF])
    grad = jax.vmap(jax.grad(advact_jax.rrelu))(x)
    np.testing.assert_allclose(grad, [11 / 48] * 4 + [1] * 2, rtol=1e-7)
    np.testing.assert_array_equal(advact_jax.rrelu(x, None, 0.0, 0.0), jnp.maximum(x, 0))


# -- memory, lowering, transformations, errors --------------------------------------------------


def kept(function: Callable[..., Any], *arguments: Any) -> int:
    leaves = jax.tree.leaves(jax.eval_shape(lambda *v: jax.vjp(function, *v)[1], *arguments))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def test_what_is_kept() -> None:
    x = jnp.ones(600)
    assert kept(lambda x: advact_jax.rrelu(x, KEY), x) <= 600 + 8
    assert kept(advact_jax.funnel_relu, x, x) == 600
    assert kept(advact_jax.modrelu, x, x) == 600 * 8
    assert kept(advact_jax.modrelu, x + 1j, jnp.zeros(())) == 600 * 8 + 4
    image, a = jnp.ones((2, 30, 10)), jnp.ones((2, 1, 10, 2))
    assert kept(advact_jax.dynamic_relu, image, a, a) == 4 * (image.size + 2 * a.size)


@every_function
def test_shapes_and_integers(name: str) -> None:
    assert of(name)(jnp.arange(6)).dtype == jnp.float32
    for shape in ((0, 2), (2, 0)):
        assert of(name)(jnp.ones(shape)).shape == shape


# Wrong on purpose: a type checker would not let these pass.
UNTYPED: Any = advact_jax
X = jnp.ones((2, 6))
BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "key": (lambda: UNTYPED.rrelu(X, 3), TypeError, "rrelu: expected key to be one key"),
    "slopes": (lambda: UNTYPED.rrelu(X, None, 0.5, 0.1), ValueError, "rrelu: expected lower <="),
    "slope type": (lambda: UNTYPED.rrelu(X, None, "a"), TypeError, "rrelu: expected lower to be"),
    "keys": (
        lambda: UNTYPED.rrelu(X, jax.random.split(KEY)), TypeError, "rrelu: expected key to be one"
    ),
    "size": (lambda: UNTYPED.group_sort(X, 4), ValueError, "group_sort: expected axis 1 of x to"),
    "size type": (lambda: UNTYPED.group_sort(X, 2.0), TypeError, "group_size to be an int"),
    "axis": (lambda: UNTYPED.group_sort(X, 2, 5), ValueError, r"axis in \[-2, 2\)"),
    "complex bias": (lambda: UNTYPED.modrelu(X, 1j), TypeError, "modrelu: expected bias to be"),
    "list": (lambda: UNTYPED.modrelu([1.0], 1.0), TypeError, "modrelu: expected z to be"),
    "weights": (
        lambda: UNTYPED.poly_norm(X, jnp.ones(2)), ValueError, "poly_norm: expected weights whose"
    ),
    "wide weights": (
        lambda: UNTYPED.poly_norm(X[0], jnp.ones((3, 2, 6))), ValueError, "poly_norm: expected w"
    ),
    "epsilon": (lambda: UNTYPED.poly_norm(X, epsilon=-1), ValueError, "epsilon to be 0 or more"),
    "mask": (lambda: UNTYPED.standardize(X, where=X), TypeError, "where to be an array of bool"),
    "sparsity": (lambda: UNTYPED.gaussian_topk(X, 0), ValueError, "sparsity between 0 and 1"),
    "traced": (lambda: UNTYPED.gaussian_topk(X, X), TypeError, "gaussian_topk: expected sparsity"),
    "lines": (
        lambda: UNTYPED.dynamic_relu(X, jnp.ones(2), jnp.ones(3)), ValueError, "one entry for each"
    ),
    "shapes": (
        lambda: UNTYPED.dynamic_relu(X, jnp.ones((5, 2)), jnp.ones(2)), ValueError,
        "dynamic_relu: expected shapes that broadcast",
    ),
    "condition": (lambda: UNTYPED.funnel_relu(X, jnp.ones(5)), ValueError, "condition \\(5,\\)"),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


# -- the tests' own sharpness -------------------------------------------------------------------
