"""Which entries of an input share an entry of a layer's parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jax import Array

Axes: TypeAlias = int | Sequence[int]

_LAST = -1


def as_axes(axes: Axes | None) -> Axes | None:
    """Return a list of axes as a tuple, which can be hashed."""
    return tuple(axes) if isinstance(axes, list | tuple) else axes


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Which entries of the input share a parameter.

    Attributes:
      layer: the layer's name, for messages.
      axis: the axes that have parameters of their own, None for one scalar.
      shared_axes: in Keras's meaning, the axes that share; where it is not None, it rules.
    """

    layer: str
    axis: Axes | None = _LAST
    shared_axes: Axes | None = None

    def __post_init__(self) -> None:
        if self.shared_axes is not None and self.axis not in (_LAST, None):
            raise ValueError(
                f"{self.layer}: expected either axis or shared_axes, "
                f"got axis={self.axis!r} and shared_axes={self.shared_axes!r}."
            )
        key, axes = self._chosen()
        listed = [self._integer(key, axis) for axis in axes]
        if 0 in listed:
            raise ValueError(
                f"{self.layer}: expected {key} without axis 0, which is the batch, "
                f"got {key}={getattr(self, key)!r}."
            )

    def _chosen(self) -> tuple[str, tuple[int, ...]]:
        key = "axis" if self.shared_axes is None else "shared_axes"
        value = getattr(self, key)
        if value is None:
            return key, ()
        return key, tuple(value) if isinstance(value, list | tuple) else (value,)

    def _integer(self, key: str, axis: Any) -> int:
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(
                f"{self.layer}: expected {key} to be an int, a tuple of ints or None, "
                f"got {key}={getattr(self, key)!r}."
            )
        return axis.__index__()

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Return the axes, counted from 0, of an input with ``ndim`` axes, or raise ValueError."""
        key, axes = self._chosen()
        given = f"{key}={getattr(self, key)!r}"
        for axis in axes:
            if not -ndim <= axis < ndim:
                raise ValueError(
                    f"{self.layer}: expected {key} within [{-ndim}, {ndim}) for an input with "
                    f"{ndim} axes, got {given}."
                )
        found = tuple(axis % ndim for axis in axes)
        if len(set(found)) != len(found):
            raise ValueError(f"{self.layer}: expected axes that differ, got {given}.")
        # With one axis the input is a single example, as under vmap: its axis is no batch.
        if 0 in found and ndim > 1:
            raise ValueError(
                f"{self.layer}: expected {key} without the batch axis 0, "
                f"got {given} for an input with {ndim} axes."
            )
        return found

    def shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a parameter for an input of this shape."""
        if self.shared_axes is None:
            return tuple(input_shape[axis] for axis in self.axes(len(input_shape)))
        if not input_shape:
            raise ValueError(f"{self.layer}: expected an input with a batch axis, got a scalar.")
        shared = self.axes(len(input_shape))
        return tuple(1 if i in shared else n for i, n in enumerate(input_shape) if i > 0)

    def shape_of_features(self, features: int | Sequence[int] | None) -> tuple[int, ...]:
        """Return the shape of a parameter, given the sizes that its layer was told."""
        sizes = self._sizes(features)
        if self.shared_axes is not None:
            return self.shape((1, *sizes))
        _, axes = self._chosen()
        if len(sizes) != len(axes):
            expected = "None" if self.axis is None else f"{len(axes)} size(s)"
            hint = f" For 16 channels write {self.layer}(16)." if len(axes) == 1 else ""
            raise ValueError(
                f"{self.layer}: expected features to be {expected} for axis={self.axis!r}, "
                f"got features={features!r}.{hint}"
            )
        return sizes

    def _sizes(self, features: Any) -> tuple[int, ...]:
        if features is None:
            return ()
        sizes = tuple(features) if isinstance(features, list | tuple) else (features,)
        if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in sizes):
            raise TypeError(
                f"{self.layer}: expected features to be an int, a tuple of ints or None, "
                f"got features={features!r}."
            )
        if any(n < 1 for n in sizes):
            raise ValueError(
                f"{self.layer}: expected positive features, got features={features!r}."
            )
        return tuple(n.__index__() for n in sizes)

    def spread(self, value: Array, ndim: int, trailing: int = 0) -> Array:
        """Return a parameter in a shape that broadcasts against an input with ``ndim`` axes.

        The last ``trailing`` axes, those of a table, stay as they are.
        """
        if trailing:
            return jax.vmap(lambda v: self.spread(v, ndim, trailing - 1), -1, -1)(value)
        if self.shared_axes is not None or value.ndim == 0:
            return value
        axes = self.axes(ndim)
        sizes = dict(zip(axes, value.shape, strict=True))
        ordered = value.transpose(np.argsort(axes))
        return ordered.reshape([sizes.get(i, 1) for i in range(min(axes), ndim)])

    def check(
        self,
        name: str,
        held: tuple[int, ...],
        input_shape: tuple[int, ...],
        trailing: tuple[int, ...] = (),
    ) -> None:
        """Raise ValueError unless a parameter of shape ``held`` fits the input."""
        expected = self.shape(input_shape) + trailing
        if held != expected:
            key, _ = self._chosen()
            raise ValueError(
                f"{self.layer}: expected an input that fits {name} of shape {held}, got one of "
                f"shape {input_shape}, for which {key}={getattr(self, key)!r} gives {expected}."
            )
