"""Layers of ``flax.linen`` as plain JSON and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from advact_jax import _configs
from advact_jax.linen import (
    adaptive,
    conditioned,
    core,
    gated,
    learned,
    parametric,
    periodic,
    tables,
)

_KNOWN = _configs.public(adaptive, conditioned, core, gated, learned, parametric, periodic, tables)


def _config(value: Any) -> dict[str, Any] | None:
    kind = type(value)
    if _KNOWN.get(kind.__name__) is not kind:
        return None
    given = {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if field.name != "parent" and field.init and not _is_default(value, field)
    }
    return _configs.layer(kind.__name__, given, _config)


def _is_default(value: Any, field: dataclasses.Field[Any]) -> bool:
    given = getattr(value, field.name)
    return given is field.default or (
        isinstance(given, bool | int | float | str) and given == field.default
    )


def serialize(layer: Any) -> dict[str, Any]:
    """Return a layer as plain JSON: its class and the arguments that are not at a default.

    Args:
      layer: a layer of this module or of `advact_jax.layers`, or an activation.

    Returns:
      A dictionary that ``json.dumps`` takes. `deserialize` makes the same layer of it, and that of
      `advact_jax.nnx` its twin where the arguments are the same.

    Raises:
      ValueError: if an argument is a function without a name: its code is not written.

    Example:
      >>> from advact_jax import linen
      >>> linen.serialize(linen.PReLU(axis=None, alpha_regularizer="l2"))
      {'layer': 'PReLU', 'arguments': {'axis': None, 'alpha_regularizer': 'l2'}}
    """
    return _configs.encode("the layer", layer, _config)


def deserialize(config: Mapping[str, Any]) -> Any:
    """Return the layer that a config describes; no code in it is run.

    Args:
      config: what `serialize` returned.

    Returns:
      A layer, or an `advact_jax.Activation`.

    Raises:
      ValueError: if a name is unknown, with the nearest names.
      TypeError: if it is no config, or an argument is unknown.

    Example:
      >>> from advact_jax import linen
      >>> linen.deserialize({"layer": "PReLU", "arguments": {"axis": None}})
      PReLU(
          # attributes
          axis = None
          shared_axes = None
          dtype = None
          param_dtype = float32
          sharding = None
          alpha_init = 0.25
          alpha_regularizer = None
          alpha_constraint = None
      )
    """
    return _configs.read(config, _KNOWN)
