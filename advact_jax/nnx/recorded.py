"""Keeping the arguments of a constructor, of which nnx itself keeps nothing."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any, TypeVar

from advact_jax import _configs

T = TypeVar("T", bound=type[Any])


def recorded(kind: T) -> T:
    """Let a layer keep, as JSON, the arguments that its constructor was given, without ``rngs``.

    A string is static to nnx. What cannot be written is an error only where it is asked for.
    """
    make: Any = kind.__init__
    signature = inspect.signature(make)

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if type(self) is kind:
            _, *given = signature.bind(self, *args, **kwargs).arguments.items()
            arguments = {key: value for key, value in given if key != "rngs"}
            try:
                config = _configs.layer(kind.__name__, arguments, config_of)
            except ValueError as error:
                config = {"error": str(error)}
            self._config = json.dumps(config)

    setattr(kind, "__init__", __init__)  # noqa: B010
    return kind


def config_of(layer: Any) -> dict[str, Any] | None:
    """Return the config of a layer that is `recorded`, None for anything else."""
    written = getattr(layer, "_config", None)
    if not isinstance(written, str):
        return None
    config = json.loads(written)
    if "error" in config:
        raise ValueError(config["error"])
    return config


def record_again(layer: Any, **arguments: Any) -> None:
    """Keep other arguments of a layer that is `recorded`, after a change in place."""
    config = json.loads(layer._config)
    if "error" not in config:
        new = _configs.layer("", arguments, config_of)["arguments"]
        layer._config = json.dumps({**config, "arguments": {**config["arguments"], **new}})
