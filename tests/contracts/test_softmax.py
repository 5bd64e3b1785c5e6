"""The contracts of softmax and its family."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from advact_jax.functions import log_sums
from advact_jax.functions import softmax as family

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.softmax", "functions.log_sums")
INF, NAN = math.inf, math.nan
MAPS: dict[str, Any] = {
    name: getattr(family, name) for name in ("softmax", "log_softmax", "softmin", "hardmax")
}
SUMS: dict[str, Any] = {name: getattr(log_sums, name) for name in ("logsumexp", "logmeanexp")}
SMOOTH: dict[str, Any] = {name: f for name, f in {**MAPS, **SUMS}.items() if name != "hardmax"}
DTYPES = ("bfloat16", "float16", "float32", "float64")

# What a row with nothing allowed gives.
EMPTY = {"softmax": 0.0, "softmin": 0.0}


def over_last(f):
    return functools.partial(f, axis=-1)


def exact(f, row):
    """The declared reference of a row, as floats rounded once."""
    with mpmath.workdps(60):
        result = f.spec.reference(mpmath.mp, [mpmath.mpf(float(x)) for x in row])
        return np.array([float(v) for v in np.atleast_1d(np.array(result, dtype=object))])


def ulps(found, truth, dtype):
    """Errors in units of the last place of the truth; below the normal numbers nothing counts."""
    info = jnp.finfo(dtype)
    tiny, bits = float(info.smallest_normal), info.nmant
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    size = np.maximum(np.abs(truth), tiny)
    unit = 2.0 ** (np.floor(np.log2(size)) - bits)
    with np.errstate(invalid="ignore"):
        error = np.where(found == truth, 0, np.abs(found - truth)) / unit
    error = np.where(np.isnan(error), np.inf, error)
    return np.where((np.abs(truth) < tiny) & (np.abs(found) <= 2 * tiny), 0, error)


def sample_rows():
    rng = np.random.default_rng(0)
    rows = [rng.normal(0, scale, n) for scale in (0.1, 1, 5, 30) for n in (3, 40)]
    rows += [
        np.array([0.0]),
        np.array([3.0, 3.0, 3.0]),
        np.array([0.0, -50.0, -50.5]),
        np.array([0.123, -80.3, -86.9]),
        np.array([57.3, -29.7, 57.3]),
        np.array([1e5, 1e5 - 3.25, 1e5 - 0.5]),
        np.array([1e-3, -1e-3, 0.5]),
        np.array([2.0**28, 2.0**28 - 32, 2.0**28 - 96]),
        np.array([3e4, -3e4, 2.9e4]),
    ]
    return rows


def checked(f, dtype, limit):
    """Compare a function of rows with its reference, in ulp."""
    worst, most = 0.0, 6e4 if dtype == "float16" else INF
    rows = [np.clip(row, -most, most) for row in sample_rows()]
    pairs: list[Any] = []
    for n in {len(row) for row in rows}:
        x = jnp.asarray([row for row in rows if len(row) == n]).astype(dtype)
        pairs += zip(x, jax.jit(jax.vmap(f))(x), strict=True)
    for x, y in pairs:
        found = np.atleast_1d(np.asarray(y, np.float64))
        truth = exact(f, np.asarray(x, np.float64))
        if f.spec.name in SUMS:
            # Terms that cancel are measured against the largest of them, as the notes say.
            floor = 1 if f.spec.name == "logmeanexp" else np.abs(truth).max()
            scale = max(np.abs(np.asarray(x, np.float64)).max(), floor)
            spread = ulps(np.array([scale]) + (found - truth), np.array([scale]), dtype)
            worst = max(worst, spread.max())
        elif f.spec.name == "log_softmax" and dtype != "float64":
            # Counted in ulps of 1, or of 2^-5, where the result is smaller, as the notes say.
            size = np.maximum(np.abs(truth), 1 if dtype == "float32" else 2.0**-5)
            worst = max(worst, ulps(size + (found - truth), size, dtype).max())
        else:
            worst = max(worst, ulps(found, truth, dtype).max())
    assert worst <= limit, f"{f.spec.name} {dtype}: {worst:.2f} ulp"
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*MAPS, *SUMS])
def test_value_against_reference(name, dtype):
    limit = {"float32": 4.0, "float64": 8.0}.get(dtype, 0.51)
    with jax.enable_x64(dtype == "float64"):
        checked({**MAPS, **SUMS}[name], dtype, limit)


@pytest.mark.parametrize("name", [*MAPS, *SUMS])
def test_keeps_its_dtype_where_float64_is_allowed(name):
    with jax.enable_x64(True):
        for dtype in DTYPES:
            x = jnp.arange(6, dtype=dtype).reshape(2, 3)
            y, slope = jax.jvp({**MAPS, **SUMS}[name], (x,), (x,))
            assert y.dtype == slope.dtype == dtype


def test_dominated_row_keeps_its_small_log_in_float64():
    with jax.enable_x64(True):
        for low in (-5.0, -12.3, -30.1, -80.7):
            x = jnp.array([1.5, low, low])
            truth = exact(family.log_softmax, np.asarray(x))
            assert ulps(family.log_softmax(x), truth, "float64").max() <= 8


def test_softmax_is_near_the_truth_wherever_its_largest_entry_lies():
    rng = np.random.default_rng(7)
    for top in (-300.25, -3.3, 0.0, 20.1, 84.9, 100.3, 1000.7):
        x = jnp.asarray(top - np.append(0, rng.uniform(0, 87, 60)), jnp.float32)
        truth = exact(family.softmax, np.asarray(x, np.float64))
        assert ulps(family.softmax(x), truth, "float32").max() <= 5


def test_long_float32_rows_are_near_the_truth():
    x = jnp.asarray(np.random.default_rng(3).normal(0, 3, (64, 1000)), jnp.float32)
    wide = np.asarray(x, np.float64)
    e = np.exp(wide - wide.max(-1, keepdims=True))
    truth = e / e.sum(-1, keepdims=True)
    assert ulps(family.softmax(x), truth, "float32").max() <= 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SMOOTH)
def test_first_derivative(name, dtype):
    """Against the closed form in float64, relative to the row's largest coefficient."""
    f, rng = SMOOTH[name], np.random.default_rng(1)
    rows = jnp.array([rng.normal(0, 2, 3), [0.0, -9.0, -9.5], [4.0, 4.0, -70.0]]).astype(dtype)
    modes = [jax.jit(jax.vmap(mode(over_last(f))))(rows) for mode in (jax.jacrev, jax.jacfwd)]
    for i, x in enumerate(rows):
        wide = np.asarray(x, np.float64) * (-1 if name == "softmin" else 1)
        p = np.exp(wide - wide.max())
        p /= p.sum()
        truth = {
            "softmax": np.diag(p) - np.outer(p, p),
            "softmin": np.outer(p, p) - np.diag(p),
            "log_softmax": np.eye(len(p)) - p[None],
        }.get(name, p)
        unit = 2.0 ** -(jnp.finfo(dtype).nmant)
        # As the notes say of a float32 output near 1.
        size = 1 if "softm" in name and dtype == "float32" else np.abs(truth).max()
        for found in modes:
            assert np.abs(np.asarray(found[i], np.float64) - truth).max() <= 4 * unit * size


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivative(name):
    def plain(x):
        x = -x if name == "softmin" else x
        lse = jnp.log(jnp.sum(jnp.exp(x)))
        return {
            "logsumexp": lambda: lse,
            "logmeanexp": lambda: lse - math.log(x.size),
            "log_softmax": lambda: x - lse,
        }.get(name, lambda: jnp.exp(x - lse))()

    with jax.enable_x64(True):
        x = jnp.array([0.3, -1.2, 2.0, 0.3])
        w = jnp.array([1.0, -2.0, 0.5, 3.0])
        f = over_last(SMOOTH[name])
        truth = jax.jit(jax.hessian(lambda x: jnp.sum(plain(x) * w)))(x)
        for outer in (jax.jacfwd, jax.jacrev):
            for inner in (jax.jacfwd, jax.jacrev):
                found = jax.jit(outer(inner(lambda x: jnp.sum(f(x) * w))))(x)
                np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-14)


# -- rows that jax.nn has no answer for ---------------------------------------------------------

STRANGE = {
    "all -inf": ([-INF] * 3, None),
    "all masked": ([1.0, NAN, INF], [False] * 3),
    "one +inf": ([1.0, INF, -INF], None),
    "two +inf": ([INF, 2.0, INF], None),
    "+inf and largest": ([INF, 3.4028235e38, 0.0], None),
    "NaN masked": ([1.0, NAN, 2.0], [True, False, True]),
    "+inf masked": ([1.0, INF, 2.0], [True, False, True]),
    "huge": ([3.4028235e38, -3.4028235e38, 3e38], None),
    "hugely negative": ([-3.4028235e38, -INF, -3.4e38], None),
    "one allowed": ([5.0, 6.0, 7.0], [False, True, False]),
    "some -inf": ([-INF, 0.0, 1.0], None),
}


def strange_rows(name, dtype, masked):
    """The rows of `STRANGE` as one array, with their masks; negated for softmin."""
    cases = [(row, where) for row, where in STRANGE.values() if (where is not None) == masked]
    x = jnp.array([row for row, _ in cases]).astype(dtype)
    where = jnp.array([where for _, where in cases]) if masked else jnp.ones(x.shape, bool)
    return -x if name == "softmin" else x, where


@pytest.mark.parametrize(
    "dtype, masked", [("float32", False), ("float32", True), ("bfloat16", True)]
)
@pytest.mark.parametrize("name", SMOOTH)
def test_strange_rows_are_finite(name, masked, dtype):
    x, where = strange_rows(name, dtype, masked)

    def f(x, where):
        return SMOOTH[name](x, axis=-1, where=where if masked else None)

    @jax.jit
    @jax.vmap
    def everything(x, where):
        first = (jax.jacrev(f)(x, where), jax.jacfwd(f)(x, where))
        second = (jax.jacfwd(jax.jacrev(f))(x, where), jax.jacfwd(jax.jacfwd(f))(x, where))
        return f(x, where), first, second

    y, first, second = everything(x, where)
    assert not jnp.isnan(y).any()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((first, second)))
    # The first case of either kind has nothing allowed.
    assert (y[0] == EMPTY.get(name, -INF)).all()
    assert (first[0][0] == 0).all() and (second[0][0] == 0).all()
    assert (jnp.moveaxis(first[0], -1, 1)[~where] == 0).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_infinite_entries_share_the_mass(dtype):
    # Beside +inf the largest finite number of 32 bits may count as that in sums of exponentials.
    largest = 3.4e38 if dtype == jnp.float32 else float(jnp.finfo(dtype).max)
    x = jnp.array([INF, largest, INF, -INF, NAN], dtype)
    where = jnp.array([True, True, True, True, False])
    wanted = [0.5, 0, 0.5, 0, 0]
    np.testing.assert_allclose(family.softmax(x, where=where), wanted, atol=1e-30)
    log = family.log_softmax(x, where=where).astype(jnp.float32)
    np.testing.assert_allclose(jnp.exp(log), wanted, rtol=4 * float(jnp.finfo(dtype).eps))
    assert log_sums.logsumexp(x, where=where) == INF
    np.testing.assert_array_equal(jax.grad(log_sums.logsumexp)(x, where=where), wanted)


def test_the_largest_number_beside_infinity():
    x = jnp.array([INF, 3.4028235e38, 1.0])
    np.testing.assert_allclose(family.softmax(x), [1, 0, 0], atol=1e-30)
    np.testing.assert_allclose(family.log_softmax(x), [-math.log(2), -math.log(2), -3.4028235e38])


@pytest.mark.parametrize("name", [*MAPS, *SUMS])
def test_nan_stays(name):
    f = over_last({**MAPS, **SUMS}[name])
    x = jnp.array([[1.0, NAN, 2.0], [1.0, 2.0, 3.0]])
    y, g = f(x), jax.grad(lambda x: jnp.sum(f(x)))(x)
    assert jnp.isnan(y[0]).all() and not jnp.isnan(y[1]).any()
    assert jnp.isnan(g[0]).all() and not jnp.isnan(g[1]).any()


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_masked_entries_of_a_nan_row(name):
    y = MAPS[name](jnp.array([NAN, 1.0]), where=jnp.array([True, False]))
    assert jnp.isnan(y[0]) and y[1] == (-INF if name == "log_softmax" else 0)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("shape, axis", [((0,), -1), ((2, 0), -1), ((0, 3), 0), ((2, 0), None)])
def test_empty_axis(name, shape, axis):
    x = jnp.zeros(shape)
    y = SMOOTH[name](x, axis)
    assert y.shape == (shape if name in MAPS else np.zeros(shape).sum(axis).shape)
    if name in SUMS:
        assert (y == -INF).all()
    assert jax.grad(lambda x: jnp.sum(SMOOTH[name](x, axis)))(x).shape == shape


def test_hardmax_of_an_empty_axis():
    assert family.hardmax(jnp.zeros((2, 0))).shape == (2, 0)


def test_seventy_thousand_zeros():
    x, n = jnp.zeros(70_000, jnp.float16), 70_000
    assert (family.softmax(x) == jnp.float16(1 / n)).all()
    assert (family.log_softmax(x) == jnp.float16(-math.log(n))).all()
    assert log_sums.logsumexp(x) == jnp.float16(math.log(n))
    assert log_sums.logmeanexp(x) == 0
    assert jnp.isfinite(jax.grad(lambda x: family.log_softmax(x)[0])(x)).all()


def test_hardmax_takes_the_first():
    x = jnp.array([[1.0, 3.0, 3.0], [-INF, -INF, -INF], [INF, 0.0, INF]])
    np.testing.assert_array_equal(family.hardmax(x), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(jax.jacrev(family.hardmax)(x), np.zeros((3, 3, 3, 3)))
    both = family.hardmax(jnp.array([[0.0, 2.0], [2.0, 1.0]]), axis=(0, 1))
    np.testing.assert_array_equal(both, [[0, 1], [0, 0]])


# -- logsumexp's own arguments ------------------------------------------------------------------


def test_factors_and_sign():
    rng = np.random.default_rng(5)
    a, b = jnp.asarray(rng.normal(size=(4, 7))), jnp.asarray(rng.normal(size=(4, 7)))
    b = b.at[0, 0].set(0)
    for keepdims in (False, True):
        got = log_sums.logsumexp(a, 1, b, keepdims, True)
        want = jax.nn.logsumexp(a, 1, b, keepdims, True)
        for left, right in zip(got, want, strict=True):
            assert left.shape == right.shape
            np.testing.assert_allclose(left, right, rtol=1e-5)
    np.testing.assert_allclose(
        log_sums.logsumexp(a, 1, b), jax.nn.logsumexp(a, 1, b), rtol=1e-5, equal_nan=True
    )

    def loss(f, a, b):
        return jnp.sum(jnp.sin(f(a, b=b, axis=1, return_sign=True)[0]))

    for i in (1, 2):
        got = jax.grad(loss, i)(log_sums.logsumexp, a, b)
        np.testing.assert_allclose(
            got, jax.grad(loss, i)(jax.nn.logsumexp, a, b), rtol=2e-4, atol=1e-5
        )
    with jax.enable_x64(True):
        a, b = a.astype(jnp.float64), jnp.abs(b.astype(jnp.float64)) + 0.1
        got, want = (
            jax.jit(jax.hessian(lambda ab, f=f: loss(f, *ab)))((a, b))
            for f in (log_sums.logsumexp, jax.nn.logsumexp)
        )
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-11), got, want)


def test_factors_broadcast_and_hide():
    a = jnp.array([[1.0, NAN], [2.0, INF]])
    b = jnp.array([1.0, 0.0])
    np.testing.assert_allclose(log_sums.logsumexp(a, 1, b), [1, 2])
    assert jnp.isfinite(jax.grad(lambda a: jnp.sum(SUMS["logsumexp"](a, 1, b)))(a)).all()
    assert SUMS["logsumexp"](jnp.zeros(2, jnp.bfloat16), b=jnp.ones(2)).dtype == jnp.bfloat16


# -- as jax.nn on ordinary input ----------------------------------------------------------------

CASES = [(-1, False), (1, True), ((-1, 0), False), ((0, 1), True), (None, False)]


@pytest.mark.parametrize("axis, masked", CASES, ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", *SUMS])
def test_agrees_with_jax_nn(name, axis, masked):
    rng = np.random.default_rng(2)
    x = np.float32(rng.normal(size=(3, 4, 5)))
    where = rng.random((3, 4, 5)) < 0.8
    where[0, 0], where[:, 0] = True, True

    @jax.jit
    def both(x):
        found = []
        for f in (SMOOTH[name], getattr(jax.nn, name)):

            def total(x, f=f):
                y = f(x, axis=axis, where=where if masked else None)
                weights = jnp.arange(1.0, y.size + 1).reshape(y.shape)
                return jnp.sum(jnp.where(jnp.isfinite(y), y, 0) * weights), y

            found.append(jax.grad(total, has_aux=True)(x))
        return found

    (ours, y), (theirs, wanted) = both(x)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_where_broadcasts():
    x = jnp.arange(6.0).reshape(2, 3)
    where = jnp.array([True, False, True])
    full = jnp.broadcast_to(where, x.shape)
    np.testing.assert_array_equal(family.softmax(x, where=where), family.softmax(x, where=full))
    assert family.softmax(x[0], where=full).shape == (2, 3)


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_shapes_and_dtypes(data):
    shape = tuple(data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=3)))
    rank = len(shape)
    axes = st.integers(-rank, rank - 1)
    several = st.lists(st.integers(0, rank - 1), unique=True, max_size=rank).map(tuple)
    axis = data.draw(st.one_of(axes, several, st.none()))
    dtype = data.draw(st.sampled_from(["bfloat16", "float16", "float32", "int32", "int8", "bool"]))
    x = jnp.zeros(shape, dtype)
    want = jax.eval_shape(jnp.exp, x).dtype
    for f in MAPS.values():
        y = f(x, axis=axis)
        assert (y.shape, y.dtype) == (shape, want)
        assert not jnp.isnan(y).any()
    for f in SUMS.values():
        for keepdims in (False, True):
            y = f(x, axis=axis, keepdims=keepdims)
            assert y.shape == np.zeros(shape).sum(axis, keepdims=keepdims).shape
            assert y.dtype == want and not jnp.isnan(y).any()


# -- transformations ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MAPS, *SUMS])
def test_transformations(name):
    f = over_last({**MAPS, **SUMS}[name])
    x = np.random.default_rng(4).normal(size=(2, 3, 4)).astype(np.float32)
    where = x > -1

    def loss(x, where):
        y = f(x) if name == "hardmax" else f(x, where=where)
        return jnp.sum(jnp.where(jnp.isfinite(y), y, 0) ** 2)

    plain = jax.jit(jax.grad(loss))(x, where)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        close(jax.jit(jax.grad(jax.checkpoint(loss)))(x, where), plain)
        for axis, row_axis in ((0, 0), (1, -1), (2, 0)):
            rows = functools.partial(f.func, axis=row_axis)
            mapped = jax.vmap(rows, axis)(x)
            close(mapped, np.stack([rows(part) for part in np.moveaxis(x, axis, 0)]))
        close(jax.jit(jax.vmap(jax.vmap(jax.grad(loss))))(x, where), plain)
        _, steps = lax.scan(lambda c, x: (c, jax.grad(loss)(x, x > -1)), 0, x)
        close(steps, plain)
        y, tangent = jax.jvp(f, (x,), (np.ones_like(x),))
        out, linear = jax.linearize(f, x)
        close(linear(np.ones_like(x)), tangent)
        close(out, y)
        assert jax.jit(jax.hessian(lambda x: loss(x, x > -1)))(x[0]).shape == (3, 4, 3, 4)


def kept_bytes(f, x):
    leaves = jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(f, x)[1], x))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SMOOTH)
def test_one_array_is_kept(name, dtype):
    x, f = jnp.zeros((8, 50), dtype), over_last(SMOOTH[name])
    assert kept_bytes(f, x) == x.nbytes
    theirs = over_last(jax.nn.softmax if name == "softmin" else getattr(jax.nn, name))
    assert kept_bytes(f, x) <= kept_bytes(theirs, x)
    where = jnp.ones((8, 50), bool)
    assert kept_bytes(functools.partial(f, where=where), x) <= x.nbytes + where.nbytes


def test_hardmax_keeps_a_number_for_each_row():
    assert kept_bytes(family.hardmax, jnp.zeros((8, 50))) == 8 * 4


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MAPS, *SUMS])
def test_errors_name_the_function(name):
    f, x = {**MAPS, **SUMS}[name], jnp.zeros((2, 3))
    bad: list[Any] = [
        (ValueError, "axis", lambda: f(x, axis=2)),
        (ValueError, "differ", lambda: f(x, axis=(1, -1))),
        (TypeError, "axis", lambda: f(x, axis=1.5)),
        (TypeError, "axis", lambda: f(x, axis=1.5)),
        (TypeError, "real", lambda: f(x + 1j)),
        (TypeError, "asarray", lambda: f([1.0, 2.0])),
    ]
    if name != "hardmax":
        bad += [
            (TypeError, "bool", lambda: f(x, where=jnp.ones((2, 3)))),
            (ValueError, "broadcast", lambda: f(x, where=jnp.ones(2, bool))),
        ]
    if name in SUMS:
        bad += [(TypeError, "keepdims", lambda: f(x, keepdims=2))]
    for kind, words, call in bad:
        with pytest.raises(kind, match=rf"(?s)^{name}: .*{words}"):
            call()


# -- the checks see what is wrong ---------------------------------------------------------------


def declared(reference_of, formula):
    formula.spec = reference_of.spec
    return formula


def broken_softmax():
    return {
        "no maximum": lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x)),
        "rounded difference": lambda x: jnp.exp(x - x.max()) / jnp.sum(jnp.exp(x - x.max())),
        "half of ties": lambda x: family.softmax(jnp.where(x == x.max(), x - 1e-3, x)),
    }


@pytest.mark.parametrize("kind", broken_softmax())
def test_broken_softmax_is_caught(kind):
    with pytest.raises(AssertionError, match="ulp"):
        checked(declared(family.softmax, broken_softmax()[kind]), "float32", 4.0)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x - x.max() - jnp.log(jnp.sum(jnp.exp(x - x.max()))),
        lambda x: jnp.log(family.softmax(x)),
    ],
)
def test_broken_log_softmax_is_caught(f):
    with jax.enable_x64(True), pytest.raises(AssertionError, match="ulp"):
        checked(declared(family.log_softmax, f), "float64", 8.0)


def test_plain_sums_in_16_bits_are_caught():
    x = jnp.zeros(70_000, jnp.float16)
    assert not (jnp.exp(x) / lax.reduce(jnp.exp(x), jnp.float16(0), lax.add, (0,)) > 1e-6).all()


# -- temperature --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_temperature_divides_the_input(name, dtype):
    f = MAPS[name]
    x = jnp.asarray(np.random.default_rng(6).normal(0, 3, (4, 1, 6))).astype(dtype)
    t = jnp.asarray([[0.5], [0.7], [3.0]], jnp.float32)

    def loss(f, x, t):
        y = f(x, t)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    ours = functools.partial(loss, lambda x, t: f(x, temperature=t).astype(t.dtype))
    with jax.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64), jnp.asarray(t, jnp.float64)
        truth = np.asarray(f(wide[0] / wide[1]))
        plain = functools.partial(loss, lambda x, t: getattr(jax.nn, name)(x / t))
        slopes = [np.asarray(v) for v in jax.jit(jax.grad(plain, (0, 1)))(*wide)]
    y = f(x, temperature=t)
    assert y.shape == (4, 3, 6) and y.dtype == x.dtype
    unit = float(jnp.finfo(dtype).eps)
    largest = np.max(np.abs(truth), -1, keepdims=True)
    assert (np.abs(np.asarray(y, np.float64) - truth) <= 4 * unit * largest).all()
    for found, wanted in zip(jax.grad(ours, (0, 1))(x, t), slopes, strict=True):
        close = functools.partial(np.testing.assert_allclose, rtol=16 * unit)
        close(np.asarray(found, np.float64), wanted, atol=16 * unit * max(1, np.abs(wanted).max()))


def test_temperature_of_masked_and_infinite_entries():
    x, where = jnp.array([1.0, NAN, INF, -INF]), jnp.array([True, False, True, True])
    np.testing.assert_array_equal(family.softmax(x, where=where, temperature=2.0), [0, 0, 1, 0])
    slope = jax.grad(lambda t: family.softmax(x[:2], where=where[:2], temperature=t)[0])(2.0)
    assert slope == 0
