"""Weights of learned activations from Keras, torch and Hugging Face, and back.

Arrays in, arrays out: none of these libraries is needed. What a function returns goes into a layer
of `advact_jax.linen` or `advact_jax.nnx`:

>>> import numpy as np
>>> from advact_jax import convert, linen, nnx
>>> made = convert.prelu_from_torch(np.array([0.1, 0.2, 0.3], np.float32))
>>> x = -jnp.ones((2, 3, 5, 5))
>>> y = linen.PReLU(**made.arguments).apply({"params": made.params}, x)
>>> layer = nnx.PReLU(made.features, **made.arguments)
>>> layer.alpha[...] = made.params["alpha"]
>>> bool(jnp.all(layer(x) == y))
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks
from advact_jax._sharing import Axes, Sharing
from advact_jax.functions.softplus import softplus

__all__ = [
    "Weights",
    "prelu_from_keras",
    "prelu_from_torch",
    "prelu_to_keras",
    "prelu_to_torch",
    "xielu_from_huggingface",
    "xielu_to_huggingface",
]


class Weights(NamedTuple):
    """Parameters of a layer, and the arguments of the layer that they belong to.

    Attributes:
      params: arrays by name.
      arguments: keyword arguments of the layer's constructor.
      features: the first argument of a layer of `advact_jax.nnx`.

    Example:
      >>> from advact_jax import convert, nnx
      >>> made = convert.prelu_from_torch(jnp.array([0.1, 0.2]))
      >>> layer = nnx.PReLU(made.features, **made.arguments)
      >>> layer.alpha[...] = made.params["alpha"]
      >>> layer(-jnp.ones((1, 2, 1, 1))).ravel()
      Array([-0.1, -0.2], dtype=float32)
    """

    params: dict[str, Array]
    arguments: dict[str, Any]
    features: int | tuple[int, ...] | None = None


def prelu_from_keras(alpha: ArrayLike, shared_axes: int | Sequence[int] | None = None) -> Weights:
    """Return what ``keras.layers.PReLU`` learned, for our ``PReLU``.

    Args:
      alpha: the layer's ``alpha``: its shape is that of the input without the batch, with 1 on the
        shared axes.
      shared_axes: the layer's ``shared_axes``, counted with the batch as 0.

    Returns:
      The parameter ``alpha``, unchanged, and the argument ``shared_axes``.

    Raises:
      ValueError: if a shared axis is not one of ``alpha``, or has another size than 1.
      TypeError: if ``alpha`` is no array of real numbers, or an axis no int.

    Example:
      >>> import numpy as np
      >>> from advact_jax import convert
      >>> made = convert.prelu_from_keras(np.full((1, 1, 3), 0.2), shared_axes=[1, 2])
      >>> made.params["alpha"].shape, made.arguments, made.features
      ((1, 1, 3), {'shared_axes': (1, 2)}, (1, 1, 3))
    """
    name = "prelu_from_keras"
    value = _floating(name, "alpha", alpha)
    if value.ndim == 0:
        raise ValueError(
            f"{name}: expected alpha of the shape of an input without the batch, got a scalar."
        )
    given = () if shared_axes is None else shared_axes
    axes = tuple(given) if isinstance(given, list | tuple) else (given,)
    for axis in axes:
        # Keras numbers from 1, and takes a negative axis for the one before it.
        if not 1 <= _checks.integer(name, "shared_axes", axis) <= value.ndim:
            raise ValueError(
                f"{name}: expected shared_axes within [1, {value.ndim}] for an alpha of shape "
                f"{value.shape}, got shared_axes={shared_axes!r}."
            )
        if value.shape[axis - 1] != 1:
            raise ValueError(
                f"{name}: expected alpha to have size 1 on the shared axes, {axis} among them, "
                f"got shape {value.shape}, in which the batch, axis 0, is left out."
            )
    return Weights({"alpha": value}, {"shared_axes": axes}, value.shape)


def prelu_from_torch(weight: ArrayLike, axis: int = 1) -> Weights:
    """Return what ``torch.nn.PReLU`` learned, for our ``PReLU``.

    Args:
      weight: the module's ``weight``, of shape (num_parameters,). So it is of Hugging Face's
        ``"prelu"`` as well.
      axis: the axis of the channels: 1, as in torch, where the arrays are left as they are there
        (batch, channels, ...); -1 where the channels are moved to the end, as Flax's convolutions
        have them. It has no effect on a single parameter, which all channels share.

    Returns:
      The parameter ``alpha``, a scalar where ``weight`` has one entry, and the argument ``axis``.

    Raises:
      ValueError: if ``weight`` has not exactly one axis, or ``axis`` is the batch.
      TypeError: if ``weight`` is no array of real numbers, or ``axis`` no int.

    Example:
      >>> import numpy as np
      >>> from advact_jax import convert
      >>> made = convert.prelu_from_torch(np.array([0.25], np.float32))
      >>> made.params, made.arguments
      ({'alpha': Array(0.25, dtype=float32)}, {'axis': None})
      >>> convert.prelu_from_torch(np.array([0.1, 0.2], np.float32), axis=-1).arguments
      {'axis': -1}
    """
    name = "prelu_from_torch"
    value = _floating(name, "weight", weight)
    if value.ndim != 1 or value.size == 0:
        raise ValueError(
            f"{name}: expected a weight of shape (num_parameters,), got shape {value.shape}."
        )
    if _checks.integer(name, "axis", axis) == 0:
        raise ValueError(f"{name}: expected axis to be that of the channels, got 0, the batch.")
    if value.size == 1:
        return Weights({"alpha": value[0]}, {"axis": None})
    return Weights({"alpha": value}, {"axis": axis}, value.size)


def prelu_to_keras(
    alpha: ArrayLike,
    input_shape: Sequence[int | None],
    *,
    axis: Axes | None = -1,
    shared_axes: Axes | None = None,
) -> Weights:
    """Return what our ``PReLU`` learned, for ``keras.layers.PReLU``.

    Args:
      alpha: the layer's ``alpha``.
      input_shape: the shape of the input, with the batch, whose size does not matter. The sizes of
        axes that share parameters may be None.
      axis: the layer's ``axis``.
      shared_axes: the layer's ``shared_axes``.

    Returns:
      The weight ``alpha`` and the argument ``shared_axes`` of Keras's layer.

    Raises:
      ValueError: if the shape of ``alpha`` is not that of the parameter for such an input.
      TypeError: if ``alpha`` is no array of real numbers, or an axis no int.

    Example:
      >>> from advact_jax import convert
      >>> made = convert.prelu_to_keras(jnp.full(3, 0.2), (None, 28, 28, 3))
      >>> made.params["alpha"].shape, made.arguments
      ((1, 1, 3), {'shared_axes': (1, 2)})
    """
    name = "prelu_to_keras"
    value = _floating(name, "alpha", alpha)
    sharing = Sharing(name, axis, shared_axes)
    ndim = len(input_shape)
    chosen = sharing.axes(ndim)
    own = chosen if shared_axes is None else tuple(set(range(1, ndim)) - set(chosen))
    sizes = tuple((input_shape[i] or 0) if i in own else 1 for i in range(ndim))
    sharing.check("alpha", value.shape, sizes)
    spread = sharing.spread(value, ndim)
    shared = tuple(i for i in range(1, ndim) if i not in own)
    return Weights({"alpha": spread.reshape(sizes[1:])}, {"shared_axes": shared})


def prelu_to_torch(alpha: ArrayLike) -> Weights:
    """Return what our ``PReLU`` with one axis or none learned, for ``torch.nn.PReLU``.

    Torch's channels are axis 1 of its input, whichever axis they are here.

    Args:
      alpha: the layer's ``alpha``: a scalar, or one entry per channel.

    Returns:
      The parameter ``weight`` and the argument ``num_parameters`` of torch's module.

    Raises:
      ValueError: if ``alpha`` has more than one axis: torch has one parameter per channel.
      TypeError: if ``alpha`` is no array of real numbers.

    Example:
      >>> from advact_jax import convert
      >>> made = convert.prelu_to_torch(0.25)
      >>> made.params, made.arguments
      ({'weight': Array([0.25], dtype=float32)}, {'num_parameters': 1})
    """
    value = _floating("prelu_to_torch", "alpha", alpha)
    if value.ndim > 1 or value.size == 0:
        raise ValueError(
            "prelu_to_torch: expected alpha to be a scalar or of shape (channels,), "
            f"got shape {value.shape}."
        )
    return Weights({"weight": value.reshape(-1)}, {"num_parameters": value.size})


def xielu_from_huggingface(state: Mapping[str, ArrayLike]) -> dict[str, Array]:
    r"""Return the coefficients of xIELU from the state of ``transformers.XIELUActivation``.

    .. math::
        f(x) = \begin{cases} \alpha_p x^2 + \beta x & x > 0 \\
        \alpha_n (e^{\min(x, \epsilon)} - 1 - x) + \beta x & x \le 0 \end{cases}

    The state keeps :math:`\alpha_p` and :math:`\alpha_n - \beta` as inverse softplus,
    ``log(expm1(.))``, so that the learned ones are above 0 and :math:`\beta`.

    Args:
      state: arrays by the names ``alpha_p``, ``alpha_n`` and, where they differ from 0.5 and -1e-6,
        ``beta`` and ``eps``; each a scalar or of shape (1,).

    Returns:
      ``alpha_p``, ``alpha_n``, ``beta`` and ``eps`` as they stand in the formula, float32 scalars.
      Transformers rounds them to its own type, often bfloat16.

    Raises:
      ValueError: if a name is missing or unknown, or a shape is wrong.
      TypeError: if an entry is no array of real numbers.

    Example:
      >>> import numpy as np
      >>> from advact_jax import convert
      >>> state = {"alpha_p": np.array([0.2034]), "alpha_n": np.array([-1.0502])}
      >>> made = convert.xielu_from_huggingface(state)
      >>> made["alpha_p"], made["alpha_n"], made["beta"]
      (Array(0.800, dtype=float32), Array(0.800, dtype=float32), Array(0.5, dtype=float32))

    References:
      Huang & Schlag 2024, Deriving activation functions using integration, arXiv:2411.13010.
    """
    name = "xielu_from_huggingface"
    usual = {"beta": 0.5, "eps": -1e-6}
    if not {"alpha_p", "alpha_n"} <= set(state) <= {"alpha_p", "alpha_n", *usual}:
        raise ValueError(
            f"{name}: expected alpha_p, alpha_n and perhaps beta and eps, "
            f"got {', '.join(state) or 'nothing'}."
        )
    values = {key: _single(name, key, value) for key, value in {**usual, **state}.items()}
    return {
        "alpha_p": softplus(values["alpha_p"]),
        "alpha_n": values["beta"] + softplus(values["alpha_n"]),
        "beta": values["beta"],
        "eps": values["eps"],
    }


def xielu_to_huggingface(
    alpha_p: ArrayLike, alpha_n: ArrayLike, beta: ArrayLike = 0.5, eps: ArrayLike = -1e-6
) -> dict[str, Array]:
    """Return the state of ``transformers.XIELUActivation`` from the coefficients of the formula.

    Args:
      alpha_p: the coefficient of the square, above 0.
      alpha_n: the coefficient of the exponential, above ``beta``.
      beta: the slope at 0.
      eps: the largest input of the exponential.

    Returns:
      ``alpha_p`` and ``alpha_n`` of shape (1,), ``beta`` and ``eps`` as scalars, in float32.

    Raises:
      ValueError: if a coefficient is too small to be a softplus, or is no scalar.
      TypeError: if an argument is no number.

    Example:
      >>> from advact_jax import convert
      >>> convert.xielu_to_huggingface(0.8, 0.8)["alpha_p"]
      Array([0.2034], dtype=float32)
    """
    name = "xielu_to_huggingface"
    given = {"alpha_p": alpha_p, "alpha_n": alpha_n, "beta": beta, "eps": eps}
    values = {key: _single(name, key, value) for key, value in given.items()}
    above = {"alpha_p": jnp.float32(0), "alpha_n": values["beta"]}
    for key, bound in above.items():
        if not isinstance(values[key], jax.core.Tracer) and not values[key] > bound:
            raise ValueError(f"{name}: expected {key} to be above {bound}, got {values[key]}.")
        values[key] = _inverse_softplus(values[key] - bound).reshape(1)
    return values


def _floating(name: str, key: str, value: Any) -> Array:
    """Return an array of floating-point numbers, in its own type if it has one."""
    array = _checks.real(name, key, value)
    is_floating = jnp.issubdtype(array.dtype, jnp.floating)
    return array.astype(array.dtype if is_floating else jnp.float32)  # not weakly typed any more


def _single(name: str, key: str, value: Any) -> Array:
    array = _floating(name, key, value).astype(jnp.float32)
    if array.size != 1:
        raise ValueError(f"{name}: expected {key} to be a scalar, got shape {array.shape}.")
    return array.reshape(())


def _inverse_softplus(y: Array) -> Array:
    return y + jnp.log(-jnp.expm1(-y))  # not log(expm1(y)), which overflows
