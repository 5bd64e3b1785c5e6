"""What the generated contracts of rows do not cover of the normalisers of attention scores."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax.functions import attention
from tests.contracts.test_softmax import STRANGE, exact, kept_bytes, ulps

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.attention", "functions.caps")

INF, NAN = math.inf, math.nan
MAPS: dict[str, Any] = {
    "softmax_one": attention.softmax_one,
    "softmax_with_sink": functools.partial(attention.softmax_with_sink, sink=0.5),
    "softpick": attention.softpick,
    "entropy": attention.entropy,
}


@pytest.mark.parametrize("name", MAPS)
def test_strange_rows_are_finite(name: str) -> None:
    x = jnp.array([row for row, _ in STRANGE.values()])
    where = jnp.array([where or [True] * 3 for _, where in STRANGE.values()])

    @jax.jit
    @jax.vmap
    def everything(x: Any, where: Any) -> Any:
        def f(x: Any) -> Any:
            return MAPS[name](x, where=where)

        return f(x), jax.jacrev(f)(x), jax.jacfwd(jax.jacrev(f))(x)

    found = everything(x, where)
    assert all(jnp.isfinite(leaf).all() for leaf in found)
    for i in range(2):  # Nothing is allowed.
        assert all((leaf[i] == 0).all() for leaf in found)
    share = jnp.array([0.5, 0, 0.5]) if name != "entropy" else jnp.float32(math.log(2))
    np.testing.assert_allclose(found[0][list(STRANGE).index("two +inf")], share, rtol=1e-6)


@pytest.mark.parametrize("name", MAPS)
def test_nan_and_masks(name: str) -> None:
    x = jnp.array([[1.0, NAN, 2.0], [1.0, 2.0, 3.0]])
    y = MAPS[name](x)
    assert jnp.isnan(y[0]).all() and not jnp.isnan(y[1]).any()
    where = jnp.array([True, False, True])
    np.testing.assert_allclose(
        jnp.compress(where, MAPS[name](x, where=where), axis=-1) if y.ndim == 2 else
        MAPS[name](x, where=where),
        MAPS[name](x[:, ::2]),
        rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_axes_and_empty_rows(name: str) -> None:
    f, x = MAPS[name], jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), jnp.float32)
    flat = f(jnp.moveaxis(x, 1, 0).reshape(3, 8))
    wanted = flat if name == "entropy" else jnp.moveaxis(flat.reshape(3, 2, 4), 0, 1)
    np.testing.assert_allclose(f(x, axis=(0, 2)), wanted, rtol=1e-6)
    assert not jnp.isnan(f(jnp.zeros((2, 0)))).any()


# -- sinks --------------------------------------------------------------------------------------


def test_a_sink_for_each_head() -> None:
    rng = np.random.default_rng(1)
    x, sink = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 3, 4, 5), (3, 1, 1)))
    weights = jnp.cos(jnp.arange(x.size)).reshape(x.shape)

    def ours(x: Any, sink: Any) -> Any:
        return jnp.sum(weights * advact_jax.softmax_with_sink(x, sink))

    def plain(x: Any, sink: Any) -> Any:
        column = jnp.broadcast_to(sink, (*x.shape[:-1], 1))
        return jnp.sum(weights * jax.nn.softmax(jnp.concatenate([x, column], -1))[..., :-1])

    for found, wanted in zip(
        jax.jit(jax.value_and_grad(ours, (0, 1)))(x, sink)[1],
        jax.jit(jax.value_and_grad(plain, (0, 1)))(x, sink)[1],
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    with jax.enable_x64(True):
        x, sink = x[0, :, 0].astype(jnp.float64), sink[:, 0].astype(jnp.float64)
        weights = weights[0, :, 0]
        found, wanted = (jax.jit(jax.hessian(f, (0, 1)))(x, sink) for f in (ours, plain))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, wanted)
    with pytest.raises(ValueError, match="softmax_with_sink: expected sink to have the size 1"):
        advact_jax.softmax_with_sink(jnp.zeros((2, 3)), jnp.zeros(3))


def test_the_share_of_a_small_sink_keeps_its_digits() -> None:
    x = jnp.array([3.0, -1.0])
    for sink in (-20.0, -60.0, 40.0):
        slope = jax.jacrev(advact_jax.softmax_with_sink, 1)(x, sink)
        p = np.exp(np.array([3.0, -1.0, sink]) - max(sink, 3))
        p /= p.sum()
        np.testing.assert_allclose(slope, -p[:2] * p[2], rtol=1e-6)
    for sink, wanted in ((-INF, advact_jax.softmax(x)), (INF, jnp.zeros(2))):
        np.testing.assert_allclose(advact_jax.softmax_with_sink(x, sink), wanted, rtol=1e-6)
        assert jnp.isfinite(jax.jacrev(advact_jax.softmax_with_sink, 1)(x, sink)).all()
    np.testing.assert_array_equal(advact_jax.softmax_one(x), advact_jax.softmax_with_sink(x, 0.0))


def test_the_output_is_kept_and_a_number_for_each_row() -> None:
    x = jnp.zeros((8, 50))
    assert kept_bytes(MAPS["softmax_with_sink"], x) <= x.nbytes + 8 * 4
    for name in ("softpick", "entropy"):
        assert kept_bytes(MAPS[name], x) <= x.nbytes


# -- softpick and entropy -----------------------------------------------------------------------


def test_softpick_of_large_and_of_small_scores() -> None:
    for row in ([1e-6, -1e-6, 2e-6], [200.0, 199.0, -5.0], [-3.0, -4.0], [90.0, 1e-3, 0.0]):
        x = np.asarray(row, np.float32)
        wanted = exact(attention.softpick, x)
        assert ulps(attention.softpick(x), wanted, "float32").max() <= 4
    # The derivative at 0 is that from below.
    slope = jax.jacfwd(attention.softpick)(jnp.array([0.0, 1.0]))
    below = jax.jacfwd(attention.softpick)(jnp.array([-1e-7, 1.0]))
    np.testing.assert_allclose(slope, below, rtol=1e-5)


def test_entropy_of_a_dominated_row() -> None:
    for row in ([0.0, -30.0], [5.0, -80.0, -81.0], [1e4, 1e4 - 20, 0.0], [2.0, 2.0, -50.0]):
        x = np.asarray(row, np.float32)
        assert ulps(attention.entropy(x), exact(attention.entropy, x), "float32").max() <= 4
    slope = jax.grad(attention.entropy)(jnp.array([0.0, -30.0]))
    np.testing.assert_allclose(slope, [-30 * math.exp(-30), 30 * math.exp(-30)], rtol=1e-6)


# -- as torch has it ----------------------------------------------------------------------------


def test_gumbel_softmax_samples_the_distribution() -> None:
    x = jnp.array([0.5, -0.5, 1.0, -INF])
    draws = jax.vmap(lambda key: advact_jax.gumbel_softmax(x, key, hard=True))(
        jax.random.split(jax.random.key(0), 4000)
    )
    assert (jnp.sort(draws, -1) == jnp.array([0, 0, 0, 1])).all()
    np.testing.assert_allclose(draws.mean(0), advact_jax.softmax(x), atol=0.03)


def test_gumbel_softmax_has_the_derivative_of_the_soft_one() -> None:
    key, x = jax.random.key(1), jnp.array([[0.5, -0.5, 1.0], [INF, 0.0, -INF]])
    where = jnp.array([True, True, False])

    def total(x: Any, tau: Any, hard: bool) -> Any:
        y = advact_jax.gumbel_softmax(x, key, tau, hard=hard, where=where)
        return jnp.sum(y * jnp.arange(6.0).reshape(2, 3))

    hard, soft = (jax.jacrev(total, (0, 1))(x, 0.7, h) for h in (True, False))
    for a, b in zip(hard, soft, strict=True):
        np.testing.assert_array_equal(a, b)
        assert jnp.isfinite(a).all()
    y = advact_jax.gumbel_softmax(x.astype(jnp.bfloat16), key, where=where)
    assert y.dtype == jnp.bfloat16 and (y[:, 2] == 0).all()
    empty = advact_jax.gumbel_softmax(x, key, hard=True, where=jnp.zeros(3, bool))
    assert (empty == 0).all()
    with pytest.raises(ValueError, match="gumbel_softmax: expected axis"):
        advact_jax.gumbel_softmax(x, key, axis=2)


def test_gumbel_softmax_keeps_what_it_declares() -> None:
    key, x = jax.random.key(0), jax.ShapeDtypeStruct((64, 80), jnp.float32)
    kept = jax.eval_shape(lambda x: jax.vjp(lambda x: advact_jax.gumbel_softmax(x, key), x)[1], x)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept)]
    spec = advact_jax.gumbel_softmax.spec  # type: ignore[attr-defined]
    assert sum(sizes) <= spec.kept * x.size + 8


def test_gumbel_softmax_by_torch_s_name() -> None:
    key, x = jax.random.key(2), jnp.array([[0.5, -0.5], [1.0, 2.0]])
    assert advact_jax.get("gumbel_softmax", dialect="torch") is advact_jax.gumbel_softmax
    made: Any = advact_jax.get(
        "gumbel_softmax", dialect="torch", tau=0.5, hard=True, dim=0, eps=1e-10
    )
    assert made.parameters == {"tau": 0.5, "hard": True, "axis": 0}
    wanted = advact_jax.gumbel_softmax(x, key, 0.5, hard=True, axis=0)
    np.testing.assert_array_equal(made(x, key=key), wanted)
    assert advact_jax.deserialize(advact_jax.serialize(made)) == made
    for call in (lambda: made(x), lambda: advact_jax.gumbel_softmax(x)):
        with pytest.raises(TypeError, match="key of jax.random, got NoneType None. Pass key="):
            call()
    for tau in (0.0, -1.0):
        with pytest.raises(ValueError, match="gumbel_softmax: expected tau to be positive"):
            advact_jax.gumbel_softmax(x, key, tau)


def test_softmax2d_is_over_the_channels() -> None:
    x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 4, 5)), jnp.float32)
    np.testing.assert_allclose(advact_jax.softmax2d(x), jax.nn.softmax(x, 1), rtol=2e-6)
    np.testing.assert_allclose(advact_jax.softmax2d(x[0]), jax.nn.softmax(x[0], 0), rtol=2e-6)
    with pytest.raises(ValueError, match="softmax2d: expected x of the shape"):
        advact_jax.softmax2d(x[0, 0])
