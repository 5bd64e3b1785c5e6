"""The layers that learn under the transformations of linen and nnx, and saved by orbax.

One block holds all four layers, each with another kind of sharing. Under each transformation its
values and its gradients, by the parameters and the input, are those of a plain loop.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import pytest
from jax import Array

import advact_jax
from advact_jax import linen, nnx

pytestmark = pytest.mark.sampled(3)
SUBJECTS = (
    "linen.learned",
    "nnx.learned",
    "linen.core",
    "nnx.core",
)

N = 3
SHAPE = (2, 4, 3)
X = jax.random.normal(jax.random.key(0), SHAPE)
XS = jax.random.normal(jax.random.key(1), (N, *SHAPE))
KEY = jax.random.key(2)

SHAPES = {
    "prelu": {"alpha": (3,)},
    "softplus": {"alpha": (), "beta": ()},
    "swish": {"beta": (4, 3)},
    "elu": {"alpha": (4,)},
}


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Any:
        x = linen.PReLU(name="prelu")(x)
        x = x - linen.ParametricSoftplus(axis=None, name="softplus")(x)
        x = linen.Swish(shared_axes=(), name="swish")(x)
        return linen.Learnable("elu", axis=1, name="elu")(x)


class Step(nn.Module):
    @nn.compact
    def __call__(self, x: Array, _: None) -> tuple[Array, None]:
        return Block(name="block")(x), None


class Twin(flax.nnx.Module):
    def __init__(self) -> None:
        self.prelu = nnx.PReLU(3)
        self.softplus = nnx.ParametricSoftplus(axis=None)
        self.swish = nnx.Swish((4, 3), shared_axes=())
        self.elu = nnx.Learnable("elu", 4, axis=1)

    def __call__(self, x: Array) -> Array:
        x = self.prelu(x)
        x = x - self.softplus(x)
        return self.elu(self.swish(x))


def different(tree: Any) -> Any:
    """Return a tree whose entries all differ, around the given ones."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(KEY, len(leaves))
    moved = [v * (1 + jax.random.uniform(k, v.shape)) for k, v in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, moved)


def shapes_of(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.shape, tree)


def stacked(shapes: Any) -> Any:
    """Return the shapes with the axis of the copies in front."""
    return {
        k: stacked(v) if isinstance(v, dict) else (N, *v) for k, v in shapes.items()
    }  # fmt: skip


PARAMS = different(jax.jit(Block().init)(KEY, X)["params"])
STACK = different(jax.tree.map(lambda v: jnp.stack([v] * N), PARAMS))


def at(stack: Any, i: int) -> Any:
    return jax.tree.map(lambda v: v[i], stack)


def plain(params: Any, x: Array) -> Any:
    return Block().apply({"params": params}, x)


def result(function: Callable[[Any, Array], Any], params: Any, x: Array) -> Any:
    """Return the output, and the gradients of a loss by the parameters and by the input."""

    def loss(params: Any, x: Array) -> tuple[Array, Array]:
        y = function(params, x)
        return jnp.sum(jnp.sin(y)), y

    gradients, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, x)
    return y, *gradients


def assert_close(found: Any, expected: Any) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )


def assert_identical(found: Any, expected: Any) -> None:
    def check(a: Array, b: Array) -> None:
        assert a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()

    jax.tree.map(check, found, expected)


forward = jax.jit(plain)
backward = jax.jit(lambda params, x, by_y: jax.vjp(plain, params, x)[1](by_y))


def joined(results: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def one_by_one(copies: list[Any], xs: Array) -> Any:
    """Return what `result` does for copies side by side."""
    found = []
    for params, x in zip(copies, xs, strict=True):
        y = forward(params, x)
        found.append((y, *backward(params, x, jnp.cos(y))))
    return joined(found)


def one_after_another(copies: list[Any], x: Array) -> Any:
    """Return what `result` does for copies of which each takes the output of the one before."""
    inputs = [x]
    for params in copies:
        inputs.append(forward(params, inputs[-1]))
    by_copy, by_x = [], jnp.cos(inputs[-1])
    for params, given in zip(reversed(copies), reversed(inputs[:-1]), strict=True):
        by_params, by_x = backward(params, given, by_x)
        by_copy.append(by_params)
    return inputs[-1], joined(reversed(by_copy)), by_x


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the plain forms give."""
    copies = [at(STACK, i) for i in range(N)]
    return {
        "plain": at(one_by_one([PARAMS], X[None]), 0),
        "looped": one_by_one(copies, XS),
        "chained": one_after_another(copies, X),
        "shared": one_by_one([PARAMS] * N, XS),
    }


def test_the_plain_forms_tell_copies_apart(expected):
    # Else a transformation that takes one copy for all would pass.
    assert shapes_of(PARAMS) == SHAPES
    for leaf in jax.tree.leaves(expected["looped"][1]) + jax.tree.leaves(expected["chained"][1]):
        assert np.all(leaf != 0)
        assert len(np.unique(leaf)) == leaf.size


# -- linen --------------------------------------------------------------------------------------


def test_linen_vmap(expected):
    many = nn.vmap(Block, variable_axes={"params": 0}, split_rngs={"params": True})()
    assert shapes_of(jax.eval_shape(many.init, KEY, XS)["params"]) == stacked(SHAPES)
    found = result(lambda p, x: many.apply({"params": p}, x), STACK, XS)
    assert_close(found, expected["looped"])


def test_linen_vmap_with_parameters_in_common(expected):
    many = nn.vmap(Block, variable_axes={"params": None}, split_rngs={"params": False})()
    assert shapes_of(jax.eval_shape(many.init, KEY, XS)["params"]) == SHAPES
    y, by_params, by_x = result(lambda p, x: many.apply({"params": p}, x), PARAMS, XS)
    each = expected["shared"]
    summed = jax.tree.map(lambda v: jnp.sum(v, 0), each[1])
    assert_close((y, by_params, by_x), (each[0], summed, each[2]))


@pytest.mark.parametrize("remat", [False, True])
def test_linen_scan(expected, remat):
    step: Any = nn.remat(Step, prevent_cse=False) if remat else Step
    scan = nn.scan(step, variable_axes={"params": 0}, split_rngs={"params": True}, length=N)()
    assert shapes_of(jax.eval_shape(scan.init, KEY, X, None)["params"]) == {
        "block": stacked(SHAPES)
    }
    found = result(lambda p, x: scan.apply({"params": {"block": p}}, x, None)[0], STACK, X)
    assert_close(found, expected["chained"])


def test_linen_remat(expected):
    block = nn.remat(Block)()
    found = result(lambda p, x: block.apply({"params": p}, x), PARAMS, X)
    assert_close(found, expected["plain"])


def test_linen_jit(expected):
    block = nn.jit(Block)()
    found = result(lambda p, x: block.apply({"params": p}, x), PARAMS, X)
    assert_close(found, expected["plain"])


def test_linen_tabulate():
    text = nn.tabulate(
        Block(), KEY, compute_flops=True, console_kwargs={"force_terminal": False, "width": 200}
    )(X)
    for kind in ("PReLU", "ParametricSoftplus", "Swish", "Learnable"):
        assert kind in text
    for line in ("alpha: float32[3]", "beta: float32[]", "beta: float32[4,3]", "alpha: float32[4]"):
        assert line in text
    assert "Total Parameters: 21" in text


# -- nnx ----------------------------------------------------------------------------------------


def twin_with(params: Any) -> Any:
    """Return the nnx module with the parameters of linen."""
    graph, state = flax.nnx.split(Twin())
    flax.nnx.replace_by_pure_dict(state, params)
    return flax.nnx.merge(graph, state)


def pure(state: Any) -> Any:
    return flax.nnx.to_pure_dict(state)


def result_nnx(function: Callable[[Any, Array], Any], params: Any, x: Array) -> Any:
    """Return what `result` does, by the gradients of nnx."""

    def loss(module: Any, x: Array) -> tuple[Array, Array]:
        y = function(module, x)
        return jnp.sum(jnp.sin(y)), y

    take = flax.nnx.grad(loss, argnums=(0, 1), has_aux=True)
    (by_state, by_x), y = flax.nnx.jit(take)(twin_with(params), x)
    return y, pure(by_state), by_x


def test_nnx_jit_and_grad(expected):
    assert_close(result_nnx(lambda m, x: m(x), PARAMS, X), expected["plain"])


def test_nnx_split_and_merge(expected):
    graph, state = flax.nnx.split(twin_with(PARAMS))
    assert_identical(pure(state), PARAMS)
    assert hash(graph) == hash(flax.nnx.split(twin_with(PARAMS))[0])

    def merged(params: Any, x: Array) -> Any:
        given = flax.nnx.clone(state)
        flax.nnx.replace_by_pure_dict(given, params)
        return flax.nnx.merge(graph, given)(x)

    assert_close(result(merged, PARAMS, X), expected["plain"])
    of_kind = flax.nnx.state(twin_with(PARAMS), flax.nnx.Param)
    assert len(jax.tree.leaves(of_kind)) == len(jax.tree.leaves(state)) == 5


def test_nnx_vmap(expected):
    @flax.nnx.vmap(in_axes=0, out_axes=0)
    def many(module: Any, x: Array) -> Any:
        return module(x)

    assert_close(result_nnx(many, STACK, XS), expected["looped"])


def test_nnx_vmap_makes_copies():
    @flax.nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs: flax.nnx.Rngs) -> Any:
        normal = jax.nn.initializers.normal()
        return nnx.PReLU(3, alpha_init=normal, rngs=rngs)

    alpha = make(flax.nnx.Rngs(0).split(N)).alpha[...]
    assert alpha.shape == (N, 3) and len(np.unique(alpha)) == alpha.size


@pytest.mark.parametrize("remat", [False, True])
def test_nnx_scan(expected, remat):
    def step(x: Array, module: Any) -> Any:
        return flax.nnx.remat(lambda m, x: m(x))(module, x) if remat else module(x)

    scan = flax.nnx.scan(step, in_axes=(flax.nnx.Carry, 0), out_axes=flax.nnx.Carry)
    assert_close(result_nnx(lambda m, x: scan(x, m), STACK, X), expected["chained"])


def test_nnx_remat(expected):
    remat = flax.nnx.remat(lambda m, x: m(x))
    assert_close(result_nnx(remat, PARAMS, X), expected["plain"])


def test_nnx_tabulate():
    options = {"force_terminal": False, "width": 200}
    text = flax.nnx.tabulate(Twin(), X, console_kwargs=options)
    for kind in ("PReLU", "ParametricSoftplus", "Swish", "Learnable"):
        assert kind in text
    for line in ("alpha: float32[3]", "beta: float32[]", "beta: float32[4,3]", "alpha: float32[4]"):
        assert line in text
    assert "Total Parameters: 21" in text


# -- orbax --------------------------------------------------------------------------------------


def test_orbax_keeps_the_parameters_of_linen(tmp_path):
    params = {**PARAMS, "half": jax.tree.map(lambda v: v.astype("bfloat16"), PARAMS)}
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "params", params)
        checkpointer.wait_until_finished()
        found = checkpointer.restore(tmp_path / "params", jax.eval_shape(lambda: params))
    assert_identical(found, params)
    kept = {key: found[key] for key in PARAMS}
    assert_identical(forward(kept, X), forward(PARAMS, X))


def test_orbax_keeps_the_state_of_nnx(tmp_path):
    _, state = flax.nnx.split(twin_with(PARAMS))
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        # A module that was never made: shapes only.
        graph, shapes = flax.nnx.split(flax.nnx.eval_shape(Twin))
        found = checkpointer.restore(tmp_path / "state", shapes)
    assert_identical(pure(found), PARAMS)
    assert_identical(flax.nnx.merge(graph, found)(X), twin_with(PARAMS)(X))


# Saves twice, and dies in the second one at the given rename: the first is that of the arrays'
# directory, the second that of the whole checkpoint, which makes it count.
CRASH = """
import os, sys
import jax, jax.numpy as jnp
import orbax.checkpoint as ocp
from advact_jax import linen

directory, fatal = sys.argv[1], int(sys.argv[2])
layer = linen.PReLU(alpha_init=jax.nn.initializers.normal())
params = layer.init(jax.random.key(0), jnp.ones((1, 4, 3)))["params"]
manager = ocp.CheckpointManager(directory)
manager.save(1, args=ocp.args.StandardSave(params))
manager.wait_until_finished()

rename, calls = os.rename, []

def dying(*names, **options):
    calls.append(names)
    if len(calls) == fatal:
        os._exit(17)
    return rename(*names, **options)

os.rename = dying
manager.save(2, args=ocp.args.StandardSave(jax.tree.map(lambda v: v + 1, params)))
manager.wait_until_finished()
"""


@pytest.mark.parametrize("fatal", [1, 2])
def test_a_crash_while_saving_leaves_the_checkpoint_before(tmp_path: Path, fatal: int) -> None:
    root = str(Path(advact_jax.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), str(fatal)],
        capture_output=True, text=True, check=False, cwd=root,
    )  # fmt: skip
    assert ran.returncode == 17, ran.stderr
    # The second one was being written.
    (half,) = (path for path in tmp_path.iterdir() if path.name.startswith("2"))
    assert "tmp" in half.name and any(path.is_file() for path in half.rglob("*"))

    layer = linen.PReLU(alpha_init=jax.nn.initializers.normal())
    params = layer.init(jax.random.key(0), jnp.ones((1, 4, 3)))["params"]
    shapes = jax.eval_shape(lambda: params)
    with orbax.CheckpointManager(tmp_path) as manager:
        assert manager.all_steps() == [1]
        found = manager.restore(1, args=orbax.args.StandardRestore(shapes))
        assert_identical(found, params)
        # Training goes on from there, and saves the step that was lost.
        moved = jax.tree.map(lambda v: v + 1, found)
        manager.save(2, args=orbax.args.StandardSave(moved))
        manager.wait_until_finished()
        assert manager.latest_step() == 2
        assert_identical(manager.restore(2, args=orbax.args.StandardRestore(shapes)), moved)
