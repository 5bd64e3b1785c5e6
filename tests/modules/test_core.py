"""The core layers: linen against nnx, both against Flax's own layers and plain formulas."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import advact_jax
from advact_jax import constraints, initializers, layers, linen, nnx, regularizers

pytestmark = pytest.mark.sampled(3)
SUBJECTS = (
    "_core",
    "linen.core",
    "nnx.core",
)

KEY = jax.random.key(1)
FAST_KEY = jax.random.key(1, impl="rbg")  # compiles in a tenth of the time
X = jax.random.normal(jax.random.key(0), (3, 5, 4))
# In the middle, at both ends, and nothing at all.
MASK = jnp.array([[1, 1, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], bool)


def rngs() -> flax.nnx.Rngs:
    return flax.nnx.Rngs(0)


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)
    types = [[leaf.dtype for leaf in jax.tree.leaves(tree)] for tree in (a, b)]
    assert types[0] == types[1]


def total(y: Any) -> Array:
    return sum(jnp.sum(jnp.sin(leaf.astype("float32"))) for leaf in jax.tree.leaves(y))  # type: ignore[return-value]


def drawn(module: Any, *args: Any) -> Any:
    """Return parameters of the right shapes without running the initializers, which is slow."""
    shapes = jax.eval_shape(module.init, KEY, *args).get("params", {})
    draw = np.random.default_rng(0).normal
    return jax.tree.map(lambda leaf: jnp.asarray(0.4 * draw(size=leaf.shape), leaf.dtype), shapes)


def parameters(twin: Any) -> Any:
    return flax.nnx.to_pure_dict(flax.nnx.state(twin, flax.nnx.Param))


def with_parameters(twin: Any, params: Any) -> Any:
    state = flax.nnx.state(twin, flax.nnx.Param)
    flax.nnx.replace_by_pure_dict(state, params)
    flax.nnx.update(twin, state)
    return twin


def run_linen(module: Any, params: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    """Return the output, the sum of penalties, and the gradients by parameters and input."""

    def loss(params: Any, x: Array) -> Any:
        variables = {"params": params}
        y, updates = module.apply(variables, x, *args[1:], mutable=["losses"], **kwargs)
        penalty = linen.regularization_loss(updates)
        return total(y) + penalty, (y, penalty)

    gradients, (y, penalty) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, args[0])
    return y, penalty, gradients


def run_nnx(twin: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    parts: Any = flax.nnx.split(twin, flax.nnx.Param, ...)
    graph, params, rest = parts

    def loss(params: Any, x: Array, rest: Any) -> Any:
        model = flax.nnx.merge(graph, params, rest, copy=True)
        y = model(x, *args[1:], **kwargs)
        penalty = nnx.regularization_loss(model)
        return total(y) + penalty, (y, penalty)

    run = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    gradients, (y, penalty) = run(params, args[0], rest)
    by_params, by_x = gradients
    return y, penalty, (flax.nnx.to_pure_dict(by_params), by_x)


# -- shapes -------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]] = {
    "flatten": (layers.Flatten(), lambda x: x.reshape(3, 20)),
    "reshape": (layers.Reshape((2, -1)), lambda x: x.reshape(3, 2, 10)),
    "reshape [2, 10]": (layers.Reshape([2, 10]), lambda x: x.reshape(3, 2, 10)),  # type: ignore[arg-type]
    "reshape 20": (layers.Reshape(20), lambda x: x.reshape(3, 20)),  # type: ignore[arg-type]
    "permute": (layers.Permute((2, 1)), lambda x: x.swapaxes(1, 2)),
    "lambda": (layers.Lambda(abs), abs),
}


@pytest.mark.parametrize("layer, formula", SHAPES.values(), ids=SHAPES)
def test_shapes_are_those_of_numpy(layer: Any, formula: Callable[..., Any]) -> None:
    for dtype in ("float32", "bfloat16"):
        x = X.astype(dtype)
        assert_same(layer(x), jnp.asarray(formula(np.asarray(x))))
    # With examples missing, where -1 has no meaning to reshape.
    assert layer(X[:0]).shape == (0, *formula(np.asarray(X)).shape[1:])


def test_the_smallest_inputs() -> None:
    assert layers.Flatten()(jnp.ones(3)).shape == (3, 1)
    assert layers.Reshape((-1,))(jnp.ones((3, 0))).shape == (3, 0)
    assert layers.Reshape(())(jnp.ones((3, 1))).shape == (3,)
    assert_same(layers.RepeatVector(2)(X[:, 0]), jnp.stack([X[:, 0], X[:, 0]], 1))
    assert layers.RepeatVector(0)(X[:, 0]).shape == (3, 0, 4)


VALUES = [
    *(layer for layer, _ in SHAPES.values()),
    layers.RepeatVector(2),
    layers.Masking(-1.0),
    layers.Antirectifier(),
]


@pytest.mark.parametrize("layer", VALUES, ids=str)
def test_layers_without_parameters_are_values(layer: Any) -> None:
    again = pickle.loads(pickle.dumps(layer))
    assert again == layer and hash(again) == hash(layer) and layer != 3
    for key in ("target_shape", "n", "dims", "function", "mask_value"):
        if hasattr(layer, key):
            with pytest.raises(AttributeError):
                setattr(layer, key, 1)


def test_layers_with_other_arguments_differ() -> None:
    assert layers.Reshape((2, 10)) != layers.Reshape((10, 2))
    assert layers.Reshape((2, 10)) == layers.Reshape([2, 10])  # type: ignore[arg-type]
    assert layers.Masking() != layers.Masking(1.0)
    assert len({layers.RepeatVector(2), layers.RepeatVector(2), layers.RepeatVector(3)}) == 2


def test_layers_are_static_arguments_of_jit() -> None:
    run: Any = jax.jit(lambda layer, x: layer(x), static_argnums=0)
    for _ in range(2):
        run(layers.Flatten(), X), run(layers.Reshape((-1, 2)), X)
    assert run._cache_size() == 2


def test_antirectifier_layer() -> None:
    assert_same(layers.Antirectifier()(X), advact_jax.antirectifier(X))
    assert_same(layers.Antirectifier(axis=1)(X), advact_jax.antirectifier(X, axis=1))


# -- masks --------------------------------------------------------------------------------------


def test_masking_skips_the_steps_in_which_all_features_have_the_value() -> None:
    x = X.at[0, 1].set(7).at[1, 2, :3].set(7)
    y, mask = layers.Masking(7)(x)
    assert_same(mask, jnp.ones((3, 5), bool).at[0, 1].set(False))
    assert_same(y, x.at[0, 1].set(0))
    assert_same(layers.Masking(7).compute_mask(x), mask)
    assert layers.Masking()(x.astype("bfloat16"))[0].dtype == jnp.bfloat16
    _, both = layers.Masking(7)(x, MASK)
    assert_same(both, MASK & mask)


def test_both_sequentials_hand_the_mask_on() -> None:
    x = jnp.where(MASK[..., None], X, 0)
    stack: Any = [
        layers.Masking(),
        linen.Dense(6, "tanh"),
        linen.Dropout(0.5, deterministic=True),
        linen.AlphaDropout(0.5, deterministic=True),
        linen.ActivityRegularization(0.1),
        layers.Lambda(jnp.square),
        linen.MaxoutDense(4, 2),
    ]
    model = nn.Sequential(stack)
    variables = {"params": drawn(model, x)}
    y, mask = model.apply(variables, x)
    assert_same(mask, MASK)
    plain = nn.Sequential([*stack[1:]])
    renamed = {f"layers_{int(k[7:]) - 1}": v for k, v in variables["params"].items()}
    assert_same(plain.apply({"params": renamed}, x), y)

    r = rngs()
    chain: Any = [
        layers.Masking(),
        nnx.Dense(4, 6, activation="tanh", rngs=r),
        nnx.Dropout(0.5, deterministic=True),
        nnx.AlphaDropout(0.5, deterministic=True),
        nnx.ActivityRegularization(0.1),
        layers.Lambda(jnp.square),
        nnx.MaxoutDense(6, 4, 2, rngs=r),
    ]
    twin = flax.nnx.Sequential(*chain)
    for i in (1, 6):
        with_parameters(chain[i], variables["params"][f"layers_{i}"])
    assert_same(twin(x), (y, MASK))


def test_lambda_hands_the_mask_on_if_the_steps_stay() -> None:
    y, mask = layers.Lambda(lambda x: x[..., :1])(X, MASK)
    assert_same((y, mask), (X[..., :1], MASK))


# -- dense --------------------------------------------------------------------------------------


def dense(one: Any = "tanh", other: Any = "tanh", **arguments: Any) -> tuple[Any, Any, Any]:
    """Return a dense layer of linen, its parameters, and one of nnx with the same."""
    module = linen.Dense(6, one, **arguments)
    params = drawn(module, X)
    twin = nnx.Dense(4, 6, activation=other, rngs=rngs(), **arguments)
    return module, params, with_parameters(twin, params)


@pytest.mark.parametrize(
    "shape, dtype", [((4,), "float32"), ((3, 4), "float16"), ((3, 5, 4), "bfloat16")]
)
def test_dense_is_that_of_flax(shape: tuple[int, ...], dtype: str) -> None:
    x = jnp.resize(X, shape).astype(dtype)
    module, params, twin = dense()
    found = run_linen(module, params, x)
    assert_same(run_nnx(twin, x), found)
    assert found[0].dtype == dtype and {"float32"} == {str(v.dtype) for v in params.values()}

    plain: Any = nn.Dense(6, dtype=dtype)
    y = jax.jit(lambda x: advact_jax.tanh(plain.apply({"params": params}, x)))(x)
    assert_same(found[0], y)


def test_dense_without_a_bias_with_dtypes_and_of_integers() -> None:
    module, params, twin = dense(use_bias=False, dtype="bfloat16", param_dtype="float16")
    assert set(params) == {"kernel"} and params["kernel"].dtype == jnp.float16
    found = run_linen(module, params, X)
    assert found[0].dtype == jnp.bfloat16
    assert_same(run_nnx(twin, X), found)
    module, params, twin = dense()
    whole = jnp.arange(12).reshape(3, 4)
    y = module.apply({"params": params}, whole)
    assert_same(twin(whole), y)
    assert_same(y, module.apply({"params": params}, whole.astype("float32")))


@pytest.mark.parametrize("name, arguments", [("PReLU", {}), ("Learnable", {"activation": "elu"})])
def test_dense_with_an_activation_that_learns(name: str, arguments: dict[str, Any]) -> None:
    one = getattr(linen, name)(**arguments)
    other = getattr(nnx, name)(features=6, **arguments)
    module, params, twin = dense(one, other)
    assert set(params) == {"kernel", "bias", "activation"}
    found = run_linen(module, params, X)
    assert_same(run_nnx(twin, X), found)
    assert jnp.all(found[2][0]["activation"]["alpha"] != 0)


@pytest.mark.parametrize("given", ["swish", advact_jax.silu, advact_jax.Activation("silu")])
def test_dense_takes_names_functions_and_values_as_activation(given: Any) -> None:
    module, params, twin = dense(given, given)
    y = module.apply({"params": params}, X)
    assert_same(y, advact_jax.silu(X @ params["kernel"] + params["bias"]))
    assert_same(twin(X), y)


AUTO: dict[str, tuple[Any, Any, Any]] = {
    "none": (None, None, jax.nn.initializers.lecun_normal()),
    "relu": ("relu", "relu", initializers.initializer_for("relu")),
    "tanh": ("tanh", "tanh", initializers.initializer_for("tanh")),
    "value": (layers.ELU(), layers.ELU(), initializers.initializer_for("elu")),
    "learned": (linen.PReLU(), nnx.PReLU(50), initializers.initializer_for("prelu", alpha=0.25)),
    "any learned": (
        linen.Learnable("leaky_relu", initial={"negative_slope": 0.5}),
        nnx.Learnable("leaky_relu", 50, initial={"negative_slope": 0.5}),
        initializers.initializer_for("leaky_relu"),
    ),
    "a function": (jnp.sin, jnp.sin, initializers.get("glorot_uniform")),
    "a module": (nn.PReLU(), flax.nnx.PReLU(), initializers.get("glorot_uniform")),
}


@pytest.mark.parametrize("one, other, rule", AUTO.values(), ids=AUTO)
def test_auto_is_the_initial_kernel_that_goes_with_the_activation(
    one: Any, other: Any, rule: Any
) -> None:
    module = linen.Dense(50, one, kernel_init="auto")
    made = module._settled(module.activation)["kernel_init"]
    assert_same(made(KEY, (40, 50), "float32"), rule(KEY, (40, 50), "float32"))
    twin = nnx.Dense(40, 50, activation=other, kernel_init="auto", rngs=rngs())
    assert_same(twin.kernel[...], rule(rngs().params(), (40, 50), "float32"))


def test_initial_values_by_name_config_and_function() -> None:
    config = {"class_name": "Constant", "config": {"value": 0.5}}
    steps = lambda key, shape, dtype: jnp.arange(shape[-1], dtype=dtype)  # noqa: E731
    arguments: Any = {"kernel_init": config, "bias_init": steps}
    params = linen.Dense(6, **arguments).init(KEY, X)["params"]
    twin = nnx.Dense(4, 6, **arguments, rngs=rngs())
    expected = {"kernel": jnp.full((4, 6), 0.5), "bias": jnp.arange(6.0)}
    assert_same(params, expected)
    assert_same(parameters(twin), expected)
    made = nnx.Dense(4, 6, kernel_init="he_normal", rngs=rngs())
    assert_same(made.kernel[...], jax.nn.initializers.he_normal()(rngs().params(), (4, 6)))


def test_linen_layers_with_equal_arguments_are_equal() -> None:
    for name in ("he_normal", "auto"):
        one, two = (linen.Dense(6, "relu", kernel_init=name, kernel_regularizer="l2") for _ in "ab")
        assert one == two and hash(one) == hash(two)
    assert linen.Dense(6, "relu") != linen.Dense(6, "tanh")
    assert linen.Dropout(0.5, [None, 1]) == linen.Dropout(0.5, (None, 1))


def test_an_output_is_captured_once() -> None:
    module, params, _ = dense()
    _, updates = module.apply({"params": params}, X, capture_intermediates=True)
    assert len(updates["intermediates"]["__call__"]) == 1


def test_partitioning_metadata_is_kept() -> None:
    plain = jax.nn.initializers.constant(0.1)
    module = linen.Dense(
        6, kernel_init=nn.with_partitioning(plain, ("in", "out")), kernel_regularizer="l2"
    )
    variables = module.init(KEY, X)
    assert nn.get_partition_spec(variables)["params"]["kernel"] == jax.P("in", "out")
    y, updates = module.apply(variables, X, mutable=["losses"])
    mesh = jax.make_mesh(
        (1, 1),
        ("in", "out"),
        devices=jax.devices()[:1],
        axis_types=(jax.sharding.AxisType.Auto,) * 2,
    )
    with jax.set_mesh(mesh):
        marked = flax.nnx.with_partitioning(plain, ("in", "out"))
        twin = nnx.Dense(4, 6, kernel_init=marked, kernel_regularizer="l2", rngs=rngs())
        assert twin.kernel.out_sharding == ("in", "out")
        assert_same(twin(X), y)
        assert_same(nnx.regularization_loss(twin), linen.regularization_loss(updates))


def test_eager_jit_and_vmap_give_the_same() -> None:
    module, params, twin = dense()
    y = module.apply({"params": params}, X)
    rows = jax.vmap(lambda x: module.apply({"params": params}, x))(X)
    np.testing.assert_allclose(rows, y, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, X), y, rtol=1e-6)
    np.testing.assert_allclose(flax.nnx.jit(lambda m, x: m(x))(twin, X), y, rtol=1e-6)


def test_nothing_is_promoted_in_silence() -> None:
    strict = jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict")
    with strict[0], strict[1]:
        for dtype in ("float32", "bfloat16"):
            x = jax.ShapeDtypeStruct(X.shape, dtype)
            for module in (
                linen.Dense(6, "gelu"),
                linen.MaxoutDense(6),
                linen.Dropout(0.5, deterministic=False),
                linen.AlphaDropout(0.5, deterministic=False),
                linen.MaskedRNN(nn.LSTMCell(6, dtype=dtype, param_dtype=dtype)),
            ):
                keys = {"params": KEY, "dropout": KEY}
                y, _ = jax.eval_shape(module.init_with_output, keys, x, MASK)
                assert jax.tree.leaves(y)[0].dtype == dtype
            y, _ = jax.eval_shape(layers.Masking(), x)
            assert y.dtype == dtype


def test_flax_lifts_and_jit_of_nnx() -> None:
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Array, _: Any) -> tuple[Any, None]:
            return nn.remat(linen.Dense)(4, "tanh", kernel_regularizer="l2")(x), None

    lifted = nn.scan(Block, {"params": 0, "losses": 0}, split_rngs={"params": True}, length=3)()
    params = drawn(lifted, X, None)
    (y, _), updates = lifted.apply({"params": params}, X, None, mutable=["losses"])
    chain = [
        nnx.Dense(4, 4, activation="tanh", kernel_regularizer="l2", rngs=rngs()) for _ in "abc"
    ]
    (stacked,) = params.values()
    for i, twin in enumerate(chain):
        with_parameters(twin, jax.tree.map(lambda leaf, i=i: leaf[i], stacked))
    model = flax.nnx.Sequential(*chain)

    @flax.nnx.jit
    def run(model: Any, x: Array) -> Any:
        return model(x)

    np.testing.assert_allclose(run(model, X), y, rtol=2e-6, atol=3e-7)
    penalties = nnx.regularization_loss(model), linen.regularization_loss(updates)
    np.testing.assert_allclose(*penalties, rtol=3e-7)


# -- penalties and constraints ------------------------------------------------------------------

RULES: dict[str, Any] = {
    "kernel_regularizer": "l2",
    "bias_regularizer": regularizers.L1(0.1),
    "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 0.2, "l2": 0.3}},
}


def test_penalties_of_dense() -> None:
    module, params, twin = dense(**RULES)
    found = run_linen(module, params, X)
    assert_same(run_nnx(twin, X), found)
    y, penalty, _ = found
    expected = (
        0.01 * jnp.sum(params["kernel"] ** 2)
        + 0.1 * jnp.sum(jnp.abs(params["bias"]))
        + (0.2 * jnp.sum(jnp.abs(y)) + 0.3 * jnp.sum(y * y)) / len(X)
    )
    np.testing.assert_allclose(penalty, expected, rtol=3e-7)
    _, updates = module.apply({"params": params}, X, mutable=["losses"])
    assert set(updates["losses"]) == {"kernel", "bias", "activity"}
    plain, params, _ = dense()
    without = run_linen(plain, params, X)
    assert jnp.any(without[2][0]["kernel"] != found[2][0]["kernel"])


def test_penalties_of_a_call_replace_those_of_the_last() -> None:
    _, _, twin = dense(**RULES)
    twin(10 * X)
    large = nnx.regularization_loss(twin)
    twin(X)
    small = nnx.regularization_loss(twin)
    twin(X)
    assert small < large and nnx.regularization_loss(twin) == small
    assert not jax.tree.leaves(flax.nnx.state(dense()[2], nnx.RegularizationLoss))


def test_activity_regularization() -> None:
    y, penalty, gradient = run_linen(linen.ActivityRegularization(0.5, 0.25), {}, X)
    assert_same(run_nnx(nnx.ActivityRegularization(0.5, 0.25), X), (y, penalty, gradient))
    assert_same(y, X)
    expected = (0.5 * jnp.sum(jnp.abs(X)) + 0.25 * jnp.sum(X * X)) / 3
    np.testing.assert_allclose(penalty, expected, rtol=3e-7)


def test_constraints_are_declared() -> None:
    given: Any = {"kernel_constraint": "max_norm", "bias_constraint": constraints.NonNeg()}
    expected = {"kernel": constraints.MaxNorm(), "bias": constraints.NonNeg()}
    for module in (
        linen.Dense(6, **given),
        linen.MaxoutDense(6, **given),
        nnx.Dense(4, 6, **given, rngs=rngs()),
        nnx.MaxoutDense(4, 6, **given, rngs=rngs()),
    ):
        assert module.parameter_constraints() == expected
    assert linen.Dense(6, bias_constraint="non_neg").parameter_constraints() == {
        "bias": constraints.NonNeg()
    }


def test_every_layer_tells_its_constraints_and_activation_parameters() -> None:
    cell = flax.nnx.SimpleCell(4, 6, rngs=rngs())
    for module in (
        *(linen.Dense(6), linen.MaxoutDense(6), linen.MaskedRNN(nn.SimpleCell(6))),
        *(nnx.Dense(4, 6, rngs=rngs()), nnx.MaxoutDense(4, 6, rngs=rngs()), nnx.MaskedRNN(cell)),
        *(f.Dropout(0.5) for f in (linen, nnx)),
        *(f.AlphaDropout(0.5) for f in (linen, nnx)),
        *(f.ActivityRegularization() for f in (linen, nnx)),
    ):
        assert module.parameter_constraints() == {} and module.activation_parameters == ()


# -- maxout -------------------------------------------------------------------------------------


def test_maxout_is_the_largest_of_the_maps() -> None:
    dtype = "bfloat16"
    x = X.astype(dtype)
    module = linen.MaxoutDense(6, 3, **RULES)
    params = drawn(module, x)
    assert params["kernel"].shape == (4, 18) and params["bias"].shape == (18,)
    twin = nnx.MaxoutDense(4, 6, 3, rngs=rngs(), **RULES)
    found = run_linen(module, params, x)
    assert_same(run_nnx(with_parameters(twin, params), x), found)
    maps = nn.Dense(18, dtype=dtype).apply({"params": params}, x)
    assert_same(found[0], jnp.max(maps.reshape(3, 5, 6, 3), -1))  # type: ignore[union-attr]
    assert (twin.in_features, twin.out_features, twin.k) == (4, 6, 3)


# -- noise --------------------------------------------------------------------------------------

NOISES = {"each": None, "steps": (None, 1, None), "features": (3, 5, 1)}
noises = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)


@noises
def test_dropout_is_that_of_flax(noise: Any) -> None:
    x = X.astype("bfloat16") if noise == (3, 5, 1) else X
    shared = tuple(i for i, n in enumerate(noise or ()) if n == 1)
    ours = linen.Dropout(0.4, noise, deterministic=False)
    theirs = nn.Dropout(0.4, broadcast_dims=shared, deterministic=False)
    # With one key, both frameworks draw the same.
    found = run_linen(ours, {}, x, rng=FAST_KEY)
    assert_same(run_nnx(nnx.Dropout(0.4, noise), x, rngs=FAST_KEY), found)
    assert_same(found[0], jax.jit(lambda x: theirs.apply({}, x, rng=FAST_KEY))(x))


def test_dropout_takes_its_keys_as_that_of_flax() -> None:
    streams: Any = {"dropout": KEY, "noise": jax.random.key(2)}
    for name in streams:
        ours = linen.Dropout(0.4, deterministic=False, rng_collection=name)
        theirs = nn.Dropout(0.4, deterministic=False, rng_collection=name)
        assert_same(ours.apply({}, X, rngs=streams), theirs.apply({}, X, rngs=streams))
    twin, plain = nnx.Dropout(0.4, rngs=rngs()), flax.nnx.Dropout(0.4, rngs=rngs())
    first = twin(X)
    assert_same(first, plain(X))
    assert_same(twin(X), plain(X))
    assert jnp.any(twin(X) != first)


@noises
def test_alpha_dropout_is_its_formula(noise: Any) -> None:
    x, rate = X.astype("bfloat16") if noise == (3, 5, 1) else X, 0.4
    module = linen.AlphaDropout(rate, noise, deterministic=False)
    found = run_linen(module, {}, x, rng=FAST_KEY)
    assert_same(run_nnx(nnx.AlphaDropout(rate, noise), x, rngs=FAST_KEY), found)
    shape = tuple(1 if n == 1 else size for n, size in zip(noise or X.shape, X.shape, strict=True))
    keep = np.broadcast_to(jax.random.bernoulli(FAST_KEY, 1 - rate, shape), X.shape)
    low = -1.0507009873554805 * 1.6732632423543772
    a = 1 / np.sqrt((1 - rate) * (1 + rate * low**2))
    exact = a * np.where(keep, np.asarray(x, np.float64), low) - a * low * rate
    off = np.abs(np.asarray(found[0], np.float64) - exact)
    step = 2.0**-8 if x.dtype == jnp.bfloat16 else 2.0**-22
    assert np.all(off <= step * np.maximum(np.abs(exact), 1))
    slope = np.asarray(found[2][1], np.float64)
    assert np.all((slope != 0) <= keep)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(200, 200)), "float32")
    y = jax.jit(lambda x: linen.AlphaDropout(0.3, deterministic=False).apply({}, x, rng=FAST_KEY))(
        x
    )
    assert abs(jnp.mean(y)) < 0.02 and abs(jnp.var(y) - 1) < 0.03


@pytest.mark.parametrize("name", ["Dropout", "AlphaDropout"])
def test_dropout_that_does_nothing_or_drops_all(name: str) -> None:
    one, other = getattr(linen, name), getattr(nnx, name)
    for rate, deterministic in ((0.0, False), (0.5, True), (1.0, True)):
        assert one(rate, deterministic=deterministic).apply({}, X) is X
        assert other(rate, deterministic=deterministic)(X) is X
    for y in (one(1.0).apply({}, X, deterministic=False), other(1.0)(X)):
        assert_same(y, jnp.zeros_like(X))
    _, _, (_, slope) = run_linen(one(1.0, deterministic=False), {}, X)
    assert_same(slope, jnp.zeros_like(X))
    twin = other(0.5, rngs=rngs())
    assert jnp.any(twin(X) != X)
    twin.eval()
    assert_same(twin(X), X)
    assert_same(one(0.5, deterministic=True).apply({}, X, MASK), (X, MASK))


# -- sequences ----------------------------------------------------------------------------------

CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "simple": nn.SimpleCell}
close = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=3e-7)


def loop(cell: Any, params: Any, x: Array, mask: Any, carry: Any = None) -> tuple[Any, Array]:
    """Take the steps that count of each example, one after the other, in Python."""
    first = cell.initialize_carry(KEY, x[0].shape[1:])
    step = jax.jit(lambda carry, x: cell.apply({"params": params}, carry, x))
    carries, rows = [], []
    for i, (steps, keep) in enumerate(zip(x, np.asarray(mask), strict=True)):
        state = first if carry is None else jax.tree.map(lambda leaf, i=i: leaf[i], carry)
        y, row = jnp.zeros(first[0].shape if isinstance(first, tuple) else first.shape), []
        for value, counts in zip(steps, keep, strict=True):
            if counts:
                state, y = step(state, value)
            row.append(y)
        carries.append(state)
        rows.append(jnp.stack(row))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries), jnp.stack(rows)


@pytest.mark.parametrize("name", CELLS)
def test_skipped_steps_leave_the_carry_as_it_is(name: str) -> None:
    cell = CELLS[name](6)
    module = linen.MaskedRNN(cell, return_sequences=True, return_carry=True)
    params = drawn(module, X)
    run = jax.jit(module.apply)
    found: Any = run({"params": params}, X, MASK)
    carry, (y, mask) = found
    jax.tree.map(close, (carry, y), loop(cell, params["cell"], X, MASK))
    assert_same(mask, MASK)
    assert_same(y[2], jnp.zeros_like(y[2]))
    assert_same(y[0, 2], y[0, 1])
    # What stands in a skipped step has no effect.
    bad = jnp.where(MASK[..., None], X, jnp.nan)
    assert_same(run({"params": params}, bad, MASK), found)
    if name == "simple":
        last: Any = jax.jit(linen.MaskedRNN(cell).apply)({"params": params}, X, MASK)
        close(last, y[:, -1])


ORDERS = {
    "forward": {"reverse": False, "keep_order": False},
    "backward": {"reverse": True, "keep_order": False},
    "backward in order": {"reverse": True, "keep_order": True},
}
orders = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


@orders
def test_without_a_mask_it_is_that_of_flax(order: Any) -> None:
    ours = linen.MaskedRNN(nn.GRUCell(6), return_sequences=True, return_carry=True, **order)
    theirs = nn.RNN(nn.GRUCell(6), return_carry=True, **order)
    variables = {"params": drawn(ours, X)}
    assert_same(jax.jit(ours.apply)(variables, X), jax.jit(theirs.apply)(variables, X))
    cell = flax.nnx.SimpleCell(4, 6, rngs=rngs())
    twin = nnx.MaskedRNN(cell, return_sequences=True, return_carry=True, **order)
    assert_same(twin(X), flax.nnx.RNN(cell, return_carry=True, **order)(X))


@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_give_what_flax_gives_at_the_steps_that_count(reverse: bool) -> None:
    lengths = jnp.array([3, 5, 1], "int8")
    order: Any = {"reverse": reverse, "keep_order": True, "return_carry": True}
    ours = linen.MaskedRNN(nn.SimpleCell(6), return_sequences=True, **order)
    variables = {"params": drawn(ours, X)}
    run = jax.jit(ours.apply)
    carry, y = found = run(variables, X, seq_lengths=lengths)
    theirs: Any = jax.jit(nn.RNN(nn.SimpleCell(6), **order).apply)(
        variables, X, seq_lengths=lengths
    )
    suffix = jnp.arange(5) < lengths[:, None]
    jax.tree.map(close, (carry, y[suffix]), (theirs[0], theirs[1][suffix]))
    assert_same(run(variables, X, suffix), (carry, (y, suffix)))
    assert len(found) == 2


def test_linen_and_nnx_give_the_same_sequences() -> None:
    arguments: Any = {"return_sequences": True, "return_carry": True, "reverse": True}
    module = linen.MaskedRNN(nn.LSTMCell(6), **arguments)
    params = drawn(module, X)
    # A NaN where it is skipped must not reach the gradients.
    x = jnp.where(MASK[..., None], X, jnp.nan)
    found = run_linen(module, params, x, MASK)
    (_, (_, mask)), _, gradients = found
    assert_same(mask, MASK[:, ::-1])
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))
    # nnx has another name for one of the gates.
    twin = nnx.MaskedRNN(flax.nnx.LSTMCell(4, 6, rngs=rngs()), **arguments)
    renamed = {{"if": "if_"}.get(key, key): value for key, value in params["cell"].items()}
    other = run_nnx(with_parameters(twin, {"cell": renamed}), x, MASK)
    other[2][0]["cell"]["if"] = other[2][0]["cell"].pop("if_")
    assert_same(other, found)


@pytest.mark.parametrize(
    "name, dtype", [("gru", "float32"), ("lstm", "bfloat16"), ("simple", "float16")]
)
def test_a_sequence_has_the_type_of_the_input_and_a_carry_that_of_the_cell(
    name: str, dtype: str
) -> None:
    x, cell = jax.ShapeDtypeStruct(X.shape, dtype), CELLS[name]
    module = linen.MaskedRNN(cell(6), return_carry=True)
    (carry, y), _ = jax.eval_shape(module.init_with_output, KEY, x, MASK)
    assert y.dtype == dtype and {"float32"} == {str(c.dtype) for c in jax.tree.leaves(carry)}
    made = getattr(flax.nnx, cell.__name__)(4, 6, rngs=rngs())
    twin = nnx.MaskedRNN(made, return_carry=True)
    other = flax.nnx.eval_shape(lambda twin, x: twin(x, MASK), twin, x)
    assert jax.tree.leaves(other) == jax.tree.leaves((carry, y))


def test_backwards_and_a_first_carry() -> None:
    cell = nn.LSTMCell(6)
    first = (jnp.sin(X[:, :2, :3].reshape(3, 6)), jnp.cos(X[:, :2, :3].reshape(3, 6)))
    module = linen.MaskedRNN(cell, return_sequences=True, return_carry=True, reverse=True)
    params = drawn(module, X)
    found: Any = jax.jit(module.apply)({"params": params}, X, MASK, initial_carry=first)
    carry, y = loop(cell, params["cell"], X[:, ::-1], MASK[:, ::-1], first)
    jax.tree.map(close, found, (carry, (y, MASK[:, ::-1])))
    assert_same(found[0][0][2], first[0][2])
    kept = linen.MaskedRNN(cell, return_sequences=True, reverse=True, keep_order=True)
    both = jax.jit(kept.apply)({"params": params}, X, MASK, initial_carry=first)
    jax.tree.map(close, both, (found[1][0][:, ::-1], MASK))


def test_a_cell_of_images() -> None:
    x = jax.random.normal(KEY, (2, 3, 4, 4, 1))
    mask = jnp.array([[False, True, False], [True, True, False]])
    module = linen.MaskedRNN(nn.ConvLSTMCell(2, (3, 3)), return_sequences=True)
    y, _ = jax.jit(module.apply)({"params": drawn(module, x)}, x, mask)
    assert y.shape == (2, 3, 4, 4, 2)
    assert_same(y[:, 2], y[:, 1])
    assert_same(y[0, 0], jnp.zeros_like(y[0, 0]))
    assert jnp.all(y[1, 0] != y[1, 1])


# -- errors -------------------------------------------------------------------------------------

U: Any = layers
L: Any = linen
N: Any = nnx


def applied(module: Any, *args: Any, **kwargs: Any) -> Any:
    return module.init_with_output(KEY, *args, **kwargs)


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "flatten scalar": (lambda: U.Flatten()(1.0), ValueError, "Flatten: .*batch axis, got a scalar"),
    "flatten mask": (
        lambda: U.Flatten()(X, MASK),
        ValueError,
        "Flatten: expected no mask, .*MaskedRNN",
    ),
    "reshape mask": (lambda: U.Reshape(20)(X, MASK), ValueError, "Reshape: expected no mask"),
    "permute mask": (lambda: U.Permute((2, 1))(X, MASK), ValueError, "Permute: expected no mask"),
    "repeat mask": (
        lambda: U.RepeatVector(2)(X[0], MASK[0]),
        ValueError,
        "RepeatVector: expected no mask",
    ),
    "two -1": (
        lambda: U.Reshape((-1, -1)),
        ValueError,
        r"Reshape: .*-1 at most once, got \(-1, -1\)",
    ),
    "negative size": (lambda: U.Reshape((-2,)), ValueError, "Reshape: .*sizes of 0 or more"),
    "size no int": (lambda: U.Reshape((2.0,)), TypeError, "Reshape: .*target_shape to be an int"),
    "sizes": (
        lambda: U.Reshape((3, -1))(X),
        ValueError,
        r"Reshape: expected 20 entries.*\(3, -1\)",
    ),
    "sizes without -1": (lambda: U.Reshape((3, 7))(X), ValueError, "Reshape: expected 20 entries"),
    "no sizes left": (lambda: U.Reshape((0, -1))(X), ValueError, "Reshape: expected 20 entries"),
    "dims from 0": (
        lambda: U.Permute((0, 1)),
        ValueError,
        r"Permute: .*1 to 2 in some order, got \(0, 1\)",
    ),
    "dims twice": (lambda: U.Permute((1, 1)), ValueError, "Permute: expected dims"),
    "dims and axes": (
        lambda: U.Permute((1,))(X),
        ValueError,
        r"Permute: .*1 axes beside.*\(3, 5, 4\)",
    ),
    "repeat rank": (
        lambda: U.RepeatVector(2)(X),
        ValueError,
        r"RepeatVector: .*\(batch, features\)",
    ),
    "repeat -1": (
        lambda: U.RepeatVector(-1),
        ValueError,
        "RepeatVector: expected n to be 0 or more",
    ),
    "repeat half": (
        lambda: U.RepeatVector(0.5),
        TypeError,
        "RepeatVector: expected n to be an int",
    ),
    "lambda": (
        lambda: U.Lambda(3),
        TypeError,
        "Lambda: expected function to be a function, got int 3",
    ),
    "lambda steps": (
        lambda: U.Lambda(lambda x: x[:, 1:])(X, MASK),
        ValueError,
        "Lambda: expected a mask",
    ),
    "masking value": (lambda: U.Masking("0"), TypeError, "Masking: expected mask_value"),
    "masking rank": (lambda: U.Masking()(X[0, 0]), ValueError, "Masking: .*batch, time, features"),
    "antirectifier": (
        lambda: U.Antirectifier(0.5),
        TypeError,
        "Antirectifier: expected axis to be an int",
    ),
    "features": (lambda: L.Dense(0), ValueError, "Dense: expected features to be 1 or more, got 0"),
    "features nnx": (
        lambda: N.Dense(4, 0, rngs=rngs()),
        ValueError,
        "Dense: expected out_features",
    ),
    "features type": (lambda: L.Dense(1.5), TypeError, "Dense: expected features to be an int"),
    "k": (lambda: L.MaxoutDense(2, 0), ValueError, "MaxoutDense: expected k to be 1 or more"),
    "k nnx": (lambda: N.MaxoutDense(2, 2, 0, rngs=rngs()), ValueError, "MaxoutDense: expected k"),
    "activation": (
        lambda: L.Dense(2, "rellu"),
        ValueError,
        "Dense: activation: .*'rellu'. Did you mean relu",
    ),
    "activation class": (
        lambda: L.Dense(2, layers.ReLU),
        TypeError,
        "Dense: activation: .*instance",
    ),
    "initializer": (lambda: L.Dense(2, kernel_init="he"), ValueError, "Dense: kernel_init: .*'he'"),
    "initializer none": (lambda: L.Dense(2, bias_init=None), TypeError, "Dense: bias_init: .*None"),
    "regularizer": (
        lambda: L.Dense(2, bias_regularizer="l3"),
        ValueError,
        "Dense: bias_regularizer: .*l3",
    ),
    "no rule": (
        lambda: L.Dense(2, "exponential", kernel_init="auto"),
        ValueError,
        "Dense: kernel_init: .*finite slopes.*Use variance_preserving",
    ),
    "constraint": (
        lambda: N.Dense(2, 2, kernel_constraint="max", rngs=rngs()),
        ValueError,
        "Dense: kernel_constraint: .*'max'",
    ),
    "no bias to constrain": (
        lambda: L.Dense(2, use_bias=False, bias_constraint="non_neg"),
        ValueError,
        "Dense: expected no bias_constraint .*use_bias=False, got 'non_neg'",
    ),
    "no bias to penalise": (
        lambda: N.MaxoutDense(2, 2, use_bias=False, bias_regularizer="l2", rngs=rngs()),
        ValueError,
        "MaxoutDense: expected no bias_regularizer",
    ),
    "dtype": (lambda: L.Dense(2, dtype="int8"), TypeError, "Dense: expected dtype"),
    "param_dtype": (
        lambda: N.Dense(2, 2, param_dtype=None, rngs=rngs()),
        TypeError,
        "Dense: expected param_dtype",
    ),
    "scalar": (
        lambda: applied(L.Dense(2), 1.0),
        ValueError,
        "Dense: expected features along the last axis",
    ),
    "inputs": (
        lambda: N.Dense(3, 2, rngs=rngs())(X),
        ValueError,
        r"Dense: expected 3 features.*\(3, 5, 4\)",
    ),
    "mask type": (
        lambda: applied(L.Dense(2), X, jnp.ones((3, 5))),
        TypeError,
        "Dense: expected mask to be an array of bool",
    ),
    "mask shape": (
        lambda: applied(L.Dense(2), X, MASK.T),
        ValueError,
        r"Dense: expected a mask .*\(5, 3\)",
    ),
    "mask too long": (
        lambda: applied(L.Dense(2), X[..., 0], MASK),
        ValueError,
        "Dense: expected a mask",
    ),
    "rate": (lambda: L.Dropout(1.5), ValueError, r"Dropout: expected rate in \[0, 1\], got 1.5"),
    "rate nan": (lambda: N.AlphaDropout(float("nan")), ValueError, "AlphaDropout: expected rate"),
    "rate type": (lambda: N.Dropout("0.5"), TypeError, "Dropout: expected rate to be a number"),
    "noise": (
        lambda: L.Dropout(0.5, (3, 0)),
        ValueError,
        "each entry of noise_shape to be 1 or more",
    ),
    "noise type": (
        lambda: L.Dropout(0.5, 3),
        TypeError,
        "Dropout: expected noise_shape to be a seq",
    ),
    "noise fits": (
        lambda: L.Dropout(0.5, (3, 2, None), deterministic=True).apply({}, X),
        ValueError,
        r"Dropout: .*noise_shape=\(3, 2, None\) for an x of shape \(3, 5, 4\)",
    ),
    "noise rank": (
        lambda: N.AlphaDropout(0.5, (3, 1))(X),
        ValueError,
        "AlphaDropout: expected noise_shape",
    ),
    "flag as mask": (
        lambda: L.Dropout(0.5).apply({}, X, True),
        ValueError,
        "Dropout: expected a mask",
    ),
    "dropout of integers": (
        lambda: N.Dropout(0.5)(jnp.arange(3)),
        TypeError,
        "Dropout: .*floating-point dtype, got int32",
    ),
    "penalty": (
        lambda: L.ActivityRegularization(-1.0),
        ValueError,
        "l1 to be finite and 0 or more",
    ),
    "cell": (lambda: L.MaskedRNN(nn.Dense(2)), TypeError, "MaskedRNN: expected a recurrent cell"),
    "cell of nnx": (
        lambda: N.MaskedRNN(nn.LSTMCell(2)),
        TypeError,
        r"MaskedRNN: .*nnx.RNNCellBase",
    ),
    "cell mask": (
        lambda: applied(L.MaskedRNN(nn.LSTMCell(2)), X, MASK[:2]),
        ValueError,
        r"MaskedRNN: .*shape \(3, 5\).*\(2, 5\)",
    ),
    "both": (
        lambda: applied(L.MaskedRNN(nn.LSTMCell(2)), X, MASK, seq_lengths=jnp.ones(3, int)),
        ValueError,
        "either mask or seq_lengths",
    ),
    "lengths": (
        lambda: applied(L.MaskedRNN(nn.LSTMCell(2)), X, seq_lengths=jnp.ones(3)),
        ValueError,
        "MaskedRNN: expected seq_lengths",
    ),
    "no steps": (
        lambda: applied(L.MaskedRNN(nn.LSTMCell(2)), X[:, :0]),
        ValueError,
        "at least one step",
    ),
    "rank": (
        lambda: applied(L.MaskedRNN(nn.LSTMCell(2)), X[0, 0]),
        ValueError,
        r"MaskedRNN: .*\(\*batch, time",
    ),
}


@pytest.mark.parametrize("call, kind, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_activations_pass_a_mask_on() -> None:
    x, mask = jnp.ones((2, 3, 4)), jnp.array([[True, False, True], [False, True, True]])
    for layer in (layers.LeakyReLU(), layers.Activation("gelu"), nnx.PReLU(4)):
        y, passed = layer(x, mask)
        assert_same(y, layer(x))
        assert_same(passed, mask)
    module = linen.PReLU()
    (y, passed), _ = module.init_with_output(KEY, x, mask)
    assert_same(passed, mask)
    with pytest.raises(ValueError, match="leaky_relu: expected a mask whose axes"):
        layers.LeakyReLU()(x, mask.T)
