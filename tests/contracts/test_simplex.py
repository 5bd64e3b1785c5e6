"""The contracts of sparsemax, entmax and their losses."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import _thresholds, losses
from advact_jax.functions import simplex
from tests.contracts.test_softmax import STRANGE, exact, kept_bytes, ulps

pytestmark = pytest.mark.sampled
SUBJECTS = ("functions.simplex",)

INF, NAN = math.inf, math.nan
MAPS: dict[str, Any] = {
    "sparsemax": simplex.sparsemax,
    "entmax15": simplex.entmax15,
    "entmax(1.25)": functools.partial(simplex.entmax, alpha=np.float32(1.25)),
    "entmax(3)": functools.partial(simplex.entmax, alpha=np.float32(3)),
}
EXACT = ("sparsemax", "entmax15")


def truth(name: str, row: Any) -> Any:
    f = MAPS[name]
    if name in EXACT:
        return exact(f, row)
    reference = functools.partial(f.func.spec.reference, alpha=float(f.keywords["alpha"]))
    return exact(_Named(reference), row)


class _Named:
    """Has a reference, as a declaration has."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference
        self.spec = self


def sample_rows(dtype: str) -> Any:
    rng = np.random.default_rng(0)
    rows: list[Any] = [rng.normal(0, s, n) for s in (0.01, 0.3, 1, 5) for n in (3, 25)]
    rows += [[0.0], [3.0] * 3, [0.0, -50.0, -50.5], [1.0, 2.0**-14, 0.5], [1e4, 1e4 - 0.25, 1e3]]
    return jnp.array([[*row, *[-INF] * (25 - len(row))] for row in rows]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", MAPS)
def test_value_against_reference(name: str, dtype: str) -> None:
    limit = {"float32": 4.0}.get(dtype, 0.51)
    power = {"entmax(1.25)": 0.25, "entmax(3)": 2}.get(name, 0)
    x = sample_rows(dtype)
    for row, found in zip(x, MAPS[name](x), strict=True):
        wanted = truth(name, np.asarray(row, np.float64)[np.asarray(row) > -INF])
        errors = ulps(found[: len(wanted)], wanted, dtype)
        if power and dtype == "float32":
            errors = errors * wanted**power  # As the notes say.
        assert found.dtype == jnp.dtype(dtype) and errors.max() <= limit, (name, row[:3])
        assert (found[len(wanted) :] == 0).all()


def test_long_rows_keep_the_small_entries() -> None:
    x = np.random.default_rng(3).normal(0, 2, 3000).astype(np.float32)
    for name in EXACT:
        wanted = truth(name, x)
        assert ulps(MAPS[name](x), wanted, "float32")[wanted > 1e-7].max() <= 4
    assert (MAPS["sparsemax"](jnp.zeros(70_000, jnp.float16)) == jnp.float16(1 / 70_000)).all()


def test_where_keras_is_wrong() -> None:
    x = jnp.array([[1.0, 1.0, 0.0], [0.3, 0.1, -2.0]])
    np.testing.assert_allclose(simplex.sparsemax(x), [[0.5, 0.5, 0], [0.6, 0.4, 0]], rtol=1e-7)


def test_entmax_at_its_special_values() -> None:
    x = jnp.asarray(np.random.default_rng(1).normal(0, 2, (5, 7)), jnp.float32)
    for alpha, same in (
        (1.0, advact_jax.softmax),
        (1.5, simplex.entmax15),
        (2.0, simplex.sparsemax),
    ):
        np.testing.assert_allclose(simplex.entmax(x, alpha), same(x), rtol=2e-6, atol=1e-8)
    np.testing.assert_array_equal(simplex.entmax(x), simplex.entmax15(x))
    assert jnp.isnan(simplex.entmax(x, 0.9)).all()


def test_an_alpha_for_each_row() -> None:
    x = jnp.asarray(np.random.default_rng(1).normal(0, 2, (2, 3, 4)), jnp.float32)
    alpha = jnp.array([1.1, 1.6, 2.5])[:, None]
    y, pullback = jax.vjp(simplex.entmax, x, alpha)
    slopes = pullback(x)
    for i, a in enumerate(alpha[:, 0]):
        row, row_pullback = jax.vjp(simplex.entmax, x[:, i], a)
        np.testing.assert_allclose(y[:, i], row, rtol=1e-6)
        np.testing.assert_allclose(slopes[0][:, i], row_pullback(x[:, i])[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(slopes[1][i, 0], row_pullback(x[:, i])[1], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="entmax: expected alpha to have the size 1"):
        simplex.entmax(x, jnp.ones(4))


def check_derivatives(f: Any, *points: Any) -> None:
    """Compare derivatives of first and second order with differences, in float64."""

    def differences(g: Any, v: Any) -> Any:
        steps = 1e-5 * jnp.eye(v.size)
        return jax.vmap(lambda step: (g(v + step) - g(v - step)) / 2e-5, out_axes=-1)(steps)

    @jax.jit
    def both(v: Any) -> Any:
        first, second = jax.jacrev(f), jax.jacfwd(jax.jacrev(f))
        return [
            (first(v), differences(f, v)),
            (jax.jacfwd(f)(v), differences(f, v)),
            (second(v), differences(first, v)),
        ]

    for v in points:
        for found, wanted in both(v):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_derivatives_of_both_orders() -> None:
    with jax.enable_x64(True):
        x = jnp.array([0.3, -0.2, 0.9, -1.4])
        check_derivatives(lambda x: jnp.concatenate([MAPS[n](x) for n in EXACT]), x, 0.1 * x)
        check_derivatives(
            lambda v: simplex.entmax(v[:-1], v[-1]), *(jnp.append(x, a) for a in (1.01, 1.5, 2.5))
        )
        # To the right of 1, where softmax is.
        near = (simplex.entmax(x, 1 + 1e-6) - simplex.entmax(x, 1.0)) / 1e-6
        np.testing.assert_allclose(jax.jacfwd(simplex.entmax, 1)(x, 1.0), near, atol=1e-5)


def test_derivative_at_the_edge_of_the_support() -> None:
    assert (jax.jacrev(simplex.sparsemax)(jnp.array([1.0, 0.0])) == 0).all()


# -- strange rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAPS)
def test_strange_rows_are_finite(name: str) -> None:
    x = jnp.array([row for row, _ in STRANGE.values()])
    where = jnp.array([where or [True] * 3 for _, where in STRANGE.values()])
    f = MAPS[name]

    @jax.jit
    @jax.vmap
    def everything(x: Any, where: Any) -> Any:
        def g(x: Any) -> Any:
            return f(x, where=where)

        return g(x), jax.jacrev(g)(x), jax.jacfwd(jax.jacrev(g))(x)

    found = everything(x, where)
    assert all(jnp.isfinite(leaf).all() for leaf in found)
    y, first, second = found
    for i, row in enumerate(STRANGE):
        if row in ("all -inf", "all masked"):
            assert (y[i] == 0).all() and (first[i] == 0).all() and (second[i] == 0).all()
        else:
            assert abs(float(y[i].sum()) - 1) < 1e-6
    infinite = y[list(STRANGE).index("two +inf")]
    np.testing.assert_allclose(infinite, [0.5, 0, 0.5], rtol=2e-7)
    assert (jnp.where(where, 0, y) == 0).all()


@pytest.mark.parametrize("name", MAPS)
def test_nan_stays_in_its_row(name: str) -> None:
    x = jnp.array([[1.0, NAN, 2.0], [1.0, 2.0, 3.0]])
    y, slope = jax.jit(jax.vmap(lambda x: (MAPS[name](x), jax.jacrev(MAPS[name])(x))))(x)
    assert jnp.isnan(y[0]).all() and not jnp.isnan(y[1]).any()
    assert jnp.isnan(slope[0]).all() and not jnp.isnan(slope[1]).any()
    y = MAPS[name](jnp.array([NAN, 1.0]), where=jnp.array([True, False]))
    assert jnp.isnan(y[0]) and y[1] == 0


@pytest.mark.parametrize("name", MAPS)
def test_axes_and_empty_rows(name: str) -> None:
    f, x = MAPS[name], jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), jnp.float32)
    flat = f(jnp.moveaxis(x, 1, 0).reshape(3, 8)).reshape(3, 2, 4)
    np.testing.assert_allclose(f(x, axis=(0, 2)), jnp.moveaxis(flat, 0, 1), rtol=1e-6)
    np.testing.assert_allclose(f(x, axis=None), f(x.ravel()).reshape(x.shape), rtol=1e-6)
    for shape, axis in (((0,), -1), ((2, 0), -1), ((0, 3), 0), ((0, 3), -1)):
        assert f(jnp.zeros(shape), axis=axis).shape == shape


# -- the loop -----------------------------------------------------------------------------------


def test_steps_are_bounded() -> None:
    # Entries that halve are what takes Newton's method longest.
    row = jnp.asarray(-(2.0 ** -jnp.arange(24.0)))
    wide = jnp.concatenate([row] * 40)
    for x in (row, wide):
        wanted = truth("sparsemax", np.asarray(x, np.float64))
        np.testing.assert_allclose(simplex.sparsemax(x), wanted, rtol=1e-6, atol=1e-9)
    assert _thresholds.steps(32_000, jnp.dtype("float32")) == 29


# -- transformations ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sparsemax", "entmax(1.25)"])
def test_the_loop_runs_on_each_device_by_itself(name: str) -> None:
    x = np.random.default_rng(4).normal(size=(4, 3, 5)).astype(np.float32)

    def loss(x: Any) -> Any:
        return jnp.sum(MAPS[name](x, where=x > -1) ** 2)

    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    mapped = jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=spec, out_specs=spec)
    np.testing.assert_allclose(jax.jit(mapped)(x), jax.grad(loss)(x), rtol=1e-5, atol=1e-6)


# -- losses -------------------------------------------------------------------------------------

LOSSES: dict[str, Any] = {
    "sparsemax": (losses.sparsemax_loss, 2.0),
    "entmax15": (losses.entmax15_loss, 1.5),
    "entmax(1.25)": (functools.partial(losses.entmax_loss, alpha=np.float32(1.25)), 1.25),
    "entmax(3)": (functools.partial(losses.entmax_loss, alpha=np.float32(3)), 3.0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_that_of_fenchel_and_young(name: str) -> None:
    loss, alpha = LOSSES[name]
    rng = np.random.default_rng(6)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(0, 1.5, (6, 5)))
        labels = jnp.asarray(rng.integers(0, 5, 6))
        mixed = jnp.asarray(rng.dirichlet([0.3] * 5, 6)).at[0].set(jnp.array([0.5, 0.5, 0, 0, 0]))
        p = MAPS[name](x)

        def negentropy(p: Any) -> Any:
            return (jnp.sum(p**alpha, -1) - 1) / (alpha * (alpha - 1))

        for targets, q in ((labels, jnp.eye(5)[labels]), (mixed, mixed)):
            wanted = negentropy(q) - negentropy(p) - jnp.sum((q - p) * x, -1)
            np.testing.assert_allclose(loss(x, targets), wanted, rtol=1e-7, atol=1e-12)
            np.testing.assert_allclose(
                jax.grad(lambda x, t=targets: jnp.sum(loss(x, t)))(x), p - q, atol=1e-12
            )
        np.testing.assert_allclose(loss(x.T, labels, axis=0), loss(x, labels), rtol=1e-12)
        assert (jnp.abs(loss(x, p)) < 1e-14).all()


def test_loss_by_alpha_and_by_probabilities() -> None:
    rng = np.random.default_rng(7)
    with jax.enable_x64(True):
        x, q = jnp.asarray(rng.normal(size=(4, 5))), jnp.asarray(rng.dirichlet([2.0] * 5, 4))

        def f(v: Any) -> Any:
            moved = v[5:10] - v[5:10].mean()
            return losses.entmax_loss(v[:5], q[0] + moved, v[10])[None]

        for alpha in (1.01, 1.7, 2.2):
            check_derivatives(f, jnp.concatenate([x[0], jnp.zeros(5), jnp.array([alpha])]))
        for loss in (losses.sparsemax_loss, losses.entmax15_loss):
            check_derivatives(lambda x, f=loss: f(x, q[0])[None], x[0])
        cross = -jnp.sum(q * jax.nn.log_softmax(x), -1) + jnp.sum(q * jnp.log(q), -1)
        np.testing.assert_allclose(losses.entmax_loss(x, q, 1.0), cross, rtol=1e-6)


def test_losses_at_the_edges() -> None:
    x = jnp.array([[1.0, 2.0, 3.0], [INF, 0.0, -INF], [NAN, 0.0, 1.0], [9.0, 0.0, 0.0]])
    for loss, _ in LOSSES.values():
        y = loss(x, jnp.array([5, 0, 0, 0]))
        assert jnp.isnan(y[0]) and y[1] == 0 and jnp.isnan(y[2]) and y[3] == 0
        masked = loss(x[0], 0, where=jnp.array([False, True, True]))
        assert masked == INF
        assert loss(x.astype(jnp.bfloat16), jnp.array([0, 0, 0, 0])).dtype == jnp.bfloat16
        # The map and the labels are kept.
        kept = kept_bytes(lambda x, f=loss: f(x, jnp.zeros(8, jnp.int32)), jnp.zeros((8, 50)))
        assert kept <= 4 * 8 * 50 + 4 * 8 + 4
    with pytest.raises(ValueError, match="sparsemax_loss: expected labels of shape"):
        losses.sparsemax_loss(x, jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="entmax_loss: expected probabilities of the shape"):
        losses.entmax_loss(x, jnp.zeros(4))
