"""What `advact_jax.optim` does to the updates of optax."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training import train_state

from advact_jax import constraints, linen, nnx, optim

KEY = jax.random.key(0)
MASK = {"act": {"alpha": True}, "dense": {"bias": False, "kernel": False}}
UNIT = constraints.Interval(0.0, 1.0)


def moved(tx: Any, params: Any, gradients: Any, jit: bool = True) -> Any:
    """Return the parameters after one step."""

    def step(params: Any, gradients: Any) -> Any:
        updates, _ = tx.update(gradients, tx.init(params), params)
        return optax.apply_updates(params, updates)

    return (jax.jit(step) if jit else step)(params, gradients)


def some_params() -> Any:
    return {
        "act": {"alpha": jnp.array([0.25, 0.5, 1.0])},
        "dense": {"bias": jnp.full(3, 0.5), "kernel": jnp.full((2, 3), 0.5)},
    }


# -- masks --------------------------------------------------------------------------------------


def test_labels_choose_the_transformation() -> None:
    assert optim.labels(MASK, "slopes", "weights") == {
        "act": {"alpha": "slopes"}, "dense": {"bias": "weights", "kernel": "weights"},
    }  # fmt: skip
    tx = optax.multi_transform(
        {"activation": optax.sgd(0.1), "rest": optax.sgd(0.01)}, optim.labels(MASK)
    )
    params = some_params()
    gradients = jax.tree.map(jnp.ones_like, params)
    new = moved(tx, params, gradients)
    np.testing.assert_allclose(params["act"]["alpha"] - new["act"]["alpha"], 0.1, rtol=1e-5)
    np.testing.assert_allclose(params["dense"]["bias"] - new["dense"]["bias"], 0.01, rtol=1e-5)


def test_no_decay_leaves_out_activations_alone() -> None:
    params = some_params()
    tx = optax.adamw(0.1, weight_decay=0.5, mask=optim.no_decay(MASK))
    new = moved(tx, params, jax.tree.map(jnp.zeros_like, params))
    np.testing.assert_array_equal(new["act"]["alpha"], params["act"]["alpha"])
    np.testing.assert_allclose(new["dense"]["kernel"], 0.5 * 0.95, rtol=1e-6)


# -- project: values ----------------------------------------------------------------------------


def projected(within: Any, w: Any, gradient: Any, rate: float = 0.1, jit: bool = True) -> Any:
    """Return a parameter after one projected step."""
    tx = optax.chain(optax.sgd(rate), optim.project({"w": within}))
    return moved(tx, {"w": w}, {"w": gradient}, jit)["w"]


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (0.1, 0.7), (-0.3, 1e3), (0.1, 3.3)])
@pytest.mark.parametrize(
    "dtype, jit", [("float32", True), ("float32", False), ("bfloat16", True), ("float16", True)]
)
def test_an_interval_holds_exactly(dtype: str, jit: bool, low: float, high: float) -> None:
    within = constraints.Interval(low, high)
    keys = jax.random.split(KEY, 3)
    w = within(jax.random.uniform(keys[0], (20_000,), minval=low, maxval=high).astype(dtype))
    sizes = 10 ** jax.random.uniform(keys[1], w.shape, minval=-3, maxval=2) * (high - low)
    gradient = (sizes * jax.random.normal(keys[2], w.shape)).astype(dtype)
    new = projected(within, w, gradient, jit=jit)
    assert new.dtype == w.dtype
    np.testing.assert_array_equal(new, within(new))

    wanted = within(moved(optax.sgd(0.1), w, gradient, jit))
    old, aim, found = (np.asarray(a, np.float64) for a in (w, wanted, new))
    rounding = float(jnp.finfo(dtype).eps) * np.maximum(np.abs(old), np.abs(aim - old))
    assert np.all(np.abs(found - aim) <= rounding)
    assert np.mean(found == aim) > 0.8
    end = aim == float(within(jnp.asarray(np.inf, dtype)))
    assert np.mean(end) > 0.1 and np.all(found[end & (old > aim / 2)] == aim[end & (old > aim / 2)])


def test_a_start_outside_holds_from_the_second_step_on() -> None:
    within = constraints.Interval(0.1, 0.7)
    outside = jax.random.normal(KEY, (10_000,)) * 1e3
    nothing = jnp.zeros_like(outside)
    first = projected(within, outside, nothing)
    assert not np.array_equal(first, within(first))  # Else this tests nothing.
    assert jnp.all(jnp.abs(first - within(first)) <= 1e-7 * jnp.abs(outside))
    second = projected(within, first, nothing)
    np.testing.assert_array_equal(second, within(outside))
    # Zero is exact from everywhere.
    assert jnp.all(projected(constraints.NonNeg(), outside, nothing) == jnp.maximum(outside, 0))


def test_what_is_not_finite() -> None:
    gradient = jnp.array([jnp.nan, jnp.inf, -jnp.inf, 3e38])
    new = projected(UNIT, jnp.full(4, 0.3), gradient)
    np.testing.assert_array_equal(new, [jnp.nan, 0.0, 1.0, 0.0])
    big = constraints.Interval(-3e38, 3e38)
    assert jnp.isfinite(projected(big, jnp.array(3e38), jnp.array(jnp.inf), 1.0))


def test_norms_hold_up_to_rounding() -> None:
    kernel = jax.random.normal(KEY, (5, 7))
    for limit in (constraints.MaxNorm(1.5), constraints.UnitNorm(), constraints.MinMaxNorm(2, 3)):
        new = projected(limit, kernel, kernel[::-1])
        expected = limit(kernel - 0.1 * kernel[::-1])
        np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)


def test_types_and_ranks_are_not_promoted() -> None:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        w = jnp.array([0.5, 0.9], jnp.bfloat16)
        assert projected(UNIT, w, w).dtype == jnp.bfloat16
    # A float32 update of a bfloat16 parameter keeps its type and is rounded with the sum.
    tx = optim.project(UNIT, mask=True)
    w, u = jnp.full(2, 0.5, jnp.bfloat16), jnp.array([0.6, -0.123])
    updates, _ = tx.update(u, tx.init(w), w)
    assert updates.dtype == jnp.float32
    np.testing.assert_array_equal(optax.apply_updates(w, updates), UNIT((w + u).astype(w.dtype)))


def test_can_be_mapped() -> None:
    w = jax.random.uniform(KEY, (6, 4))
    each = jax.vmap(lambda w: projected(constraints.MaxNorm(0.25), w, 5 * w))(w)
    np.testing.assert_allclose(jnp.linalg.norm(each, axis=1), 0.25, rtol=1e-5)


# -- project: trees -----------------------------------------------------------------------------


def by_parameter(params: Any) -> Any:
    return {"act": jax.tree.map(lambda w: UNIT, params["act"]), "dense": None}


TREES: dict[str, tuple[Any, dict[str, Any]]] = {
    "full": ({"act": {"alpha": UNIT}, "dense": {"bias": None, "kernel": None}}, {}),
    "prefix": ({"act": UNIT, "dense": None}, {}),
    "function": (by_parameter, {}),
    "mask": (UNIT, {"mask": MASK}),
    "mask by prefix": (UNIT, {"mask": {"act": True, "dense": False}}),
    "mask by function": (UNIT, {"mask": lambda params: MASK}),
    "own constraint": (lambda w: jnp.clip(w, 0, 1), {"mask": MASK}),
    "name": ("interval", {"mask": MASK}),
}


@pytest.mark.parametrize("given", TREES)
def test_constrains_these_parameters_alone(given: str) -> None:
    constraint, arguments = TREES[given]
    tx = optim.project(constraint, **arguments)
    params = some_params()
    updates = jax.tree.map(lambda w: jnp.full_like(w, -2.0), params)
    found, _ = tx.update(updates, tx.init(params), params)
    np.testing.assert_array_equal(found["act"]["alpha"], -params["act"]["alpha"])
    assert found["dense"]["bias"] is updates["dense"]["bias"]
    assert found["dense"]["kernel"] is updates["dense"]["kernel"]


def test_all_parameters() -> None:
    params = some_params()
    tx = optax.chain(optax.sgd(9.0), optim.project("non_neg", mask=True))
    new = moved(tx, params, params)
    assert all(jnp.all(w == 0) for w in jax.tree.leaves(new))


def test_inside_of_multi_transform() -> None:
    params = some_params()
    tree = {"act": {"alpha": UNIT}, "dense": {"bias": constraints.NonNeg(), "kernel": None}}
    inner = optax.chain(optax.sgd(9.0), optim.project(tree))
    tx = optax.multi_transform({"activation": inner, "rest": optax.sgd(9.0)}, optim.labels(MASK))
    new = moved(tx, params, params)
    assert jnp.all(new["act"]["alpha"] == 0)
    assert jnp.all(new["dense"]["bias"] == -4) and jnp.all(new["dense"]["kernel"] == -4)


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "no parameters": (
        {"act": {"alpha": UNIT, "beta": UNIT}, "dense": {"bias": None, "kernel": None}},
        ValueError, r"constraint without parameters at \['act'\]\['beta'\]\.",
    ),
    "no such layer": (
        {"act": None, "dense": None, "act_1": UNIT},
        ValueError, r"constraint without parameters at \['act_1'\]\.",
    ),
    "no entry": (
        {"act": {"alpha": UNIT}, "dense": {"bias": None}},
        ValueError, r"no constraint or None for the parameters at \['dense'\]\['kernel'\]",
    ),
    "another kind of tree": (
        flax.nnx.State({"act": UNIT, "dense": None}), ValueError, "structure of the parameters",
    ),
    "no constraint": (
        {"act": {"alpha": "interval"}, "dense": None},
        TypeError, r"a constraint .* at \['act'\]\['alpha'\], got str 'interval'",
    ),
    "shape": (
        {"act": {"alpha": jnp.sum}, "dense": None},
        ValueError, r"shape \(3,\) at \['act'\]\['alpha'\], got shape \(\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tree, kind, message", MISTAKES.values(), ids=MISTAKES)
def test_a_tree_that_does_not_match_is_an_error(
    tree: Any, kind: type[Exception], message: str
) -> None:
    params = some_params()
    with pytest.raises(kind, match=f"project: expected .*{message}"):
        moved(optim.project(tree), params, params)


def test_needs_params_and_one_constraint_needs_a_mask() -> None:
    tx = optax.chain(optax.sgd(1.0), optim.project(UNIT, mask=True))
    params = some_params()
    with pytest.raises(ValueError, match="project: expected params, got None"):
        tx.update(params, tx.init(params))
    given: Any
    for given in (UNIT, "non_neg"):
        with pytest.raises(TypeError, match="project: expected mask beside one constraint, got"):
            optim.project(given)
    with pytest.raises(ValueError, match="Did you mean non_neg"):
        optim.project("nonneg", mask=True)


# -- with flax ----------------------------------------------------------------------------------

X = jax.random.normal(KEY, (16, 3))
Y = jnp.where(X > 0, X, -0.5 * X)  # A slope that the constraint does not allow.


def optimizer(mask: Any, tree: Any) -> optax.GradientTransformation:
    """Return what the documentation recommends, in one."""
    each = {"activation": optax.sgd(0.5), "rest": optax.adam(0.01)}
    return optax.chain(optax.multi_transform(each, optim.labels(mask)), optim.project(tree))


def test_with_linen_and_a_train_state() -> None:
    model = nn.Sequential([linen.PReLU(alpha_constraint="non_neg"), nn.Dense(3)])
    tx = optimizer(linen.activation_mask(model, X), linen.constraints(model, X))
    params = model.init(KEY, X)["params"]
    params["layers_1"]["kernel"] = jnp.eye(3)
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    @jax.jit
    def step(state: Any) -> Any:
        def loss(params: Any) -> Any:
            return jnp.mean((state.apply_fn({"params": params}, X) - Y) ** 2)

        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    for _ in range(20):
        state = step(state)
        assert jnp.all(state.params["layers_0"]["alpha"] >= 0)
    np.testing.assert_array_equal(state.params["layers_0"]["alpha"], jnp.zeros(3))
    assert jnp.any(state.params["layers_1"]["kernel"] < 0)


def test_with_nnx_and_its_optimizer() -> None:
    linear = flax.nnx.Linear(3, 3, rngs=flax.nnx.Rngs(0))
    linear.kernel[...] = jnp.eye(3)
    model = flax.nnx.Sequential(nnx.PReLU(3, alpha_constraint="non_neg"), linear)
    tx = optimizer(nnx.activation_mask(model), nnx.constraints(model))
    tools = flax.nnx.Optimizer(model, tx, wrt=flax.nnx.Param)

    @flax.nnx.jit
    def step(model: Any, tools: Any) -> None:
        tools.update(model, flax.nnx.grad(lambda m: jnp.mean((m(X) - Y) ** 2))(model))

    layer: Any = model.layers[0]
    for _ in range(20):
        step(model, tools)
        assert jnp.all(layer.alpha[...] >= 0)
    np.testing.assert_array_equal(layer.alpha[...], jnp.zeros(3))
    assert jnp.any(linear.kernel[...] < 0)


def test_with_weight_decay_and_boxed_parameters() -> None:
    marked = nn.with_partitioning(nn.initializers.constant(0.9), ("channels",))
    model = nn.Sequential([nn.Dense(3), linen.PReLU(alpha_init=marked, alpha_constraint=UNIT)])
    mask, tree = linen.activation_mask(model, X), linen.constraints(model, X)
    params = model.init(KEY, X)["params"]
    adam = optax.adamw(0.25, weight_decay=0.5, mask=optim.no_decay(mask))
    ascent = jax.tree.map(lambda w: -jnp.ones_like(w), params)
    new = moved(optax.chain(adam, optim.project(tree)), params, ascent)
    assert isinstance(new["layers_1"]["alpha"], nn.Partitioned)
    np.testing.assert_array_equal(new["layers_1"]["alpha"].unbox(), jnp.ones(3))
    kept = moved(adam, params, jax.tree.map(jnp.zeros_like, params))
    np.testing.assert_array_equal(kept["layers_1"]["alpha"].unbox(), jnp.full(3, 0.9))
