"""Keeping the arguments of a constructor, of which nnx itself keeps nothing."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any, TypeVar

import jax

from advact_jax import _checks, _configs

RNGS = " Pass rngs=flax.nnx.Rngs(0), with the seed."
T = TypeVar("T", bound=type[Any])


def recorded(kind: T) -> T:
    """Let a layer keep, as JSON, the arguments that its constructor was given, without ``rngs``.

    A string is static to nnx. What cannot be written is an error only where it is asked for.
    """
    make: Any = kind.__init__
    signature = inspect.signature(make)

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is kind:
            _, *given = _bound(kind.__name__, signature, (self, *args), kwargs).items()
        make(self, *args, **kwargs)
        if type(self) is kind:
            arguments = {key: value for key, value in given if key != "rngs"}
            try:
                config = _configs.layer(kind.__name__, arguments, config_of)
            except ValueError as error:
                config = {"error": str(error)}
            self._config = json.dumps(config)

    setattr(kind, "__init__", __init__)  # noqa: B010
    return kind


def _bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments by name, or raise TypeError with what may be meant."""
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        known = [*signature.parameters][1:]
        hint = RNGS if "'rngs'" in str(error) else _checks.known(kwargs, known)
        raise TypeError(f"{name}: {error}.{hint}") from None
    if isinstance(given.get("rngs"), int | jax.Array):
        came = _checks.describe(given["rngs"])
        raise TypeError(f"{name}: expected rngs to be random streams, got {came}.{RNGS}")
    return given


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
