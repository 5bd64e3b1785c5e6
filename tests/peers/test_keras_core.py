"""The core layers against Keras's own, on its JAX backend: outputs, gradients, penalties."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from advact_jax import _core, layers, linen

# Keras reads this once, when it is imported.
os.environ["KERAS_BACKEND"] = "jax"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")
if keras.backend.backend() != "jax":
    pytest.skip("Keras was imported with another backend", allow_module_level=True)

KEY = jax.random.key(0, impl="rbg")
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4)), "float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
STEPS = jnp.where(MASK[..., None], X, 0)
close = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=5e-7)


def total(y: Any) -> Array:
    parts = [jnp.sum(jnp.sin(leaf.astype("float32"))) for leaf in jax.tree.leaves(y)]
    return sum(parts, jnp.zeros(()))


def weights_of(layer: Any) -> list[Array]:
    """Give Keras's layer, which is built here, weights drawn at random."""
    draw = np.random.default_rng(1).normal
    return [jnp.asarray(0.4 * draw(size=v.shape), "float32") for v in layer.trainable_variables]


def run_keras(layer: Any, weights: list[Array], x: Array, **arguments: Any) -> Any:
    """Return the output, the sum of penalties, and the gradients by weights and input."""
    # Without a model around it, a layer leaves out its penalties and its types.
    model = layer if isinstance(layer, keras.Sequential) else keras.Sequential([layer])
    model.build(x.shape)
    rest = [v.value for v in model.non_trainable_variables]

    def loss(weights: Any, x: Array) -> Any:
        y, _, losses = model.stateless_call(weights, rest, x, return_losses=True, **arguments)
        penalty = sum(losses, jnp.zeros(()))
        return total(y) + penalty, (y, penalty)

    gradients, (y, penalty) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(weights, x)
    return y, penalty, gradients


def run(module: Any, params: Any, x: Array, **arguments: Any) -> Any:
    """Return the same of a layer of linen."""

    def loss(params: Any, x: Array) -> Any:
        y, updates = module.apply({"params": params}, x, mutable=["losses"], **arguments)
        penalty = linen.regularization_loss(updates)
        return total(y) + penalty, (y, penalty)

    gradients, (y, penalty) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, x)
    return y, penalty, gradients


# -- shapes -------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Any, Callable[[], Any]]] = {
    "Flatten": (layers.Flatten(), lambda: keras.layers.Flatten()),
    "Reshape": (layers.Reshape((2, -1)), lambda: keras.layers.Reshape((2, -1))),
    "Permute": (layers.Permute((2, 1)), lambda: keras.layers.Permute((2, 1))),
    "Lambda": (layers.Lambda(jnp.square), lambda: keras.layers.Lambda(jnp.square)),
    "Masking": (layers.Masking(), lambda: keras.layers.Masking()),
    "Masking 1": (layers.Masking(1.0), lambda: keras.layers.Masking(1.0)),
}


@pytest.mark.parametrize("ours, make", SHAPES.values(), ids=SHAPES)
def test_layers_without_parameters(ours: Any, make: Callable[[], Any]) -> None:
    theirs = make()
    x = STEPS.at[1, 1].set(1.0)

    def first(y: Any) -> Any:
        return y[0] if isinstance(y, tuple) else y

    np.testing.assert_array_equal(first(ours(x)), theirs(x))
    np.testing.assert_array_equal(
        jax.grad(lambda x: total(first(ours(x))))(x), jax.grad(lambda x: total(theirs(x)))(x)
    )
    if isinstance(ours, layers.Masking):
        np.testing.assert_array_equal(ours(x)[1], theirs.compute_mask(x))
        np.testing.assert_array_equal(ours.compute_mask(x), theirs.compute_mask(x))


def test_repeat_vector() -> None:
    theirs = keras.layers.RepeatVector(3)
    np.testing.assert_array_equal(layers.RepeatVector(3)(X[:, 0]), theirs(X[:, 0]))


# -- dense --------------------------------------------------------------------------------------

DENSE: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"use_bias": False},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "softmax": {"activation": "softmax"},
    "kernel_regularizer": {"kernel_regularizer": "l2"},
    "bias_regularizer": {"bias_regularizer": "l1"},
    "activity_regularizer": {
        "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 0.1, "l2": 0.2}}
    },
    "constraints": {"kernel_constraint": "max_norm", "bias_constraint": "non_neg"},
}


@pytest.mark.parametrize("arguments", DENSE.values(), ids=DENSE)
def test_dense(arguments: dict[str, Any]) -> None:
    theirs = keras.layers.Dense(6, **arguments)
    theirs.build(X.shape)
    weights = weights_of(theirs)
    params = dict(zip(("kernel", "bias"), weights, strict=False))
    module = linen.Dense(6, **arguments)
    y, penalty, (by_params, by_x) = run(module, params, X)
    expected = run_keras(theirs, weights, X)
    jax.tree.map(
        close, (y, penalty, (list(by_params.values()), by_x)), (*expected[:2], _sorted(expected[2]))
    )
    for key, constraint in module.parameter_constraints().items():
        close(constraint(params[key]), getattr(theirs, f"{key}_constraint")(params[key]))
    assert bool(module.parameter_constraints()) == ("kernel_constraint" in arguments)


def _sorted(gradients: Any) -> Any:
    """Return Keras's gradients in the order of the names: bias, kernel, and the input."""
    by_weights, by_x = gradients
    return by_weights[::-1], by_x


def test_dense_in_bfloat16() -> None:
    theirs = keras.layers.Dense(6, dtype="mixed_bfloat16")
    theirs.build(X.shape)
    weights = weights_of(theirs)
    x = X.astype("bfloat16")
    y, _, (by_params, by_x) = run(linen.Dense(6), {"kernel": weights[0], "bias": weights[1]}, x)
    expected = run_keras(theirs, weights, x)
    assert y.dtype == expected[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(by_x, expected[2][1])
    for mine, other in zip(by_params.values(), _sorted(expected[2])[0], strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("name", ["zeros", "ones", "glorot_uniform", "he_normal", "orthogonal"])
def test_initial_values_by_name(name: str) -> None:
    theirs = keras.layers.Dense(64, kernel_initializer=name, bias_initializer="ones")
    theirs.build((1, 64))
    module = linen.Dense(64, kernel_init=name, bias_init="ones")
    params = jax.jit(module.init)(KEY, jnp.ones((1, 64)))["params"]
    np.testing.assert_array_equal(params["bias"], theirs.bias)
    # Of 4096 draws, the standard deviation is known to a percent.
    np.testing.assert_allclose(np.std(params["kernel"]), np.std(theirs.kernel), rtol=0.06)
    np.testing.assert_allclose(np.mean(params["kernel"]), np.mean(theirs.kernel), atol=0.02)


# -- noise --------------------------------------------------------------------------------------

NOISES = {"each": None, "steps": (None, 1, None), "features": (3, 5, 1)}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("name", ["Dropout", "AlphaDropout"])
def test_dropout(name: str, noise: Any) -> None:
    rate = 0.4
    theirs = getattr(keras.layers, name)(rate, noise_shape=noise, seed=3)
    theirs.build(X.shape)
    y, _, (_, by_x) = run_keras(theirs, [], X, training=True)
    # The random streams differ; what Keras dropped has the derivative 0.
    keep = by_x != 0
    drop = _core.drop if name == "Dropout" else _core.alpha_drop
    mine, pullback = jax.vjp(lambda x: drop(x, keep, rate), X)
    close(mine, y)
    close(pullback(jnp.cos(mine))[0], by_x)
    # Both share what is dropped along the same axes.
    module = getattr(linen, name)(rate, noise)
    draw = functools.partial(module.apply, {}, deterministic=False, rng=KEY)
    ours = jax.jit(jax.grad(lambda x: jnp.sum(draw(x))))(X) != 0
    for axis in range(3):
        shared = [bool(jnp.all(k == jnp.take(k, jnp.array([0]), axis))) for k in (keep, ours)]
        assert shared[0] == shared[1]
    np.testing.assert_array_equal(
        theirs(X, training=False), module.apply({}, X, deterministic=True)
    )


def test_activity_regularization() -> None:
    theirs = keras.layers.ActivityRegularization(l1=0.1, l2=0.2)
    y, penalty, (_, by_x) = run_keras(theirs, [], X)
    mine = run(linen.ActivityRegularization(0.1, 0.2), {}, X)
    jax.tree.map(close, mine, (y, penalty, ({}, by_x)))


# -- sequences ----------------------------------------------------------------------------------


def lstm(w: list[Array]) -> dict[str, Any]:
    kernel, recurrent, bias = (jnp.split(v, 4, -1) for v in w)
    cell: dict[str, Any] = {}
    for i, gate in enumerate("ifgo"):
        cell[f"i{gate}"] = {"kernel": kernel[i]}
        cell[f"h{gate}"] = {"kernel": recurrent[i], "bias": bias[i]}
    return cell


def gru(w: list[Array]) -> dict[str, Any]:
    kernel, recurrent = (jnp.split(v, 3, -1) for v in w[:2])
    # One bias is enough for two of the gates; that of the candidate is inside of the reset.
    inner, outer = (jnp.split(v, 3) for v in w[2])
    cell: dict[str, Any] = {}
    for i, gate in enumerate("zrn"):
        bias = inner[i] if gate == "n" else inner[i] + outer[i]
        cell[f"i{gate}"] = {"kernel": kernel[i], "bias": bias}
        cell[f"h{gate}"] = {"kernel": recurrent[i]}
    cell["hn"]["bias"] = outer[2]
    return cell


def simple(w: list[Array]) -> dict[str, Any]:
    return {"i": {"kernel": w[0], "bias": w[2]}, "h": {"kernel": w[1]}}


CELLS: dict[str, tuple[Any, Callable[[list[Array]], dict[str, Any]]]] = {
    "LSTM": (nn.LSTMCell, lstm),
    "GRU": (nn.GRUCell, gru),
    "SimpleRNN": (nn.SimpleCell, simple),
}
ORDERS: dict[str, dict[str, Any]] = {
    "all": {"return_sequences": True},
    "last, backwards": {"return_sequences": False, "go_backwards": True},
    "all, backwards": {"return_sequences": True, "go_backwards": True},
}


@pytest.mark.parametrize(
    "name, order",
    [
        ("LSTM", "all"),
        ("GRU", "all"),
        ("GRU", "all, backwards"),
        ("SimpleRNN", "last, backwards"),
    ],
)
def test_masked_sequences(name: str, order: str) -> None:
    arguments = ORDERS[order]
    cell, convert = CELLS[name]
    theirs = getattr(keras.layers, name)(6, return_state=True, **arguments)
    theirs.build(STEPS.shape)
    weights = weights_of(theirs)
    chain = keras.Sequential([keras.layers.Masking(), theirs])
    chain.build(STEPS.shape)
    (y, *carry), _, (by_weights, by_x) = run_keras(chain, weights, STEPS)

    module = linen.MaskedRNN(
        cell(6),
        return_sequences=arguments["return_sequences"],
        reverse=arguments.get("go_backwards", False),
        return_carry=True,
    )

    def loss(weights: list[Array], x: Array) -> Any:
        x, mask = layers.Masking()(x)
        found: Any = module.apply({"params": {"cell": convert(weights)}}, x, mask)
        state, out = found
        out = out[0] if arguments["return_sequences"] else out
        # Keras's LSTM gives the output first.
        states = state[::-1] if isinstance(state, tuple) else (state,)
        return total((out, *states)), (out, *states)

    gradients, mine = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(weights, STEPS)
    jax.tree.map(close, mine, (y, *carry))
    jax.tree.map(functools.partial(close, rtol=1e-5, atol=5e-6), gradients, (by_weights, by_x))


def test_stacked_masked_sequences() -> None:
    first, second = keras.layers.LSTM(6, return_sequences=True), keras.layers.GRU(3)
    chain = keras.Sequential([keras.layers.Masking(), first, second, keras.layers.Dense(2)])
    chain.build(STEPS.shape)
    weights = weights_of(chain)
    rest = [v.value for v in chain.non_trainable_variables]
    y, _ = jax.jit(chain.stateless_call)(weights, rest, STEPS)
    model = nn.Sequential(
        [
            layers.Masking(),
            linen.MaskedRNN(nn.LSTMCell(6), return_sequences=True),
            linen.MaskedRNN(nn.GRUCell(3)),
            linen.Dense(2),
        ]
    )
    params = {
        "layers_1": {"cell": lstm(weights[:3])},
        "layers_2": {"cell": gru(weights[3:6])},
        "layers_3": {"kernel": weights[6], "bias": weights[7]},
    }
    close(jax.jit(model.apply)({"params": params}, STEPS), y)
