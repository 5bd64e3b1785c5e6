"""States beside the parameters of a ``flax.nnx`` model, from what its layers tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flax import nnx

from advact_jax._trees import Layer, is_layer

T = TypeVar("T")


def activation_mask(model: Any) -> nnx.State:
    """Tell the parameters of activations from all others.

    A parameter counts if it belongs to an activation in a layer of this library, whatever its name
    is; an ``alpha`` of another module does not. A module of your own counts as such a layer if it
    has the property ``activation_parameters`` and the method ``parameter_constraints`` that these
    have. A parameter that several modules share counts if it does in one of them.

    Args:
      model: an nnx module.

    Returns:
      A state as ``nnx.state(model, nnx.Param)``, with a bool for each parameter.

    Example:
      >>> import flax.nnx
      >>> from advact_jax import nnx
      >>> linear = flax.nnx.Linear(3, 4, rngs=flax.nnx.Rngs(0))
      >>> mask = nnx.activation_mask(flax.nnx.Sequential(linear, nnx.PReLU(4)))
      >>> flax.nnx.to_pure_dict(mask)
      {'layers': {0: {'bias': False, 'kernel': False}, 1: {'alpha': True}}}
    """
    return _state(model, lambda layer: dict.fromkeys(layer.activation_parameters, True), False)


def constraints(model: Any) -> nnx.State:
    """Collect the constraints that the layers of a model have for their parameters.

    `advact_jax.optim.project` applies them.

    Args:
      model: an nnx module.

    Returns:
      A state as that of `activation_mask`, with the constraint of each parameter or None. JAX
      counts None as no leaf: give `jax.tree.map` the arrays first (``nnx.as_pure(state)``) and this
      state after them, or ``is_leaf=lambda c: c is None``.

    Example:
      >>> import flax.nnx
      >>> from advact_jax import nnx
      >>> linear = flax.nnx.Linear(3, 4, rngs=flax.nnx.Rngs(0))
      >>> model = flax.nnx.Sequential(linear, nnx.PReLU(4, alpha_constraint="non_neg"))
      >>> flax.nnx.to_pure_dict(nnx.constraints(model))
      {'layers': {0: {'bias': None, 'kernel': None}, 1: {'alpha': NonNeg()}}}
    """
    return _state(model, lambda layer: layer.parameter_constraints(), None)


def _state(model: Any, find: Callable[[Layer], Mapping[str, T]], default: T) -> nnx.State:
    """Return the state of parameters with what ``find`` gives for each, else ``default``."""
    # By identity: a shared parameter has one path, which may lead through another module.
    found: dict[int, T] = {}
    paths: dict[tuple[Any, ...], int] = {}
    for path, node in nnx.iter_graph(model):
        if is_layer(node):
            found.update({id(getattr(node, k)): value for k, value in find(node).items()})
        elif isinstance(node, nnx.Variable):
            paths[path] = id(node)
    params = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return nnx.from_flat_state(
        {path: found.get(paths[path], default) for path, _ in params}, cls=nnx.State
    )
