r"""Initial weights: Keras's rules by name, and the rule that goes with an activation.

`gain` is the factor by which weights must be larger than those of LeCun so that a layer followed by
the activation keeps the second moment of its input:

.. math:: g = E[f(z)^2]^{-1/2}, \quad z \sim N(0, 1)

All initializers are functions of a key, a shape and a dtype, as those of `jax.nn.initializers` are,
and so of Flax.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import initializers as plain

from advact_jax import _checks, registry
from advact_jax._spec import Spec

__all__ = [
    "Initializer",
    "gain",
    "get",
    "initializer_for",
    "random_uniform",
    "siren",
    "variance_preserving",
]


# A function of a key, a shape and a dtype.
Initializer: TypeAlias = Callable[..., Array]


def random_uniform(minval: float = -0.05, maxval: float = 0.05) -> Initializer:
    """Return an initializer that draws uniformly between two numbers, with Keras's defaults.

    Args:
      minval: lower end.
      maxval: upper end.

    Returns:
      A function of a key, a shape and a dtype.

    Raises:
      ValueError: if the lower end is above the upper one.

    Example:
      >>> from advact_jax import initializers
      >>> w = initializers.random_uniform()(jax.random.key(0), (100,), jnp.float32)
      >>> bool(jnp.all(jnp.abs(w) <= 0.05))
      True
    """
    if not minval <= maxval:
        raise ValueError(
            f"random_uniform: expected minval to be at most maxval, got {minval} and {maxval}."
        )

    def draw(key: Array, shape: Any, dtype: Any = jnp.float32, /) -> Array:
        return jax.random.uniform(key, shape, dtype, minval, maxval)

    return draw


def siren(omega: float = 30.0, *, first: bool = False) -> Initializer:
    r"""Return the initializer of sine networks, for weights of shape (..., inputs, outputs).

    .. math::
        U(-1 / n,\ 1 / n) \text{ for the first layer, else }
        U(-\sqrt{6 / n} / \omega,\ \sqrt{6 / n} / \omega)

    with n inputs, so that what enters every sine but the first is standard normal.

    Args:
      omega: the frequency of the sine that follows, as in `advact_jax.sine`.
      first: whether the layer is the first one, which sees coordinates in [-1, 1].

    Returns:
      A function of a key, a shape and a dtype.

    Raises:
      ValueError: if omega is not positive; later, if a shape has fewer than two axes.

    Example:
      >>> from advact_jax import initializers
      >>> w = initializers.siren()(jax.random.key(0), (150, 256), jnp.float32)
      >>> bool(jnp.all(jnp.abs(w) <= 0.2 / 30))
      True

    References:
      Sitzmann et al. 2020, arXiv:2006.09661.
    """
    if not omega > 0:
        raise ValueError(f"siren: expected omega to be positive, got {omega}.")

    def draw(key: Array, shape: Any, dtype: Any = jnp.float32, /) -> Array:
        if len(shape) < 2:
            raise ValueError(f"siren: expected a shape of at least two axes, got {tuple(shape)}.")
        inputs = math.prod(shape[:-1])
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


# Keras's names, each with the name of its class; "uniform" and "normal" are its older ones.
_NAMES: dict[str, Callable[..., Any]] = {
    "zeros": lambda: plain.zeros,
    "ones": lambda: plain.ones,
    "constant": lambda value=0.0: plain.constant(value),
    "random_uniform": random_uniform,
    "random_normal": lambda stddev=0.05: plain.normal(stddev),
    "truncated_normal": lambda stddev=0.05: plain.truncated_normal(stddev),
    "lecun_uniform": plain.lecun_uniform,
    "lecun_normal": plain.lecun_normal,
    "glorot_uniform": plain.glorot_uniform,
    "glorot_normal": plain.glorot_normal,
    "he_uniform": plain.he_uniform,
    "he_normal": plain.he_normal,
    "siren": siren,
    "orthogonal": lambda gain=1.0: plain.orthogonal(gain),
    "variance_scaling": lambda scale=1.0, mode="fan_in", distribution="truncated_normal": (
        plain.variance_scaling(scale, mode, distribution)
    ),
}
_OTHER = {
    "uniform": "random_uniform",
    "normal": "random_normal",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "msra_uniform": "he_uniform",
    "msra_normal": "he_normal",
}


def get(identifier: str | Mapping[str, Any] | Initializer, **arguments: Any) -> Initializer:
    """Return an initializer by its Keras name, from a Keras config, or as it is.

    Args:
      identifier: a name such as "he_normal" or "HeNormal"; a config
        ``{"class_name": ..., "config": {...}}``; or an initializer.
      **arguments: arguments of the initializer, such as ``stddev``.

    Returns:
      A function of a key, a shape and a dtype.

    Raises:
      ValueError: if the name is unknown, with the nearest names.
      TypeError: if an argument is unknown, or the identifier is of another type.

    Example:
      >>> from advact_jax import initializers
      >>> initializers.get("constant", value=0.25)(jax.random.key(0), (2,), jnp.float32)
      Array([0.25, 0.25], dtype=float32)
    """
    if identifier is None:
        raise TypeError("expected an initializer: a name, a config or a function, got None.")
    other = {old: _NAMES[name] for old, name in _OTHER.items()}
    return _checks.named("an initializer", identifier, {**_NAMES, **other}, arguments)


def gain(
    activation: str | Callable[..., Any], *, backward: bool = False, **parameters: Any
) -> float:
    r"""Return the gain of an activation: 1 over the root of its second moment.

    .. math:: g = E[f(z)^2]^{-1/2} \quad\text{or, backward,}\quad E[f'(z)^2]^{-1/2}

    where z is standard normal. It is the square root of 2 for relu, of 2 / (1 + a²) for a leaky
    rectifier of slope a, both ways, and 1 forward for selu. For tanh it is 1.59, where the rule of
    thumb has 5/3. The integral is a Gauss quadrature on each piece between the function's kinks: a
    single Gauss-Hermite rule is as good where there is no kink or one at 0, but misses others.

    Args:
      activation: a name, a function declared with `advact_jax.activation`, or an
        `advact_jax.Activation`.
      backward: whether to keep the second moment of gradients instead of values.
      **parameters: the parameters of the activation, as Python numbers.

    Returns:
      The gain. Weights of variance ``gain**2 / fan_in`` keep the second moment.

    Raises:
      ValueError: if the moment is 0 or not finite, or a name is unknown.
      TypeError: if the activation is not elementwise, or has no declaration.

    Example:
      >>> from advact_jax import initializers
      >>> round(initializers.gain("relu"), 6)
      1.414214

    References:
      He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852.
    """
    made, spec = _elementwise("gain", activation, parameters)
    nodes, weights = _quadrature(tuple(sorted(map(float, spec.at("kinks", **made.parameters)))))
    with jax.enable_x64(True):
        z = jnp.asarray(nodes)
        y, pullback = jax.vjp(made, z)
        values = np.asarray(pullback(jnp.ones_like(y))[0] if backward else y)
    moment = float(np.sum(weights * values * values))
    if not 0 < moment < math.inf:
        raise ValueError(
            f"gain: expected an activation whose second moment is finite and not 0, got {moment} "
            f"for {made!r}."
        )
    return moment**-0.5


def _elementwise(
    label: str, activation: Any, parameters: Mapping[str, Any]
) -> tuple[registry.Activation, Spec]:
    function, spec, fixed = registry.elementwise(label, activation)
    # What is learned and has no default starts at its usual initial value.
    initial = {
        key: p.initial
        for key, p in spec.parameters.items()
        if key not in spec.defaults and p.initial is not None
    }
    return registry.Activation(function, **{**initial, **fixed, **parameters}), spec


@functools.lru_cache(maxsize=64)
def _quadrature(kinks: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the standard normal distribution, split at the kinks."""
    reach = 14.0
    ends = [-reach, *(k for k in kinks if -reach < k < reach), reach]
    x, w = np.polynomial.legendre.leggauss(200)
    nodes, weights = [], []
    for low, high in zip(ends, ends[1:], strict=False):
        half = (high - low) / 2
        nodes.append(low + half * (x + 1))
        weights.append(half * w * np.exp(-0.5 * nodes[-1] ** 2) / math.sqrt(2 * math.pi))
    return np.concatenate(nodes), np.concatenate(weights)


def variance_preserving(
    activation: str | Callable[..., Any],
    *,
    backward: bool = False,
    distribution: Literal["truncated_normal", "normal", "uniform"] = "truncated_normal",
    **parameters: Any,
) -> Initializer:
    """Return the initializer that keeps the second moment through a layer and its activation.

    Args:
      activation: a name, a declared function, or an `advact_jax.Activation`.
      backward: whether to keep the second moment of gradients, by the number of outputs, instead of
        that of values, by the number of inputs.
      distribution: "truncated_normal", "normal" or "uniform".
      **parameters: the parameters of the activation, as Python numbers.

    Returns:
      A function of a key, a shape and a dtype.

    Raises:
      ValueError: as `gain` does, or if the distribution is unknown.
      TypeError: as `gain` does.

    Example:
      >>> from advact_jax import initializers
      >>> w = initializers.variance_preserving("silu")(jax.random.key(0), (400, 400), jnp.float32)
      >>> x = jax.random.normal(jax.random.key(1), (100, 400))
      >>> bool(abs(jnp.mean(advact_jax.silu(x) ** 2) * initializers.gain("silu") ** 2 - 1) < 0.05)
      True
    """
    scale = gain(activation, backward=backward, **parameters) ** 2
    return plain.variance_scaling(scale, "fan_out" if backward else "fan_in", distribution)


def initializer_for(activation: str | Callable[..., Any], **parameters: Any) -> Initializer:
    """Return the textbook rule that goes with an activation.

    LeCun's for one that keeps the second moment by itself (selu, the identity); Glorot's for one
    that is bounded on both sides (sigmoid, tanh) or works along an axis (softmax); else He's, with
    the slopes at both ends counted in: scale 2 / (a² + b²).

    Args:
      activation: a name, a function of the library, or an `advact_jax.Activation`.
      **parameters: the parameters of the activation, as Python numbers.

    Returns:
      A function of a key, a shape and a dtype.

    Raises:
      ValueError: if a name is unknown, or the function has no slope at either end.
      TypeError: if a parameter is unknown.

    Example:
      >>> from advact_jax import initializers
      >>> w = initializers.initializer_for("prelu", alpha=0.25)(
      ...     jax.random.key(0), (1000, 50), jnp.float32
      ... )
      >>> bool(abs(jnp.var(w) * 1000 - 2 / (1 + 0.25**2)) < 0.05)
      True

    References:
      He, Zhang, Ren & Sun 2015, arXiv:1502.01852; Glorot & Bengio 2010, Understanding the
      difficulty of training deep feedforward neural networks; LeCun, Bottou, Orr & Müller 1998,
      Efficient backprop.
    """
    function, _ = registry.resolve("initializer_for", activation)
    if not isinstance(getattr(function, "spec", None), Spec):
        return plain.glorot_uniform()
    made, spec = _elementwise("initializer_for", activation, parameters)
    arguments = {**spec.defaults, **made.parameters}
    limits, slopes = spec.at("limits", **arguments), spec.at("slope_limits", **arguments)
    if limits is not None and all(math.isfinite(v) for v in limits):
        return plain.glorot_uniform()
    if abs(gain(made) - 1) < 1e-3:
        return plain.lecun_normal()
    if slopes is None or not 0 < sum(v * v for v in slopes) < math.inf:
        raise ValueError(
            "initializer_for: expected an activation with finite slopes at its ends that are not "
            f"both 0, got {made!r}. Use variance_preserving."
        )
    return plain.variance_scaling(2 / sum(v * v for v in slopes), "fan_in", "truncated_normal")
