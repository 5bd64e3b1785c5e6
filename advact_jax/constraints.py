r"""Keras's constraints on parameters, and an interval, as functions of an array.

A constraint gives the array nearest in its sense that it allows. `advact_jax.optim.project` applies
it after each step of an optimizer; a layer only says which of its parameters has which one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks

Constraint: TypeAlias = Callable[[Any], Any]

_EPSILON = 1e-7  # Keras's.


@dataclasses.dataclass(frozen=True)
class NonNeg:
    """Negative entries become 0.

    Example:
      >>> from advact_jax import constraints
      >>> constraints.NonNeg()(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array."""
        return jnp.maximum(w, 0)


@dataclasses.dataclass(frozen=True)
class Interval:
    """Entries outside of [low, high] become the nearer end.

    Args:
      low: the least value.
      high: the largest value.

    Raises:
      ValueError: if ``low`` is above ``high``.

    Example:
      >>> from advact_jax import constraints
      >>> constraints.Interval(0.0, 1.0)(jnp.array([-1.0, 0.5, 2.0]))
      Array([0. , 0.5, 1. ], dtype=float32)
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"Interval: expected low <= high, got [{self.low}, {self.high}].")

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array."""
        return jnp.clip(w, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class MinMaxNorm:
    r"""Vectors along ``axis`` get a norm within [min_value, max_value].

    .. math:: w \frac{r \min(\max(n, a), b) + (1 - r) n}{n + 10^{-7}}, \quad n = \|w\|_2

    Args:
      min_value: the least norm.
      max_value: the largest norm.
      rate: r; with less than 1 the norm moves towards the interval step by step.
      axis: the axis or axes of a vector; 0 in the kernel of a dense layer.

    Raises:
      ValueError: if the norms are negative or in the wrong order, or the rate is not in [0, 1].

    Example:
      >>> from advact_jax import constraints
      >>> constraints.MinMaxNorm(max_value=1.0)(jnp.array([3.0, 4.0]))
      Array([0.6, 0.8], dtype=float32)
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", _axes(self.axis))
        if not 0 <= self.min_value <= self.max_value:
            raise ValueError(
                "MinMaxNorm: expected 0 <= min_value <= max_value, "
                f"got min_value={self.min_value} and max_value={self.max_value}."
            )
        if not 0 <= self.rate <= 1:
            raise ValueError(f"MinMaxNorm: expected rate in [0, 1], got {self.rate}.")

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array."""
        norm = _norm(w, self.axis)
        wanted = jnp.clip(norm, self.min_value, self.max_value)
        return _scaled(w, norm, self.rate * wanted + (1 - self.rate) * norm)


@dataclasses.dataclass(frozen=True)
class MaxNorm:
    """Vectors along ``axis`` get a norm of at most ``max_value``.

    Args:
      max_value: the largest norm.
      axis: the axis or axes of a vector; 0 in the kernel of a dense layer.

    Raises:
      ValueError: if ``max_value`` is negative.

    Example:
      >>> from advact_jax import constraints
      >>> constraints.MaxNorm(2.5)(jnp.array([3.0, 4.0]))
      Array([1.5, 2. ], dtype=float32)
    """

    max_value: float = 2.0
    axis: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", _axes(self.axis))
        if not self.max_value >= 0:
            raise ValueError(f"MaxNorm: expected max_value of 0 or more, got {self.max_value}.")

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array."""
        norm = _norm(w, self.axis)
        return _scaled(w, norm, jnp.minimum(norm, self.max_value))


@dataclasses.dataclass(frozen=True)
class UnitNorm:
    """Vectors along ``axis`` get the norm 1; zeros stay.

    Args:
      axis: the axis or axes of a vector; 0 in the kernel of a dense layer.

    Example:
      >>> from advact_jax import constraints
      >>> constraints.UnitNorm()(jnp.array([3.0, 4.0]))
      Array([0.6, 0.8], dtype=float32)
    """

    axis: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", _axes(self.axis))

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array."""
        return _scaled(w, _norm(w, self.axis), 1.0)


def _axes(axis: Any) -> int | tuple[int, ...]:
    return tuple(axis) if isinstance(axis, list | tuple) else axis


def _norm(w: ArrayLike, axis: int | tuple[int, ...]) -> Array:
    wide = _wide(w)
    return jnp.sqrt(jnp.sum(wide * wide, axis, keepdims=True))


def _scaled(w: ArrayLike, norm: Array, wanted: Array | float) -> Array:
    return (_wide(w) * (wanted / (norm + _EPSILON))).astype(jnp.asarray(w).dtype)


def _wide(w: ArrayLike) -> Array:
    w = jnp.asarray(w)
    return w.astype(jnp.float32) if w.dtype.itemsize < 4 else w


KINDS: dict[str, Callable[..., Constraint]] = {
    "non_neg": NonNeg,
    "interval": Interval,
    "min_max_norm": MinMaxNorm,
    "max_norm": MaxNorm,
    "unit_norm": UnitNorm,
}


def get(identifier: str | Mapping[str, Any] | Constraint | None, **arguments: Any) -> Any:
    """Return a constraint by its Keras name, from a Keras config, or as it is; None stays None.

    Args:
      identifier: a name such as "max_norm" or "MaxNorm"; a config
        ``{"class_name": ..., "config": {...}}``; a constraint; or None.
      **arguments: arguments of the constraint, such as ``max_value``.

    Returns:
      A function of an array, or None.

    Raises:
      ValueError: if the name is unknown, with the nearest names.
      TypeError: if an argument is unknown, or the identifier is of another type.

    Example:
      >>> from advact_jax import constraints
      >>> constraints.get("max_norm", max_value=3.0)
      MaxNorm(max_value=3.0, axis=0)
    """
    return _checks.named("a constraint", identifier, KINDS, arguments)
