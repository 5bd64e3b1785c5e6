"""Layers as plain JSON and back, for both frameworks; no code in a config is run.

A layer is ``{"layer": its class, "arguments": those that are not at a default}``. What JSON has no
type for is a dictionary with one telling key.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import numpy as np

from advact_jax import _checks, constraints, layers, registry, regularizers
from advact_jax._modules import Constant

Known = Mapping[str, Callable[..., Any]]
Layers = Callable[[Any], dict[str, Any] | None]


def public(*modules: ModuleType) -> dict[str, Any]:
    """Return the public classes that some modules define or hand on, by name."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and not name.startswith("_")
        and value.__module__.startswith(module.__name__)
        and not issubclass(value, registry.Activation)
    }


# The layers that need no framework; activations among them are the registry's.
PLAIN = public(layers)


def encode(label: str, value: Any, framework: Layers) -> Any:
    """Return a value as plain JSON.

    Args:
      label: the argument's name, for messages.
      value: an argument of a layer, or a layer.
      framework: gives the config of a layer of a framework, None for anything else.

    Raises:
      ValueError: if it is something that JSON cannot hold without code, such as a lambda.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Constant):
        value = value.value
    if isinstance(value, jax.core.Tracer):
        raise ValueError(f"serialize: expected {label} to have a value, got a traced array.")
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return {"array": np.asarray(value, np.float64).tolist(), "dtype": str(value.dtype)}
    if isinstance(value, list | tuple):
        return [encode(label, entry, framework) for entry in value]
    if isinstance(value, Mapping):
        return {"map": {key: encode(f"{label}[{key!r}]", v, framework) for key, v in value.items()}}
    config = framework(value)
    if config is not None:
        return config
    if type(value) in PLAIN.values():
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return layer(type(value).__name__, fields, framework)
    for kind, module in {"regularizer": regularizers, "constraint": constraints}.items():
        if dataclasses.is_dataclass(value) and type(value).__module__ == module.__name__:
            return {kind: type(value).__name__, "arguments": dataclasses.asdict(value)}  # type: ignore[arg-type]
    if isinstance(value, type | np.dtype) and not hasattr(value, "spec"):
        return {"dtype": np.dtype(value).name}
    try:
        return registry.serialize(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"serialize: expected {label} to be a number, an array, a name or a layer, got "
            f"{_checks.describe(value)}: its code is not written. Give it by its name."
        ) from None


def layer(name: str, given: Mapping[str, Any], framework: Layers) -> dict[str, Any]:
    """Return the config of a layer."""
    return {
        "layer": name,
        "arguments": {
            key: encode(f"{name}'s {key}", value, framework) for key, value in given.items()
        },
    }


def read(config: Any, known: Known) -> Any:
    """Return the layer that a config describes, or raise TypeError if it is none."""
    if not isinstance(config, Mapping):
        raise TypeError(
            f"deserialize: expected a dictionary from serialize, got {_checks.describe(config)}."
        )
    return decode(config, {**PLAIN, **known})


def decode(config: Any, known: Known) -> Any:
    """Return a layer, or any other value, from what `encode` gave.

    Args:
      config: plain JSON.
      known: what makes each layer, by its name.

    Raises:
      ValueError: if a name is unknown, with the nearest names, or a dictionary is no config.
      TypeError: if an argument does not exist.
    """
    if isinstance(config, list):
        return tuple(decode(entry, known) for entry in config)
    if not isinstance(config, Mapping):
        return config
    given = config.get("arguments", {})
    if "layer" in config:
        arguments = {key: decode(value, known) for key, value in given.items()}
        return _checks.named("a layer", config["layer"], known, arguments)
    if "regularizer" in config:
        return regularizers.get(config["regularizer"], **given)
    if "constraint" in config:
        read = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return constraints.get(config["constraint"], **read)
    if "array" in config:
        return jax.numpy.asarray(config["array"], config["dtype"])
    if "float" in config:
        return float(config["float"])
    if "dtype" in config:
        return jax.numpy.dtype(config["dtype"])
    if "map" in config:
        return {key: decode(value, known) for key, value in config["map"].items()}
    return registry.deserialize(config)
