"""What `lean` keeps, and how exact the derivative is that follows from it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import Activation, lean
from advact_jax.testing import residual_bytes

EXACT_GELU = Activation("gelu", approximate=False)
# Bytes of float32 kept per element, and the worst error of the derivative: in float32, in bfloat16.
EXPECTED: dict[tuple[Any, str], tuple[float, float, float]] = {
    ("softplus", "output"): (4, 3e-7, 5e-3),
    ("log_sigmoid", "output"): (4, 3e-7, 5e-3),
    ("squareplus", "output"): (4, 3e-7, 5e-3),
    ("sparse_plus", "output"): (4, 3e-7, 5e-3),
    ("sigmoid", "output"): (4, 3e-7, 5e-3),
    ("tanh", "output"): (4, 5e-7, 5e-3),
    ("soft_sign", "output"): (4, 3e-7, 5e-3),
    ("elu", "output"): (4, 3e-7, 5e-3),
    (Activation("celu", alpha=0.5), "output"): (4, 3e-7, 1e-2),
    ("selu", "output"): (4, 3e-7, 1e-2),
    ("gelu", "side"): (4.125, 2e-4, 0.02),
    (EXACT_GELU, "side"): (4.125, 2e-4, 0.02),
    ("silu", "side"): (4.125, 2e-4, 0.02),
    ("mish", "side"): (4.125, 2e-4, 0.02),
    ("gelu", "slope"): (5, 3e-3, 8e-3),
    ("silu", "slope"): (5, 3e-3, 8e-3),
    (Activation("silu", beta=2.0), "slope"): (5, 3e-3, 8e-3),
    ("mish", "slope"): (5, 3e-3, 8e-3),
    ("tanh", "slope"): (5, 3e-3, 8e-3),
}
CASES = pytest.mark.parametrize("activation, keep", EXPECTED, ids=lambda v: str(v))


def _slopes(function: Any, x: Any) -> Any:
    return jax.grad(lambda v: jnp.sum(function(v).astype(jnp.float32)))(x).astype(jnp.float32)


@CASES
def test_values_are_the_same_and_slopes_nearly(activation: Any, keep: str) -> None:
    kept, *limits = EXPECTED[activation, keep]
    whole, less = advact_jax.get(activation), lean(activation, keep)  # type: ignore[arg-type]
    assert residual_bytes(less) == kept < residual_bytes(whole)
    x = jnp.linspace(-12, 12, 100_000)
    wanted = _slopes(whole, x)
    for dtype, limit in zip(("float32", "bfloat16"), limits, strict=True):
        narrow = x.astype(dtype)
        np.testing.assert_array_equal(less(narrow), whole(narrow))
        wanted = _slopes(whole, narrow.astype(jnp.float32))
        assert np.abs(_slopes(less, narrow) - wanted).max() <= limit
    ends = jnp.array([-jnp.inf, -1e30, 1e30, jnp.inf])
    np.testing.assert_allclose(_slopes(less, ends), _slopes(whole, ends), atol=1e-6)
    assert jnp.isnan(_slopes(less, jnp.full(1, jnp.nan))).all()


@pytest.mark.parametrize("keep", ["side", "slope"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 16)])
def test_any_shape_under_any_transformation(keep: Any, shape: tuple[int, ...]) -> None:
    f = lean("silu", keep)
    x = jax.random.normal(jax.random.key(0), (4, *shape))
    wanted = _slopes(advact_jax.silu, x)

    def total(v: Any) -> Any:
        return jnp.sum(f(v))

    for found in (
        jax.grad(total)(x),
        jax.jit(jax.grad(total))(x),
        jax.vmap(jax.grad(total))(x),
        jax.grad(jax.checkpoint(total))(x),
        jax.jvp(f, (x,), (jnp.ones_like(x),))[1],
        jax.grad(lambda v: jax.lax.scan(lambda c, row: (c + total(row), None), 0.0, v)[0])(x),
    ):
        np.testing.assert_allclose(found, wanted, atol=3e-3)
    for platform in ("cpu", "cuda", "rocm", "tpu"):
        jax.export.export(jax.jit(jax.grad(total)), platforms=[platform])(x)


def test_nothing_and_all_is_passed_on_exactly() -> None:
    f = lean("gelu")
    np.testing.assert_array_equal(_slopes(f, jnp.array([-20.0, 20.0])), [0, 1])


def test_a_second_derivative_is_exact_enough_or_an_error() -> None:
    found = jax.grad(jax.grad(lean("softplus", "output")))(1.0)
    np.testing.assert_allclose(found, jax.grad(jax.grad(advact_jax.softplus))(1.0), rtol=1e-6)
    for keep in ("side", "slope"):
        with pytest.raises(TypeError, match="first derivatives only, got a second one of gelu"):
            jax.hessian(lean("gelu", keep))(1.0)


def test_equal_arguments_give_the_same_function() -> None:
    f = lean(Activation("silu", beta=2.0), "side")
    assert f is lean(Activation("silu", beta=2), "side") is not lean("silu", "side")
    assert pickle.loads(pickle.dumps(f)) is f and copy.deepcopy(f) is f
    assert f.__name__ == "silu"


@pytest.mark.parametrize(
    "arguments, kind, message",
    [
        (("gelu", "bit"), ValueError, "keep to be 'output' or 'side' or 'slope', got str 'bit'"),
        (("gelu", "output"), ValueError, "whose output tells its derivative .* got gelu"),
        (("tanh", "side"), ValueError, "falls to one minimum and rises from there .* got tanh"),
        (("squared_relu",), ValueError, "slopes span at most 7 .* reach from 0 to 160"),
        (("softmax",), TypeError, "expected an elementwise activation"),
        (("prelu",), ValueError, "expected a value for alpha, which prelu has no default for"),
        (("gelo",), ValueError, "Did you mean"),
    ],
)
def test_a_mistake_is_named(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"lean: .*{message}"):
        lean(*arguments)


def test_it_can_be_made_while_another_function_is_traced() -> None:
    found = jax.jit(lambda x: jax.grad(lambda v: lean("telu")(v))(x))(0.3)
    np.testing.assert_allclose(found, jax.grad(advact_jax.telu)(0.3), atol=3e-3)
