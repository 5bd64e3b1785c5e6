"""The loss collection: what regularizers add, and the one call that sums it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from advact_jax import _modules
from advact_jax.regularizers import Regularizer

COLLECTION = "losses"


def add_parameter_loss(
    module: nn.Module, name: str, regularizer: Regularizer | None, value: Any
) -> None:
    """Put the penalty of a parameter into the loss collection, once for a layer used twice."""
    if regularizer is not None and not module.is_initializing():
        penalty = _modules.penalty(str(module.name), name, regularizer, value)
        _sow(module, name, penalty, lambda _, new: new)


def add_activity_loss(
    module: nn.Module, name: str, regularizer: Regularizer | None, value: Array
) -> None:
    """Add the penalty of an output, divided by the batch size, to the loss collection."""
    if regularizer is not None and not module.is_initializing():
        penalty = _modules.activity_penalty(str(module.name), name, regularizer, value)
        _sow(module, name, penalty, lambda old, new: old + new)


def _sow(module: nn.Module, name: str, penalty: Array, join: Any) -> None:
    # A collection of its own keeps names apart from those of the parameters.
    start = lambda: jnp.zeros((), jnp.float32)  # noqa: E731
    module.sow(COLLECTION, name, penalty, reduce_fn=join, init_fn=start)


def regularization_loss(variables: Mapping[str, Any]) -> Array:
    """Sum what the regularizers of a model have added.

    Args:
      variables: what ``model.apply(..., mutable=["losses"])`` gives beside the output.

    Returns:
      A float32 scalar; 0 if there is no regularizer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.PReLU(alpha_regularizer="l2")
      >>> x = jnp.ones((4, 3))
      >>> variables = layer.init(jax.random.key(0), x)
      >>> y, updates = layer.apply(variables, x, mutable=["losses"])
      >>> linen.regularization_loss(updates)
      Array(0.001875, dtype=float32)
    """
    leaves = jax.tree.leaves(variables.get(COLLECTION, {}))
    return sum((jnp.sum(leaf) for leaf in leaves), jnp.zeros((), jnp.float32))
