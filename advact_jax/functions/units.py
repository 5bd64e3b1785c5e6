"""The gates of gated units: activations times what they let through.

They are made of activations, so this file stands above the families that hold these.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _gates
from advact_jax._declare import activation
from advact_jax._spec import Parameter, Spec
from advact_jax.functions.self_gated import silu
from advact_jax.functions.sigmoids import sigmoid

sigmoid_unit = _gates.unit_of(sigmoid)
silu_unit = _gates.unit_of(silu)

_SILU: Spec = silu.spec  # type: ignore[attr-defined]


def silu_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu(x) · up."""
    return _gates.times(_SILU.formula(x, beta=beta), up)


def silu_slope_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu'(x) · up."""
    return _gates.times(_SILU.derivative(x, beta=beta), up)


def silu_curvature_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu''(x) · up."""
    curvature: Any = _SILU.dxx
    return _gates.times(curvature(x, beta=beta), up)


def silu_by_beta_times(x: Array, up: Array, beta: Any) -> Array:
    """Return the derivative of silu(x) by beta, times up."""
    by_beta: Any = _SILU.parameters["beta"].partial
    return _gates.times(by_beta(x, beta=beta), up)


_positive = _gates.ruled(
    lambda x: jnp.maximum(x, 0), lambda x: _gates.unless_nan(x, jnp.where(x > 0, 1.0, 0.0))
)


@activation(
    parameters={
        "up": Parameter(
            partial=lambda x, up: _gates.unless_nan(up, jnp.where(up > 0, _positive(x), 0), x),
            samples=(1.7, -0.3),
        )
    },
    dx=lambda x, up: _gates.unless_nan(x, jnp.where(x > 0, jnp.maximum(up, 0), 0), up),
    dxx=lambda x, up: _gates.unless_nan(x, jnp.zeros_like(x), up),
    kinks={0.0: "left"},
    reference=lambda mp, x, up: max(x, mp.mpf(0)) * max(up, mp.mpf(0)),
    latex=r"\max(x, 0)\,\max(u, 0)",
)
def relu_relu_unit(x: ArrayLike, up: ArrayLike) -> Array:
    """Return relu(x) · relu(up)."""
    return _gates.times(jnp.maximum(jnp.asarray(x), 0), jnp.maximum(jnp.asarray(up), 0))
