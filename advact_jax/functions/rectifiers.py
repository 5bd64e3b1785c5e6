"""Rectifiers: piecewise linear functions that let positive input through."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


def _relu_region(x: Array, negative_slope: Any, max_value: Any, threshold: Any) -> Array:
    above = x > threshold
    if max_value is None:
        return above
    return jnp.where(above, jnp.where(x >= max_value, 2, 1), 0)


def _relu_slope(piece: Array, negative_slope: Any, max_value: Any, threshold: Any) -> Array:
    return num.choose(piece == 0, negative_slope, num.choose(piece == 1, 1.0, 0.0))


def _relu_kinks(negative_slope: Any, max_value: Any, threshold: Any) -> dict[Any, str]:
    kinks = {threshold: "left"}
    return kinks if max_value is None else {**kinks, max_value: "right"}


def _relu_reference(mp: Any, x: Any, negative_slope: Any, max_value: Any, threshold: Any) -> Any:
    if x <= threshold:
        return negative_slope * (x - threshold)
    return +x if max_value is None else min(x, mp.mpf(max_value))


@activation(
    parameters={
        "negative_slope": Parameter(
            partial=lambda x, negative_slope, max_value, threshold: jnp.where(
                x > threshold, 0, x - threshold
            ),
            domain="nonnegative",
            samples=(0.1,),
        ),
        "max_value": Parameter(
            partial=lambda x, negative_slope, max_value, threshold: jnp.where(
                jnp.isnan(x), x, jnp.where((x > threshold) & (x >= max_value), 1, 0)
            ),
            domain="nonnegative",
            samples=(6.0,),
        ),
        "threshold": Parameter(
            partial=lambda x, negative_slope, max_value, threshold: jnp.where(
                x > threshold, 0, jnp.where(jnp.isnan(x), x, -negative_slope)
            ),
            domain="nonnegative",
            samples=(0.5,),
        ),
    },
    region=_relu_region,
    slope=_relu_slope,
    output_tells_region=lambda negative_slope, max_value, threshold: (
        negative_slope == 0 and threshold >= 0 and (max_value is None or max_value > threshold)
    ),
    limits=lambda negative_slope, max_value, threshold: (
        -math.inf if negative_slope > 0 else 0.0,
        math.inf if max_value is None else max_value,
    ),
    slope_limits=lambda negative_slope, max_value, threshold: (
        negative_slope, 1.0 if max_value is None else 0.0,
    ),
    kinks=_relu_kinks,
    reference=_relu_reference,
    tier="stable",
    latex=r"\begin{cases} \min(x, m) & x > \theta \\ s\,(x - \theta) & x \le \theta \end{cases}",
    paper="Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
    names={
        "jax": "relu",
        "flax": "relu",
        "keras": ["relu", "ReLU"],
        "torch": ["relu", "ReLU"],
        "huggingface": "relu",
        "onnx": "Relu",
    },
    keeps_integers=True,
)  # fmt: skip
def relu(
    x: ArrayLike,
    *,
    negative_slope: ArrayLike = 0.0,
    max_value: ArrayLike | None = None,
    threshold: ArrayLike = 0.0,
) -> Array:
    r"""Rectified linear unit: :math:`\max(x, 0)`, with Keras's three extensions.

    Above ``threshold`` the value is ``min(x, max_value)``; at it and below
    ``negative_slope * (x - threshold)``. The comparison is strict, as in Keras 3, so that
    relu'(0) = 0; at ``max_value`` the derivative is 0.

    Args:
      x: an array of any shape.
      negative_slope: slope below the threshold; broadcasts against ``x``.
      max_value: largest value, or None for no bound.
      threshold: where the linear part starts.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.relu(jnp.array([-2.0, 0.0, 3.0, 9.0]), max_value=6.0)
      Array([0., 0., 3., 6.], dtype=float32)
    """
    x = jnp.asarray(x)
    plain = isinstance(negative_slope, float) and negative_slope == 0
    if plain and max_value is None and isinstance(threshold, float) and threshold == 0:
        return jnp.maximum(x, 0)
    above = x if max_value is None else jnp.minimum(x, max_value)
    return jnp.where(x > threshold, above, num.flat_where_zero(negative_slope, x - threshold))


@activation(
    region=lambda x: (x > 0) & (x < 6),
    slope=lambda piece: piece,
    output_tells_region=lambda: True,
    limits=(0.0, 6.0),
    slope_limits=(0.0, 0.0),
    kinks={0.0: "left", 6.0: "right"},
    reference=lambda mp, x: min(max(x, mp.mpf(0)), mp.mpf(6)),
    tier="stable",
    latex=r"\min(\max(x, 0), 6)",
    paper="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",
    names={
        "jax": "relu6",
        "flax": "relu6",
        "keras": "relu6",
        "torch": ["relu6", "ReLU6"],
        "huggingface": "relu6",
    },
    keeps_integers=True,
)  # fmt: skip
def relu6(x: ArrayLike) -> Array:
    r"""Rectified linear unit that is cut at 6: :math:`\min(\max(x, 0), 6)`.

    The derivative is 0 at both kinks.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.relu6(jnp.array([-2.0, 3.0, 9.0]))
      Array([0., 3., 6.], dtype=float32)
    """
    return jnp.minimum(jnp.maximum(x, 0), 6)


def _leaky(x: Any, slope: Any) -> Array:
    # Zero is +0 whatever its sign, so that the sign of the output tells the piece.
    return jnp.where(x == 0, 0, jnp.where(x > 0, x, num.flat_where_zero(slope, x)))


@activation(
    parameters={
        "negative_slope": Parameter(
            partial=lambda x, negative_slope: jnp.where(x >= 0, 0, x),
            domain="nonnegative",
            initial=0.01,
            learned=True,
            samples=(0.3, 1.5),
        )
    },
    region=lambda x, negative_slope: x >= 0,
    slope=lambda piece, negative_slope: num.choose(piece == 1, 1.0, negative_slope),
    region_from_output=lambda y, negative_slope: ~jnp.signbit(y),
    output_tells_region=lambda negative_slope: negative_slope > 0,
    limits=(-math.inf, math.inf),
    slope_limits=lambda negative_slope: (negative_slope, 1.0),
    kinks={0.0: "right"},
    reference=lambda mp, x, negative_slope: +x if x >= 0 else negative_slope * x,
    tier="stable",
    latex=r"\begin{cases} x & x \ge 0 \\ s\,x & x < 0 \end{cases}",
    paper="Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
    names={
        "jax": "leaky_relu",
        "flax": "leaky_relu",
        "keras": [
            ("leaky_relu", {"negative_slope": 0.2}),
            ("LeakyReLU", {"negative_slope": 0.3}),
        ],
        "torch": ["leaky_relu", "LeakyReLU"],
        "huggingface": "leaky_relu",
        "onnx": ("LeakyRelu", {}, {"alpha": "negative_slope"}),
    },
)  # fmt: skip
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Array:
    r"""Leaky rectified linear unit: ``x`` from zero on, ``negative_slope * x`` below.

    The derivative at 0 is 1, as in jax.nn. Keras's default slope is 0.2 for the function and 0.3
    for the layer.

    Args:
      x: an array of any shape.
      negative_slope: slope for negative input; broadcasts against ``x``. Left at its default, the
        backward pass keeps the output alone; given, one byte per element more.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.leaky_relu(jnp.array([-2.0, 3.0]), 0.1)
      Array([-0.2,  3. ], dtype=float32)
    """
    return _leaky(x, negative_slope)


@activation(
    parameters={
        "alpha": Parameter(
            partial=lambda x, alpha: jnp.where(x >= 0, 0, x),
            initial=0.25,
            initial_in={"keras": 0.0, "flax": 0.01},
            learned=True,
            samples=(0.25, -0.5),
        )
    },
    region=lambda x, alpha: x >= 0,
    slope=lambda piece, alpha: num.choose(piece == 1, 1.0, alpha),
    limits=lambda alpha: (-math.copysign(math.inf, alpha), math.inf),
    slope_limits=lambda alpha: (alpha, 1.0),
    kinks={0.0: "right"},
    reference=lambda mp, x, alpha: +x if x >= 0 else alpha * x,
    tier="stable",
    latex=r"\begin{cases} x & x \ge 0 \\ \alpha x & x < 0 \end{cases}",
    paper="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852",
    names={
        "flax": "PReLU",
        "keras": "PReLU",
        "torch": [("prelu", {}, {"weight": "alpha"}), "PReLU"],
        "huggingface": "prelu",
        "onnx": ("PRelu", {}, {"slope": "alpha"}),
    },
)  # fmt: skip
def prelu(x: ArrayLike, alpha: ArrayLike) -> Array:
    r"""Parametric rectified linear unit: ``x`` from zero on, ``alpha * x`` below, alpha learned.

    The derivative by ``x`` at 0 is 1, by ``alpha`` 0. The slope may be negative.

    Args:
      x: an array of any shape.
      alpha: slope for negative input; broadcasts against the trailing axes of ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.prelu(jnp.array([[-2.0, -2.0]]), jnp.array([0.25, 0.5]))
      Array([[-0.5, -1. ]], dtype=float32)
    """
    return _leaky(x, alpha)


@activation(
    parameters={"theta": Parameter(domain="nonnegative", differentiable=False, samples=(0.3,))},
    region=lambda x, theta: x > theta,
    slope=lambda piece, theta: piece,
    output_tells_region=lambda theta: theta >= 0,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks=lambda theta: {theta: "left"},
    reference=lambda mp, x, theta: +x if x > theta else mp.mpf(0),
    tier="stable",
    latex=r"\begin{cases} x & x > \theta \\ 0 & x \le \theta \end{cases}",
    paper=(
        "Konda, Memisevic & Krueger 2015, Zero-bias autoencoders and the benefits of co-adapting "
        "features, arXiv:1402.3337"
    ),
    names={
        "keras": "ThresholdedReLU",
        "onnx": ("ThresholdedRelu", {}, {"alpha": "theta"}),
    },
)
def thresholded_relu(x: ArrayLike, theta: ArrayLike = 1.0) -> Array:
    r"""Thresholded rectified linear unit: ``x`` above ``theta``, else 0.

    The function jumps at ``theta``; its derivative by ``theta`` is taken as 0.

    Args:
      x: an array of any shape.
      theta: threshold, not negative; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.thresholded_relu(jnp.array([0.5, 1.0, 2.0]))
      Array([0., 0., 2.], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.where(x <= theta, 0, x)


@activation(
    parameters={
        "threshold": Parameter(differentiable=False, samples=(0.5,)),
        "value": Parameter(
            partial=lambda x, threshold, value: jnp.where(
                x <= threshold, 1, jnp.where(jnp.isnan(x), x, 0)
            ),
            samples=(-2.0,),
        ),
    },
    region=lambda x, threshold, value: x > threshold,
    slope=lambda piece, threshold, value: piece,
    limits=lambda threshold, value: (value, math.inf),
    slope_limits=(0.0, 1.0),
    kinks=lambda threshold, value: {threshold: "left"},
    reference=lambda mp, x, threshold, value: +x if x > threshold else mp.mpf(value),
    tier="stable",
    paper="PyTorch, torch.nn.Threshold",
    latex=r"\begin{cases} x & x > t \\ v & x \le t \end{cases}",
    names={
        "keras": ("threshold", {}, {"default_value": "value"}),
        "torch": ["threshold", "Threshold"],
    },
)
def threshold(x: ArrayLike, threshold: ArrayLike, value: ArrayLike) -> Array:
    r"""Threshold: ``x`` above ``threshold``, else ``value``, as in torch.

    The derivative by ``threshold`` is taken as 0.

    Args:
      x: an array of any shape.
      threshold: where the linear part starts.
      value: what stands at the threshold and below.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.threshold(jnp.array([0.5, 2.0]), 1.0, -1.0)
      Array([-1.,  2.], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.where(x <= threshold, jnp.asarray(value, x.dtype), x)
