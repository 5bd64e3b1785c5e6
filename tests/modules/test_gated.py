"""Gated dense layers: linen against nnx, both against plain formulas."""

from __future__ import annotations

import functools
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
from advact_jax import Activation, linen, nnx

pytestmark = pytest.mark.sampled
SUBJECTS = (
    "linen.gated",
    "nnx.gated",
    "gating",
)

KEY = jax.random.key(1)
X = jax.random.normal(jax.random.key(0), (3, 5, 4))


def rngs() -> flax.nnx.Rngs:
    return flax.nnx.Rngs(0)


def drawn(module: Any, *args: Any) -> Any:
    """Return parameters of the right shapes without running the initializers, which is slow."""
    shapes = jax.eval_shape(module.init, KEY, *args)["params"]
    draw = np.random.default_rng(0).normal
    return jax.tree.map(lambda leaf: jnp.asarray(0.6 * draw(size=leaf.shape), leaf.dtype), shapes)


def run(module: Any, params: Any, *args: Any) -> Any:
    return module.apply({"params": params}, *args)


def twin_of(params: Any, twin: Any) -> Any:
    state = flax.nnx.state(twin, flax.nnx.Param)
    flax.nnx.replace_by_pure_dict(state, params)
    flax.nnx.update(twin, state)
    return twin


LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two projections": {"fused": False},
    "name": {"activation": "gelu", "use_bias": False},
    "function": {"activation": jnp.tanh},
    "preset": {"activation": "swiglu_gpt_oss"},
    "gate second": {"activation": "glu"},
    "fixed": {"activation": Activation("silu", beta=1.702), "interleaved": True},
    "none": {"activation": None, "gate": "second"},
    "penalised": {"kernel_regularizer": "l2", "bias_regularizer": "l1", "fused": False},
}


def wanted(name: str, params: Any, x: Array) -> Array:
    """The layer, re-typed."""

    def projection(key: str) -> Array:
        part = params[key]
        return x @ part["kernel"] + part.get("bias", 0)

    if "gate_proj" in params:
        first, second = projection("gate_proj"), projection("up_proj")
    else:
        y = projection("gate_up_proj")
        mixed = name in ("preset", "fixed")
        first, second = (y[..., ::2], y[..., 1::2]) if mixed else jnp.split(y, 2, -1)
    if name in ("gate second", "none"):
        first, second = second, first
    bounded = jnp.minimum(first, 7)
    formulas = {
        "name": lambda: jax.nn.gelu(first) * second,
        "function": lambda: jnp.tanh(first) * second,
        "preset": lambda: bounded * jax.nn.sigmoid(1.702 * bounded) * (jnp.clip(second, -7, 7) + 1),
        "gate second": lambda: jax.nn.sigmoid(first) * second,
        "fixed": lambda: first * jax.nn.sigmoid(1.702 * first) * second,
        "none": lambda: first * second,
    }
    return formulas.get(name, lambda: jax.nn.silu(first) * second)()


@pytest.mark.parametrize("name", LAYERS)
def test_linen_and_nnx_are_the_plain_formula(name: str) -> None:
    module = linen.GatedDense(6, **LAYERS[name])
    params = drawn(module, X)
    twin = twin_of(params, nnx.GatedDense(4, 6, **LAYERS[name], rngs=rngs()))
    graph, state, rest = flax.nnx.split(twin, flax.nnx.Param, ...)  # type: ignore[misc]

    def by_linen(params: Any, x: Array) -> Any:
        y, updates = module.apply({"params": params}, x, mutable=["losses"])
        return jnp.sum(jnp.sin(y)) + linen.regularization_loss(updates), y

    def by_nnx(state: Any, x: Array) -> Any:
        model = flax.nnx.merge(graph, state, rest, copy=True)
        y = model(x)
        return jnp.sum(jnp.sin(y)) + nnx.regularization_loss(model), y

    def plain(params: Any, x: Array) -> Any:
        y = wanted(name, params, x)
        return jnp.sum(jnp.sin(y)), y

    results = [
        jax.jit(jax.value_and_grad(f, (0, 1), has_aux=True))(p, X)
        for f, p in ((by_linen, params), (by_nnx, state), (plain, params))
    ]
    (a, ya), (ga, gxa) = results[0]
    (b, yb), (gb, gxb) = results[1]
    np.testing.assert_array_equal(ya, yb)
    np.testing.assert_array_equal(a, b)
    jax.tree.map(np.testing.assert_array_equal, (ga, gxa), (flax.nnx.to_pure_dict(gb), gxb))
    (c, yc), (gc, gxc) = results[2]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(ya, yc)
    close(gxa, gxc)
    if name == "penalised":
        assert a > c
    else:
        jax.tree.map(close, ga, gc)


def test_shapes_and_initial_values() -> None:
    for fused in (True, False):
        module = linen.GatedDense(6, fused=fused, bias_init="ones")
        params = module.init(KEY, X)["params"]
        twin = nnx.GatedDense(4, 6, fused=fused, bias_init="ones", rngs=rngs())
        state = flax.nnx.to_pure_dict(flax.nnx.state(twin, flax.nnx.Param))
        shapes = jax.tree.map(jnp.shape, params)
        assert shapes == jax.tree.map(jnp.shape, state)
        each = {"kernel": (4, 12), "bias": (12,)} if fused else {"kernel": (4, 6), "bias": (6,)}
        names = ("gate_up_proj",) if fused else ("gate_proj", "up_proj")
        assert shapes == {name: each for name in names}
        for tree in (params, state):
            for part in tree.values():
                # Glorot's bound for one map, not for both together.
                assert 0.6 < jnp.abs(part["kernel"]).max() <= (6 / (4 + 6)) ** 0.5
                assert jnp.all(part["bias"] == 1)
    half = linen.GatedDense(6, param_dtype=jnp.bfloat16, dtype=jnp.float32)
    y, variables = half.init_with_output(KEY, X.astype(jnp.bfloat16))
    assert y.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("bfloat16")}


def test_interleaved_is_the_same_layer_with_its_columns_mixed() -> None:
    module = linen.GatedDense(6)
    params = drawn(module, X)
    mixed = jax.tree.map(lambda a: jnp.stack(jnp.split(a, 2, -1), -1).reshape(a.shape), params)
    y = run(module, params, X)
    other = run(linen.GatedDense(6, interleaved=True), mixed, X)
    np.testing.assert_allclose(other, y, rtol=1e-5, atol=1e-6)
    start = linen.GatedDense(6).init(KEY, X)["params"]["gate_up_proj"]["kernel"]
    start_mixed = linen.GatedDense(6, interleaved=True).init(KEY, X)
    found = start_mixed["params"]["gate_up_proj"]["kernel"]
    np.testing.assert_array_equal(found[:, ::2], start[:, :6])


def test_a_learned_activation() -> None:
    module = linen.GatedDense(6, linen.Swish())
    params = module.init(KEY, X)["params"]
    assert set(params) == {"gate_up_proj", "activation"}
    twin = nnx.GatedDense(4, 6, nnx.Swish(6), rngs=rngs())
    twin = twin_of(params, twin)
    y = run(module, params, X)
    np.testing.assert_array_equal(twin(X), y)
    np.testing.assert_allclose(y, wanted("plain", params, X), rtol=1e-5, atol=1e-6)
    by = jax.grad(lambda p: run(module, p, X).sum())(params)
    assert jnp.all(by["activation"]["beta"] != 0)


def test_a_mask_is_passed_on() -> None:
    mask = jnp.ones((3, 5), bool)
    module = linen.GatedDense(6)
    params = drawn(module, X)
    y, passed = run(module, params, X, mask)
    assert passed is not None and y.shape == (3, 5, 6)
    twin = nnx.GatedDense(4, 6, rngs=rngs())
    assert twin(X, mask)[1].shape == (3, 5)
    with pytest.raises(ValueError, match="GatedDense: expected a mask"):
        twin(X, mask[:2])


def test_constraints_and_masks_of_parameters() -> None:
    arguments: dict[str, Any] = {"kernel_constraint": "max_norm", "fused": False}
    found = linen.constraints(linen.GatedDense(6, linen.Swish(), **arguments), X)
    assert repr(found["gate_proj"]["kernel"]) == "MaxNorm(max_value=2.0, axis=0)"
    assert found["up_proj"]["bias"] is None
    twin = nnx.GatedDense(4, 6, nnx.Swish(6), **arguments, rngs=rngs())
    pure = flax.nnx.to_pure_dict(nnx.constraints(twin))
    assert pure["up_proj"]["kernel"] == found["up_proj"]["kernel"]
    marked = linen.activation_mask(linen.GatedDense(6, linen.Swish()), X)
    assert marked["activation"] == {"beta": True} and not marked["gate_up_proj"]["kernel"]


def _pullback(f: Any, *args: Any) -> Any:
    return jax.vjp(f, *args)[1]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("activation", ["silu", "gelu", "swiglu_gpt_oss", "situ_glu"])
def test_gate_value_and_output_alone_are_kept(activation: str, fused: bool) -> None:
    layers, batch, width, hidden = 3, 8, 16, 64
    for dtype, limit in ((jnp.float32, 12), (jnp.bfloat16, 6)):
        module = linen.GatedDense(
            hidden, activation, fused=fused, use_bias=False, param_dtype=dtype
        )
        x = jnp.ones((batch, width), dtype)
        params = jax.eval_shape(module.init, KEY, x)["params"]

        def net(stacked: Any, x: Any, module: Any = module) -> Any:
            def block(h: Any, weights: Any) -> Any:
                up, down = weights
                return h + module.apply({"params": up}, h) @ down, None

            return jax.lax.scan(block, x, stacked)[0].sum()

        stacked = (
            jax.tree.map(lambda a: jnp.ones((layers, *a.shape), a.dtype), params),
            jnp.ones((layers, hidden, width), dtype),
        )
        found = jax.eval_shape(functools.partial(_pullback, net), stacked, x)
        kept = sum(
            leaf.size * leaf.dtype.itemsize
            for leaf in jax.tree.leaves(found)
            if leaf.ndim == 3 and leaf.shape[1] == batch and leaf.shape[2] >= hidden
        )
        assert kept <= limit * layers * batch * hidden


@pytest.mark.parametrize("fused", [True, False])
def test_sharded_on_four_devices(fused: bool) -> None:
    devices = jax.devices()[:4]
    mesh = jax.make_mesh((4,), ("model",), (jax.sharding.AxisType.Auto,), devices=devices)
    arguments: dict[str, Any] = {
        "fused": fused, "interleaved": True, "kernel_sharding": (None, "model"),
        "bias_sharding": ("model",),
    }  # fmt: skip
    plain = linen.GatedDense(8, fused=fused, interleaved=True)
    with jax.set_mesh(mesh):
        module = linen.GatedDense(8, **arguments)
        boxed = module.init(KEY, X)
        for spec in jax.tree.leaves(
            nn.get_partition_spec(boxed), is_leaf=lambda s: isinstance(s, jax.P)
        ):
            assert spec in (jax.P(None, "model"), jax.P("model"))
        variables = nn.unbox(boxed)
        shardings = nn.get_sharding(boxed, mesh)
        variables = jax.device_put(variables, shardings)
        y = jax.jit(module.apply)(variables, X)
        twin = nnx.GatedDense(4, 8, **arguments, rngs=rngs())
        name = "gate_up_proj" if fused else "up_proj"
        kernel = getattr(twin, name).kernel
        assert kernel.out_sharding == (None, "model")
        assert kernel[...].sharding.spec == jax.P(None, "model")
        text = jax.jit(module.apply).lower(variables, X).compile().as_text()
        # Gates lie beside their values: nothing moves between devices.
        if text is not None and not fused:
            assert "all-to-all" not in text and "all-gather" not in text
    local = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), variables)
    np.testing.assert_allclose(y, run(plain, local["params"], X), rtol=1e-5, atol=1e-6)


def test_a_training_step() -> None:
    module = linen.GatedDense(6, "swiglu_step", kernel_init="auto")
    params = module.init(KEY, X)["params"]
    target = jnp.sin(jnp.arange(6.0))
    optimizer = optax.adam(1e-2)

    def loss(params: Any) -> Array:
        y = run(module, params, X)
        return jnp.mean((y - target) ** 2)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state, values = optimizer.init(params), []
    for _ in range(60):
        params, state, value = step(params, state)
        values.append(float(value))
    assert values[-1] < 0.5 * values[0]
    twin = nnx.GatedDense(4, 6, "swiglu_step", rngs=rngs())
    train = flax.nnx.Optimizer(twin, optax.sgd(0.1), wrt=flax.nnx.Param)

    @flax.nnx.jit
    def update(model: Any, train: Any) -> Array:
        value, gradient = flax.nnx.value_and_grad(lambda m: jnp.mean((m(X) - target) ** 2))(model)
        train.update(model, gradient)
        return value

    first = update(twin, train)
    assert update(twin, train) < first


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "features": ({"out_features": 0}, ValueError, "features to be 1 or more"),
    "name": ({"activation": "geluu"}, ValueError, "Did you mean gelu"),
    "activation": ({"activation": 3}, TypeError, "activation"),
    "gate": ({"gate": "left"}, ValueError, "expected gate to be 'first' or 'second'"),
    "interleaved": ({"interleaved": "yes"}, TypeError, "expected interleaved to be True or False"),
    "fused": ({"fused": 1}, TypeError, "expected fused to be True or False"),
    "bias": (
        {"use_bias": False, "bias_regularizer": "l2"}, ValueError, "expected no bias_regularizer"
    ),
    "init": ({"kernel_init": "he"}, ValueError, "kernel_init"),
    "sharding": ({"kernel_sharding": ("a",)}, ValueError, "kernel_sharding to be a tuple"),
    "type": ({"param_dtype": jnp.int32}, TypeError, "param_dtype"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "message"), BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(
    given: dict[str, Any], kind: type[Exception], message: str
) -> None:
    given = dict(given)
    features = given.pop("out_features", 6)
    with pytest.raises(kind, match=rf"(?s)GatedDense: .*{message}"):
        linen.GatedDense(features, **given)
    with pytest.raises(kind, match=rf"(?s)GatedDense: .*{message}"):
        nnx.GatedDense(4, features, **given, rngs=rngs())


def test_the_layer_is_the_unit() -> None:
    module = linen.GatedDense(6, "swiglu_deepseek_v4", use_bias=False)
    params = drawn(module, X)
    y = run(module, params, X)
    by_hand = advact_jax.swiglu_deepseek_v4(X @ params["gate_up_proj"]["kernel"])
    np.testing.assert_allclose(y, by_hand, rtol=1e-5, atol=1e-6)
