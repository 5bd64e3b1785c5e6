"""Activations and layers against those of Keras 3, on its JAX backend.

Where the two differ, Keras's value is stated beside ours. A NaN in the input is left to the
contracts: Keras's shrinkages make 0 of it.
"""

from __future__ import annotations

import math
import os
from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import constraints, initializers, layers, linen, nnx, registry, regularizers
from tests.peers import agreement
from tests.peers.agreement import ROWS, Case

os.environ["KERAS_BACKEND"] = "jax"
keras = pytest.importorskip("keras")

if keras.backend.backend() != "jax":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

inf, nan = math.inf, math.nan

# Keras's formulas give inf - inf, inf / inf or 0 * inf where ours give the limits.
GATED = {inf: ((inf, 1.0), (inf, nan)), -inf: ((0.0, 0.0), (nan, nan))}
SOFTSIGN = {inf: ((1.0, 0.0), (nan, nan)), -inf: ((-1.0, 0.0), (nan, nan))}
# Keras takes half of the slope at a kink: neither of the two one-sided derivatives.
SPARSE_SIGMOID = {-1.0: ((0.0, 0.0), (0.0, 0.25)), 1.0: ((1.0, 0.0), (1.0, 0.25))}
DIFFERS: dict[str, agreement.Differs] = {
    **dict.fromkeys(("gelu", "mish", "silu", "swish", "squareplus"), GATED),
    **dict.fromkeys(("hard_silu", "hard_swish"), {-inf: ((0.0, 0.0), (nan, 0.0))}),
    "softsign": SOFTSIGN,
    "sparse_plus": {inf: ((inf, 1.0), (inf, nan)), -inf: ((0.0, 0.0), (0.0, nan))},
    "sparse_sigmoid": SPARSE_SIGMOID,
}

# What each name takes beside x; {} is Keras's default.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "celu": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "elu": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "gelu": [{}, {"approximate": True}],
    "glu": [{}, {"axis": 1}],
    "hard_shrink": [{}, {"threshold": 0.0}, {"threshold": 1.25}],
    "leaky_relu": [{}, {"negative_slope": 0.25}, {"negative_slope": 0.0}],
    "log_softmax": [{}, {"axis": 1}],
    "soft_shrink": [{}, {"threshold": 0.0}, {"threshold": 1.25}],
    "softmax": [{}, {"axis": 0}],
    "squareplus": [{}, {"b": 1.0}, {"b": 0.0}],
    "threshold": [
        {"threshold": 1.0, "default_value": -2.0}, {"threshold": -0.5, "default_value": 0.0},
    ],
}  # fmt: skip
ALONG_AXIS = ("glu", "log_softmax", "softmax")
OF_LAYERS = ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax")
# Of Keras 0.x, of tf_keras, and of an example.
NOT_IN_KERAS_3 = ("Antirectifier", "ParametricSoftplus", "ThresholdedReLU")

OURS = [there for dialect, there, *_ in registry.table() if dialect == "keras"]
# Keras 3.15's sparsemax is wrong for rows with a support of two or more: test_entmax.py has it.
APART = ("logsumexp", "sparsemax")
NAMES = [name for name in OURS if name not in (*OF_LAYERS, *NOT_IN_KERAS_3, *APART)]


def in_keras(function: Any, x: np.ndarray) -> agreement.Result:
    return agreement.in_jax(function, x, "float64")


def test_all_names_of_keras_are_known_and_all_known_names_are_tested():
    theirs = {name for name in dir(keras.activations) if not name.startswith("_")}
    assert theirs - {"get", "serialize", "deserialize", "sparsemax"} == set(NAMES)
    assert set(ARGUMENTS) <= set(NAMES)
    assert all(hasattr(keras.layers, name) for name in OF_LAYERS)
    assert not any(hasattr(keras.layers, name) for name in NOT_IN_KERAS_3)


def title(value: Any) -> str:
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value


def differs(name: str, arguments: dict[str, Any]) -> agreement.Differs:
    """Return where our activation of this name differs from Keras's on purpose."""
    found = dict(DIFFERS.get(name, {}))
    if name == "squareplus" and arguments.get("b") == 0:  # relu, with 0 / 0 as slope at 0 in Keras
        found[0.0] = ((0.0, 0.0), (0.0, nan))
    if arguments.get("negative_slope") == 0:  # 0 * inf in Keras
        found[-inf] = ((0.0, 0.0), (nan, 0.0))
    return found


# Relative to the size of the input: of 1 + tanh(u) in float64, which cancels, and of tanh, which
# Keras computes in float32 whatever the input.
NOISE = {"gelu": 2.0**-51, "tanh_shrink": 2.0**-22, "tanh": 2.0**-22}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, given) for name in NAMES for given in ARGUMENTS.get(name, [{}])],
    ids=title,
)
def test_activation_by_name(name, arguments):
    there = keras.activations.get(name)
    if not arguments:
        layer = keras.layers.Activation(name)
        assert layer.activation is there
        read = advact_jax.deserialize(keras.layers.serialize(layer))
        assert read == advact_jax.Activation(name, dialect="keras")
    if there.__name__ != name and there.__name__ in NAMES:  # an alias in both
        here = advact_jax.get(name, dialect="keras")
        assert here is advact_jax.get(there.__name__, dialect="keras")
        return
    case = Case(
        advact_jax.get(name, dialect="keras", **arguments),
        (lambda x: there(x, **arguments)),
        differs(name, arguments),
        NOISE.get(name, 0.0),
        ROWS if name in ALONG_AXIS else agreement.POINTS,
    )
    agreement.check(case, in_keras(case.there, case.x))


@pytest.mark.parametrize("axis", [None, (0, 2)])
def test_logsumexp(axis):
    here = advact_jax.get("logsumexp", dialect="keras", axis=axis)
    x = ROWS[:2]
    case = Case(
        (lambda x: here(x).reshape(1, -1)),
        (lambda x: keras.ops.logsumexp(x, axis=axis).reshape(1, -1)),
        x=x,
    )
    assert here(x).shape == keras.ops.logsumexp(jnp.asarray(x), axis=axis).shape
    agreement.check(case, in_keras(case.there, x))


# -- layers -------------------------------------------------------------------------------------


def relu_differs(max_value: float | None, slope: float, threshold: float) -> agreement.Differs:
    """Return where ReLU's derivative differs: at the threshold, and at the largest value.

    The piece below owns the threshold, by the definition, and the constant owns the largest value.
    Keras composes the function of others, whose derivatives at ties add up to something else: 1, 0
    or half.
    """
    found = {}
    if slope:
        keras_slope = 1.0 if max_value is None and threshold == 0 else 0.0
        found[threshold] = ((0.0, slope), (0.0, keras_slope))
    if max_value is not None and max_value > threshold:
        if not (max_value == 6 and threshold == 0):  # Keras takes relu6 there.
            found[max_value] = ((max_value, 0.0), (max_value, 0.5))
    return found


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("max_value", [None, 3.0, 6.0])
def test_relu_layer(max_value, slope, threshold):
    given = {"max_value": max_value, "negative_slope": slope, "threshold": threshold}
    here = layers.ReLU(**given)
    assert here == advact_jax.deserialize(keras.layers.serialize(keras.layers.ReLU(**given)))
    case = Case(
        here, keras.layers.ReLU(**given, dtype="float64"), relu_differs(max_value, slope, threshold)
    )
    agreement.check(case, in_keras(case.there, case.x))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 2.0}),
        ("ELU", {}), ("ELU", {"alpha": 0.25}),
    ],
)  # fmt: skip
def test_elementwise_layer(kind, arguments):
    there = getattr(keras.layers, kind)(**arguments, dtype="float64")
    here = getattr(layers, kind)(**arguments)
    assert here == advact_jax.Activation(kind, dialect="keras", **arguments)
    assert here == advact_jax.deserialize(keras.layers.serialize(there))
    agreement.check(Case(here, there), in_keras(there, agreement.POINTS))


@pytest.mark.parametrize(
    ("axis", "masked"), [(-1, True), (1, False), ([1, 2], True), ((0, -1), False)]
)
def test_softmax_layer(axis, masked):
    here, there = layers.Softmax(axis), keras.layers.Softmax(axis, dtype="float64")
    mask = np.random.default_rng(2).random((4, 6)) < 0.7 if masked else None
    if mask is not None:
        mask[1] = False  # a row with nothing allowed gives 0 in both
    case = Case(lambda x: here(x, mask), lambda x: there(x, mask=mask), x=ROWS)
    agreement.check(case, in_keras(case.there, ROWS))


def test_softmax_layer_with_a_mask_of_numbers():
    # Keras keeps what is above 0.5. Ours asks for bool, and says how.
    x, mask = jnp.ones((1, 3)), jnp.array([[1, 0, 1]])
    np.testing.assert_array_equal(keras.layers.Softmax()(x, mask=mask), [[0.5, 0.0, 0.5]])
    np.testing.assert_array_equal(layers.Softmax()(x, mask=mask > 0.5), [[0.5, 0.0, 0.5]])
    with pytest.raises(TypeError, match="Softmax: expected mask to be an array of bool, got int32"):
        layers.Softmax()(x, mask=mask)


def test_softmax_layer_lets_no_masked_entry_win():
    # Keras sets what is masked to -1e9, so the mass goes there and is lost.
    x, mask = jnp.array([[0.0, -2e9]]), jnp.array([[False, True]])
    np.testing.assert_array_equal(layers.Softmax()(x, mask), [[0.0, 1.0]])
    np.testing.assert_array_equal(keras.layers.Softmax()(x, mask=mask), [[0.0, 0.0]])


# -- PReLU --------------------------------------------------------------------------------------

SHARED = [None, (1, 2), [2]]
IMAGES = (2 * np.random.default_rng(3).normal(size=(2, 4, 5, 3))).astype(np.float32)
IMAGES[:, 0, 0] = 0.0  # the kink


def built(shared: Any, **arguments: Any) -> Any:
    with jax.enable_x64(True):
        layer = keras.layers.PReLU(shared_axes=shared, dtype="float64", **arguments)
        layer.build(IMAGES.shape)
    return layer


@pytest.mark.parametrize("shared", SHARED)
def test_prelu_layer(shared):
    ours = () if shared is None else shared
    module = linen.PReLU(shared_axes=ours, alpha_init=0.0)
    twin = nnx.PReLU(IMAGES.shape[1:], shared_axes=ours, alpha_init=0.0)
    params = module.init(jax.random.key(0), IMAGES)["params"]
    there = built(shared)
    initial = np.asarray(there.alpha)
    for alpha in (params["alpha"], twin.alpha[...]):
        np.testing.assert_array_equal(alpha, initial)
    alpha = jax.random.normal(jax.random.key(1), initial.shape)

    def loss_here(alpha: Any, x: Any) -> Any:
        return jnp.sum(module.apply({"params": {"alpha": alpha}}, x) ** 2)  # type: ignore[operator]

    def loss_there(alpha: Any, x: Any) -> Any:
        return jnp.sum(there.stateless_call([alpha], [], x)[0] ** 2)

    here = jax.jit(jax.value_and_grad(loss_here, argnums=(0, 1)))(alpha, jnp.asarray(IMAGES))
    with jax.enable_x64(True):
        given = jnp.asarray(alpha, "float64"), jnp.asarray(IMAGES, "float64")
        expected = jax.jit(jax.value_and_grad(loss_there, argnums=(0, 1)))(*given)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), here, expected)


def test_prelu_layer_at_the_kink():
    # x >= 0 owns 0 here, as in jax.nn's leaky_relu and in Keras's own; Keras's PReLU gives 0 there,
    # which is neither of the one-sided derivatives.
    there = built((1, 2, 3), alpha_initializer=keras.initializers.Constant(0.25))
    case = Case(
        nnx.PReLU(axis=None),
        lambda x: there(x[:, None, None, None]).ravel(),
        {0.0: ((0.0, 1.0), (0.0, 0.0))},
        x=agreement.POINTS[np.isfinite(agreement.POINTS)],
    )
    agreement.check(case, in_keras(case.there, case.x))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("zeros", {}), ("ones", {}), ("constant", {"value": 0.25}), ("Constant", {"value": 0.5}),
    ],
)  # fmt: skip
def test_alpha_initializer(name, arguments):
    config = {"class_name": name, "config": arguments}
    there = built((1, 2), alpha_initializer=keras.initializers.get(config))
    here = nnx.PReLU(
        (4, 5, 3), shared_axes=(1, 2), alpha_init=initializers.get(config), rngs=flax.nnx.Rngs(0)
    )
    np.testing.assert_array_equal(here.alpha[...], np.asarray(there.alpha))


@pytest.mark.parametrize("name", ["random_uniform", "he_normal"])
def test_alpha_initializer_of_random_values(name):
    # The numbers differ, the distributions do not: mean and deviation of 90,000.
    shape = (300, 300)
    there = np.asarray(keras.initializers.get(name)(shape))
    here = np.asarray(initializers.get(name)(jax.random.key(0), shape, jnp.float32))
    assert abs(here.mean() - there.mean()) < 6 * here.std() / 300
    np.testing.assert_allclose(here.std(), there.std(), rtol=0.02)
    np.testing.assert_allclose(abs(here).max(), abs(there).max(), rtol=0.15)


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2"])
def test_alpha_regularizer(name):
    given = {"l1": 0.25, "l2": 0.125}
    arguments = {key: value for key, value in given.items() if key in name}
    alpha = 0.5 + np.arange(3, dtype=np.float32)
    there = keras.layers.PReLU(
        shared_axes=(1, 2),
        alpha_initializer="ones",
        alpha_regularizer=keras.regularizers.get({"class_name": "L1L2", "config": arguments}),
    )
    there.build(IMAGES.shape)
    there.alpha.assign(alpha.reshape(1, 1, 3))
    here = regularizers.get(name, **arguments)
    np.testing.assert_allclose(here(alpha.reshape(1, 1, 3)), np.asarray(there.losses[0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("non_neg", {}), ("max_norm", {"max_value": 1.5, "axis": 0}), ("unit_norm", {"axis": 1}),
        ("min_max_norm", {"min_value": 0.5, "max_value": 1.0, "rate": 0.5, "axis": 0}),
    ],
)  # fmt: skip
def test_alpha_constraint(name, arguments):
    alpha = np.random.default_rng(5).normal(size=(4, 5, 3)).astype(np.float32)
    there = keras.constraints.get({"class_name": name, "config": arguments})
    # Keras adds 1e-7 to a norm that it divides by.
    np.testing.assert_allclose(
        constraints.get(name, **arguments)(alpha), there(jnp.asarray(alpha)), rtol=2e-6
    )


# -- 16 bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sigmoid", "silu"])
def test_bfloat16_is_the_rounded_truth_and_keras_is_near(name):
    x = np.asarray(jnp.asarray(agreement.GRID, "bfloat16"))
    here = agreement.in_jax(advact_jax.get(name, dialect="keras"), x, "bfloat16")
    there = agreement.in_jax(keras.activations.get(name), x, "bfloat16")
    exact = in_keras(keras.activations.get(name), np.asarray(x, np.float64))
    for a, b, truth in zip(here, there, exact, strict=True):
        assert np.max(agreement.ulps(a, truth, 2.0**-6)) <= 0.51
        # Keras rounds after each step, and the small slopes of what is nearly flat are lost.
        np.testing.assert_allclose(b.astype(np.float64), truth, rtol=2.0**-6, atol=2.0**-8)
