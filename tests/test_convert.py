"""Weights of other libraries: what their layers compute, ours compute with them, and back."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import convert, linen, nnx

X = (2 * np.random.default_rng(0).normal(size=(2, 4, 5, 3))).astype(np.float32)


def outputs(made: convert.Weights, x: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of both of our layers with the weights, and of those trained on them."""
    layer = nnx.PReLU(made.features, **made.arguments)
    layer.alpha[...] = made.params["alpha"]
    started = nnx.PReLU(made.features, **made.arguments, alpha_init=made.params["alpha"])
    applied = linen.PReLU(**made.arguments).apply({"params": made.params}, x)
    return [np.asarray(y) for y in (applied, layer(x), started(x))]


def some(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


# -- Keras --------------------------------------------------------------------------------------

SHARED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "none": (None, (4, 5, 3)),
    "space": ((1, 2), (1, 1, 3)),
    "list": ([1, 2], (1, 1, 3)),
    "int": (3, (4, 5, 1)),
    "all": ((1, 2, 3), (1, 1, 1)),
}


@pytest.mark.parametrize("shared", SHARED)
def test_prelu_from_keras_and_back(shared):
    given, shape = SHARED[shared]
    alpha = some(shape)
    made = convert.prelu_from_keras(alpha, given)
    for y in outputs(made, X):
        np.testing.assert_allclose(y, np.where(X >= 0, X, alpha * X), rtol=1e-6)
    back = convert.prelu_to_keras(made.params["alpha"], X.shape, **made.arguments)
    np.testing.assert_array_equal(back.params["alpha"], alpha)
    assert back.arguments == made.arguments


# Keras's variables are of before NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
@pytest.mark.parametrize("shared", SHARED)
def test_prelu_from_keras_with_keras(shared):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    given, shape = SHARED[shared]
    there = keras.layers.PReLU(shared_axes=given)
    there.build(X.shape)
    there.set_weights([some(shape)])
    (alpha,) = there.get_weights()
    expected = np.asarray(there(X))
    made = convert.prelu_from_keras(alpha, there.shared_axes)
    for y in outputs(made, X):
        np.testing.assert_allclose(y, expected, rtol=1e-6)
    back = convert.prelu_to_keras(made.params["alpha"], X.shape, **made.arguments)
    again = keras.layers.PReLU(**back.arguments)
    again.build(X.shape)
    again.set_weights([np.asarray(value) for value in back.params.values()])
    np.testing.assert_array_equal(np.asarray(again(X)), expected)


@pytest.mark.parametrize(
    ("arguments", "shape", "shared"),
    [
        ({}, (1, 1, 3), (1, 2)),
        ({"axis": None}, (1, 1, 1), (1, 2, 3)),
        ({"axis": 1}, (4, 1, 1), (2, 3)),
        ({"axis": (-1, 1)}, (4, 1, 3), (2,)),
        ({"shared_axes": ()}, (4, 5, 3), ()),
        ({"shared_axes": -1}, (4, 5, 1), (3,)),
    ],
)
def test_prelu_to_keras_from_any_sharing(arguments, shape, shared):
    layer = linen.PReLU(**arguments, alpha_init=jax.nn.initializers.normal())
    variables = layer.init(jax.random.key(0), X)
    made = convert.prelu_to_keras(variables["params"]["alpha"], X.shape, **arguments)
    alpha = made.params["alpha"]
    assert alpha.shape == shape and made.arguments == {"shared_axes": shared}
    applied = np.asarray(layer.apply(variables, X))
    np.testing.assert_allclose(jnp.where(X >= 0, X, alpha * X), applied, rtol=1e-6)


# -- torch --------------------------------------------------------------------------------------

# The shape in torch, the number of parameters, and whether the channels are moved to the end.
IN_TORCH = [
    ((2, 3, 4, 5), 1, False), ((2, 3, 4, 5), 3, False), ((2, 3, 4, 5), 3, True),
    ((2, 3), 3, False), ((2, 3), 3, True), ((2, 3, 5), 1, True),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "channels", "is_last"), IN_TORCH)
def test_prelu_from_torch_and_back(shape, channels, is_last):
    x, weight = 2 * some(shape), some((channels,))
    beside = weight.reshape(-1, *[1] * (len(shape) - 2))
    expected = np.where(x >= 0, x, beside * x)
    check_torch(x, weight, expected, is_last)


@pytest.mark.parametrize(("shape", "channels", "is_last"), IN_TORCH)
def test_prelu_from_torch_with_torch(shape, channels, is_last):
    torch = pytest.importorskip("torch")
    there = torch.nn.PReLU(channels)
    with torch.no_grad():
        there.weight.copy_(torch.tensor(some((channels,))))
        expected = there(torch.tensor(2 * some(shape))).numpy()
    made = check_torch(2 * some(shape), there.weight.detach().numpy(), expected, is_last)
    again = torch.nn.PReLU(**made.arguments)
    again.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in made.params.items()})
    np.testing.assert_array_equal(again(torch.tensor(2 * some(shape))).detach(), expected)


def check_torch(
    x: np.ndarray, weight: np.ndarray, expected: np.ndarray, is_last: bool
) -> convert.Weights:
    """Assert that ours give what is expected, and return the weights for torch again."""
    made = convert.prelu_from_torch(weight, **({"axis": -1} if is_last else {}))
    ours = np.moveaxis(x, 1, -1) if is_last else x
    for y in outputs(made, ours):
        np.testing.assert_allclose(np.moveaxis(y, -1, 1) if is_last else y, expected, rtol=1e-6)
    back = convert.prelu_to_torch(made.params["alpha"])
    assert back.arguments == {"num_parameters": weight.size}
    np.testing.assert_array_equal(back.params["weight"], weight)
    return back


# -- xIELU --------------------------------------------------------------------------------------


def xielu(x: Any, alpha_p: Any, alpha_n: Any, beta: Any, eps: Any) -> Any:
    """The formula of the paper, with eps."""
    below = alpha_n * (np.expm1(np.minimum(x, eps)) - x) + beta * x
    return np.where(x > 0, alpha_p * x**2 + beta * x, below)


def test_xielu_from_huggingface():
    torch = pytest.importorskip("torch")
    softplus, x = torch.nn.functional.softplus, torch.linspace(-4, 4, 33)
    # As transformers 5 has it in XIELUActivation, in float32.
    p, n, beta = torch.tensor([0.3]), torch.tensor([-0.7]), torch.tensor(0.5)
    eps = torch.tensor(-1e-6)
    alpha_p, alpha_n = softplus(p), beta + softplus(n)
    below = (torch.expm1(torch.min(x, eps)) - x) * alpha_n + beta * x
    expected = torch.where(x > 0, alpha_p * x * x + beta * x, below)
    state = {"alpha_p": p.numpy(), "alpha_n": n.numpy(), "beta": beta.numpy(), "eps": eps.numpy()}
    made = convert.xielu_from_huggingface({key: jnp.asarray(v) for key, v in state.items()})
    assert {value.shape for value in made.values()} == {()}
    np.testing.assert_allclose(xielu(x.numpy(), **made), expected, rtol=1e-6, atol=1e-6)
    again = convert.xielu_to_huggingface(**made)
    for key, value in state.items():
        assert again[key].shape == value.shape
        np.testing.assert_allclose(again[key], value, rtol=2e-6)


@pytest.mark.parametrize(("alpha_p", "alpha_n", "beta"), [(0.8, 0.8, 0.5), (90.0, 200.0, 0.0)])
def test_xielu_to_huggingface_and_back(alpha_p, alpha_n, beta):
    state = convert.xielu_to_huggingface(alpha_p, alpha_n, beta)
    made = convert.xielu_from_huggingface(state)
    for key, value in {"alpha_p": alpha_p, "alpha_n": alpha_n, "beta": beta, "eps": -1e-6}.items():
        np.testing.assert_allclose(made[key], value, rtol=1e-6)


def test_xielu_starts_as_transformers_does():
    # Raw values that transformers 5 computes: log(expm1(0.8)) and log(expm1(0.8 - 0.5)).
    state = convert.xielu_to_huggingface(0.8, 0.8)
    np.testing.assert_allclose(state["alpha_p"], [np.log(np.expm1(0.8))], rtol=1e-5)
    np.testing.assert_allclose(state["alpha_n"], [np.log(np.expm1(0.3))], rtol=1e-5)


# -- types and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_floating_types_are_kept_and_integers_become_float32(dtype):
    made = convert.prelu_from_torch(jnp.ones(3, dtype))
    assert made.params["alpha"].dtype == dtype
    assert convert.prelu_from_keras(np.ones(3, int)).params["alpha"].dtype == jnp.float32


def test_can_be_traced():
    made = jax.jit(lambda w: convert.prelu_from_torch(w).params)(jnp.arange(3.0))
    np.testing.assert_array_equal(made["alpha"], [0.0, 1.0, 2.0])
    state = jax.jit(convert.xielu_to_huggingface)(0.8, 0.8)
    np.testing.assert_allclose(state["alpha_p"], [0.2034], rtol=1e-3)


WRONG: Any = convert
MISTAKES = {
    "keras scalar": (
        lambda: WRONG.prelu_from_keras(0.1),
        ValueError, "prelu_from_keras: expected alpha of the shape of an input.*got a scalar",
    ),
    "keras axis too large": (
        lambda: WRONG.prelu_from_keras(np.ones((1, 3)), (1, 3)),
        ValueError, r"shared_axes within \[1, 2\].*\(1, 3\), got shared_axes=\(1, 3\)",
    ),
    "keras batch": (
        lambda: WRONG.prelu_from_keras(np.ones((1, 3)), 0), ValueError, "within.*got shared_axes=0"
    ),
    "keras negative axis": (
        lambda: WRONG.prelu_from_keras(np.ones((1, 3)), (-1,)), ValueError, "within.*-1"
    ),
    "keras axis not shared": (
        lambda: WRONG.prelu_from_keras(np.ones((4, 3)), (1,)),
        ValueError, r"size 1 on the shared axes, 1 among them, got shape \(4, 3\)",
    ),
    "keras axis no int": (
        lambda: WRONG.prelu_from_keras(np.ones((1, 3)), (1.0,)), TypeError, "shared_axes.*an int"
    ),
    "torch matrix": (
        lambda: WRONG.prelu_from_torch(np.ones((1, 3))),
        ValueError, r"prelu_from_torch: expected a weight of shape \(num_parameters,\).*\(1, 3\)",
    ),
    "torch nothing": (lambda: WRONG.prelu_from_torch(np.ones(0)), ValueError, r"got shape \(0,\)"),
    "torch batch": (
        lambda: WRONG.prelu_from_torch(np.ones(3), axis=0), ValueError, "got 0, the batch"
    ),
    "torch axis": (
        lambda: WRONG.prelu_from_torch(np.ones(3), axis=None), TypeError, "axis to be an int"
    ),
    "list": (lambda: WRONG.prelu_from_torch([0.1]), TypeError, "weight to be an array.*list"),
    "complex": (lambda: WRONG.prelu_from_torch(np.ones(1, complex)), TypeError, "to be real"),
    "to keras wrong shape": (
        lambda: WRONG.prelu_to_keras(np.ones(4), (None, 5, 3)),
        ValueError, r"prelu_to_keras: .*alpha of shape \(4,\).*gives \(3,\)",
    ),
    "to keras batch": (
        lambda: WRONG.prelu_to_keras(np.ones(4), (None, 5, 3), axis=0), ValueError, "batch"
    ),
    "to torch two axes": (
        lambda: WRONG.prelu_to_torch(np.ones((1, 3))),
        ValueError, r"prelu_to_torch: expected alpha to be a scalar or.*\(1, 3\)",
    ),
    "xielu missing": (
        lambda: WRONG.xielu_from_huggingface({"alpha_p": 0.0}),
        ValueError, "xielu_from_huggingface: expected alpha_p, alpha_n.*got alpha_p",
    ),
    "xielu unknown": (
        lambda: WRONG.xielu_from_huggingface({"alpha_p": 0.0, "alpha_n": 0.0, "gamma": 1.0}),
        ValueError, "gamma",
    ),
    "xielu shape": (
        lambda: WRONG.xielu_from_huggingface({"alpha_p": np.ones(2), "alpha_n": 0.0}),
        ValueError, r"alpha_p to be a scalar, got shape \(2,\)",
    ),
    "xielu alpha_n": (
        lambda: WRONG.xielu_to_huggingface(0.8, 0.5), ValueError, "alpha_n to be above 0.5, got 0.5"
    ),
    "xielu alpha_p": (
        lambda: WRONG.xielu_to_huggingface(0.0, 0.8), ValueError, "alpha_p to be above 0"
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, error, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
