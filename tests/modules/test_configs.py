"""Layers as plain JSON and back."""

from __future__ import annotations

import json
from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import Activation, constraints, layers, linen, nnx, regularizers

X = jax.random.normal(jax.random.key(0), (4, 6))
RNGS = flax.nnx.Rngs(0)

# The arguments in linen, and what nnx is told beside them.
LAYERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "defaults": ("PReLU", {}, {"features": 6}),
    "axis": ("PReLU", {"axis": None, "alpha_init": 0.125}, {}),
    "array": ("PReLU", {"alpha_init": np.linspace(0, 1, 6, dtype="float32")}, {"features": 6}),
    "name": ("Swish", {"beta_init": "ones", "param_dtype": jnp.bfloat16}, {"features": 6}),
    "penalties": (
        "ParametricSoftplus",
        {
            "alpha_regularizer": regularizers.L1L2(l1=0.5),
            "alpha_constraint": constraints.Interval(0.0, 2.0),
            "beta_regularizer": "l2",
            "shared_axes": (1,),
        },
        {"features": (6,)},
    ),
    "any": (
        "Learnable",
        {
            "activation": Activation("elu", alpha=0.5),
            "learn": ("alpha",),
            "initial": {"alpha": 2.0},
            "regularizer": {"alpha": regularizers.L2(0.1)},
        },
        {"features": 6},
    ),
    "dense": (
        "Dense",
        {
            "activation": "gelu",
            "kernel_init": "he_normal",
            "kernel_constraint": constraints.MaxNorm(3.0, axis=(0, 1)),
        },
        {"in_features": 6, "out_features": 3},
    ),
    "maxout": ("MaxoutDense", {"k": 3, "use_bias": False}, {"in_features": 6, "out_features": 3}),
    "gated": (
        "GatedDense",
        {
            "activation": Activation("swiglu", beta=1.5),
            "fused": False,
            "kernel_init": "he_normal",
        },
        {"in_features": 6, "out_features": 3},
    ),
    "dropout": ("Dropout", {"rate": 0.25, "deterministic": True}, {}),
    "activity": ("ActivityRegularization", {"l1": 0.25}, {}),
}


def made(case: str) -> tuple[Any, Any]:
    name, arguments, told = LAYERS[case]
    for_linen = {"features": told["out_features"]} if "out_features" in told else {}
    rngs = {"rngs": RNGS} if name in ("Dense", "MaxoutDense", "GatedDense") else {}
    return (
        getattr(linen, name)(**for_linen, **arguments),
        getattr(nnx, name)(**told, **arguments, **rngs),
    )


@pytest.mark.parametrize("case", LAYERS)
def test_linen_round_trip(case):
    layer, _ = made(case)
    config = linen.serialize(layer)
    again = linen.deserialize(json.loads(json.dumps(config)))
    assert type(again) is type(layer)
    assert linen.serialize(again) == config
    variables, others = (m.init({"params": jax.random.key(1)}, X) for m in (layer, again))
    jax.tree.map(np.testing.assert_array_equal, variables, others)
    assert [v.dtype for v in jax.tree.leaves(variables)] == [
        v.dtype for v in jax.tree.leaves(others)
    ]
    y, z = (m.apply(variables, X, mutable=["losses"]) for m in (layer, again))
    jax.tree.map(np.testing.assert_array_equal, y, z)
    if hasattr(layer, "parameter_constraints"):
        assert layer.parameter_constraints() == again.parameter_constraints()


@pytest.mark.parametrize("case", LAYERS)
def test_nnx_round_trip(case):
    _, layer = made(case)
    config = nnx.serialize(layer)
    again = nnx.deserialize(json.loads(json.dumps(config)), rngs=flax.nnx.Rngs(0))
    assert type(again) is type(layer)
    assert nnx.serialize(again) == config
    flax.nnx.update(again, flax.nnx.state(layer))  # The same shapes and types.
    np.testing.assert_array_equal(layer(X), again(X))
    np.testing.assert_array_equal(nnx.regularization_loss(layer), nnx.regularization_loss(again))


def test_a_config_of_one_framework_is_read_by_the_other():
    config = linen.serialize(linen.PReLU(axis=None, alpha_init=0.5))
    assert nnx.deserialize(config).alpha[...] == 0.5


def test_a_layer_within_a_layer():
    layer = linen.Dense(3, activation=linen.PReLU(alpha_init=0.5))
    again = linen.deserialize(json.loads(json.dumps(linen.serialize(layer))))
    assert again.activation.alpha_init == 0.5
    twin = nnx.Dense(6, 3, activation=nnx.PReLU(3, alpha_init=0.5), rngs=RNGS)
    again = nnx.deserialize(json.loads(json.dumps(nnx.serialize(twin))), rngs=RNGS)
    np.testing.assert_array_equal(again.activation.alpha[...], jnp.full(3, 0.5))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Reshape((-1, 2)), layers.Permute((2, 1)), layers.Flatten(), layers.RepeatVector(3),
        layers.Masking(-1.0), layers.LeakyReLU(0.125), layers.ReLU(max_value=6.0),
        Activation("gelu", approximate=False), layers.Softmax((1, -1)),
    ],
    ids=repr,
)  # fmt: skip
def test_layers_without_a_framework(layer):
    for framework in (linen, nnx):
        config: Any = json.loads(json.dumps(framework.serialize(layer)))
        assert framework.deserialize(config) == layer


def test_what_cannot_be_written_is_an_error_that_names_the_argument():
    with pytest.raises(ValueError, match="expected PReLU's alpha_init to be .*by its name"):
        linen.serialize(linen.PReLU(alpha_init=lambda *_: jnp.ones(3)))
    with pytest.raises(ValueError, match="expected PReLU's alpha_regularizer to be"):
        nnx.serialize(nnx.PReLU(3, alpha_regularizer=lambda v: jnp.sum(v)))
    with pytest.raises(ValueError, match="expected the layer to be a number"):
        linen.serialize(flax.nnx.Linear(1, 1, rngs=RNGS))


def test_a_bad_config_runs_nothing_and_says_what_is_wrong():
    with pytest.raises(ValueError, match="'PReLu'. Did you mean PReLU"):
        linen.deserialize({"layer": "PReLu"})
    with pytest.raises(TypeError, match="PReLU: .*'slope'"):
        nnx.deserialize({"layer": "PReLU", "arguments": {"slope": 1}})
    with pytest.raises(TypeError, match="deserialize: expected a dictionary"):
        linen.deserialize("import os")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a key"):
        linen.deserialize({"module": "os", "class": "system"})


def test_layers_that_differ_in_an_argument_keep_theirs_under_jit():
    a, b = nnx.PReLU(3, alpha_init=0.5), nnx.PReLU(3, alpha_init=0.25)
    call = flax.nnx.jit(lambda layer, x: layer(x))
    call(a, X[:, :3]), call(b, X[:, :3])
    assert nnx.serialize(b)["arguments"]["alpha_init"] == 0.25
