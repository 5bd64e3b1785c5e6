"""Layers that learn activations with tables of coefficients, in both frameworks."""

from __future__ import annotations

import json
from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

import advact_jax
from advact_jax import linen, nnx

pytestmark = pytest.mark.sampled
SUBJECTS = (
    "linen.tables",
    "nnx.tables",
    "functions.powers",
    "functions.rational",
    "functions.tables",
    "functions.spline",
)

X = jax.random.normal(jax.random.key(0), (8, 4))
TABLE = np.linspace(-1, 1, 4 * 7, dtype="float32").reshape(4, 7)

# The layer, its arguments, and the shapes of its parameters for 4 channels.
LAYERS: dict[str, tuple[str, dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "rational": ("Rational", {}, {"numerator": (6,), "denominator": (4,)}),
    "rational per channel": (
        "Rational",
        {"axis": -1, "version": "C", "approximates": "swish"},
        {"numerator": (4, 6), "denominator": (4, 5)},
    ),
    "rational of arrays": (
        "Rational",
        {
            "numerator_init": np.array([0, 1, 1], "float32"),
            "denominator_init": np.array([0.5], "float32"),
        },
        {"numerator": (3,), "denominator": (1,)},
    ),
    "pwlu": (
        "PWLU",
        {"low_regularizer": "l2", "intervals": 4},
        {"heights": (4, 5), "left_slope": (4,), "right_slope": (4,), "low": (4,), "high": (4,)},
    ),
    "pwlu of arrays": (
        "PWLU",
        {"heights_init": TABLE, "approximates": "silu", "dtype": jnp.bfloat16},
        {"heights": (4, 7), "left_slope": (4,), "right_slope": (4,), "low": (4,), "high": (4,)},
    ),
    "apl per unit": (
        "APL",
        {"hinge_count": 2, "shared_axes": (), "slopes_init": 0.2, "slopes_constraint": "non_neg"},
        {"slopes": (4, 2), "hinges": (4, 2)},
    ),
    "poly_relu": ("PolyReLU", {"weights_regularizer": "l1"}, {"weights": (3,), "bias": ()}),
    "spline": (
        "BSpline",
        {"coefficients_init": TABLE, "intervals": 4, "grid": (-2.0, 2.0)},
        {"coefficients": (4, 7), "base": (4,), "scale": (4,)},
    ),
}


def made(case: str) -> tuple[Any, Any, Any]:
    name, arguments, _ = LAYERS[case]
    one = arguments.get("axis", None if name in ("Rational", "PolyReLU") else -1) is None
    features: Any = None if one else (4,) if "shared_axes" in arguments else 4
    layer = getattr(linen, name)(**arguments)
    return layer, layer.init(jax.random.key(1), X), getattr(nnx, name)(features, **arguments)


@pytest.mark.parametrize("case", LAYERS)
def test_both_frameworks_are_alike(case):
    layer, variables, twin = made(case)
    params, shapes = variables["params"], LAYERS[case][2]
    assert {key: value.shape for key, value in params.items()} == shapes
    assert layer.activation_parameters == twin.activation_parameters == tuple(shapes)
    for key, value in params.items():
        np.testing.assert_array_equal(value, getattr(twin, key)[...])
        assert value.dtype == getattr(twin, key)[...].dtype == jnp.float32

    @jax.jit
    def both(params: Any, x: Any) -> Any:
        y, pullback = jax.vjp(lambda p, x: layer.apply({"params": p}, x), params, x)
        return y, pullback(jnp.ones_like(y))

    graph, state = flax.nnx.split(twin)

    @jax.jit
    def both_nnx(state: Any, x: Any) -> Any:
        y, pullback = jax.vjp(lambda s, x: flax.nnx.merge(graph, s)(x), state, x)
        return y, pullback(jnp.ones_like(y))

    (y, (by, slope)), (z, (by_nnx, slope_nnx)) = both(params, X), both_nnx(state, X)
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(slope, slope_nnx)
    for key, value in by.items():
        np.testing.assert_array_equal(value, by_nnx[key][...])
    assert y.dtype == LAYERS[case][1].get("dtype", X.dtype)
    penalty = linen.regularization_loss(layer.apply(variables, X, mutable=["losses"])[1])
    twin(X)
    np.testing.assert_array_equal(penalty, nnx.regularization_loss(twin))
    assert layer.parameter_constraints() == twin.parameter_constraints()


@pytest.mark.parametrize("case", LAYERS)
def test_round_trip_as_json(case):
    layer, variables, twin = made(case)
    config = json.loads(json.dumps(linen.serialize(layer)))
    again = linen.deserialize(config)
    assert linen.serialize(again) == config
    np.testing.assert_array_equal(again.apply(variables, X), layer.apply(variables, X))
    config = json.loads(json.dumps(nnx.serialize(twin)))
    again = nnx.deserialize(config)
    assert nnx.serialize(again) == config
    np.testing.assert_array_equal(again(X), twin(X))


@pytest.mark.parametrize("case", LAYERS)
def test_all_parameters_belong_to_an_activation_and_masks_are_passed_on(case):
    layer, variables, twin = made(case)
    assert all(jax.tree.leaves(linen.activation_mask(layer, X)))
    assert all(jax.tree.leaves(nnx.activation_mask(twin)))
    mask = jnp.ones(8, bool)
    for y, z in (layer.apply(variables, X, mask), twin(X, mask)):
        assert y.shape == X.shape and z is mask


def test_initial_values_are_those_of_the_function():
    x = jnp.linspace(-2.5, 2.5, 21)[:, None]
    for approximates, function in (("tanh", jnp.tanh), ("gelu", jax.nn.gelu)):
        layer = nnx.Rational(approximates=approximates, version="B")
        np.testing.assert_allclose(layer(x), function(x), atol=4e-3)
    first = linen.Rational()
    for y in (nnx.Rational()(x), first.init_with_output(jax.random.key(0), x)[0]):
        published = advact_jax.rational_coefficients("leaky_relu", "A")
        own = advact_jax.rational_coefficients("leaky_relu", "A", published=False)
        np.testing.assert_allclose(y, advact_jax.rational(x, *published), rtol=1e-6)
        assert not np.allclose(y, advact_jax.rational(x, *own), atol=1e-4)
    exact = nnx.Rational(approximates="identity", published=False)
    np.testing.assert_array_equal(exact(x), x)
    np.testing.assert_allclose(nnx.PWLU(1)(4 * x), jax.nn.relu(4 * x), atol=0.2)
    np.testing.assert_allclose(nnx.PWLU(1, approximates="tanh")(x), jnp.tanh(x), atol=0.02)
    np.testing.assert_array_equal(nnx.APL(1)(x), jax.nn.relu(x))
    r = jax.nn.relu(x)
    np.testing.assert_allclose(nnx.PolyReLU()(x), (r + r**2 + r**3) / 3, rtol=1e-6)
    zero = nnx.BSpline(1, coefficients_init=0.0)
    np.testing.assert_allclose(zero(x), jax.nn.silu(x), rtol=1e-6)


def test_noise_of_version_d():
    layer, twin = linen.Rational(version="D"), nnx.Rational(version="D", rngs=flax.nnx.Rngs(0))
    variables = layer.init(jax.random.key(0), X)
    still: Any = linen.Rational(version="B").apply(variables, X)
    np.testing.assert_array_equal(layer.apply(variables, X), still)
    noisy: Any = layer.apply(variables, X, rngs={"noise": jax.random.key(2)})
    assert 0 < jnp.max(jnp.abs(noisy - still)) < 1
    assert jnp.any(twin(X) != twin(X))
    twin.eval()
    np.testing.assert_array_equal(twin(X), still)


@pytest.mark.parametrize(
    "arguments", [{"axis": -1}, {"axis": None}, {"shared_axes": (1,)}], ids=str
)
def test_refit_keeps_the_curve(arguments):
    x = jnp.linspace(-1, 1, 120).reshape(10, 3, 4)
    layer = linen.BSpline(**arguments)
    params = layer.init(jax.random.key(0), x)["params"]
    finer, new = layer.refit(params, x, intervals=10)
    y: Any = layer.apply({"params": params}, x)
    moved: Any = finer.apply({"params": new}, x)
    np.testing.assert_allclose(moved, y, atol=2e-5)
    features: Any = None if arguments.get("axis", 0) is None else 4
    features = (3, 4) if "shared_axes" in arguments else features
    start = {"coefficients_init": params["coefficients"]}
    twin = nnx.BSpline(features, **arguments, **start)
    twin.refit(x, intervals=10)
    np.testing.assert_array_equal(twin.coefficients[...], new["coefficients"])
    np.testing.assert_allclose(twin(x), y, atol=2e-5)
    assert nnx.serialize(twin)["arguments"]["intervals"] == 10


def test_refit_to_a_wider_grid_of_samples():
    x = 2 * X
    layer = nnx.BSpline(4, coefficients_init=TABLE, intervals=4)
    layer.refit(x, grid=(float(x.min()), float(x.max())))
    assert layer.coefficients.shape == (4, 7) and layer.grid[0] < -1
    assert jnp.all(jnp.isfinite(layer(x)))


def test_sharding_leaves_the_coefficients_together():
    layer = linen.PWLU(sharding=("model",))
    held = layer.init(jax.random.key(0), X)["params"]
    assert held["heights"].names == ("model", None) and held["low"].names == ("model",)
    assert meta.unbox(held)["heights"].shape == (4, 17)
    spline, new = linen.BSpline(sharding=("model",)), None
    held = spline.init(jax.random.key(0), X)["params"]
    _, new = spline.refit(held, X, intervals=7)
    assert new["coefficients"].names == ("model", None)


UNTYPED: Any = nnx
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "name": (
        lambda: nnx.Rational(approximates="mish"), ValueError,
        "Rational: expected approximates to be one of identity, .*, got 'mish'",
    ),
    "version": (lambda: UNTYPED.Rational(version="E"), ValueError, "Rational: expected version"),
    "degrees": (lambda: nnx.Rational(degrees=(3, 2)), ValueError, r"expected degrees \(5, 4\)"),
    "degree": (lambda: nnx.Rational(degrees=(0, 2)), ValueError, "each of degrees to be 1 or more"),
    "intervals": (lambda: nnx.PWLU(3, intervals=0), ValueError, "PWLU: expected intervals to be 1"),
    "ends": (lambda: nnx.PWLU(3, low_init="zeros"), ValueError, "PWLU: expected heights_init"),
    "shape": (
        lambda: nnx.PWLU(3, heights_init=np.ones((2, 5))), ValueError,
        r"PWLU: expected heights_init to give an array of shape \(3, 5\), got shape \(2, 5\)",
    ),
    "hinges": (lambda: nnx.APL(3, hinge_count=0), ValueError, "APL: expected hinge_count"),
    "order": (lambda: UNTYPED.PolyReLU(order=1.5), TypeError, "PolyReLU: expected order to be an"),
    "grid": (
        lambda: nnx.BSpline(2, grid=(1.0, -1.0), coefficients_init=0.0), ValueError,
        "BSpline: expected a grid",
    ),
    "key": (lambda: nnx.BSpline(2), TypeError, "BSpline: expected rngs"),
    "input": (
        lambda: nnx.PWLU(3)(X), ValueError, r"fits heights of shape \(3, 17\), .*\(4, 17\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_as_the_activation_of_a_dense_layer():
    layer = nnx.Dense(4, 3, activation=nnx.Rational(), rngs=flax.nnx.Rngs(0))
    assert layer(X).shape == (8, 3)
    fixed = advact_jax.Activation("poly_relu", weights=(1.0, 0.0))
    assert nnx.Dense(4, 3, activation=fixed, rngs=flax.nnx.Rngs(0))(X).shape == (8, 3)
    assert advact_jax.deserialize(advact_jax.serialize(fixed)) == fixed
