"""The layers that learn: linen and nnx against a plain formula, and against each other."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

import advact_jax
from advact_jax import catalog, linen, nnx, registry

pytestmark = pytest.mark.sampled(3)
SUBJECTS = (
    "_modules",
    "linen.learned",
    "nnx.learned",
)

X = jax.random.normal(jax.random.key(0), (2, 4, 5, 3)) * 2
KEY = jax.random.key(1)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer in both frameworks, its formula, and its initial values."""

    name: str
    formula: Callable[..., Array]
    initial: dict[str, float]

    @property
    def linen(self) -> Any:
        return getattr(linen, self.name)

    @property
    def nnx(self) -> Any:
        return getattr(nnx, self.name)


LAYERS = [
    Layer("PReLU", lambda x, alpha: jnp.where(x >= 0, x, alpha * x), {"alpha": 0.25}),
    Layer(
        "ParametricSoftplus",
        lambda x, alpha, beta: alpha * jnp.logaddexp(beta * x, 0),
        {"alpha": 0.2, "beta": 5.0},
    ),
    Layer("Swish", lambda x, beta: x / (1 + jnp.exp(-beta * x)), {"beta": 1.0}),
]

# Arguments for both, features for nnx, the parameter's shape, and its shape beside x.
SHARING: dict[str, tuple[dict[str, Any], Any, tuple[int, ...], tuple[int, ...]]] = {
    "channels": ({}, 3, (3,), (3,)),
    "axis=1": ({"axis": 1}, 4, (4,), (4, 1, 1)),
    "axis=-2": ({"axis": -2}, (5,), (5,), (5, 1)),
    "axis=(1, -1)": ({"axis": (1, -1)}, (4, 3), (4, 3), (4, 1, 3)),
    "axis=[-1, 1]": ({"axis": [-1, 1]}, [3, 4], (3, 4), (4, 1, 3)),
    "scalar": ({"axis": None}, None, (), ()),
    "shared (1, 2)": ({"shared_axes": (1, 2)}, (4, 5, 3), (1, 1, 3), (1, 1, 3)),
    "shared 3": ({"shared_axes": 3}, (4, 5, 3), (4, 5, 1), (4, 5, 1)),
    "shared [-1]": ({"shared_axes": [-1]}, (4, 5, 3), (4, 5, 1), (4, 5, 1)),
    "per unit": ({"shared_axes": ()}, (4, 5, 3), (4, 5, 3), (4, 5, 3)),
}

layers = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
sharings = pytest.mark.parametrize("sharing", SHARING)


def both(layer: Layer, sharing: str = "channels", x: Array = X, **arguments: Any) -> tuple:
    """Return the linen layer, its parameters, and the nnx layer."""
    given, features, _, _ = SHARING[sharing]
    module = layer.linen(**given, **arguments)
    params = module.init(KEY, x)["params"]
    return module, params, layer.nnx(features, **given, **arguments)


def spread_values(layer: Layer, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return initial values that differ everywhere, as arguments."""
    factors = 1 + jnp.arange(np.prod(shape, dtype=int)).reshape(shape) / 100
    return {f"{name}_init": value * factors for name, value in layer.initial.items()}


def state_of(module: flax.nnx.Module) -> dict[str, Array]:
    return flax.nnx.to_pure_dict(flax.nnx.state(module, flax.nnx.Param))


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert [leaf.dtype for leaf in jax.tree.leaves(a)] == [
        leaf.dtype for leaf in jax.tree.leaves(b)
    ]


def loss_linen(module: nn.Module, params: Any, x: Array) -> Array:
    y = jnp.asarray(module.apply({"params": params}, x))
    return jnp.sum(jnp.sin(y.astype(jnp.float32)))


def loss_nnx(module: Any, x: Array) -> Array:
    return jnp.sum(jnp.sin(module(x).astype(jnp.float32)))


def gradients(module: nn.Module, params: Any, twin: Any, x: Array) -> tuple[Any, Any]:
    """Return the gradients by parameters and input in linen and in nnx."""
    graph, state = flax.nnx.split(twin)
    of_state = jax.grad(lambda s, x: loss_nnx(flax.nnx.merge(graph, s), x), argnums=(0, 1))
    by_state, by_x = of_state(state, x)
    return (
        jax.grad(functools.partial(loss_linen, module), argnums=(0, 1))(params, x),
        (flax.nnx.to_pure_dict(by_state), by_x),
    )


# -- values -------------------------------------------------------------------------------------


@layers
@sharings
def test_initial_values_and_shapes(layer, sharing):
    _, params, twin = both(layer, sharing)
    shape = SHARING[sharing][2]
    expected = {name: jnp.full(shape, value) for name, value in layer.initial.items()}
    assert_same(params, expected)
    assert_same(state_of(twin), expected)


@layers
@sharings
def test_values_and_gradients_are_those_of_the_formula_and_the_same_in_both(layer, sharing):
    _, _, shape, beside_x = SHARING[sharing]
    module, params, twin = both(layer, sharing, **spread_values(layer, shape))
    assert_same(params, state_of(twin))
    y = module.apply({"params": params}, X)
    assert_same(y, twin(X))

    def plain(params: dict[str, Array], x: Array) -> Array:
        order = np.argsort([axis % 4 for axis in module.axis]) if len(shape) == 2 else None
        moved = {k: v if order is None else v.transpose(order) for k, v in params.items()}
        return layer.formula(x, **{name: v.reshape(beside_x) for name, v in moved.items()})

    np.testing.assert_allclose(y, plain(params, X), rtol=2e-6, atol=1e-6)
    from_linen, from_nnx = gradients(module, params, twin, X)
    assert_same(from_linen, from_nnx)
    expected = jax.grad(lambda p, x: jnp.sum(jnp.sin(plain(p, x))), argnums=(0, 1))(params, X)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), from_linen, expected
    )


@layers
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_output_has_the_type_of_the_input_and_the_parameters_float32(layer, dtype):
    module, params, twin = both(layer)
    x = X.astype(dtype)
    y = module.apply({"params": params}, x)
    assert y.dtype == x.dtype
    assert_same(y, twin(x))
    from_linen, from_nnx = gradients(module, params, twin, x)
    assert_same(from_linen, from_nnx)
    assert {g.dtype for g in jax.tree.leaves(from_linen[0])} == {jnp.dtype("float32")}


@layers
def test_parameters_are_not_rounded_to_the_type_of_the_input(layer):
    arguments = {f"{name}_init": value + 1e-3 for name, value in layer.initial.items()}
    module, params, _ = both(layer, **arguments)
    x = X.astype("bfloat16")
    exact = layer.formula(x.astype("float32"), **params).astype("bfloat16")
    y = module.apply({"params": params}, x)
    off = jnp.abs(y.astype("float32") - exact.astype("float32"))
    assert jnp.all(off <= 2.0**-8 * jnp.abs(exact.astype("float32")))
    assert jnp.mean(off == 0) > 0.99


@layers
def test_dtype_is_that_of_computation_and_param_dtype_that_of_the_parameters(layer):
    module, params, twin = both(layer, dtype="bfloat16", param_dtype="float16")
    assert {p.dtype for p in params.values()} == {jnp.dtype("float16")}
    assert_same(params, state_of(twin))
    assert module.apply({"params": params}, X).dtype == jnp.bfloat16
    assert_same(module.apply({"params": params}, X), twin(X))


def test_initializers_numbers_and_arrays_give_initial_values():
    def steps(key, shape, dtype):
        return jnp.arange(shape[0], dtype=dtype)

    expected = {"alpha": jnp.arange(3.0)}
    for given in (steps, np.arange(3), jnp.arange(3.0, dtype="bfloat16")):
        assert_same(linen.PReLU(alpha_init=given).init(KEY, X)["params"], expected)
        twin = nnx.PReLU(3, alpha_init=given, rngs=flax.nnx.Rngs(0))
        assert_same(state_of(twin), expected)
    for scalar in (2, np.float64(2.0), jnp.array([2.0])):
        assert_same(
            linen.PReLU(alpha_init=scalar).init(KEY, X)["params"]["alpha"], jnp.full(3, 2.0)
        )


def test_random_initial_values_follow_the_keys():
    uniform = jax.nn.initializers.uniform()
    made = [nnx.PReLU(3, alpha_init=uniform, rngs=flax.nnx.Rngs(seed)) for seed in (0, 0, 1)]
    first, again, other = (twin.alpha[...] for twin in made)
    assert_same(first, again)
    assert not np.array_equal(first, other)
    layer = linen.PReLU(alpha_init=uniform)
    a, b = (layer.init(jax.random.key(i), X)["params"]["alpha"] for i in (0, 1))
    assert not np.array_equal(a, b)


@layers
def test_number_of_parameters_does_not_depend_on_the_spatial_size(layer):
    module, params, twin = both(layer)
    other = jnp.ones((1, 9, 7, 3))
    assert_same(module.apply({"params": params}, other), twin(other))


@layers
def test_single_example_under_vmap(layer):
    module, params, twin = both(layer, x=jnp.ones(3), **spread_values(layer, (3,)))
    x = X[:, 0, 0]
    y = jax.vmap(lambda x: module.apply({"params": params}, x))(x)
    np.testing.assert_allclose(y, module.apply({"params": params}, x), rtol=1e-6)
    assert_same(y, jax.vmap(twin)(x))


# -- transformations ----------------------------------------------------------------------------


@layers
@pytest.mark.parametrize("sharing", ["axis=(1, -1)", "scalar", "shared (1, 2)"])
def test_jit(layer, sharing):
    module, params, twin = both(layer, sharing)
    y = jax.jit(module.apply)({"params": params}, X)
    np.testing.assert_allclose(y, module.apply({"params": params}, X), rtol=1e-6, atol=1e-7)
    assert_same(y, flax.nnx.jit(lambda m, x: m(x))(twin, X))


@layers
def test_linen_vmap_scan_remat_and_jit(layer):
    stacked = spread_values(layer, (3,))

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Array, _: Any) -> tuple[Array, None]:
            return nn.remat(layer.linen)(**stacked)(x), None

    scan = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)()
    variables = scan.init(KEY, X, None)
    assert {p.shape for p in jax.tree.leaves(variables)} == {(4, 3)}

    plain, params, _ = both(layer, **stacked)
    y = X
    for _ in range(4):
        y = plain.apply({"params": params}, y)
    np.testing.assert_allclose(scan.apply(variables, X, None)[0], y, rtol=1e-5, atol=1e-6)

    many = nn.vmap(layer.linen, variable_axes={"params": 0}, split_rngs={"params": True})()
    variables = many.init(KEY, X)
    assert {p.shape for p in jax.tree.leaves(variables)} == {(2, 3)}
    assert many.apply(variables, X).shape == X.shape
    # Arrays as initial values would make a plain field that linen cannot hash.
    values = {key: np.asarray(value) for key, value in stacked.items()}
    jitted = nn.jit(layer.linen)(**values)
    assert_same(jitted.init(KEY, X)["params"], params)
    assert layer.linen(**values) == layer.linen(**values)


@layers
def test_nnx_split_merge_vmap_and_scan(layer):
    twin = layer.nnx(3, **spread_values(layer, (3,)))
    graph, state = flax.nnx.split(twin)
    assert_same(flax.nnx.merge(graph, state)(X), twin(X))
    assert len(jax.tree.leaves(state)) == len(layer.initial)

    @flax.nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs: flax.nnx.Rngs) -> Any:
        return layer.nnx(3, rngs=rngs)

    many = make(flax.nnx.Rngs(0).split(4))
    assert {p.shape for p in state_of(many).values()} == {(4, 3)}
    copies = jnp.broadcast_to(X, (4, *X.shape))
    y = flax.nnx.vmap(lambda m, x: m(x), in_axes=0, out_axes=0)(many, copies)
    np.testing.assert_allclose(y[0], layer.nnx(3)(X), rtol=1e-6, atol=1e-7)

    run = flax.nnx.scan(lambda x, m: m(x), in_axes=(flax.nnx.Carry, 0), out_axes=flax.nnx.Carry)
    expected = X
    for _ in range(4):
        expected = layer.nnx(3)(expected)
    np.testing.assert_allclose(run(X, many), expected, rtol=1e-5, atol=1e-6)


@layers
def test_summaries_show_the_parameters(layer):
    options = {"force_terminal": False, "width": 120}
    text = nn.tabulate(layer.linen(), KEY, console_kwargs=options)(X)
    other = flax.nnx.tabulate(layer.nnx(3), X, console_kwargs=options)
    for name in layer.initial:
        assert f"{name}: float32[3]" in text
        assert f"{name}: float32[3]" in other


def test_partitioning_metadata_is_kept():
    marked = nn.with_partitioning(jax.nn.initializers.constant(0.1), ("channels",))
    layer = linen.PReLU(alpha_init=marked)
    variables = layer.init(KEY, X)
    assert nn.get_partition_spec(variables)["params"]["alpha"] == jax.P("channels")
    assert_same(
        layer.apply(variables, X), linen.PReLU().apply({"params": {"alpha": jnp.full(3, 0.1)}}, X)
    )
    twin = nnx.PReLU(
        3,
        alpha_init=flax.nnx.with_metadata(jax.nn.initializers.constant(0.1), note="slope"),
        rngs=flax.nnx.Rngs(0),
    )
    assert twin.alpha.note == "slope"


@layers
def test_a_training_step_moves_the_parameters(layer):
    module, params, twin = both(layer)
    target = jnp.cos(X)
    optimizer = optax.sgd(0.01)

    @jax.jit
    def step(params: Any, state: Any) -> tuple[Any, Any, Array]:
        loss, gradient = jax.value_and_grad(
            lambda p: jnp.mean((module.apply({"params": p}, X) - target) ** 2)
        )(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    moved, state, before = step(params, optimizer.init(params))
    *_, after = step(moved, state)
    assert after < before
    for name in layer.initial:
        assert np.all(moved[name] != params[name])

    @flax.nnx.jit
    def step_nnx(twin: Any, tools: Any) -> None:
        tools.update(twin, flax.nnx.grad(lambda m: jnp.mean((m(X) - target) ** 2))(twin))

    step_nnx(twin, flax.nnx.Optimizer(twin, optimizer, wrt=flax.nnx.Param))
    assert_same(state_of(twin), moved)


# -- errors -------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[dict[str, Any], Any, type[Exception], str]] = {
    "batch as axis": ({"axis": 0}, 3, ValueError, "axis 0, which is the batch.*axis=0"),
    "batch among axes": ({"axis": (0, -1)}, (2, 3), ValueError, r"batch.*axis=\(0, -1\)"),
    "batch shared": ({"shared_axes": (0, 1)}, (4, 5, 3), ValueError, "batch.*shared_axes="),
    "batch from the end": ({"axis": -4}, 2, ValueError, "batch axis 0.*axis=-4.*4 axes"),
    "batch shared from the end": ({"shared_axes": -4}, (4, 5, 3), ValueError, "batch"),
    "axis out of range": ({"axis": 4}, 3, ValueError, r"axis within \[-4, 4\).*axis=4"),
    "shared out of range": ({"shared_axes": 4}, (4, 5, 3), ValueError, "shared_axes within.*=4"),
    "repeated axes": ({"axis": (-1, 3)}, (3, 3), ValueError, r"differ.*\(-1, 3\)"),
    "repeated shared": ({"shared_axes": (1, 1)}, (4, 5, 3), ValueError, "differ"),
    "both": ({"axis": 1, "shared_axes": (2,)}, 3, ValueError, "either axis or shared_axes"),
    "axis no int": ({"axis": 1.5}, 3, TypeError, "axis to be an int.*1.5"),
    "axis bool": ({"axis": True}, 3, TypeError, "axis to be an int.*True"),
    "unknown name": ({"alpha_init": "no"}, 3, ValueError, "alpha_init: .*initializer, got 'no'"),
    "bool as value": ({"alpha_init": True}, 3, TypeError, "alpha_init.*number.*True"),
    "complex value": ({"alpha_init": 1j}, 3, TypeError, "alpha_init.*real"),
    "value not finite": ({"alpha_init": np.inf}, 3, ValueError, "alpha_init to be finite.*inf"),
    "wrong shape": ({"alpha_init": np.ones(4)}, 3, ValueError, r"shape \(3,\), got shape \(4,\)"),
    "wrong initializer": (
        {"alpha_init": lambda key, shape, dtype: jnp.ones(2, dtype)},
        3, ValueError, r"alpha_init.*shape \(3,\), got shape \(2,\)",
    ),
    "dtype": ({"dtype": int}, 3, TypeError, "dtype to be a floating-point dtype.*int"),
    "param_dtype": ({"param_dtype": None}, 3, TypeError, "param_dtype.*None"),
    "unknown argument": ({"alpha": 1.0}, 3, TypeError, "alpha"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_arguments_are_errors_that_name_the_layer(mistake):
    arguments, features, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=f"PReLU.*{message}"):
        linen.PReLU(**arguments).init(KEY, X)
    with pytest.raises(error, match=f"PReLU.*{message}"):
        nnx.PReLU(features, **arguments, rngs=flax.nnx.Rngs(0))(X)


@pytest.mark.parametrize(
    ("features", "arguments", "error", "message"),
    [
        (0, {}, ValueError, "positive features.*features=0"),
        ((3, -1), {"shared_axes": ()}, ValueError, "positive features"),
        (3.0, {}, TypeError, "features to be an int.*3.0"),
        (True, {}, TypeError, "features to be an int"),
        ((3, 4), {}, ValueError, r"1 size\(s\) for axis=-1.*\(3, 4\)"),
        (None, {}, ValueError, r"1 size\(s\) for axis=-1"),
        (3, {"axis": None}, ValueError, "features to be None for axis=None"),
        (3, {"alpha_init": jax.nn.initializers.ones}, TypeError, "expected rngs"),
    ],
)
def test_mistakes_in_the_features_of_nnx(features, arguments, error, message):
    with pytest.raises(error, match=f"PReLU.*{message}"):
        nnx.PReLU(features, **arguments)


def test_input_that_does_not_fit_the_parameters():
    params = linen.PReLU(name="act").init(KEY, X)
    with pytest.raises(ValueError, match=r"PReLU 'act'.*alpha of shape \(3,\).*\(4,\)"):
        linen.PReLU(name="act").apply(params, jnp.ones((2, 4)))
    with pytest.raises(ValueError, match=r"PReLU.*alpha of shape \(3,\).*\(4,\)"):
        nnx.PReLU(3)(jnp.ones((2, 4)))
    with pytest.raises(ValueError, match=r"PReLU.*alpha of shape \(4, 3\).*\(4, 5, 3\)"):
        nnx.PReLU((4, 3), shared_axes=())(X)
    applied: list[Any] = [nnx.PReLU(3), functools.partial(linen.PReLU().init, KEY)]
    for layer in applied:
        with pytest.raises(TypeError, match="PReLU: expected x to be an array.*list"):
            layer([[1.0, 2.0, 3.0]])
        with pytest.raises(ValueError, match="PReLU"):
            layer(1.0)


def test_values_outside_the_domain():
    with pytest.raises(ValueError, match="ParametricSoftplus.*beta_init.*positive.*-1"):
        linen.ParametricSoftplus(beta_init=-1.0)
    with pytest.raises(ValueError, match="ParametricSoftplus.*beta_init.*positive"):
        nnx.ParametricSoftplus(3, beta_init=np.array([1.0, 0.0, 1.0]))


# -- the mechanism ------------------------------------------------------------------------------


def learning(module):
    return {name for name in vars(module.learned) if hasattr(module, name) and name[0].isupper()}


@pytest.mark.parametrize("module", [linen, nnx])
def test_each_layer_declares_and_documents_its_arguments(module):
    for name in learning(module):
        kind = getattr(module, name)
        fields = {f for f in kind.__dataclass_fields__ if not f.startswith("_")}
        initial = {f for f in fields if f.endswith("_init")}
        function = getattr(kind, "_function", None)  # Learnable has none of its own.
        learned = (
            {k for k, p in function.spec.parameters.items() if p.learned} if function else set()
        )
        assert initial == {f"{parameter}_init" for parameter in learned}
        for argument in fields - learned - {"parent", "name", "penalty"}:
            assert f"\n  {argument}: " in (inspect.getdoc(kind) or "")


def test_both_have_the_same_layers():
    assert learning(linen) == learning(nnx) == {"Learnable", *(layer.name for layer in LAYERS)}


def test_importing_the_library_does_not_import_flax():
    check = "import sys, advact_jax; sys.exit('flax' in sys.modules or 'optax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


# -- Learnable ----------------------------------------------------------------------------------

SPECS: dict[str, Any] = {
    name: function.spec  # type: ignore[attr-defined]
    for name, function in catalog.elementwise().items()
}
# Every parameter of every function that has a derivative, with all others at a sample.
GENERIC = [
    (name, key)
    for name, spec in SPECS.items()
    for key, parameter in spec.parameters.items()
    if parameter.differentiable
]


@pytest.mark.sampled
@pytest.mark.parametrize("name, key", GENERIC)
def test_any_parameter_of_any_function_can_be_learned(name: str, key: str) -> None:
    function, parameters = catalog.lookup(name), SPECS[name].parameters
    others = {k: p.samples[0] for k, p in parameters.items() if k != key and p.samples}
    start = parameters[key].samples[0]
    given: Any = functools.partial(registry.Activation, function)
    # What is learned needs no value of its own in the activation.
    activation = given(**others, **{key: start}) if others else name
    arguments: Any = {"learn": key, "initial": {key: start}}
    ours = linen.Learnable(activation, **arguments)
    variables = ours.init(KEY, X)
    other = nnx.Learnable(activation, 3, **arguments)
    assert set(variables["params"]) == {key}
    np.testing.assert_array_equal(variables["params"][key], np.full(3, np.float32(start)))

    def of_linen(p: Any, x: Any) -> Any:
        return ours.apply({"params": {key: p}}, x)

    def of_nnx(p: Any, x: Any) -> Any:
        graph, state = flax.nnx.split(other)
        state[key] = state[key].replace(p)  # type: ignore[operator]
        return flax.nnx.merge(graph, state)(x)

    def plain(p: Any, x: Any) -> Any:
        return function(x, **others, **{key: p})

    @functools.partial(jax.jit, static_argnums=0)
    def both(f: Any, p: Any) -> Any:
        y, pullback = jax.vjp(f, p, X)
        return y, *pullback(jnp.cos(y))

    value = jnp.linspace(0.5, 1.0, 3) * start
    for a, b, c in zip(both(of_linen, value), both(of_nnx, value), both(plain, value), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5)


def test_learnable_takes_what_is_usually_learned() -> None:
    layer: Any = nnx.Learnable("parametric_softplus", 4)
    assert layer.alpha.shape == layer.beta.shape == (4,)
    assert set(flax.nnx.state(layer, flax.nnx.Param)) == {"alpha", "beta"}
    half = linen.Learnable(registry.Activation("parametric_softplus", beta=3.0), learn=("alpha",))
    y: Any = half.apply(half.init(KEY, X), X)
    np.testing.assert_allclose(y, advact_jax.parametric_softplus(X, 0.2, 3.0), rtol=1e-6)
    assert hash(half) == hash(half.clone())
    user = advact_jax.activation(parameters={"scale": advact_jax.Parameter(learned=True)})

    @user
    def scaled(x: Any, scale: Any = 2.0) -> Any:
        return scale * x

    np.testing.assert_array_equal(nnx.Learnable(scaled, axis=None)(X), 2 * X)


@pytest.mark.parametrize(
    "name, key, start", [("entmax", "alpha", 1.5), ("softmax_with_sink", "sink", 0)]
)
def test_a_map_onto_the_simplex_learns_a_number_for_each_head(
    name: str, key: str, start: float
) -> None:
    scores = jax.random.normal(KEY, (2, 3, 4, 5))
    ours: Any = linen.Learnable(name, axis=1)
    variables = ours.init(KEY, scores)
    np.testing.assert_array_equal(variables["params"][key], np.full(3, start, np.float32))
    value, function = jnp.array([1.2, 1.5, 1.9]), catalog.lookup(name)
    y, pullback = jax.vjp(lambda p: ours.apply({"params": {key: p}}, scores), value)
    wanted, plain = jax.vjp(lambda p: function(scores, p[:, None, None]), value)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(pullback(scores)[0], plain(scores)[0])
    np.testing.assert_array_equal(
        nnx.Learnable(name, 3, axis=1)(scores), ours.apply(variables, scores)
    )
    with pytest.raises(ValueError, match=f"{key} to have the size 1 along the axis"):
        linen.Learnable(name).init(KEY, scores)


def test_learnable_trains() -> None:
    layer: Any = nnx.Learnable("softplus", axis=None, learn="beta", initial={"beta": 1.0})
    optimizer = flax.nnx.Optimizer(layer, optax.adam(0.1), wrt=flax.nnx.Param)
    wanted = advact_jax.softplus(X, 3.0)

    @flax.nnx.jit
    def step(layer: Any, optimizer: Any) -> Any:
        loss, grads = flax.nnx.value_and_grad(lambda f: jnp.mean((f(X) - wanted) ** 2))(layer)
        optimizer.update(layer, grads)
        return loss

    losses = [float(step(layer, optimizer)) for _ in range(200)]
    assert losses[-1] < 1e-3 * losses[0]
    np.testing.assert_allclose(layer.beta[...], 3.0, atol=0.1)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "name": (("softplu",), ValueError, "Learnable: .*'softplu'. Did you mean softplus"),
    "nothing to learn": (
        ("tanh",),
        ValueError,
        "parameters of tanh that have a derivative .it has none",
    ),
    "no such parameter": (
        ("elu", {"learn": ("beta",)}),
        ValueError,
        r"parameters of elu .* \(alpha\), got learn=",
    ),
    "no derivative": (
        ("thresholded_relu", {"learn": "theta"}),
        ValueError,
        "have a derivative .it has none.",
    ),
    "initial": (
        ("elu", {"initial": {"beta": 1.0}}),
        ValueError,
        "expected initial for what is learned",
    ),
    "no value": (("threshold", {"learn": "value"}), ValueError, "expected an initial value for v"),
    "along an axis": (("softmax",), ValueError, "parameters of softmax that have a derivative"),
    "no declaration": ((jnp.sin,), TypeError, "expected a function declared"),
}


@pytest.mark.parametrize("framework", [linen, nnx])
@pytest.mark.parametrize("given, kind, message", WRONG.values(), ids=WRONG)
def test_learnable_names_what_is_wrong(
    framework: Any, given: Any, kind: type[Exception], message: str
) -> None:
    arguments = {"axis": None, **(given[1] if len(given) > 1 else {})}
    with pytest.raises(kind, match=message):
        framework.Learnable(given[0], **arguments)
