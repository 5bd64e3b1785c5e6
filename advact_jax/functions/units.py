"""The gates of gated units: activations times what they let through.

They are made of activations, so this file stands above the families that hold these.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _gates
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter
from advact_jax.functions.self_gated import silu
from advact_jax.functions.sigmoids import sigmoid

# -- sigmoid(x) · up and silu(x) · up, normal wherever the product is -----------------------------


def _beyond(z: Any, up: Array, near: Array, coefficient: Array | float) -> Array:
    """Return coefficient · exp(-abs(z)) · up far out, and the other value elsewhere."""
    half = num.decay(_gates.halved(z))
    return jnp.where(_gates.is_far(z), _gates.far_times(half, up, coefficient), near)


def _gate(z: Any, up: Array, coefficient: Any) -> Array:
    """Return coefficient · sigmoid(z) · up, with one exponential for near and far."""
    far = _gates.is_far(z) & (num.lead(z) < 0)
    e, right, _ = num.gate(_gates.halved(z, far))
    share = jnp.where(right, 1, e.value) / (1 + e.value)
    near = up * share if coefficient is None else _gates.shared(coefficient, up, share)
    beyond = _gates.far_times(e, up, 1.0 if coefficient is None else coefficient)
    return _gates.unless_nan(up, jnp.where(far, beyond, near))


def _sigmoid_slope(x: Array, up: Array) -> Array:
    near = up * num.logistic_slope_times(1.0, x)
    return _gates.unless_nan(up, _beyond(x, up, near, 1.0))


def _sigmoid_curvature(x: Array, up: Array) -> Array:
    near = up * num.logistic_curvature_times(1.0, x)
    return _gates.unless_nan(up, _beyond(x, up, near, num.with_sign_of(-x, 1.0)))


_sigmoid = _gates.ruled(
    lambda x: num.logistic_times(1.0, x), lambda x: num.logistic_slope_times(1.0, x)
)


@activation(
    parameters={
        "up": Parameter(
            partial=lambda x, up: _gates.unless_nan(up, _sigmoid(x)), samples=(1.7, -0.3, 1e30)
        )
    },
    dx=_sigmoid_slope,
    dxx=_sigmoid_curvature,
    limits=lambda up: (0.0, up),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, up: up - up / (1 + mp.exp(x)),
    latex=r"\sigma(x)\,u",
)
def sigmoid_unit(x: ArrayLike, up: ArrayLike) -> Array:
    """Return sigmoid(x) · up."""
    return _gate(jnp.asarray(x), jnp.asarray(up), None)


def _rounded(z: Any) -> Array:
    """Return z with all digits of one number; its head alone has half of them."""
    return z.value if isinstance(z, num.Wide) else z


def silu_slope_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu'(x) · up."""
    z = num.product(beta, x)
    near = _gates.times(silu.spec.dx(x, beta=beta), up)  # type: ignore[attr-defined]
    beyond = _beyond(z, up, near, 1 + _rounded(z))
    return _gates.unless_nan(up, jnp.where(num.lead(z) > 0, near, beyond))


def silu_curvature_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu''(x) · up."""
    z = num.product(beta, x)
    near = _gates.times(silu.spec.dxx(x, beta=beta), up)  # type: ignore[attr-defined]
    return _gates.unless_nan(up, _beyond(z, up, near, beta * (2 - jnp.abs(_rounded(z)))))


def silu_by_beta_times(x: Array, up: Array, beta: Any) -> Array:
    """Return the derivative of silu(x) by beta, times up."""
    z, small = num.product(beta, x), jnp.abs(x) < 1
    share = num.logistic_slope_times(jnp.where(small, up, x), z) * x
    near = _gates.times(share, jnp.where(small, x, up))
    return _gates.unless_nan(up, _beyond(z, up, near, x * x))


def silu_times(x: Array, up: Array, beta: Any) -> Array:
    """Return silu(x) · up."""
    return _gate(num.product(beta, x), up, x)


ruled_silu = _gates.ruled(
    lambda x, beta: num.logistic_times(x, num.product(beta, x)),
    lambda x, beta: silu.spec.dx(x, beta=beta),  # type: ignore[attr-defined]
)


@activation(
    parameters={
        "up": Parameter(
            partial=lambda x, up, beta: _gates.unless_nan(up, ruled_silu(x, beta=beta)),
            samples=(1.7, -0.3, 1e30),
        ),
        "beta": Parameter(partial=silu_by_beta_times, samples=(1.702,)),
    },
    dx=silu_slope_times,
    dxx=silu_curvature_times,
    limits=lambda up, beta: (0.0, up * float("inf")),
    slope_limits=lambda up, beta: (0.0, up),
    reference=lambda mp, x, up, beta: up * x / (1 + mp.exp(-beta * x)),
    latex=r"x\,\sigma(\beta x)\,u",
)
def silu_unit(x: ArrayLike, up: ArrayLike, beta: ArrayLike = 1.0) -> Array:
    """Return silu(x) · up."""
    return silu_times(jnp.asarray(x), jnp.asarray(up), beta)


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


def unit_of(function: Any) -> Any:
    """Return an activation times another array, declared."""
    exact = {silu: silu_unit, sigmoid: sigmoid_unit}
    return exact.get(function) or _gates.unit_of(function)
