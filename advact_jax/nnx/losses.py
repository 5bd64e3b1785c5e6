"""The variables in which regularizers leave their penalties, and the one call that sums them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from advact_jax import _modules
from advact_jax.regularizers import Regularizer


class RegularizationLoss(nnx.Variable):
    """A penalty that a layer found in its last call, a float32 scalar.

    Example:
      >>> import flax.nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.PReLU(3, alpha_regularizer="l2")
      >>> y = layer(jnp.ones((4, 3)))
      >>> jax.tree.leaves(flax.nnx.state(layer, nnx.RegularizationLoss))
      [Array(0.001875, dtype=float32)]
    """


def no_loss(*regularizers: Regularizer | None) -> RegularizationLoss | None:
    """Return the variable of a layer before its first call; None for one without a regularizer."""
    if all(regularizer is None for regularizer in regularizers):
        return None
    return RegularizationLoss(jnp.zeros((), jnp.float32))


def parameter_penalty(
    module: nnx.Module, name: str, regularizer: Regularizer | None, value: Any
) -> Array | float:
    """Return the penalty of a parameter, 0 without a regularizer."""
    if regularizer is None:
        return 0.0
    return _modules.penalty(type(module).__name__, name, regularizer, value)


def activity_penalty(
    module: nnx.Module, name: str, regularizer: Regularizer | None, value: Array
) -> Array | float:
    """Return the penalty of an output, divided by the batch size; 0 without a regularizer."""
    if regularizer is None:
        return 0.0
    return _modules.activity_penalty(type(module).__name__, name, regularizer, value)


def regularization_loss(model: Any) -> Array:
    """Sum the penalties that the layers of a model found in their last calls.

    Call the model first, in the same function whose gradient is taken. A layer that is called
    several times counts its last call; `advact_jax.linen` sums them.

    Args:
      model: an nnx module, or a state of one.

    Returns:
      A float32 scalar; 0 if there is no regularizer.

    Example:
      >>> import jax.numpy as jnp
      >>> from advact_jax import nnx
      >>> layer = nnx.PReLU(3, alpha_regularizer="l2")
      >>> y = layer(jnp.ones((4, 3)))
      >>> nnx.regularization_loss(layer)
      Array(0.001875, dtype=float32)
    """
    leaves = jax.tree.leaves(nnx.state(model, RegularizationLoss))
    return sum((jnp.sum(leaf) for leaf in leaves), jnp.zeros((), jnp.float32))
