"""The Sequential model in each framework."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import flax.nnx
import jax
import numpy as np
import pytest


@pytest.fixture(scope="module")
def example() -> ModuleType:
    from examples import sequential

    return sequential


@pytest.mark.parametrize("activation", ["PReLU", "ParametricSoftplus", "LeakyReLU"])
def test_linen_and_nnx_compute_the_same(example: Any, activation: str) -> None:
    x = jax.random.uniform(jax.random.key(0), (2, *example.SHAPE))
    model = example.linen_model(example.in_linen(activation))
    variables = model.init(jax.random.key(1), x)
    twin = example.nnx_model(example.in_nnx(activation), flax.nnx.Rngs(1))
    example.copy_to_nnx(variables["params"], twin)
    y = model.apply(variables, x)
    assert y.shape == (2, 10)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(y, twin(x))


def test_the_summary_shows_the_activation_as_a_layer(
    example: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.main(["--api", "nnx", "--activation", "PReLU"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("PReLU") == 3
    assert "87,274" in printed and "\x1b" not in printed
    assert "largest difference 0.0e+00" in printed


def test_what_keras_lacks_is_said(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert example.main(["--api", "keras", "--activation", "ParametricSoftplus"]) == 2
    assert capsys.readouterr().out == "Keras 3 has no ParametricSoftplus.\n"


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed")
@pytest.mark.parametrize("activation", ["PReLU", "ELU"])
def test_keras_computes_the_same(
    example: Any, activation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.main(["--api", "keras", "--activation", activation]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert float(last.split()[-1]) < 1e-6
