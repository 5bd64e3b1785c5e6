"""Gated units against torch: its GLU, and the code of the models that clamp, re-typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax

torch = pytest.importorskip("torch")
nn = torch.nn.functional


def _gpt_oss(x: Any) -> Any:
    gate, up = x[..., ::2], x[..., 1::2]
    gate, up = gate.clamp(max=7.0), up.clamp(min=-7.0, max=7.0)
    return (up + 1) * (gate * torch.sigmoid(gate * 1.702))


def _deepseek(x: Any) -> Any:
    gate, up = x.chunk(2, -1)
    return nn.silu(gate.clamp(max=10.0)) * up.clamp(min=-10.0, max=10.0)


def _step(x: Any) -> Any:
    gate, up = x.chunk(2, -1)
    return nn.silu(gate).clamp(max=16.0) * up.clamp(min=-16.0, max=16.0)


def _situ(x: Any) -> Any:
    gate, up = x.chunk(2, -1)
    return 4 * torch.tanh(gate / 4) * torch.sigmoid(gate) * 25 * torch.tanh(up / 25)


def _halves(activation: Any) -> Any:
    def unit(x: Any) -> Any:
        gate, up = x.chunk(2, -1)
        return activation(gate) * up

    return unit


PAIRS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "glu": (advact_jax.glu, nn.glu),
    "swiglu": (advact_jax.swiglu, _halves(nn.silu)),
    "geglu": (lambda x: advact_jax.geglu(x, approximate=False), _halves(nn.gelu)),
    "reglu": (advact_jax.reglu, _halves(nn.relu)),
    "swiglu_gpt_oss": (advact_jax.swiglu_gpt_oss, _gpt_oss),
    "swiglu_deepseek_v4": (advact_jax.swiglu_deepseek_v4, _deepseek),
    "swiglu_step": (advact_jax.swiglu_step, _step),
    "situ_glu": (advact_jax.situ_glu, _situ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_value_and_gradient_are_torchs(name: str) -> None:
    ours, theirs = PAIRS[name]
    x = np.random.default_rng(0).normal(0, 6, (40, 8)).astype(np.float32)
    # At the bounds, where torch.clamp has the derivative 1.
    x[:4] = np.array([7, 10, 16, 0], np.float32)[:, None] * np.sign(x[:4])
    y, pullback = jax.vjp(ours, jnp.asarray(x))
    tensor = torch.tensor(x, requires_grad=True)
    wanted = theirs(tensor)
    wanted.sum().backward()
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=2e-5, atol=2e-5)
    gradient = pullback(jnp.ones_like(y))[0]
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=2e-4, atol=2e-4)
