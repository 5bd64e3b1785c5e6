r"""Keras's regularizers: functions that give an array a penalty, a float32 scalar.

A penalty of a parameter is a sum over its entries and does not depend on the data. A penalty of an
activity is divided by the batch size (the length of the first axis), so that it does not grow with
it, as in Keras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks

Regularizer: TypeAlias = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class L1L2:
    r"""Sum of sizes and squares: :math:`l_1 \sum |w| + l_2 \sum w^2`.

    Args:
      l1: factor of the sizes.
      l2: factor of the squares.

    Raises:
      ValueError: if a factor is negative or not finite.

    Example:
      >>> from advact_jax import regularizers
      >>> regularizers.L1L2(l1=0.1, l2=0.01)(jnp.array([-1.0, 3.0]))
      Array(0.5, dtype=float32)
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        _check_factors("L1L2", l1=self.l1, l2=self.l2)

    def __call__(self, w: ArrayLike) -> Array:
        """Return the penalty."""
        wide = _wide(w)
        return self.l1 * jnp.sum(jnp.abs(wide)) + self.l2 * jnp.sum(wide * wide)


@dataclasses.dataclass(frozen=True)
class L1:
    r"""Sum of sizes: :math:`l_1 \sum |w|`.

    Args:
      l1: the factor.

    Raises:
      ValueError: if it is negative or not finite.

    Example:
      >>> from advact_jax import regularizers
      >>> regularizers.L1(0.1)(jnp.array([-1.0, 3.0]))
      Array(0.4, dtype=float32)
    """

    l1: float = 0.01

    def __post_init__(self) -> None:
        _check_factors("L1", l1=self.l1)

    def __call__(self, w: ArrayLike) -> Array:
        """Return the penalty."""
        return self.l1 * jnp.sum(jnp.abs(_wide(w)))


@dataclasses.dataclass(frozen=True)
class L2:
    r"""Sum of squares: :math:`l_2 \sum w^2`.

    Args:
      l2: the factor.

    Raises:
      ValueError: if it is negative or not finite.

    Example:
      >>> from advact_jax import regularizers
      >>> regularizers.L2(0.01)(jnp.array([-1.0, 3.0]))
      Array(0.1, dtype=float32)
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        _check_factors("L2", l2=self.l2)

    def __call__(self, w: ArrayLike) -> Array:
        """Return the penalty."""
        wide = _wide(w)
        return self.l2 * jnp.sum(wide * wide)


@dataclasses.dataclass(frozen=True)
class OrthogonalRegularizer:
    """Mean size of the cosines between the rows, or the columns, of a matrix.

    Args:
      factor: the factor.
      mode: "rows" or "columns".

    Raises:
      ValueError: if the factor is negative or the mode another; in the call, if the array is no
        matrix.

    Example:
      >>> from advact_jax import regularizers
      >>> regularizers.OrthogonalRegularizer(1.0)(jnp.array([[1.0, 0.0], [3.0, 4.0]]))
      Array(0.6, dtype=float32)
    """

    factor: float = 0.01
    mode: str = "rows"

    def __post_init__(self) -> None:
        _check_factors("OrthogonalRegularizer", factor=self.factor)
        if self.mode not in ("rows", "columns"):
            raise ValueError(
                f"OrthogonalRegularizer: expected mode 'rows' or 'columns', got {self.mode!r}."
            )

    def __call__(self, w: ArrayLike) -> Array:
        """Return the penalty."""
        wide = _wide(w)
        if wide.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer: expected a matrix, got an array of shape {wide.shape}."
            )
        rows = wide if self.mode == "rows" else wide.T
        # As in Keras: a square of the norm below this counts as this.
        norm = jnp.sqrt(jnp.maximum(jnp.sum(rows * rows, 1, keepdims=True), 1e-12))
        unit = rows / norm
        cosines = (unit @ unit.T) * (1 - jnp.eye(len(unit), dtype=unit.dtype))
        pairs = len(unit) * (len(unit) - 1) / 2
        return self.factor * 0.5 * jnp.sum(jnp.abs(cosines)) / max(pairs, 1)


def _wide(w: ArrayLike) -> Array:
    w = jnp.asarray(w)
    return w.astype(jnp.float32) if w.dtype.itemsize < 4 else w


def _check_factors(label: str, **factors: Any) -> None:
    for key, value in factors.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{label}: expected {key} to be finite and 0 or more, got {value!r}.")


_NAMES: dict[str, Callable[..., Regularizer]] = {
    "l1": L1,
    "l2": L2,
    # By this name both have a default; the class has none.
    "l1_l2": lambda l1=0.01, l2=0.01: L1L2(l1, l2),
    "L1L2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
    "orthogonal": OrthogonalRegularizer,
}


def get(identifier: str | Mapping[str, Any] | Regularizer | None, **arguments: Any) -> Any:
    """Return a regularizer by its Keras name, from a Keras config, or as it is; None stays None.

    Args:
      identifier: a name such as "l2" or "L2"; a config ``{"class_name": ..., "config": {...}}``; a
        regularizer; or None.
      **arguments: arguments of the regularizer, such as ``l2``.

    Returns:
      A function of an array, or None.

    Raises:
      ValueError: if the name is unknown, with the nearest names.
      TypeError: if an argument is unknown, or the identifier is of another type.

    Example:
      >>> from advact_jax import regularizers
      >>> regularizers.get("l2", l2=0.1)
      L2(l2=0.1)
    """
    return _checks.named("a regularizer", identifier, _NAMES, arguments)
