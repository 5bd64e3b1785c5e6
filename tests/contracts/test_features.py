"""The contracts of the functions that split, join or normalise features."""

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

from advact_jax.functions import features, gated

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.features", "functions.gated")
INF, NAN = math.inf, math.nan
TWO = functools.partial(features.maxout, k=2)
FUNCTIONS: dict[str, Any] = {
    "glu": gated.glu,
    "maxout": TWO,
    "crelu": features.crelu,
    "antirectifier": features.antirectifier,
}
# The size along the axis, as a multiple of the input's.
GROWTH = {"glu": 0.5, "maxout": 0.5, "crelu": 2, "antirectifier": 2}
DTYPES = ("bfloat16", "float16", "float32", "float64")
close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def exact(name, row):
    """The declared reference of a row, as floats rounded once."""
    with mpmath.workdps(60):
        row = [mpmath.mpf(float(x)) for x in row]
        if name == "maxout":
            return np.array([float(max(row[i : i + 2])) for i in range(0, len(row), 2)])
        return np.array([float(v) for v in FUNCTIONS[name].spec.reference(mpmath.mp, row)])


def ulps(found, truth, dtype, least):
    bits = jnp.finfo(dtype).nmant
    size = np.maximum(np.abs(truth), least)
    return np.abs(found - truth) / 2.0 ** (np.floor(np.log2(size)) - bits)


ROWS = np.random.default_rng(0).normal(size=(4, 6)) * np.array([[1e-3], [1], [10], [100]])


def worst_error(f, name, dtype):
    rows = np.concatenate([ROWS, [[1e3, 1e3 + 1, 1e3 + 2, 1e3 - 1, 1e3, 1e3 + 0.5]]])
    x = jnp.asarray(rows).astype(dtype)
    found = np.asarray(jax.jit(f)(x), np.float64)
    truth = np.stack([exact(name, row) for row in np.asarray(x, np.float64)])
    # The antirectifier's row has the norm 1, against which its notes measure.
    least = 1.0 if name == "antirectifier" else float(jnp.finfo(dtype).smallest_normal)
    return ulps(found, truth, dtype, least).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_against_reference(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        limit = {"float32": 4.0, "float64": 8.0}.get(dtype, 0.51)
        assert worst_error(FUNCTIONS[name], name, dtype) <= limit


def plain(name, x):
    a, b = jnp.split(x, 2, -1)
    c = x - x.mean(-1, keepdims=True)
    z = c / jnp.sqrt((c * c).sum(-1, keepdims=True))
    return {
        "glu": lambda: a / (1 + jnp.exp(-b)),
        "maxout": lambda: jnp.maximum(x[..., ::2], x[..., 1::2]),
        "crelu": lambda: jnp.concatenate([jax.nn.relu(x), jax.nn.relu(-x)], -1),
        "antirectifier": lambda: jnp.concatenate([jax.nn.relu(z), jax.nn.relu(-z)], -1),
    }[name]()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_derivatives_in_all_modes(name):
    with jax.enable_x64(True):
        x = jnp.asarray(ROWS[1])
        first = jax.jit(jax.jacfwd(lambda x: plain(name, x)))(x)
        second = jax.jit(jax.jacfwd(jax.jacfwd(lambda x: plain(name, x))))(x)
        for outer in (jax.jacfwd, jax.jacrev):
            np.testing.assert_allclose(jax.jit(outer(FUNCTIONS[name]))(x), first, atol=1e-13)
            for inner in (jax.jacfwd, jax.jacrev):
                found = jax.jit(outer(inner(FUNCTIONS[name])))(x)
                np.testing.assert_allclose(found, second, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_in_its_row(name):
    f = FUNCTIONS[name]
    x = jnp.array([[1.0, NAN, -2.0, 0.5], [1.0, 2.0, 3.0, 5.0]])
    y, g = f(x), jax.grad(lambda x: jnp.sum(f(x)))(x)
    assert jnp.isnan(y[0]).any() and not jnp.isnan(y[1]).any()
    assert jnp.isnan(g[0, 1]) and not jnp.isnan(g[1]).any()
    if name == "crelu":
        np.testing.assert_array_equal(jnp.isnan(y[0]), [0, 1, 0, 0, 0, 1, 0, 0])


# -- glu ----------------------------------------------------------------------------------------


def test_glu_agrees_with_jax_nn():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6)), jnp.float32)
    for axis in (0, 1, -1):
        close(gated.glu(x, axis), jax.nn.glu(x, axis))
        got = jax.grad(lambda x, axis=axis: jnp.sum(gated.glu(x, axis) ** 2))(x)
        close(got, jax.grad(lambda x, axis=axis: jnp.sum(jax.nn.glu(x, axis) ** 2))(x))


def test_glu_of_extreme_gates():
    value = jnp.array([1e30, 2.0**127, INF, -2.0, NAN, 5.0, 3.0])
    gate = jnp.array([-80.0, INF, -INF, -INF, -INF, NAN, 0.0])
    y, vjp = jax.vjp(gated.glu, jnp.concatenate([value, gate]))
    np.testing.assert_allclose(y[0], 1e30 * math.exp(-80), rtol=1e-6)
    np.testing.assert_array_equal(y[1:], [2.0**127, 0, 0, NAN, NAN, 1.5])
    dv, dg = jnp.split(vjp(jnp.ones(7))[0], 2)
    np.testing.assert_array_equal(jnp.isnan(dv), [0, 0, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(jnp.isnan(dg), [0, 0, 0, 0, 1, 1, 0])
    np.testing.assert_allclose(dg[0], 1e30 * math.exp(-80), rtol=1e-6)
    assert dv[-1] == 0.5 and dg[-1] == 0.75
    hessian = jax.hessian(lambda x: gated.glu(x)[0])(jnp.array([3.0, 0.0]))
    np.testing.assert_array_equal(hessian, [[0, 0.25], [0.25, 0]])


# -- maxout -------------------------------------------------------------------------------------


def test_maxout_groups_neighbours():
    x = jnp.array([1.0, 5.0, 4.0, 3.0, 0.0, 7.0])
    np.testing.assert_array_equal(features.maxout(x, 2), [5, 4, 7])
    np.testing.assert_array_equal(features.maxout(x, 3), [5, 7])
    np.testing.assert_array_equal(features.maxout(x, 6), [7])
    np.testing.assert_array_equal(features.maxout(x, 1), x)
    column = features.maxout(jnp.stack([x, -x], 1), 2, axis=0)
    np.testing.assert_array_equal(column, [[5, -1], [4, -3], [7, 0]])


def test_maxout_gives_a_tie_to_the_first():
    x = jnp.array([2.0, 2.0, -INF, -INF, INF, INF, 0.0, -0.0])
    grad = jax.grad(lambda x: jnp.sum(features.maxout(x, 2) * jnp.arange(1.0, 5.0)))(x)
    np.testing.assert_array_equal(grad, [1, 0, 2, 0, 3, 0, 4, 0])


def test_maxout_of_many():
    x = jnp.zeros((2, 400)).at[:, 299].set(1)
    grad = jax.grad(lambda x: jnp.sum(features.maxout(x, 200)))(x)
    np.testing.assert_array_equal(jnp.argmax(grad[:, 200:], -1), [99, 99])
    assert grad.sum() == 4 and features.maxout(x[:, :0], 3).shape == (2, 0)


# -- both signs ---------------------------------------------------------------------------------


def test_crelu_at_its_kink_and_ends():
    x = jnp.array([0.0, -0.0, INF, -INF])
    np.testing.assert_array_equal(features.crelu(x), [0, 0, INF, 0, 0, 0, 0, INF])
    grad = jax.grad(lambda x: jnp.sum(features.crelu(x) * jnp.arange(1.0, 9.0)))(x)
    np.testing.assert_array_equal(grad, [0, 0, 3, -8])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_antirectifier_of_strange_samples(dtype):
    most, least = (float(v) for v in (jnp.finfo(dtype).max, jnp.finfo(dtype).smallest_normal))
    x = jnp.array([
        [0.1] * 3, [0.0] * 3, [most] * 3, [most, -most, most], [most, most / 2, 0.0],
        [least, 0.0, -least], [INF, 1.0, 2.0], [INF, -INF, 0.0], [INF] * 3, [-INF] * 3,
    ]).astype(dtype)  # fmt: skip
    y = features.antirectifier(x)
    assert jnp.isfinite(y).all()
    assert (y[:3] == 0).all() and (y[8:] == 0).all()
    np.testing.assert_allclose(y[3, 1 + 3], math.sqrt(2 / 3), rtol=1e-2)
    np.testing.assert_allclose(y[7], [0.5**0.5, 0, 0, 0, 0.5**0.5, 0], rtol=1e-2)
    np.testing.assert_allclose(jnp.sum(y[3:8].astype(jnp.float32) ** 2, -1), 1, rtol=2e-2)
    # The derivative at the smallest numbers is larger than any finite number in some types.
    rest = jnp.delete(x, 5, axis=0)
    for derivative in (jax.jacrev, jax.jacfwd, jax.hessian):
        found = jax.jit(jax.vmap(derivative(features.antirectifier)))(rest)
        assert jnp.isfinite(found).all()
        assert (found[jnp.array([0, 1, 2, 5, 6, 7, 8])] == 0).all()


def test_antirectifier_keeps_small_differences():
    x = jnp.array([1e4, 1e4 + 2**-9, 1e4 + 2**-8], jnp.float32)
    truth = exact("antirectifier", np.asarray(x, np.float64))
    np.testing.assert_allclose(features.antirectifier(x), truth, atol=2e-7)


# -- all of them --------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_shapes_and_dtypes(data):
    shape = tuple(data.draw(st.lists(st.sampled_from([0, 2, 4]), min_size=1, max_size=3)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    dtype = data.draw(st.sampled_from(["bfloat16", "float16", "float32", "int32", "bool"]))
    x = jnp.ones(shape, dtype)
    for name, f in FUNCTIONS.items():
        y, wanted = f(x, axis=axis), list(shape)
        wanted[axis] = int(wanted[axis] * GROWTH[name])
        assert (y.shape, y.dtype) == (tuple(wanted), jax.eval_shape(jnp.exp, x).dtype)
        assert not jnp.isnan(y).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transformations(name):
    f = FUNCTIONS[name]
    x = jnp.asarray(np.random.default_rng(4).normal(size=(2, 4, 6)), jnp.float32)

    def loss(x):
        return jnp.sum(jnp.sin(f(x)))

    want = jax.jit(jax.grad(loss))(x)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        close(jax.jit(jax.grad(jax.checkpoint(loss)))(x), want)
        for axis, row_axis in ((0, 0), (1, -1), (2, 1)):
            part = functools.partial(f, axis=row_axis)
            mapped = jax.vmap(part, axis)(x)
            close(mapped, np.stack([part(row) for row in jnp.moveaxis(x, axis, 0)]))
        close(jax.jit(jax.vmap(jax.vmap(jax.grad(loss))))(x), want)
        close(lax.scan(lambda c, x: (c, jax.grad(loss)(x)), 0, x)[1], want)
        y, tangent = jax.jvp(f, (x,), (jnp.ones_like(x),))
        out, linear = jax.linearize(f, x)
        close(linear(jnp.ones_like(x)), tangent)
        close(out, y)
        assert jnp.isfinite(jax.jit(jax.hessian(loss))(x[0, 0])).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_recompiles(name):
    FUNCTIONS[name](jnp.ones(6)).block_until_ready()
    with jax.no_tracing():
        FUNCTIONS[name](jnp.zeros(6))


@pytest.mark.parametrize(
    "name, bytes_per_input",
    [("glu", {4: 4, 2: 2}), ("maxout", {4: 0.5, 2: 0.5}), ("crelu", {4: 2, 2: 2}),
     ("antirectifier", {4: 4, 2: 2})],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_kept(name, bytes_per_input, dtype):
    x = jnp.zeros((8, 50), dtype)
    leaves = jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(FUNCTIONS[name], x)[1], x))
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    assert kept <= bytes_per_input[x.dtype.itemsize] * x.size


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lowers_for_all_platforms(name):
    x = jax.ShapeDtypeStruct((8, 10), jnp.float32)
    for fun in (FUNCTIONS[name], jax.grad(lambda x: jnp.sum(FUNCTIONS[name](x)))):
        jax.export.export(jax.jit(fun), platforms=("cpu", "cuda", "rocm", "tpu"))(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_name_the_function(name):
    f, x = FUNCTIONS[name], jnp.zeros((2, 6))
    bad: list[Any] = [
        (ValueError, "axis", lambda: f(x, axis=2)),
        (TypeError, "axis", lambda: f(x, axis=(0, 1))),
        (TypeError, "real", lambda: f(x + 1j)),
        (TypeError, "asarray", lambda: f([1.0, 2.0])),
    ]
    if name in ("glu", "maxout"):
        bad += [(ValueError, "2 equal parts", lambda: f(x[:, :5]))]
    if name == "maxout":
        bad += [
            (ValueError, "equal parts", lambda: features.maxout(x, 4)),
            (ValueError, "equal parts", lambda: features.maxout(x, 0)),
            (TypeError, "k to be an int", lambda: f(x, k=2.0)),
        ]
    for kind, words, call in bad:
        with pytest.raises(kind, match=rf"(?s)^{name}: .*{words}"):
            call()


# -- the checks see what is wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name, broken",
    [
        ("glu", lambda x: x[..., 3:] * jax.nn.sigmoid(x[..., :3])),
        ("maxout", lambda x: jnp.maximum(x[..., :3], x[..., 3:])),
        ("crelu", lambda x: jnp.concatenate([jax.nn.relu(-x), jax.nn.relu(x)], -1)),
        ("antirectifier", lambda x: features.crelu(x / jnp.linalg.norm(x, axis=-1)[..., None])),
    ],
)
def test_broken_variants_are_caught(name, broken):
    assert worst_error(broken, name, "float32") > 4


def test_half_of_a_tie_is_not_ours():
    grad = jax.grad(lambda x: jnp.sum(jnp.max(x.reshape(-1, 2), -1)))(jnp.ones(2))
    assert not np.array_equal(grad, jax.grad(lambda x: jnp.sum(TWO(x)))(jnp.ones(2)))
