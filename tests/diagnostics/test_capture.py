"""Which activations are found in a model, and that what is measured of them is true."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import diagnostics, linen, nnx
from advact_jax.diagnostics import nnx as nnx_diagnostics

X = jax.random.normal(jax.random.key(0), (6, 4))
values = jax.jit(diagnostics.values)


@advact_jax.activation()
def own(x: Any) -> Any:
    return jnp.maximum(x, 0) ** 2


class Mixed(nn.Module):
    """A model with activations of every make."""

    @nn.compact
    def __call__(self, x):
        x = linen.PReLU(name="first")(nn.Dense(8)(x))
        x = nn.relu(nn.Dense(8)(x))  # of jax.nn
        x = linen.Dense(8, "silu", name="inside")(x)
        x = nn.Sequential([nn.Dense(8), advact_jax.Activation("elu", alpha=0.5)], name="list")(x)
        x = linen.GatedDense(8, activation="relu", name="gated")(x)
        return nn.Dense(1)(own(advact_jax.hard_tanh(x)))


SEEN = ("first/prelu", "relu", "inside/silu", "list/elu", "gated/gated_unit", "hard_tanh", "own")


def model_and_loss() -> tuple[Any, Any]:
    model = Mixed()
    params = jax.jit(model.init)(jax.random.key(1), X)["params"]

    def loss(params: Any, x: Any) -> Any:
        y: Any = model.apply({"params": params}, x)
        return (y**2).mean()

    return params, loss


def test_activations_of_every_make_are_seen_in_order() -> None:
    params, loss = model_and_loss()
    assert diagnostics.found(loss, params, X) == diagnostics.Found(SEEN, ())
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    assert diagnostics.found(loss, shapes, X).seen == SEEN


def test_value_and_gradient_are_those_of_jax() -> None:
    params, loss = model_and_loss()
    (value, gradient), seen = jax.jit(diagnostics.value_and_grad(loss, most=0))(params, X)
    expected, by = jax.jit(jax.value_and_grad(loss))(params, X)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9), gradient, by)
    assert tuple(seen.layers) == SEEN  # jax.jit keeps the order
    np.testing.assert_allclose(
        seen.gradients["inside"],
        np.sqrt(sum(np.sum(np.square(g)) for g in by["inside"].values())),
        rtol=1e-5,
    )


def test_what_is_measured_is_true() -> None:
    w = [jax.random.normal(jax.random.key(i), (4, 4)) for i in (1, 2)]

    def loss(w: Any, x: Any, extra: Any = (0.0, 0.0)) -> Any:
        x = advact_jax.relu(x @ w[0] + 0.3) + extra[0]
        x = advact_jax.tanh(x @ w[1]) + extra[1]
        return (x**3).sum()

    (_, _), seen = jax.jit(diagnostics.value_and_grad(loss))(w, X)
    # Independent: gradients by what is added to the outputs, slopes from the formulas.
    gradients = jax.grad(loss, 2)(w, X, (jnp.zeros((6, 4)), jnp.zeros((6, 4))))
    first = np.asarray(X @ w[0] + 0.3)
    second = np.asarray(np.maximum(first, 0) @ w[1])
    slopes = [(first > 0).astype(float), 1 - np.tanh(second) ** 2]
    outputs = [np.maximum(first, 0), np.tanh(second)]
    for name, g, slope, y in zip(("relu", "tanh"), gradients, slopes, outputs, strict=True):
        found = values(seen.layers[name])
        norm, after = np.linalg.norm(g), np.linalg.norm(np.asarray(g) * slope)
        np.testing.assert_allclose(found["mean"], y.mean(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["std"], y.std(), rtol=1e-4)
        np.testing.assert_allclose(found["saturation"], (slope < 0.05).mean(), rtol=1e-6)
        np.testing.assert_allclose(found["dead"], (slope.max(0) <= 1e-3).mean(), rtol=1e-6)
        np.testing.assert_allclose(found["gradient_norm"], norm, rtol=1e-4)
        np.testing.assert_allclose(found["gradient_lost"], 1 - after / norm, rtol=1e-3, atol=1e-5)


def deep(x: Any, checkpointed: bool) -> Any:
    def layer(x: Any, w: Any) -> Any:
        with jax.named_scope("block"):
            return advact_jax.tanh(w * x), x.sum()

    scanned = jax.checkpoint(layer) if checkpointed else layer
    return jax.lax.scan(scanned, x, jnp.array([1.0, 2.0, 0.1]), unroll=2)


@pytest.mark.parametrize("checkpointed", [True, pytest.param(False, marks=pytest.mark.sampled(3))])
def test_layers_in_a_scan_are_measured_one_by_one(checkpointed: bool) -> None:
    loss = lambda x: (deep(x, checkpointed)[0] ** 2).sum()  # noqa: E731
    (value, gradient), seen = jax.jit(diagnostics.value_and_grad(loss, most=0))(X)
    expected, by = jax.value_and_grad(loss)(X)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, by, rtol=1e-5, atol=1e-8)
    x, norms = X, []
    for scale in (1.0, 2.0, 0.1):
        x = jnp.tanh(scale * x)
        norms.append(float(jnp.std(x)))
    found = values(seen.layers["tanh"])
    np.testing.assert_allclose(found["std"], norms, rtol=1e-5)
    # What is left of the gradient at a layer goes on, times its weight.
    left = found["gradient_norm"] * (1 - found["gradient_lost"])
    np.testing.assert_allclose(found["gradient_norm"][0], 2.0 * left[1], rtol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(gradient), left[0], rtol=1e-5)
    history = diagnostics.History()
    history.add(0, seen)
    assert history.layers == ("tanh[0]", "tanh[1]", "tanh[2]")


def test_what_cannot_be_measured_is_told() -> None:
    def loss(x: Any) -> Any:
        y = jax.lax.cond(x.sum() > 0, advact_jax.relu, advact_jax.mish, x)
        y = jax.lax.fori_loop(0, x.shape[0], lambda i, y: advact_jax.elu(y), y)
        return jax.nn.gelu(jnp.tanh(y)).sum()

    found = diagnostics.found(loss, X)
    assert found.seen == ("elu",)  # a loop of known length is a scan
    assert sorted(found.unseen) == ["cond/mish", "cond/relu"]
    with pytest.raises(ValueError, match="expected a function with an elementwise activation"):
        diagnostics.observe(lambda x: jnp.tanh(x))(X)
    with pytest.raises(ValueError, match="it has cond/mish, cond/relu, which lie in loops"):
        choose = lambda x: jax.lax.cond(x.sum() > 0, advact_jax.relu, advact_jax.mish, x)  # noqa: E731
        diagnostics.value_and_grad(lambda x: choose(x).sum())(X)


def test_names_that_only_look_like_activations_are_none() -> None:
    @jax.jit
    def step(x: Any) -> Any:  # also the name of an activation here
        return x * 2

    assert diagnostics.found(lambda x: advact_jax.relu(step(x)), X).seen == ("relu",)


def test_statics_auxiliary_output_keywords_and_other_arguments() -> None:
    def loss(x: Any, w: Any, wide: bool, *, name: str) -> Any:
        assert name == "a"
        y = advact_jax.silu(x * w) if wide else x
        return y.sum(), {"y": y}

    watched = diagnostics.value_and_grad(loss, argnums=1, has_aux=True, most=0)
    ((value, aux), gradient), seen = watched(X, jnp.ones(4), True, name="a")
    (expected, _), by = jax.value_and_grad(loss, 1, has_aux=True)(X, jnp.ones(4), True, name="a")
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, by, rtol=1e-6)
    assert aux["y"].shape == X.shape and jnp.isnan(seen.layers["silu"].rank.cosine)
    with pytest.raises(ValueError, match="argnums to be the number of one of the 1 positional"):
        diagnostics.value_and_grad(lambda x: x.sum(), 1)(X)


@pytest.mark.sampled(3)
def test_16_bit_nets_are_measured_in_float32() -> None:
    loss = lambda x: advact_jax.gelu(x).astype(jnp.float32).sum()  # noqa: E731
    (_, gradient), seen = jax.jit(diagnostics.value_and_grad(loss))(X.astype(jnp.bfloat16))
    found = values(seen.layers["gelu"])
    assert gradient.dtype == jnp.bfloat16
    assert all(value.dtype == jnp.float32 for value in found.values())
    np.testing.assert_allclose(found["gradient_norm"], np.sqrt(X.size), rtol=1e-5)


@pytest.mark.sampled(3)
def test_many_nets_at_once() -> None:
    loss = lambda w, x: (advact_jax.relu(x @ w) ** 2).sum()  # noqa: E731
    w = jax.random.normal(jax.random.key(2), (3, 4, 4))
    watched = diagnostics.value_and_grad(loss)
    _, together = jax.jit(jax.vmap(watched, (0, None)))(w, X)
    _, alone = jax.jit(watched)(w[1], X)
    assert set(together.layers) == {"relu"}
    for key, value in values(alone.layers["relu"]).items():
        np.testing.assert_allclose(
            values(together.layers["relu"])[key][1], value, rtol=1e-4, err_msg=key
        )


def test_dead_units_over_a_data_set() -> None:
    w = jnp.array([[1.0, -1.0, 0.0]])
    watched = diagnostics.observe(lambda x: advact_jax.relu(x @ w - 0.5))

    @jax.jit
    def stream(batches: Any) -> Any:
        _, first = watched(batches[0])

        def step(state: Any, x: Any) -> Any:
            return diagnostics.merge(state, watched(x)[1].layers["relu"]), None

        return jax.lax.scan(step, first.layers["relu"], batches[1:])[0]

    batches = jnp.array([[[1.0], [2.0]], [[0.0], [1.0]], [[-2.0], [1.0]]])
    assert values(stream(batches[:2]))["dead"] == pytest.approx(2 / 3)
    assert values(stream(batches))["dead"] == pytest.approx(1 / 3)


# -- nnx ----------------------------------------------------------------------------------------


class Block(flax.nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.linear = flax.nnx.Linear(4, 4, rngs=rngs)
        self.norm = flax.nnx.BatchNorm(4, rngs=rngs)
        self.act = nnx.PReLU(4)
        self.drop = flax.nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.drop(self.act(self.norm(self.linear(x))))


class Net(flax.nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.blocks = flax.nnx.List([Block(rngs), Block(rngs)])
        self.last = nnx.Dense(4, 1, activation="silu", rngs=rngs)

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = advact_jax.relu(block(x))
        return self.last(x)


def nnx_loss(model: Any, x: Any) -> Any:
    return (model(x) ** 2).sum()


def test_nnx_models_keep_their_paths_their_state_and_their_gradients() -> None:
    ours, theirs = Net(flax.nnx.Rngs(0)), Net(flax.nnx.Rngs(0))
    calls = {kind: kind.__call__ for kind in (Net, Block, flax.nnx.Linear)}
    watched = flax.nnx.jit(nnx_diagnostics.value_and_grad(nnx_loss, most=0))
    plain = flax.nnx.jit(flax.nnx.value_and_grad(nnx_loss))
    for _ in range(2):  # the second time with the statistics and random streams of the first
        (value, gradient), seen = watched(ours, X)
        expected, by = plain(theirs, X)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    pairs = (flax.nnx.to_pure_dict(gradient), flax.nnx.to_pure_dict(by))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *pairs)
    assert tuple(seen.layers) == ("blocks/0/act/prelu", "relu", "blocks/1/act/prelu", "relu_2",
                                  "last/silu")  # fmt: skip
    assert "blocks/0/linear" in seen.gradients
    np.testing.assert_allclose(ours.blocks[0].norm.mean[...], theirs.blocks[0].norm.mean[...])
    assert calls == {kind: kind.__call__ for kind in calls}  # the classes are as they were


def test_nnx_models_are_observed_without_gradients() -> None:
    model = Net(flax.nnx.Rngs(0))
    before = np.asarray(model.blocks[0].norm.mean[...])
    watched = nnx_diagnostics.observe(lambda model, x: model(x), most=0)
    y, seen = flax.nnx.jit(watched)(model, X)
    assert y.shape == (6, 1) and len(seen.layers) == 5 and not seen.gradients
    assert np.any(np.asarray(model.blocks[0].norm.mean[...]) != before)
