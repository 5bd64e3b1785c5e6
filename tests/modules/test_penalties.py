"""Regularizers, constraints, shardings and initial values by name of the layers that learn."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import constraints, initializers, linen, nnx, regularizers

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (4, 5, 3))


def linen_loss(layer: Any, x: Any = X) -> Any:
    variables = layer.init(KEY, x)
    assert set(variables) <= {"params"}  # No penalty is stored with the parameters.
    _, updates = layer.apply(variables, x, mutable=["losses"])
    return linen.regularization_loss(updates)


def nnx_loss(layer: Any, x: Any = X) -> Any:
    layer(x)
    return nnx.regularization_loss(layer)


# -- regularizers -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["l2", "L2", regularizers.L2(), {"class_name": "L2"}])
def test_a_penalty_is_the_regularizer_of_the_parameter(given):
    arguments: dict[str, Any] = {"alpha_init": 0.5, "alpha_regularizer": given}
    for loss in (linen_loss(linen.PReLU(**arguments)), nnx_loss(nnx.PReLU(3, **arguments))):
        assert loss == np.float32(0.01) * np.float32(3 * 0.25)
        assert loss.dtype == jnp.float32


def test_penalties_of_several_parameters_and_layers_are_summed_the_same_in_both():
    arguments: dict[str, Any] = {
        "alpha_regularizer": "l1",
        "beta_regularizer": lambda v: jnp.max(v) * 0.5,
    }
    expected = np.float32(0.01) * np.float32(0.2 * 3) + 2.5

    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = linen.ParametricSoftplus(**arguments)(x)
            return linen.ParametricSoftplus(**arguments)(x)

    twin = flax.nnx.Sequential(
        nnx.ParametricSoftplus(3, **arguments), nnx.ParametricSoftplus(3, **arguments)
    )
    a, b = linen_loss(Twice()), nnx_loss(twin)
    np.testing.assert_allclose(a, 2 * expected, rtol=1e-6)
    assert a == b


def test_a_penalty_does_not_depend_on_the_batch_and_a_shared_layer_counts_once():
    class Shared(nn.Module):
        def setup(self):
            self.act = linen.PReLU(alpha_regularizer="l2")

        def __call__(self, x):
            return self.act(self.act(x))

    single = linen_loss(linen.PReLU(alpha_regularizer="l2"))
    assert single > 0
    assert linen_loss(Shared()) == single
    assert linen_loss(Shared(), jnp.concatenate([X, X])) == single
    twin = nnx.PReLU(3, alpha_regularizer="l2")
    twin(X)
    assert nnx_loss(twin, jnp.concatenate([X, X])) == single


def test_the_gradient_of_a_loss_with_a_penalty_is_the_same_in_both():
    layer: Any = linen.PReLU(alpha_regularizer=regularizers.L2(0.5))
    twin = nnx.PReLU(3, alpha_regularizer=regularizers.L2(0.5))

    def loss(params):
        y, updates = layer.apply({"params": params}, X, mutable=["losses"])
        return jnp.sum(y**2) + linen.regularization_loss(updates)

    def twin_loss(twin):
        return jnp.sum(twin(X) ** 2) + nnx.regularization_loss(twin)

    params = layer.init(KEY, X)["params"]
    slopes = jax.grad(loss)(params)["alpha"]
    plain = jax.grad(lambda p: jnp.sum(layer.apply({"params": p}, X) ** 2))(params)["alpha"]
    np.testing.assert_allclose(slopes, plain + 2 * 0.5 * params["alpha"], rtol=1e-6)
    twin_slopes = flax.nnx.jit(flax.nnx.grad(twin_loss))(twin)
    np.testing.assert_allclose(slopes, twin_slopes.alpha[...], rtol=1e-6)
    assert nnx.regularization_loss(twin) > 0  # The variable has left the transformation.


def test_without_a_regularizer_there_is_no_loss_and_no_state():
    assert linen_loss(linen.PReLU()) == 0
    twin = nnx.PReLU(3)
    assert nnx_loss(twin) == 0
    assert not jax.tree.leaves(flax.nnx.state(twin, nnx.RegularizationLoss))


def test_penalties_under_scan_and_vmap():
    def stack(lift: Any, **how: Any) -> Any:
        return lift(
            linen.PReLU,
            variable_axes={"params": 0, "losses": 0},
            split_rngs={"params": True},
            **how,
        )(alpha_regularizer="l2")

    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            body = nn.scan(
                lambda module, carry, _: (linen.PReLU(alpha_regularizer="l2")(carry), None),
                variable_axes={"params": 0, "losses": 0},
                split_rngs={"params": True},
                length=4,
            )
            return body(self, x, None)[0]

    single = linen_loss(linen.PReLU(alpha_regularizer="l2"))
    np.testing.assert_allclose(linen_loss(Scanned()), 4 * single, rtol=1e-6)
    mapped = stack(nn.vmap, in_axes=0, axis_size=4)
    np.testing.assert_allclose(linen_loss(mapped), 4 * single, rtol=1e-6)


@pytest.mark.parametrize(
    "regularizer, penalty",
    [
        (regularizers.L1(0.5), 0.5 * 6),
        (regularizers.L2(0.5), 0.5 * 14),
        (regularizers.L1L2(l1=1.0), 6),
        (regularizers.get("l1_l2"), 0.01 * 6 + 0.01 * 14),
        (regularizers.get("l2", l2=2.0), 28),
    ],
)
def test_regularizers(regularizer, penalty):
    for dtype in ("float32", "bfloat16"):
        got = regularizer(jnp.array([1.0, -2.0, 3.0], dtype))
        np.testing.assert_allclose(got, penalty, rtol=1e-6)
        assert got.dtype == jnp.float32
    assert hash(regularizer) == hash(type(regularizer)(**vars(regularizer)))


def test_narrow_types_under_strict_promotion():
    w = jnp.array([3.0, -4.0], "float16")
    with jax.numpy_dtype_promotion("strict"):
        assert regularizers.L1L2(1.0, 1.0)(w) == 32
        np.testing.assert_allclose(constraints.UnitNorm()(w), [0.6, -0.8], rtol=1e-3)


def test_orthogonal_regularizer():
    w = jnp.array([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(regularizers.OrthogonalRegularizer(1.0)(w), 0.6 / 3, rtol=1e-6)
    columns = regularizers.OrthogonalRegularizer(1.0, "columns")
    np.testing.assert_allclose(columns(w), 3 / np.sqrt(10), rtol=1e-6)
    assert columns(jnp.ones((3, 1))) == 0
    with pytest.raises(ValueError, match="expected a matrix"):
        columns(jnp.ones(3))


# -- constraints --------------------------------------------------------------------------------


def test_constraints():
    w = jnp.array([[3.0, -0.3], [-4.0, 0.4]])
    expected: dict[Any, Any] = {
        constraints.NonNeg(): [[3.0, 0.0], [0.0, 0.4]],
        constraints.Interval(-1, 0.4): [[0.4, -0.3], [-1.0, 0.4]],
        constraints.UnitNorm(): [[0.6, -0.6], [-0.8, 0.8]],
        constraints.MaxNorm(2.5): [[1.5, -0.3], [-2.0, 0.4]],
        constraints.MaxNorm(1.0, axis=(0, 1)): w / jnp.linalg.norm(w),
        constraints.MinMaxNorm(1.0, 2.5): [[1.5, -0.6], [-2.0, 0.8]],
        constraints.MinMaxNorm(1.0, 2.5, rate=0.5): [[2.25, -0.45], [-3.0, 0.6]],
    }
    for constraint, result in expected.items():
        np.testing.assert_allclose(constraint(w), result, rtol=1e-6)
        assert constraint(w.astype(jnp.bfloat16)).dtype == jnp.bfloat16
        assert constraint == type(constraint)(**vars(constraint))


def test_a_layer_tells_its_constraints():
    class_ = constraints.NonNeg
    for layer in (
        linen.PReLU(alpha_constraint="non_neg"),
        nnx.PReLU(3, alpha_constraint=class_()),
        linen.Learnable("prelu", constraint={"alpha": "NonNeg"}),
        nnx.Learnable("prelu", 3, constraint={"alpha": {"class_name": "NonNeg"}}),
    ):
        assert layer.parameter_constraints() == {"alpha": class_()}
        assert layer.activation_parameters == ("alpha",)
    assert linen.ParametricSoftplus().parameter_constraints() == {}
    assert nnx.ParametricSoftplus(3).activation_parameters == ("alpha", "beta")


# -- initial values by name, shardings ----------------------------------------------------------

BY_NAME: dict[Any, float] = {
    "keras": 0.0,
    "torch": 0.25,
    "flax": 0.01,
    "ones": 1.0,
    "Zeros": 0.0,
}


@pytest.mark.parametrize("name", BY_NAME)
def test_initial_values_by_name(name):
    params = linen.PReLU(alpha_init=name).init(KEY, X)["params"]
    np.testing.assert_array_equal(params["alpha"], jnp.full(3, BY_NAME[name]))
    twin: Any = nnx.Learnable("prelu", 3, initial={"alpha": name})
    np.testing.assert_array_equal(twin.alpha[...], params["alpha"])


def test_the_layer_of_a_framework_rules_over_its_function():
    layer = linen.Learnable(
        "leaky_relu", learn="negative_slope", initial={"negative_slope": "keras"}
    )
    assert layer.init(KEY, X)["params"]["negative_slope"][0] == np.float32(0.3)


def test_a_random_initializer_by_name_needs_rngs_in_nnx():
    with pytest.raises(TypeError, match="PReLU: expected rngs"):
        nnx.PReLU(3, alpha_init="random_uniform")
    a = nnx.PReLU(3, alpha_init="random_uniform", rngs=flax.nnx.Rngs(0)).alpha[...]
    b = initializers.get("random_uniform")(flax.nnx.Rngs(0).params(), (3,), jnp.float32)
    np.testing.assert_array_equal(a, b)


def test_shardings_are_the_metadata_of_each_framework():
    params = linen.PReLU(sharding=("model",)).init(KEY, X)["params"]
    assert nn.get_partition_spec(params)["alpha"] == jax.sharding.PartitionSpec("model")
    with jax.set_mesh(jax.make_mesh((1,), ("model",), (jax.sharding.AxisType.Auto,))):
        twin = nnx.PReLU(3, sharding=("model",))
    spec: Any = flax.nnx.get_partition_spec(flax.nnx.state(twin, flax.nnx.Param))
    assert spec["alpha"].get_value() == jax.sharding.PartitionSpec("model")
    np.testing.assert_array_equal(nn.meta.unbox(params)["alpha"], twin.alpha[...])
    np.testing.assert_array_equal(
        linen.PReLU(sharding=("model",)).apply({"params": params}, X), twin(X)
    )


# -- mistakes -----------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "regularizer": (
        {"alpha_regularizer": "l3"},
        ValueError,
        "PReLU: alpha_regularizer: .*'l3'.*l2",
    ),
    "regularizer type": (
        {"alpha_regularizer": 0.1},
        TypeError,
        "PReLU: alpha_regularizer: exp.*0.1",
    ),
    "constraint": ({"alpha_constraint": "nonneg"}, ValueError, "PReLU: .*Did you mean non_neg"),
    "initial": (
        {"alpha_init": "he_norml"},
        ValueError,
        "PReLU: alpha_init: .*'he_norml'.*he_normal",
    ),
    "framework": ({"alpha_init": "jax"}, ValueError, "expected alpha_init to name a framework"),
    "sharding": ({"sharding": ("a", "b")}, ValueError, r"PReLU: expected sharding .*\(3,\)"),
}


@pytest.mark.parametrize("arguments, kind, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_an_error_that_names_the_layer(arguments, kind, message):
    with pytest.raises(kind, match=message):
        linen.PReLU(**arguments).init(KEY, X)
    with pytest.raises(kind, match=message):
        nnx.PReLU(3, **arguments)


@pytest.mark.parametrize("argument", ["regularizer", "constraint", "initial"])
def test_what_is_not_learned_takes_no_argument(argument):
    makers: list[Any] = [linen.Learnable, nnx.Learnable]
    for make in makers:
        with pytest.raises(ValueError, match=f"Learnable: expected {argument} for what"):
            make("elu", learn="alpha", **{argument: {"beta": "l2"}})
        with pytest.raises(TypeError, match=f"expected {argument} to be a dictionary"):
            make("elu", learn="alpha", **{argument: "l2"})


def test_a_penalty_that_is_no_scalar_is_an_error():
    with pytest.raises(ValueError, match="expected alpha_regularizer to give a scalar"):
        linen_loss(linen.PReLU(alpha_regularizer=jnp.abs))
