"""Trees beside the parameters of a ``flax.linen`` model, from what its layers tell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from flax import linen as nn
from flax.core.scope import DenyList

from advact_jax._trees import Layer, is_layer

T = TypeVar("T")

_calls = itertools.count()


def activation_mask(
    model: nn.Module, *inputs: Any, rngs: Any = None, method: Any = None, **kwargs: Any
) -> Any:
    """Tell the parameters of activations from all others.

    A parameter counts if a layer of this library made it for an activation, whatever its name is;
    an ``alpha`` of another module does not. A module of your own counts as such a layer if it has
    the property ``activation_parameters`` and the method ``parameter_constraints`` that these have.
    The model is traced, not computed.

    Args:
      model: a module, not bound to variables.
      *inputs: what ``model.init`` takes; arrays, or `jax.ShapeDtypeStruct` in their place.
      rngs: a key or a dict of keys, as ``model.init`` takes; None for a key of 0.
      method: the method to trace, by name or as a function; None for ``__call__``.
      **kwargs: keyword arguments of the method.

    Returns:
      A tree as ``model.init(...)["params"]`` with a bool for each parameter. A parameter in a box
      of metadata (`flax.linen.Partitioned`) has one bool in place of the box: the tree is that of
      the unboxed parameters, and a prefix of the boxed ones, which optax takes as well.

    Example:
      >>> import flax.linen as nn, jax
      >>> from advact_jax import linen
      >>> model = nn.Sequential([nn.Dense(4), linen.PReLU()])
      >>> linen.activation_mask(model, jax.ShapeDtypeStruct((1, 3), "float32"))
      {'layers_0': {'bias': False, 'kernel': False}, 'layers_1': {'alpha': True}}
    """
    return _tree(_activation, False, model, inputs, rngs, method, kwargs)


def constraints(
    model: nn.Module, *inputs: Any, rngs: Any = None, method: Any = None, **kwargs: Any
) -> Any:
    """Collect the constraints that the layers of a model have for their parameters.

    `advact_jax.optim.project` applies them.

    Args:
      model: a module, not bound to variables.
      *inputs: what ``model.init`` takes; arrays, or `jax.ShapeDtypeStruct` in their place.
      rngs: a key or a dict of keys, as ``model.init`` takes; None for a key of 0.
      method: the method to trace, by name or as a function; None for ``__call__``.
      **kwargs: keyword arguments of the method.

    Returns:
      A tree as that of `activation_mask`, with the constraint of each parameter or None. JAX counts
      None as no leaf: give `jax.tree.map` the parameters first and this tree after them, or
      ``is_leaf=lambda c: c is None``.

    Example:
      >>> import flax.linen as nn, jax
      >>> from advact_jax import linen
      >>> model = nn.Sequential([nn.Dense(4), linen.PReLU(alpha_constraint="non_neg")])
      >>> linen.constraints(model, jax.ShapeDtypeStruct((1, 3), "float32"))
      {'layers_0': {'bias': None, 'kernel': None}, 'layers_1': {'alpha': NonNeg()}}
    """
    return _tree(_constraints, None, model, inputs, rngs, method, kwargs)


def _activation(layer: Layer) -> dict[str, bool]:
    return dict.fromkeys(layer.activation_parameters, True)


def _constraints(layer: Layer) -> dict[str, Any]:
    return dict(layer.parameter_constraints())


def _tree(
    find: Callable[[Layer], Mapping[str, T]],
    default: T,
    model: nn.Module,
    inputs: tuple[Any, ...],
    rngs: Any,
    method: Any,
    kwargs: dict[str, Any],
) -> Any:
    """Return the tree of parameters with what ``find`` gives for each, else ``default``."""
    layers: list[tuple[tuple[str, ...], Layer]] = []

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        if module.scope is not None and is_layer(layer := module):
            layers.append((module.path, layer))
        return call(*args, **kwargs)

    leaves, structure = jax.tree.flatten((inputs, kwargs))
    arrays = {i: leaf for i, leaf in enumerate(leaves) if _is_array(leaf)}
    # What jax.jit has traced before it does not run again, as in a model with nn.jit. Its cache
    # depends on which collections may change, so a new name among them makes every trace new.
    mutable = DenyList(("intermediates", f"_trees_{next(_calls)}"))

    def init(arrays: dict[int, Any]) -> Any:
        given = [arrays.get(i, leaf) for i, leaf in enumerate(leaves)]
        args, kwargs = jax.tree.unflatten(structure, given)
        key = jax.random.key(0) if rngs is None else rngs
        variables = model.init(key, *args, method=method, mutable=mutable, **kwargs)
        return nn.meta.unbox(variables.get("params", {}))

    with nn.intercept_methods(record):
        params = jax.eval_shape(init, arrays)
    found = {(*path, name): value for path, a in layers for name, value in find(a).items()}
    value_at = lambda path, _: found.get(_names(path), default)  # noqa: E731
    return jax.tree_util.tree_map_with_path(value_at, params)


def _names(path: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(getattr(key, "key", key) for key in path)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
