"""PReLU of Flax against ours, with the arguments that our documentation names."""

from __future__ import annotations

from typing import Any

import flax.linen
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from advact_jax import linen, nnx
from tests.peers import agreement

AS_FLAX: dict[str, Any] = {"axis": None, "alpha_init": 0.01}
KEY = jax.random.key(0)
X = jnp.asarray(agreement.POINTS[np.isfinite(agreement.POINTS)]).reshape(-1, 2)


def both_of(function: Any, slope: Any, x: Array) -> Any:
    """Return the output, and the gradients of a loss by the slope and by the input."""

    def loss(slope: Any, x: Array) -> tuple[Array, Array]:
        y = function(slope, x)
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    gradients, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(slope, x)
    return y, *gradients


def assert_same(here: Any, there: Any) -> None:
    for a, b in zip(here, there, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def linen_layers() -> tuple[Any, Any]:
    return linen.PReLU(**AS_FLAX), flax.linen.PReLU()


def test_linen_starts_as_that_of_flax():
    here, there = linen_layers()
    found = here.init(KEY, X)["params"]
    expected = there.init(KEY, X)["params"]
    assert list(found) == ["alpha"] and list(expected) == ["negative_slope"]
    value, initial = found["alpha"], expected["negative_slope"]
    np.testing.assert_array_equal(value, initial)
    assert value.shape == initial.shape and value.dtype == initial.dtype


@pytest.mark.parametrize("slope", [0.01, 0.25, -0.5, 2.0])
def test_linen(slope):
    here, there = linen_layers()
    given = jnp.float32(slope)
    assert_same(
        both_of(lambda a, x: here.apply({"params": {"alpha": a}}, x), given, X),
        both_of(lambda a, x: there.apply({"params": {"negative_slope": a}}, x), given, X),
    )


@pytest.mark.parametrize("slope", [0.01, -0.5])
def test_nnx(slope):
    here = nnx.PReLU(axis=None, alpha_init=slope)
    there = flax.nnx.PReLU(negative_slope_init=slope)
    np.testing.assert_array_equal(here.alpha[...], there.negative_slope[...])

    def applied(layer: Any, name: str) -> Any:
        def apply(slope: Array, x: Array) -> Any:
            copy = flax.nnx.clone(layer)
            getattr(copy, name).set_value(slope)
            return copy(x)

        return apply

    given = jnp.float32(slope)
    assert_same(
        both_of(applied(here, "alpha"), given, X),
        both_of(applied(there, "negative_slope"), given, X),
    )


def test_nnx_starts_as_that_of_flax():
    here, there = nnx.PReLU(**AS_FLAX), flax.nnx.PReLU()
    np.testing.assert_array_equal(here.alpha[...], there.negative_slope[...])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bits(dtype):
    # Flax rounds the slope to the type of the input before it multiplies: within 1 ulp of ours.
    here, there = linen_layers()
    x = X.astype(dtype)
    found = here.apply({"params": {"alpha": jnp.float32(0.01)}}, x)
    expected = there.apply({"params": {"negative_slope": jnp.float32(0.01)}}, x)
    exact = np.where(x >= 0, x, np.float64(np.float32(0.01)) * np.asarray(x, np.float64))
    assert found.dtype == expected.dtype == dtype
    assert np.max(agreement.ulps(np.asarray(found), exact, 0)) <= 0.51
    assert np.max(agreement.ulps(np.asarray(expected), exact, 0)) <= 2
