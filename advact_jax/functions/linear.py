"""The identity and the step."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax._declare import activation


@activation(
    dx_from_output=jnp.ones_like,
    limits=(-math.inf, math.inf),
    slope_limits=(1.0, 1.0),
    reference=lambda mp, x: +x,
    tier="stable",
    paper="Widrow & Hoff 1960, Adaptive switching circuits (the linear unit)",
    latex=r"x",
    names={
        "jax": "identity",
        "flax": "identity",
        "keras": "linear",
        "torch": "Identity",
        "huggingface": "linear",
        "onnx": "Identity",
    },
    keeps_integers=True,
    notes={"nan": "The derivative is 1 for a NaN too, so that nothing is kept for it."},
)  # fmt: skip
def identity(x: ArrayLike) -> Array:
    """Return the input.

    Args:
      x: an array of any shape.

    Returns:
      The array ``x``.

    Example:
      >>> advact_jax.identity(jnp.array([-1.0, 2.0]))
      Array([-1.,  2.], dtype=float32)
    """
    return jnp.asarray(x)


linear = identity


@activation(
    region=lambda x: x >= 0,
    slope=lambda piece: jnp.zeros_like(piece, jnp.float32),
    limits=(0.0, 1.0),
    slope_limits=(0.0, 0.0),
    kinks={0.0: "right"},
    reference=lambda mp, x: mp.mpf(1) if x >= 0 else mp.mpf(0),
    tier="stable",
    latex=r"\begin{cases} 1 & x \ge 0 \\ 0 & x < 0 \end{cases}",
    paper="McCulloch & Pitts 1943, A logical calculus of the ideas immanent in nervous activity",
)
def step(x: ArrayLike) -> Array:
    """Heaviside step: 1 from zero on, else 0.

    The derivative is 0 everywhere, also at the jump: a network that holds a step learns nothing
    through it.

    Args:
      x: an array of any shape.

    Returns:
      An array of the shape of ``x``.

    Example:
      >>> advact_jax.step(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 1., 1.], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.where(jnp.isnan(x), x, jnp.where(x >= 0, 1, 0).astype(x.dtype))
