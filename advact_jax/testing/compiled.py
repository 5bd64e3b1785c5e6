"""Bytes kept for the backward pass, lowering for each platform, Pallas kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import PLATFORMS, Case


def residual_bytes(function: Callable[[Any], Any], dtype: Any = jnp.float32) -> float:
    """Return the bytes kept per hidden element for the backward pass of a scan over MLP blocks.

    The input of the next product, which every net keeps, is included.

    Example:
      >>> from advact_jax import testing
      >>> testing.residual_bytes(advact_jax.softplus)
      8.0
      >>> testing.residual_bytes(advact_jax.lean("softplus", "output"))
      4.0
    """
    layers, batch, width, hidden = 3, 8, 16, 64

    def net(weights: Any, x: Any) -> Any:
        def block(h: Any, w: Any) -> Any:
            return function(h @ w[0]) @ w[1], None

        return jax.lax.scan(block, x, weights)[0].sum()

    weights = (jnp.ones((layers, width, hidden), dtype), jnp.ones((layers, hidden, width), dtype))
    x = jnp.ones((batch, width), dtype)
    kept = jax.eval_shape(lambda w, x: jax.vjp(net, w, x)[1], weights, x)
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(kept)
        if leaf.shape[-2:] in ((batch, hidden), (batch, hidden // 8))  # or bits of it
    ) / (layers * batch * hidden)


def check_residuals(case: Case) -> None:
    """Check that the backward pass keeps no more than the declaration says.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.Case(advact_jax.relu)
      >>> case.spec.residual_bytes
      4
      >>> testing.check_residuals(case)
    """
    limit = case.spec.residual_bytes
    if case.given and case.spec.region is not None:
        limit = max(limit, 5)
    found = residual_bytes(case)
    if found > limit:
        case.fail(f"expected at most {limit} bytes per float32 element to be kept, got {found}.")


def check_lowering(case: Case, platforms: tuple[str, ...] = PLATFORMS) -> None:
    """Check that value and gradient lower for each platform, which needs no such hardware.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation()
      ... def cubic(x):
      ...     return x + 0.1 * x**3
      >>> testing.check_lowering(testing.Case(cubic), platforms=("cuda", "tpu"))
    """
    for dtype in (jnp.float32, jnp.bfloat16):
        shape = jax.ShapeDtypeStruct((4, 8), dtype)
        for function in accuracy.derivatives(case)[:2]:
            jax.export.export(jax.jit(function), platforms=platforms)(shape)


def check_pallas(case: Case) -> None:
    """Check use inside a Pallas kernel, in interpret mode.

    Example:
      >>> from advact_jax import testing
      >>> testing.check_pallas(testing.Case(advact_jax.relu))
    """
    from jax.experimental import pallas

    x = jnp.asarray(np.linspace(-4, 4, 32).reshape(4, 8), jnp.float32)

    def kernel(x_ref: Any, y_ref: Any) -> None:
        y_ref[...] = case(x_ref[...])

    call = pallas.pallas_call(
        kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True
    )
    case.expect_close("a Pallas kernel", call(x), case(x))
