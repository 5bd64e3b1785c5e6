"""Fixed activations as layers: each an `advact_jax.Activation` with Keras's arguments."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks
from advact_jax.functions.exponentials import elu
from advact_jax.functions.features import antirectifier, maxout
from advact_jax.functions.grouping import group_sort
from advact_jax.functions.rectifiers import leaky_relu, relu, thresholded_relu
from advact_jax.functions.shrinkage import thresholded_linear
from advact_jax.functions.softmax import softmax
from advact_jax.registry import Activation

__all__ = [
    "ELU",
    "GroupSort",
    "Maxout",
    "Activation",
    "Antirectifier",
    "LeakyReLU",
    "ReLU",
    "Softmax",
    "ThresholdedLinear",
    "ThresholdedReLU",
]


class _Layer(Activation):
    """An activation with a constructor of its own."""

    __slots__ = ()

    def _fix(self, function: Any, **parameters: Any) -> None:
        self._set(type(self).__name__, function, parameters)


def _not_negative(layer: str, **given: Any) -> None:
    """Raise TypeError unless these are numbers, ValueError if one is negative."""
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(
                f"{layer}: expected {key} to be a number, got {_checks.describe(value)}."
            )
        if not value >= 0:
            raise ValueError(f"{layer}: expected {key} to be 0 or more, got {value!r}.")


class ReLU(_Layer):
    """Rectified linear unit with Keras's three extensions; see `advact_jax.relu`.

    Args:
      max_value: the largest output; None for no limit.
      negative_slope: the slope below the threshold.
      threshold: the input from which on the output is the input.

    Raises:
      ValueError: if one of them is negative.
      TypeError: if one of them is no number.

    Example:
      >>> from advact_jax import layers
      >>> layers.ReLU(max_value=6)(jnp.array([-1.0, 3.0, 9.0]))
      Array([0., 3., 6.], dtype=float32)
    """

    __slots__ = ()

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
    ) -> None:
        _not_negative("ReLU", negative_slope=negative_slope, threshold=threshold)
        if max_value is not None:
            _not_negative("ReLU", max_value=max_value)
        self._fix(relu, max_value=max_value, negative_slope=negative_slope, threshold=threshold)


class LeakyReLU(_Layer):
    """Leaky rectified linear unit; see `advact_jax.leaky_relu`.

    Args:
      negative_slope: the slope below zero. The default is Keras's 0.3; the function's is 0.01.

    Raises:
      ValueError: if it is negative.
      TypeError: if it is no number.

    Example:
      >>> from advact_jax import layers
      >>> layers.LeakyReLU()(jnp.array([-1.0, 2.0]))
      Array([-0.3,  2. ], dtype=float32)
    """

    __slots__ = ()

    def __init__(self, negative_slope: float = 0.3, **old: float) -> None:
        if "alpha" in old:
            warnings.warn(
                "LeakyReLU: alpha is the old name of negative_slope. Pass negative_slope.",
                DeprecationWarning,
                stacklevel=2,
            )
            negative_slope = old.pop("alpha")
        if old:
            raise TypeError(f"LeakyReLU: expected negative_slope, got {', '.join(old)}.")
        _not_negative("LeakyReLU", negative_slope=negative_slope)
        self._fix(leaky_relu, negative_slope=negative_slope)


class ELU(_Layer):
    """Exponential linear unit; see `advact_jax.elu`.

    Args:
      alpha: minus the limit for very negative input.

    Raises:
      ValueError: if it is negative.
      TypeError: if it is no number.

    Example:
      >>> from advact_jax import layers
      >>> layers.ELU(alpha=2.0)(jnp.array([-1.0, 2.0]))
      Array([-1.264,  2.        ], dtype=float32)
    """

    __slots__ = ()

    def __init__(self, alpha: float = 1.0) -> None:
        _not_negative("ELU", alpha=alpha)
        self._fix(elu, alpha=alpha)


class ThresholdedReLU(_Layer):
    """``x`` above theta, else 0; see `advact_jax.thresholded_relu`.

    Args:
      theta: the threshold.

    Raises:
      ValueError: if it is negative.
      TypeError: if it is no number.

    Example:
      >>> from advact_jax import layers
      >>> layers.ThresholdedReLU(theta=1.5)(jnp.array([-2.0, 1.0, 2.0]))
      Array([0., 0., 2.], dtype=float32)
    """

    __slots__ = ()

    def __init__(self, theta: float = 1.0) -> None:
        _not_negative("ThresholdedReLU", theta=theta)
        self._fix(thresholded_relu, theta=theta)


class ThresholdedLinear(_Layer):
    """``x`` where its size is above theta, else 0; see `advact_jax.thresholded_linear`.

    Args:
      theta: the threshold.

    Raises:
      ValueError: if it is negative.
      TypeError: if it is no number.

    Example:
      >>> from advact_jax import layers
      >>> layers.ThresholdedLinear()(jnp.array([-2.0, 0.5, 2.0]))
      Array([-2.,  0.,  2.], dtype=float32)
    """

    __slots__ = ()

    def __init__(self, theta: float = 1.0) -> None:
        _not_negative("ThresholdedLinear", theta=theta)
        self._fix(thresholded_linear, theta=theta)


class Softmax(_Layer):
    """Normalised exponentials along an axis or several; see `advact_jax.softmax`.

    Args:
      axis: the axis, or a sequence of them.

    Raises:
      TypeError: if it is no int and no sequence of them.

    Example:
      >>> from advact_jax import layers
      >>> layers.Softmax()(jnp.zeros((1, 4)))
      Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    __slots__ = ()

    def __init__(self, axis: int | Sequence[int] = -1) -> None:
        for entry in axis if isinstance(axis, list | tuple) else (axis,):
            _checks.integer("Softmax", "axis", entry)
        self._fix(softmax, axis=axis)

    # Nothing is drawn, so there is no key.
    def __call__(  # type: ignore[override]
        self, x: ArrayLike, mask: ArrayLike | None = None
    ) -> Array:
        """Apply the activation.

        Args:
          x: an array.
          mask: which entries count, bool, broadcast against ``x``; the others give 0.

        Returns:
          An array of the shape and dtype of ``x``.

        Raises:
          TypeError: if the mask is no array of bool. Keras takes numbers too: pass ``mask > 0.5``.
        """
        if mask is None:
            return self._call(x)
        return self._call(x, where=_checks.mask("Softmax", "mask", mask))


class Antirectifier(_Layer):
    """Both signs of each centred and normed sample; see `advact_jax.antirectifier`.

    Args:
      axis: the axis of the features, which becomes twice as long.

    Raises:
      TypeError: if it is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.Antirectifier()(jnp.array([[1.0, 5.0]]))
      Array([[0.        , 0.70710677, 0.70710677, 0.        ]], dtype=float32)

    References:
      Keras, "Antirectifier" example, https://keras.io/examples.
    """

    __slots__ = ()

    def __init__(self, axis: int = -1) -> None:
        self._fix(antirectifier, axis=_checks.integer("Antirectifier", "axis", axis))


class Maxout(_Layer):
    """The largest of each group of k features that lie side by side; see `advact_jax.maxout`.

    `MaxoutDense` of `advact_jax.linen` and `advact_jax.nnx` has an affine map before it.

    Args:
      k: the size of a group; the axis becomes 1/k as long.
      axis: the axis of the features.

    Raises:
      TypeError: if an argument is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.Maxout(2)(jnp.array([[1.0, 5.0, 4.0, 3.0]]))
      Array([[5., 4.]], dtype=float32)

    References:
      Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, Maxout networks, arXiv:1302.4389.
    """

    __slots__ = ()

    def __init__(self, k: int, axis: int = -1) -> None:
        k, axis = (_checks.integer("Maxout", key, v) for key, v in (("k", k), ("axis", axis)))
        self._fix(maxout, k=k, axis=axis)


class GroupSort(_Layer):
    """Each group of features that lie side by side in order; see `advact_jax.group_sort`.

    Args:
      group_size: the size of a group; 2 is MaxMin. None for all features.
      axis: the axis of the features.

    Raises:
      TypeError: if an argument is no int.

    Example:
      >>> from advact_jax import layers
      >>> layers.GroupSort()(jnp.array([[1.0, 5.0, 4.0, 3.0]]))
      Array([[1., 5., 3., 4.]], dtype=float32)

    References:
      Anil, Lucas & Grosse 2019, Sorting out Lipschitz function approximation, arXiv:1811.05381.
    """

    __slots__ = ()

    def __init__(self, group_size: int | None = 2, axis: int = -1) -> None:
        if group_size is not None:
            group_size = _checks.integer("GroupSort", "group_size", group_size)
        axis = _checks.integer("GroupSort", "axis", axis)
        self._fix(group_sort, group_size=group_size, axis=axis)
