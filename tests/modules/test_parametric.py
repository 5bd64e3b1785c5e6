"""The layers of the literature's learned activations, in linen and nnx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx as flax_nnx

import advact_jax
from advact_jax import linen, nnx

pytestmark = pytest.mark.sampled
SUBJECTS = (
    "linen.parametric",
    "nnx.parametric",
    "linen.periodic",
    "nnx.periodic",
)

X = jnp.asarray(np.random.default_rng(0).normal(0, 2, (8, 3)), jnp.float32)
# Each layer with the function that it starts as.
LAYERS: dict[str, tuple[dict[str, Any], Any]] = {
    "TLU": ({}, advact_jax.relu),
    "SReLU": ({}, lambda x: advact_jax.leaky_relu(x, 0.2)),
    "StarReLU": ({}, advact_jax.squared_relu),
    "PELU": ({}, advact_jax.elu),
    "Snake": ({}, advact_jax.snake),
    "Snake, log": ({"log_scale": True}, advact_jax.snake),
    "SnakeBeta": ({}, advact_jax.snake),
    "SnakeBeta, log": ({"log_scale": True, "beta_init": 2.0},
                       lambda x: advact_jax.snake_beta(x, 1.0, 2.0)),
    "ACON": ({"p1_init": 1.0, "p2_init": 0.0}, advact_jax.silu),
    "SMU": ({}, advact_jax.smu),
    "SinLU": ({}, advact_jax.sinlu),
    "XIELU": ({}, advact_jax.xielu),
    "XIELU, own": ({"beta": 0.25, "alpha_n_init": 1.5},
                   lambda x: advact_jax.xielu(x, 0.8, 1.5, 0.25)),
}  # fmt: skip


def both(name: str) -> tuple[Any, Any]:
    kind, given = name.split(",")[0], LAYERS[name][0]
    return getattr(linen, kind)(**given), getattr(nnx, kind)(3, **given)


@pytest.mark.parametrize("name", LAYERS)
def test_starts_as_its_function_and_is_alike_in_both(name: str) -> None:
    layer, twin = both(name)
    variables = layer.init(jax.random.key(0), X)
    np.testing.assert_allclose(layer.apply(variables, X), LAYERS[name][1](X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.apply(variables, X), twin(X))

    def loss(params: Any) -> Any:
        return jnp.sum(jnp.sin(layer.apply({"params": params}, X)))

    slopes = jax.grad(loss)(variables["params"])
    theirs = flax_nnx.grad(lambda module: jnp.sum(jnp.sin(module(X))))(twin)
    for key, slope in slopes.items():
        assert slope.shape == (3,) and jnp.isfinite(slope).all()
        np.testing.assert_array_equal(slope, theirs[key][...])
    half = layer.apply(variables, X.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", LAYERS)
def test_learns_with_optax(name: str) -> None:
    layer, _ = both(name)
    params = layer.init(jax.random.key(0), X)["params"]
    optimizer = optax.adam(0.1)
    state = optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        def loss(params: Any) -> Any:
            return jnp.mean((layer.apply({"params": params}, X) - jnp.abs(X)) ** 2)

        value, slopes = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(slopes, state)
        return value, optax.apply_updates(params, updates), state

    losses = []
    for _ in range(15):
        value, params, state = step(params, state)
        losses.append(float(value))
    assert losses[-1] < losses[0]


def test_what_is_learned_in_place_of_a_positive_coefficient() -> None:
    logs = linen.SnakeBeta(log_scale=True).init(jax.random.key(0), X)["params"]
    np.testing.assert_array_equal(logs["alpha"], jnp.zeros(3))
    # As in the paper's code: log(expm1(0.8)) and log(expm1(0.8 - 0.5)).
    kept = linen.XIELU(axis=None).init(jax.random.key(0), X)["params"]
    np.testing.assert_allclose(kept["alpha_p"], np.log(np.expm1(0.8)), rtol=1e-6)
    np.testing.assert_allclose(kept["alpha_n"], np.log(np.expm1(0.3)), rtol=1e-6)


def test_slopes_of_acon_are_drawn() -> None:
    params = linen.ACON().init(jax.random.key(0), jnp.ones((1, 2000)))["params"]
    twin = nnx.ACON(2000, rngs=flax_nnx.Rngs(0))
    for drawn in (params["p1"], params["p2"], twin.p1[...], twin.p2[...]):
        assert abs(float(jnp.mean(drawn))) < 0.1 and abs(float(jnp.std(drawn)) - 1) < 0.1
    assert not np.array_equal(twin.p1[...], twin.p2[...])
    np.testing.assert_array_equal(params["beta"], twin.beta[...])
    again = nnx.deserialize(nnx.serialize(twin), rngs=flax_nnx.Rngs(0))
    np.testing.assert_array_equal(again.p1[...], twin.p1[...])
    assert linen.serialize(linen.ACON()) == {"layer": "ACON", "arguments": {}}
    with pytest.raises(TypeError, match="ACON: expected rngs, since p1_init is"):
        nnx.ACON(3)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="XIELU: expected beta to be a number, got"):
        linen.XIELU(beta="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="XIELU: expected beta not to be negative"):
        nnx.XIELU(3, beta=-1.0)
    with pytest.raises(TypeError, match="SnakeBeta: expected log_scale to be"):
        linen.SnakeBeta(log_scale=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYERS)
def test_round_trip_of_the_config(name: str) -> None:
    layer, twin = both(name)
    again = linen.deserialize(linen.serialize(layer))
    assert again == layer
    np.testing.assert_array_equal(nnx.deserialize(nnx.serialize(twin))(X), twin(X))
