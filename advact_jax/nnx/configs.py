"""Layers of ``flax.nnx`` as plain JSON and back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from flax import nnx

from advact_jax import _configs
from advact_jax.nnx import adaptive, conditioned, core, gated, learned, parametric, periodic, tables
from advact_jax.nnx.recorded import config_of

_KNOWN = _configs.public(adaptive, conditioned, core, gated, learned, parametric, periodic, tables)


def serialize(layer: Any) -> dict[str, Any]:
    """Return a layer as plain JSON: its class and the arguments that it was made from.

    Args:
      layer: a layer of this module or of `advact_jax.layers`, or an activation.

    Returns:
      A dictionary that ``json.dumps`` takes. `deserialize` makes a layer like it; the parameters
      are those of a new layer.

    Raises:
      ValueError: if an argument was a function without a name: its code is not written.

    Example:
      >>> from advact_jax import nnx
      >>> nnx.serialize(nnx.PReLU(3, alpha_regularizer="l2"))
      {'layer': 'PReLU', 'arguments': {'features': 3, 'alpha_regularizer': 'l2'}}
    """
    return _configs.encode("the layer", layer, config_of)


def deserialize(config: Mapping[str, Any], *, rngs: nnx.Rngs | None = None) -> Any:
    """Return a layer such as a config describes, with new parameters; no code in it is run.

    Args:
      config: what `serialize` returned.
      rngs: random streams, for layers that need them.

    Returns:
      A layer, or an `advact_jax.Activation`.

    Raises:
      ValueError: if a name is unknown, with the nearest names.
      TypeError: if it is no config, or an argument is unknown or missing.

    Example:
      >>> from advact_jax import nnx
      >>> nnx.deserialize({"layer": "PReLU", "arguments": {"features": 2}}).alpha[...]
      Array([0.25, 0.25], dtype=float32)
    """

    def with_rngs(kind: Any) -> Any:
        takes = "rngs" in inspect.signature(kind.__init__).parameters
        return functools.partial(kind, rngs=rngs) if takes else kind

    known = {name: with_rngs(kind) for name, kind in _KNOWN.items()}
    return _configs.read(config, known)
