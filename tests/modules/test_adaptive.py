"""The adaptive layers: linen and nnx alike, in training and in use, and as plain JSON."""

from __future__ import annotations

import functools
import json
from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import advact_jax
from advact_jax import layers, linen, nnx

pytestmark = pytest.mark.sampled
SUBJECTS = (
    "linen.adaptive",
    "nnx.adaptive",
    "linen.conditioned",
    "nnx.conditioned",
)

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (4, 5, 6, 20))
# The arguments for both, what nnx is told beside them, and the shapes of the parameters.
LAYERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "RReLU": ({"lower": 0.1}, {}, {}),
    "DyT": ({}, {"features": 20}, {"alpha": (), "gamma": (20,), "beta": (20,)}),
    "Derf": ({}, {"features": 20}, {"alpha": (), "shift": (), "gamma": (20,), "beta": (20,)}),
    "PolyNorm": ({"axis": (-1,)}, {}, {"weights": (3,), "bias": ()}),
    "ModReLU": ({"bias_init": -0.5}, {"features": 20}, {"bias": (20,)}),
    "FReLU": (
        {"momentum": 0.5},
        {"features": 20},
        {"conv/kernel": (3, 3, 1, 20), "norm/scale": (20,), "norm/bias": (20,)},
    ),
    "DynamicReLU": (
        {"k": 3},
        {"features": 20},
        {
            "squeeze/kernel": (20, 2), "squeeze/bias": (2,), "excite/kernel": (2, 120),
            "excite/bias": (120,),
        },
    ),
    "MetaACON": (
        {"p2_init": 0.25},
        {"features": 20},
        {
            "p1": (20,), "p2": (20,), "squeeze/kernel": (20, 16), "squeeze/bias": (16,),
            "excite/kernel": (16, 20), "excite/bias": (20,),
        },
    ),
}  # fmt: skip
NEEDS_RNGS = ("FReLU", "DynamicReLU", "MetaACON")
every_layer = pytest.mark.parametrize("name", LAYERS)
close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6)


def in_use(name: str) -> dict[str, bool]:
    """Return how a call is told that the model is used, not trained."""
    return {"RReLU": {"deterministic": True}, "FReLU": {"use_running_average": True}}.get(name, {})


def both(name: str, **more: Any) -> tuple[Any, Any, Any]:
    """Return the linen layer, its variables, and the nnx layer with the same ones."""
    arguments, told, _ = LAYERS[name]
    module = getattr(linen, name)(**arguments, **more)
    variables = module.init({"params": KEY, "dropout": KEY}, X, **in_use(name))
    rngs = {"rngs": flax.nnx.Rngs(0)} if name in NEEDS_RNGS else {}
    twin = getattr(nnx, name)(**told, **arguments, **more, **rngs)
    for collection in variables.values():
        copy(twin, collection)
    return module, variables, twin


def copy(twin: Any, tree: Any) -> None:
    for key, value in tree.items():
        held = getattr(twin, key)
        if isinstance(value, dict):
            copy(held, value)
        else:
            assert held.shape == value.shape and held.dtype == value.dtype
            held[...] = value


def flat(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(k.key) for k in path): leaf for path, leaf in leaves}


@every_layer
def test_both_have_the_same_parameters_values_and_gradients(name: str) -> None:
    module, variables, twin = both(name)
    params = variables.get("params", {})
    assert {key: v.shape for key, v in flat(params).items()} == LAYERS[name][2]
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    others = {k: v for k, v in variables.items() if k != "params"}

    def loss(params: Any, x: Any) -> Any:
        y = module.apply({"params": params, **others}, x, **in_use(name))
        return jnp.sum(jnp.sin(y)), y

    graph, state, *rest = flax.nnx.split(twin, flax.nnx.Param, ...)

    def loss_nnx(state: Any, x: Any) -> Any:
        y = flax.nnx.merge(graph, state, *rest)(x, **in_use(name))
        return jnp.sum(jnp.sin(y)), y

    grads = [
        jax.jit(jax.grad(f, argnums=(0, 1), has_aux=True))(p, X)
        for f, p in ((loss, params), (loss_nnx, state))
    ]
    ((by, by_x), y), ((by_nnx, by_x_nnx), y_nnx) = grads
    close(y, y_nnx)
    close(by_x, by_x_nnx, atol=1e-5)
    pure = flat(flax.nnx.to_pure_dict(by_nnx))
    assert set(pure) == set(flat(by))
    for key, value in flat(by).items():
        close(value, pure[key], rtol=1e-4, atol=1e-4)


@every_layer
def test_types(name: str) -> None:
    module, variables, twin = both(name)
    x = X.astype(jnp.bfloat16)
    y = module.apply(variables, x, **in_use(name))
    assert y.dtype == jnp.bfloat16 and y.shape == X.shape
    z = twin(x, **in_use(name))
    assert z.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype("float32"), z.astype("float32"), rtol=0.01, atol=0.01)
    close(y.astype(jnp.float32), module.apply(variables, X, **in_use(name)), rtol=0.1, atol=0.1)
    if name != "RReLU":
        module, variables, twin = both(name, dtype=jnp.float32, param_dtype=jnp.bfloat16)
        assert module.apply(variables, x, **in_use(name)).dtype == jnp.float32
        assert twin(x, **in_use(name)).dtype == jnp.float32
        assert all(v.dtype == jnp.bfloat16 for v in jax.tree.leaves(variables["params"]))
        with pytest.raises(TypeError, match=f"{name}: expected dtype to be a floating-point"):
            both(name, dtype=jnp.int32)


@every_layer
def test_masks_are_passed_on(name: str) -> None:
    module, variables, twin = both(name)
    mask = jnp.asarray(np.random.default_rng(0).random(X.shape[:2]) > 0.5)
    if name == "FReLU":
        for call in (functools.partial(module.apply, variables), twin):
            with pytest.raises(ValueError, match="FReLU: expected no mask"):
                call(X, mask, **in_use(name))
        return
    for call in (functools.partial(module.apply, variables), twin):
        y, found = call(X, mask, **in_use(name))
        assert found is mask and y.shape == X.shape
        # What does not count is not looked at.
        z, _ = call(jnp.where(mask[:, :, None, None], X, 7.0), mask, **in_use(name))
        np.testing.assert_array_equal(y[mask], z[mask])
        with pytest.raises(ValueError, match=f"{name}: expected a mask whose axes"):
            call(X, mask[:2], **in_use(name))


@every_layer
def test_configs(name: str) -> None:
    module, variables, twin = both(name)
    config = json.loads(json.dumps(linen.serialize(module)))
    again = linen.deserialize(config)
    assert linen.serialize(again) == config
    assert config["arguments"] == json.loads(json.dumps(config["arguments"]))
    close(
        again.apply(variables, X, **in_use(name)),
        module.apply(variables, X, **in_use(name)),
        rtol=0,
    )
    config = json.loads(json.dumps(nnx.serialize(twin)))
    again = nnx.deserialize(config, rngs=flax.nnx.Rngs(3))
    assert nnx.serialize(again) == config and type(again) is type(twin)
    params = flax.nnx.state(twin, flax.nnx.Param)
    flax.nnx.update(again, params)
    close(again(X, **in_use(name)), twin(X, **in_use(name)), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["DyT", "MetaACON", "FReLU"])
def test_a_step_of_training_lowers_the_loss(name: str) -> None:
    arguments, told, _ = LAYERS[name]
    target = jnp.tanh(X) * 0.3
    training = {"FReLU": {"use_running_average": False}}.get(name, {})
    module = getattr(linen, name)(**arguments)
    variables = module.init(KEY, X, **training)
    twin = getattr(nnx, name)(**told, **arguments, rngs=flax.nnx.Rngs(0))

    def loss(params: Any) -> Any:
        y, updates = module.apply({**variables, "params": params}, X, **training, mutable=True)
        return jnp.mean((y - target) ** 2)

    transform = optax.adam(1e-2)
    state = transform.init(variables["params"])

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = transform.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    params, values = variables["params"], []
    for _ in range(4):
        params, state, value = step(params, state)
        values.append(float(value))
    assert values == sorted(values, reverse=True) and values[-1] < values[0]

    optimizer = flax.nnx.Optimizer(twin, transform, wrt=flax.nnx.Param)

    @flax.nnx.jit
    def step_nnx(twin: Any, optimizer: Any) -> Any:
        value, grads = flax.nnx.value_and_grad(lambda m: jnp.mean((m(X) - target) ** 2))(twin)
        optimizer.update(twin, grads)
        return value

    values = [float(step_nnx(twin, optimizer)) for _ in range(4)]
    assert values[-1] < values[0]


def test_which_parameters_belong_to_activations() -> None:
    model = nn.Sequential([nn.Dense(20), linen.DyT(), linen.MetaACON(), linen.ModReLU()])
    mask = linen.activation_mask(model, jax.ShapeDtypeStruct((2, 3), "float32"))
    found = {key for key, value in flat(mask).items() if value}
    assert found == {
        "layers_1/alpha", "layers_1/beta", "layers_1/gamma", "layers_2/p1", "layers_2/p2",
        "layers_3/bias",
    }  # fmt: skip
    rngs = flax.nnx.Rngs(0)
    twin = flax.nnx.Sequential(nnx.DyT(3), nnx.MetaACON(3, rngs=rngs), nnx.PolyNorm())
    pure = flat(flax.nnx.to_pure_dict(nnx.activation_mask(twin)))
    assert sum(pure.values()) == 3 + 2 + 2 and len(pure) == 3 + 6 + 2


def test_one_alpha_for_a_layer_whatever_its_axes() -> None:
    module = linen.DyT(shared_axes=(1, 2), alpha_init=0.25, alpha_regularizer="l2")
    params = module.init(KEY, X)["params"]
    assert params["alpha"] == 0.25 and params["gamma"].shape == (1, 1, 20)
    twin = nnx.DyT((5, 6, 20), shared_axes=(1, 2), alpha_init=0.25, alpha_regularizer="l2")
    assert twin.alpha[...] == 0.25 and twin.gamma.shape == (1, 1, 20)
    y, updates = module.apply({"params": params}, X, mutable=["losses"])
    np.testing.assert_array_equal(y, twin(X))
    assert linen.regularization_loss(updates) == nnx.regularization_loss(twin) > 0
    boxed = linen.DyT(sharding=("model",)).init(KEY, X)["params"]
    assert boxed["gamma"].names == ("model",) and not hasattr(boxed["alpha"], "names")


# -- random slopes ------------------------------------------------------------------------------


def test_rrelu_in_training_and_in_use() -> None:
    module, x = linen.RReLU(), -jnp.ones((4, 100))
    rngs = {"dropout": KEY}
    y: Any = module.apply({}, x, deterministic=False, rngs=rngs)
    assert ((-y >= 1 / 8) & (-y < 1 / 3)).all() and y.std() > 0.01
    np.testing.assert_array_equal(y, module.apply({}, x, deterministic=False, rngs=rngs))
    np.testing.assert_array_equal(
        module.apply({}, x, deterministic=False, rng=KEY), advact_jax.rrelu(x, KEY)
    )
    mean: Any = module.apply({}, x, deterministic=True)
    np.testing.assert_allclose(mean, -11 / 48, rtol=1e-7)
    twin = nnx.RReLU(rngs=flax.nnx.Rngs(0))
    one, two = twin(x), twin(x)
    assert (one != two).any() and ((-one >= 1 / 8) & (-one < 1 / 3)).all()
    np.testing.assert_array_equal(twin(x, rngs=KEY), advact_jax.rrelu(x, KEY))
    model = flax.nnx.Sequential(twin)
    model.eval()
    np.testing.assert_allclose(model(x), -11 / 48, rtol=1e-7)
    model.train()
    assert model(x).std() > 0.01
    jitted = flax.nnx.jit(lambda m, x: m(x))
    assert (jitted(twin, x) != jitted(twin, x)).any()


def test_rrelu_says_what_it_lacks() -> None:
    x = jnp.ones((2, 3))
    with pytest.raises(TypeError, match="RReLU: expected rngs"):
        nnx.RReLU()(x)
    with pytest.raises(ValueError, match="RReLU: expected deterministic"):
        nnx.RReLU(deterministic=None)(x)
    for framework in (linen, nnx):
        with pytest.raises(ValueError, match="RReLU: expected lower <= upper"):
            framework.RReLU(0.5, 0.25)
        with pytest.raises(TypeError, match="RReLU: expected lower to be a number"):
            framework.RReLU("0.5")


# -- the others ---------------------------------------------------------------------------------


def test_initial_values_are_those_of_the_papers() -> None:
    y = linen.DyT().init_with_output(KEY, X)[0]
    close(y, jnp.tanh(0.5 * X))
    close(nnx.Derf(20)(X), jax.scipy.special.erf(0.5 * X))
    close(nnx.PolyNorm()(X), advact_jax.poly_norm(X))
    np.testing.assert_array_equal(nnx.ModReLU(20)(X), X)
    p1 = nnx.MetaACON(2000, rngs=flax.nnx.Rngs(0)).p1[...]
    assert abs(p1.mean()) < 0.1 and abs(p1.std() - 1) < 0.1
    rngs = flax.nnx.Rngs(0)
    np.testing.assert_array_equal(
        nnx.DynamicReLU(20, kernel_init="zeros", rngs=rngs)(X), jnp.maximum(X, 0)
    )


def test_frelu_is_a_convolution_and_a_batch_norm() -> None:
    module = linen.FReLU()
    variables = module.init(KEY, X, use_running_average=True)
    y, updates = module.apply(variables, X, use_running_average=False, mutable=["batch_stats"])
    kernel = variables["params"]["conv"]["kernel"]
    dims = ("NHWC", "HWIO", "NHWC")
    t = jax.lax.conv_general_dilated(
        X, kernel, (1, 1), "SAME", dimension_numbers=dims, feature_group_count=20
    )
    wanted = (t - t.mean((0, 1, 2))) / jnp.sqrt(t.var((0, 1, 2)) + 1e-5)
    close(y, jnp.maximum(X, wanted), rtol=1e-3, atol=1e-4)
    assert (updates["batch_stats"]["norm"]["var"] != 1).all()
    twin = nnx.FReLU(20, kernel_size=(3,), rngs=flax.nnx.Rngs(0))
    assert twin(X[:, 0]).shape == X[:, 0].shape
    before = twin.norm.mean[...]
    flax.nnx.Sequential(twin).eval()
    twin(X[:, 0])
    np.testing.assert_array_equal(twin.norm.mean[...], before)
    with pytest.raises(ValueError, match=r"FReLU: expected an x of shape \(batch, \*space"):
        twin(X)


def test_networks_see_the_mean_over_space() -> None:
    module, variables, _ = both("DynamicReLU")
    params = variables["params"]
    mean = X.mean((1, 2))
    hidden = jax.nn.relu(mean @ params["squeeze"]["kernel"] + params["squeeze"]["bias"])
    theta = hidden @ params["excite"]["kernel"] + params["excite"]["bias"]
    moved = (2 * jax.nn.sigmoid(theta) - 1).reshape(4, 1, 1, 20, 6)
    a, b = moved[..., :3] + jnp.array([1.0, 0, 0]), 0.5 * moved[..., 3:]
    close(module.apply(variables, X), jnp.max(X[..., None] * a + b, -1), atol=1e-5)
    module, variables, _ = both("MetaACON")
    params = variables["params"]
    hidden = mean @ params["squeeze"]["kernel"] + params["squeeze"]["bias"]
    beta = jax.nn.sigmoid(hidden @ params["excite"]["kernel"] + params["excite"]["bias"])
    d = (params["p1"] - params["p2"]) * X
    wanted = d * jax.nn.sigmoid(beta[:, None, None] * d) + params["p2"] * X
    close(module.apply(variables, X), wanted, atol=1e-5)
    # Without space the mean is the input itself.
    assert module.apply(variables, X[:, 0, 0]).shape == (4, 20)


def test_modrelu_takes_complex_numbers() -> None:
    z = X + 1j * jnp.flip(X)
    module, twin = linen.ModReLU(bias_init=-0.5), nnx.ModReLU(20, bias_init=-0.5)
    y, variables = module.init_with_output(KEY, z)
    np.testing.assert_array_equal(y, twin(z))
    close(y, advact_jax.modrelu(z, -0.5))
    assert variables["params"]["bias"].dtype == jnp.float32 and y.dtype == jnp.complex64
    assert linen.ModReLU(dtype=jnp.complex64).init_with_output(KEY, X)[0].dtype == jnp.complex64
    with pytest.raises(ValueError, match="ModReLU: expected 20 features"):
        twin(z[..., :3])


def test_layers_without_parameters() -> None:
    model = nn.Sequential([layers.GroupSort(4), layers.Maxout(2)])
    mask = jnp.ones((4, 5), bool)
    y, passed = model.apply({}, X, mask)
    assert y.shape == (4, 5, 6, 10) and passed is mask
    np.testing.assert_array_equal(y, advact_jax.group_sort(X, 4)[..., 1::2])
    for layer in (layers.Maxout(2), layers.GroupSort(None, axis=1)):
        for framework in (linen, nnx):
            config: Any = json.loads(json.dumps(framework.serialize(layer)))
            assert framework.deserialize(config) == layer
    with pytest.raises(TypeError, match="Maxout: expected k to be an int"):
        layers.Maxout(2.0)  # type: ignore[arg-type]


def test_a_bad_argument_is_named() -> None:
    rngs = flax.nnx.Rngs(0)
    for framework, told, more in (
        (linen, {}, {}),
        (nnx, {"features": 4}, {"rngs": rngs}),
    ):
        make: Any = framework
        with pytest.raises(TypeError, match="FReLU: expected kernel_size to be a tuple"):
            make.FReLU(**told, **more, kernel_size=3)
        with pytest.raises(ValueError, match="DynamicReLU: expected k to be 1 or more"):
            make.DynamicReLU(**told, **more, k=0)
        with pytest.raises(ValueError, match="MetaACON: p1_init: .*'normall'"):
            make.MetaACON(**told, **more, p1_init="normall")
        with pytest.raises(TypeError, match="PolyNorm: expected epsilon to be a number"):
            make.PolyNorm(epsilon="1")
    with pytest.raises(TypeError, match="PolyNorm: expected rngs, since weights_init"):
        nnx.PolyNorm(weights_init="random_normal")
