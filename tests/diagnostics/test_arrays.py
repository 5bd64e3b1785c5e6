"""The pure functions of diagnostics, against numpy and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import catalog, diagnostics, testing

RNG = np.random.default_rng(0)
rank = jax.jit(diagnostics.rank_collapse, static_argnames=("rows", "most"))


@pytest.mark.sampled
@pytest.mark.parametrize("name", catalog.elementwise())
def test_every_activation_of_the_catalogue_has_slopes_and_saturation(name: str) -> None:
    case = testing.cases(catalog.elementwise()[name])[0]
    x = jnp.linspace(-9.0, 9.0, 37)
    expected = jax.jit(jax.vmap(jax.grad(lambda x: case(x))))(x)
    slope, share = jax.jit(
        lambda x: (diagnostics.slope(case, x), diagnostics.saturation(case, x, 0.05))
    )(x)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)
    assert share == pytest.approx(np.mean(np.abs(np.asarray(expected)) < 0.05))


def test_the_slope_of_a_users_own_function() -> None:
    found = diagnostics.saturation(lambda x: jnp.sin(x), jnp.array([np.pi / 2, 0.0]))
    assert found == 0.5
    with pytest.raises(ValueError, match="slope: expected an elementwise function"):
        diagnostics.slope(jnp.sum, jnp.ones(3))


def test_streamed_moments_are_those_of_all() -> None:
    # Far from 0, where a plain sum of squares in float32 has no digit of the variance.
    x = (RNG.normal(size=(20, 50)) * 0.1 + 1000).astype(np.float32)

    def step(state: Any, batch: Any) -> Any:
        return diagnostics.merge_moments(state, diagnostics.moments(batch)), None

    start = diagnostics.moments(x[0])
    found, _ = jax.jit(lambda x: jax.lax.scan(step, start, x))(x[1:])
    wide = x.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.variance, wide.var(), rtol=2e-3)
    assert found.number == x.size
    naive = np.mean(x * x, dtype=np.float32) - np.mean(x, dtype=np.float32) ** 2
    assert abs(naive - wide.var()) > 0.1 * wide.var()


def test_moments_of_16_bit_numbers_are_summed_in_float32() -> None:
    found = diagnostics.moments(jnp.ones(70_000, jnp.bfloat16))
    assert found.mean.dtype == jnp.float32 and found.mean == 1 and found.number == 70_000


def test_a_unit_is_dead_if_no_batch_makes_it_active() -> None:
    weights = jnp.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    bias = jnp.array([0.0, -5.0, -1.0])  # the last one never, the second one for x below -5

    @jax.jit
    def stream(batches: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            return diagnostics.active_units(advact_jax.relu, x @ weights + bias, state), None

        return jax.lax.scan(step, jnp.zeros(3, bool), batches)[0]

    x = RNG.uniform(-4, 4, (6, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(stream(x), [True, False, False])
    x[5, 0, 0] = -7.0
    np.testing.assert_array_equal(stream(x), [True, True, False])


def test_units_of_another_axis() -> None:
    x = jnp.stack([jnp.ones((4, 5)), -jnp.ones((4, 5))], 1)  # (4, 2, 5)
    found = diagnostics.active_units(advact_jax.relu, x, axis=1)
    np.testing.assert_array_equal(found, [True, False])


def test_the_gradient_lost_in_a_sigmoid_is_three_quarters_at_least() -> None:
    x, g = jnp.asarray(RNG.normal(size=100)), jnp.asarray(RNG.normal(size=100))
    assert diagnostics.gradient_lost(advact_jax.sigmoid, x, g) > 0.75
    assert diagnostics.gradient_lost(advact_jax.sigmoid, 0 * x, g) == pytest.approx(0.75)
    assert diagnostics.gradient_lost(lambda x: 3 * x, x, g) == pytest.approx(-2, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norms_neither_vanish_nor_overflow(scale: float) -> None:
    gradient = {"a": {"kernel": jnp.full((2, 2), scale)}, "b": {"c": {"bias": jnp.zeros(3)}}}
    found = diagnostics.gradient_norms(gradient)
    np.testing.assert_allclose(found["a"], 2 * scale, rtol=1e-6)
    assert found["b/c"] == 0


def test_the_norm_of_what_is_not_finite_is_not_finite() -> None:
    for bad in (jnp.inf, jnp.nan):
        assert not jnp.isfinite(diagnostics.gradient_norms({"a": {"w": jnp.array([1, bad])}})["a"])


@pytest.mark.parametrize(
    ("matrix", "cosine", "expected"),
    [
        (lambda: np.eye(6), 0.0, 6.0),
        (lambda: np.outer(np.arange(1, 7), RNG.normal(size=9)), 1.0, 1.0),
        (lambda: 1e-25 * np.eye(6), 0.0, 6.0),
        (lambda: np.outer([1, -1], [1.0, 2.0]), -1.0, 1.0),
    ],
    ids=["identity", "one direction", "tiny", "opposite"],
)
def test_rank_of_known_matrices(matrix: Callable[[], Any], cosine: float, expected: float) -> None:
    found = rank(jnp.asarray(matrix(), jnp.float32))
    assert found.cosine == pytest.approx(cosine, abs=1e-5)
    assert found.effective_rank == pytest.approx(expected, abs=0.02)
    assert found.stable_rank == pytest.approx(expected, abs=1e-4)


def test_rank_is_the_entropy_of_the_singular_values() -> None:
    y = RNG.normal(size=(12, 3, 5)).astype(np.float32)
    singular = np.linalg.svd(y.reshape(12, 15), compute_uv=False)
    shares = singular / singular.sum()
    found = rank(y)
    np.testing.assert_allclose(
        found.effective_rank, np.exp(-(shares * np.log(shares)).sum()), rtol=1e-4
    )
    np.testing.assert_allclose(found.stable_rank, (singular**2).sum() / singular[0] ** 2, rtol=1e-4)


def test_rank_of_tokens() -> None:
    same = np.broadcast_to(RNG.normal(size=(4, 1, 8)), (4, 6, 8))  # alike within each sequence
    assert rank(same, rows="tokens").cosine == pytest.approx(1, abs=1e-5)
    assert rank(same, rows="samples").cosine < 0.9
    with pytest.raises(ValueError, match="'samples' or 'tokens'"):
        diagnostics.rank_collapse(same, rows="words")  # type: ignore[arg-type]


def test_rank_of_nothing_is_not_a_number() -> None:
    found = rank(jnp.zeros((4, 3)))
    assert all(jnp.isnan(value) for value in found)


def test_merged_measures_are_those_of_both() -> None:
    x = jnp.asarray(RNG.normal(size=(8, 6)), jnp.float32)
    relu = advact_jax.relu
    measured = lambda x: diagnostics.measure(diagnostics.slope(relu, x), relu(x))  # noqa: E731
    both = jax.jit(lambda a, b: diagnostics.values(diagnostics.merge(measured(a), measured(b))))
    whole = jax.jit(lambda x: diagnostics.values(measured(x)))(x)
    merged = both(x[:3], x[3:])
    for key in ("mean", "std", "saturation", "dead"):
        np.testing.assert_allclose(merged[key], whole[key], rtol=1e-5)
    assert set(merged) == set(diagnostics.QUANTITIES)
