"""Masks of sequences: which steps count. Flax has none, so they are passed on beside the values.

A layer that works step by step takes ``mask`` and returns ``(y, mask)`` if one is given, which both
of Flax's ``Sequential`` hand to the next layer as its arguments.
"""

from __future__ import annotations

from typing import Any

from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks


def checked(layer: str, mask: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Return the mask as an array, or raise unless its axes are the first ones of an input."""
    if mask is None:
        return None
    array = _checks.mask(layer, "mask", mask)
    if not 0 < array.ndim < len(shape) or array.shape != shape[: array.ndim]:
        raise ValueError(
            f"{layer}: expected a mask whose axes are the first ones of the input, such as (batch, "
            f"time), got a mask of shape {array.shape} and an input of shape {shape}."
        )
    return array


def beside(y: Any, mask: Array | None) -> Any:
    """Return the output, with the mask if there is one."""
    return y if mask is None else (y, mask)


def refuse(layer: str, mask: Any, why: str) -> None:
    """Raise ValueError if a layer that cannot pass a mask on is given one."""
    if mask is not None:
        raise ValueError(
            f"{layer}: expected no mask, since {why}, got one. Use what the mask tells before this "
            "layer, in a MaskedRNN or a sum over the steps that count, and pass the values alone."
        )
