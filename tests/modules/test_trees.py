"""The masks and constraints of a model, on models of every make."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import optax
import pytest

from advact_jax import linen, nnx
from advact_jax.constraints import Interval, NonNeg

KEY = jax.random.key(0)
X = jax.ShapeDtypeStruct((2, 3), jnp.float32)
STACK: dict[str, Any] = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
IN_UNIT = NonNeg()
DENSE = {"bias": False, "kernel": False}
OURS = {"alpha": True}


class Alpha(nn.Module):
    """A module of a user whose parameter has the name of one of ours."""

    @nn.compact
    def __call__(self, x):
        return x * self.param("alpha", nn.initializers.ones, ())


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return linen.PReLU(alpha_constraint=IN_UNIT)(nn.Dense(3)(Alpha()(x)))


class Step(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return Block()(x), None


class Setup(nn.Module):
    def setup(self):
        self.blocks = [Block(), nn.Dense(3)]
        self.act = linen.PReLU()

    def __call__(self, x):
        for block in self.blocks:
            x = self.act(block(x))  # One layer, used twice.
        return x

    def half(self, x):
        return self.act(x)


class Compiled(nn.Module):
    @nn.jit
    @nn.compact
    def __call__(self, x):
        return Block()(x)


class Rematerialized(nn.Module):
    @nn.remat
    @nn.compact
    def __call__(self, x):
        return Block()(x)


class Holder(nn.Module):
    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        return self.inner(x)


class Scale(nn.Module):
    """A layer of a user that tells what ours tell."""

    activation_parameters = ("scale",)

    def parameter_constraints(self):
        return {"scale": IN_UNIT}

    @nn.compact
    def __call__(self, x):
        bias = self.param("bias", nn.initializers.ones, ())
        return jnp.tanh(self.param("scale", nn.initializers.ones, ()) * x + bias)


BLOCK = {"Alpha_0": {"alpha": False}, "Dense_0": DENSE, "PReLU_0": OURS}
JIT_AT_MODULE_LEVEL = nn.jit(Block)

MODELS: dict[str, tuple[nn.Module, Any]] = {
    "compact": (Block(), BLOCK),
    "setup and shared": (Setup(), {"act": OURS, "blocks_0": BLOCK, "blocks_1": DENSE}),
    "sequential": (
        nn.Sequential([nn.Dense(4), linen.PReLU(), nn.relu, linen.ParametricSoftplus()]),
        {"layers_0": DENSE, "layers_1": OURS, "layers_3": {"alpha": True, "beta": True}},
    ),
    "handed in": (Holder(linen.Swish()), {"inner": {"beta": True}}),
    "learnable": (Holder(linen.Learnable("elu")), {"inner": OURS}),
    "vmap": (nn.vmap(Block, **STACK)(), BLOCK),
    "remat": (nn.remat(Block)(), BLOCK),
    "remat of a method": (Rematerialized(), {"Block_0": BLOCK}),
    "scan of remat": (nn.scan(nn.remat(Step), length=4, **STACK)(), {"Block_0": BLOCK}),
    "jit": (JIT_AT_MODULE_LEVEL(), BLOCK),
    "jit of a method": (Compiled(), {"Block_0": BLOCK}),
    "a user's": (Scale(), {"bias": False, "scale": True}),
    "none": (Alpha(), {"alpha": False}),
    "no parameters": (nn.Dropout(0.5, deterministic=True), {}),
}


def structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def inputs(name: str) -> tuple[Any, ...]:
    return (X, None) if name.startswith("scan") else (X,)


@pytest.mark.parametrize("name", MODELS)
def test_linen_tells_the_parameters_of_activations(name: str) -> None:
    model, expected = MODELS[name]
    real = jax.tree.map(lambda s: jnp.ones(s.shape), inputs(name))
    params = model.init(KEY, *real).get("params", {})
    for _ in range(2):  # Also what jax.jit has traced before.
        mask = linen.activation_mask(model, *inputs(name))
        assert mask == expected
    assert linen.activation_mask(model, *real, rngs={"params": KEY}) == expected
    assert structure(mask) == structure(params)


def constrained(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def test_linen_collects_constraints() -> None:
    tree = linen.constraints(Setup(), X)
    assert tree["act"] == {"alpha": None}
    assert tree["blocks_0"]["PReLU_0"] == {"alpha": IN_UNIT}
    assert constrained(tree) == ["['blocks_0']['PReLU_0']['alpha']"]
    params = Setup().init(KEY, jnp.ones((2, 3)))["params"]
    low = jax.tree.map(lambda w, c: -1.0 if c is None else float(c(-1.0)), params, tree)
    assert (low["act"]["alpha"], low["blocks_0"]["PReLU_0"]["alpha"]) == (-1.0, 0.0)
    assert linen.constraints(Scale(), X) == {"bias": None, "scale": IN_UNIT}
    assert constrained(linen.constraints(nn.scan(Step, length=4, **STACK)(), X, None)) == [
        "['Block_0']['PReLU_0']['alpha']"
    ]


def test_linen_takes_static_arguments_and_other_methods() -> None:
    class Switch(nn.Module):
        @nn.compact
        def __call__(self, x, wide, *, train):
            x = nn.Dense(4)(x) if wide else x
            return linen.PReLU()(x) if train else x

    assert linen.activation_mask(Switch(), X, False, train=True) == {"PReLU_0": OURS}
    assert linen.activation_mask(Switch(), X, wide=True, train=False) == {"Dense_0": DENSE}
    assert linen.activation_mask(Setup(), X, method="half") == {"act": OURS}
    assert linen.activation_mask(Setup(), x=X, method=Setup.half) == {"act": OURS}


def test_boxed_parameters_have_one_entry_in_place_of_the_box() -> None:
    marked = nn.with_partitioning(nn.initializers.constant(0.1), ("channels",))
    model = nn.Sequential(
        [nn.Dense(3, bias_init=marked), linen.PReLU(alpha_init=marked, alpha_constraint=IN_UNIT)]
    )
    params = model.init(KEY, jnp.ones((2, 3)))["params"]
    assert isinstance(params["layers_1"]["alpha"], nn.Partitioned)
    mask = linen.activation_mask(model, X)
    assert mask == {"layers_0": DENSE, "layers_1": OURS}
    assert linen.constraints(model, X)["layers_1"] == {"alpha": IN_UNIT}
    tx = optax.masked(optax.sgd(1.0), mask)
    updates, _ = tx.update(params, tx.init(params), params)
    assert jnp.all(updates["layers_1"]["alpha"].unbox() == -params["layers_1"]["alpha"].unbox())
    assert updates["layers_0"]["kernel"] is params["layers_0"]["kernel"]


# -- nnx ----------------------------------------------------------------------------------------


class Plain(flax.nnx.Module):
    def __init__(self):
        self.alpha = flax.nnx.Param(jnp.ones(()))


class Net(flax.nnx.Module):
    def __init__(self, rngs):
        self.dense = flax.nnx.Linear(3, 3, rngs=rngs)
        self.norm = flax.nnx.BatchNorm(3, rngs=rngs)
        self.act = nnx.PReLU(3, alpha_constraint=Interval(0.0, 1.0))
        self.again = self.act
        self.plain = Plain()
        # Found first, on a path that is not of a layer of ours.
        self.a_tied = nnx.Swish(3)
        self.a_beta = self.a_tied.beta
        self.list = flax.nnx.List([nnx.Learnable("elu", 3), Plain()])

    def __call__(self, x):
        return self.act(self.dense(x))


def test_nnx_tells_the_parameters_of_activations() -> None:
    model = Net(flax.nnx.Rngs(0))
    mask = nnx.activation_mask(model)
    expected = {
        "a_beta": True,
        "act": OURS,
        "dense": DENSE,
        "list": {0: OURS, 1: {"alpha": False}},
        "norm": {"bias": False, "scale": False},
        "plain": {"alpha": False},
    }
    assert flax.nnx.to_pure_dict(mask) == expected
    params = flax.nnx.as_pure(flax.nnx.state(model, flax.nnx.Param))
    assert structure(mask) == structure(params)


def test_nnx_collects_constraints() -> None:
    model = Net(flax.nnx.Rngs(0))
    tree = nnx.constraints(model)
    assert constrained(tree) == ["['act']['alpha']"]
    params = flax.nnx.as_pure(flax.nnx.state(model, flax.nnx.Param))
    high = jax.tree.map(lambda w, c: w + 9 if c is None else c(w + 9), params, tree)
    assert jnp.all(high["act"]["alpha"] == 1) and jnp.all(high["a_beta"] == 10)


def test_nnx_of_stacked_layers_and_of_one_layer() -> None:
    @flax.nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs: flax.nnx.Rngs) -> Any:
        return Net(rngs)

    stacked = make(flax.nnx.Rngs(0).split(4))
    assert stacked.act.alpha.shape == (4, 3)
    assert nnx.activation_mask(stacked) == nnx.activation_mask(Net(flax.nnx.Rngs(0)))
    assert constrained(nnx.constraints(stacked)) == ["['act']['alpha']"]
    assert flax.nnx.to_pure_dict(nnx.activation_mask(nnx.PReLU(3))) == OURS


@pytest.mark.parametrize("layer", ["PReLU", "ParametricSoftplus", "Swish"])
def test_both_frameworks_tell_the_same(layer: str) -> None:
    ours = linen.activation_mask(getattr(linen, layer)(), X)
    assert ours == flax.nnx.to_pure_dict(nnx.activation_mask(getattr(nnx, layer)(3)))
    assert ours and all(ours.values())
