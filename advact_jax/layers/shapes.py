"""Layers that change the shape of their input, call a function, or find the steps to skip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _masks


def _batched(layer: str, x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    if x.ndim == 0:
        raise ValueError(f"{layer}: expected an input with a batch axis, got a scalar.")
    return x


def _integers(layer: str, key: str, given: Any) -> tuple[int, ...]:
    entries = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    return tuple(_checks.integer(layer, f"each entry of {key}", entry) for entry in entries)


@dataclass(frozen=True)
class Flatten:
    """Join all axes but the batch.

    Raises:
      ValueError: in the call, if the input has no axis, or a mask is given.

    Example:
      >>> from advact_jax import layers
      >>> layers.Flatten()(jnp.ones((2, 3, 4))).shape
      (2, 12)
    """

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return an array of shape (batch, features)."""
        _masks.refuse("Flatten", mask, "the output has no steps")
        x = _batched("Flatten", x)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


@dataclass(frozen=True)
class Reshape:
    """Give each example another shape.

    Args:
      target_shape: the shape without the batch; one entry may be -1, for what is left.

    Raises:
      ValueError: if an entry is negative, except one that is -1; in the call, if the sizes do not
        fit, or a mask is given.
      TypeError: if an entry is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.Reshape((-1, 2))(jnp.ones((5, 3, 4))).shape
      (5, 6, 2)
    """

    target_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = _integers("Reshape", "target_shape", self.target_shape)
        if any(n < -1 for n in shape) or shape.count(-1) > 1:
            raise ValueError(
                "Reshape: expected sizes of 0 or more in target_shape, and -1 at most once, "
                f"got {shape}."
            )
        object.__setattr__(self, "target_shape", shape)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return an array of shape (batch, *target_shape)."""
        _masks.refuse("Reshape", mask, "the output need not have the same steps")
        x = _batched("Reshape", x)
        size, known = math.prod(x.shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        left = size // known if known else 0
        shape = tuple(left if n == -1 else n for n in self.target_shape)
        if math.prod(shape) != size:
            raise ValueError(
                f"Reshape: expected {size} entries of each example in target_shape, as in an input "
                f"of shape {x.shape}, got target_shape={self.target_shape}."
            )
        return x.reshape(x.shape[0], *shape)


@dataclass(frozen=True)
class Permute:
    """Change the order of the axes; the batch stays first.

    Args:
      dims: for each axis of the output the axis of the input, counted from 1 without the batch.

    Raises:
      ValueError: if they are not 1, 2, ... in some order; in the call, if the input has another
        number of axes, or a mask is given.
      TypeError: if an entry is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.Permute((2, 1))(jnp.ones((5, 3, 4))).shape
      (5, 4, 3)
    """

    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        dims = _integers("Permute", "dims", self.dims)
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(
                f"Permute: expected dims to be 1 to {len(dims)} in some order, got {dims}."
            )
        object.__setattr__(self, "dims", dims)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return the array with its axes in the new order."""
        _masks.refuse("Permute", mask, "the steps need not stay where they are")
        x = jnp.asarray(x)
        if x.ndim != len(self.dims) + 1:
            raise ValueError(
                f"Permute: expected an input with {len(self.dims)} axes beside the batch for "
                f"dims={self.dims}, got one of shape {x.shape}."
            )
        return x.transpose(0, *self.dims)


@dataclass(frozen=True)
class RepeatVector:
    """Repeat each example as the steps of a sequence.

    Args:
      n: how often.

    Raises:
      ValueError: if it is negative; in the call, if the input is no (batch, features), or a mask is
        given.
      TypeError: if it is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.RepeatVector(3)(jnp.ones((5, 4))).shape
      (5, 3, 4)
    """

    n: int

    def __post_init__(self) -> None:
        n = _checks.integer("RepeatVector", "n", self.n)
        if n < 0:
            raise ValueError(f"RepeatVector: expected n to be 0 or more, got {n}.")
        object.__setattr__(self, "n", n)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return an array of shape (batch, n, features)."""
        _masks.refuse("RepeatVector", mask, "the input has no steps")
        x = jnp.asarray(x)
        if x.ndim != 2:
            raise ValueError(
                "RepeatVector: expected an input of shape (batch, features), got one of shape "
                f"{x.shape}."
            )
        return jnp.broadcast_to(x[:, None], (x.shape[0], self.n, x.shape[1]))


@dataclass(frozen=True)
class Lambda:
    """Any function as a layer.

    Args:
      function: a function of an array. It must not hold parameters: make a module of it instead.

    Raises:
      TypeError: if it cannot be called.
      ValueError: in the call, if a mask is given and the function changes the axes of the steps.

    Example:
      >>> from advact_jax import layers
      >>> layers.Lambda(jnp.square)(jnp.array([1.0, -2.0]))
      Array([1., 4.], dtype=float32)
    """

    function: Callable[[Any], Any]

    def __post_init__(self) -> None:
        _checks.callable_("Lambda", "function", self.function)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Return what the function gives, with the mask if there is one."""
        y = self.function(x)
        if mask is None:
            return y
        return y, _masks.checked("Lambda", mask, jnp.shape(y))


@dataclass(frozen=True)
class Masking:
    """Find the steps of a sequence to skip: those in which every feature has a given value.

    Args:
      mask_value: the value.

    Raises:
      TypeError: if it is no number.
      ValueError: in the call, if the input has no axis of steps.

    Example:
      >>> from advact_jax import layers
      >>> x, mask = layers.Masking(-1.0)(jnp.array([[[5.0, -1.0], [-1.0, -1.0]]]))
      >>> x
      Array([[[ 5., -1.],
              [ 0.,  0.]]], dtype=float32)
      >>> mask
      Array([[ True, False]], dtype=bool)
    """

    mask_value: float = 0.0

    def __post_init__(self) -> None:
        value = self.mask_value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(
                f"Masking: expected mask_value to be a number, got {_checks.describe(value)}."
            )

    def compute_mask(self, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
        """Return the mask alone, of the shape of ``x`` without the features; True is for keep."""
        x = jnp.asarray(x)
        if x.ndim < 2:
            raise ValueError(
                "Masking: expected an input of shape (batch, time, features), got one of shape "
                f"{x.shape}."
            )
        found = jnp.any(x != self.mask_value, axis=-1)
        before = _masks.checked("Masking", mask, x.shape)
        return (
            found
            if before is None
            else found & before.reshape(before.shape + (1,) * (found.ndim - before.ndim))
        )

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> tuple[Array, Array]:
        """Find the mask.

        Args:
          x: an array of shape (batch, time, features).
          mask: a mask of its steps from before; a step is kept if both keep it.

        Returns:
          The array with zeros in the steps to skip, and the mask.
        """
        x, found = jnp.asarray(x), self.compute_mask(x, mask)
        return jnp.where(found[..., None], x, jnp.zeros_like(x)), found
