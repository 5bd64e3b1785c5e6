"""Sigmoids: bounded, increasing functions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _extended as extended
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


@activation(
    dx=logistic.quick_slope,
    dxx=lambda x: logistic.curvature_times(1.0, x),
    lean_dx=lambda y: y * (1 - y),
    limits=(0.0, 1.0),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x: mp.exp(x) / (mp.exp(x) + 1) if x < 0 else 1 / (1 + mp.exp(-x)),
    tier="stable",
    paper="Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
    latex=r"\frac{1}{1 + e^{-x}}",
    names={
        "jax": "sigmoid",
        "flax": "sigmoid",
        "keras": "sigmoid",
        "torch": ["sigmoid", "Sigmoid"],
        "huggingface": "sigmoid",
        "onnx": "Sigmoid",
    },
)  # fmt: skip
def sigmoid(x: ArrayLike) -> Array:
    r"""Logistic sigmoid: :math:`1 / (1 + e^{-x})`.

    The derivative is computed from :math:`e^{-|x|}`, so that it stays right where the value has
    rounded to 1, in 16 bits too.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sigmoid(jnp.array([-1.0, 0.0, 1.0]))
      Array([0.269, 0.5      , 0.731], dtype=float32)
    """
    return logistic.times(1.0, jnp.asarray(x))


@activation(
    dx=logistic.tanh_slope,
    dxx=lambda x: logistic.curvature_times(8.0, 2 * x),
    lean_dx=lambda y: (1 - y) * (1 + y),
    limits=(-1.0, 1.0),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x: mp.sinh(x) / mp.cosh(x),
    tier="stable",
    paper="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp",
    latex=r"\tanh x",
    names={
        "jax": "tanh",
        "flax": "tanh",
        "keras": "tanh",
        "torch": ["tanh", "Tanh"],
        "huggingface": "tanh",
        "onnx": "Tanh",
    },
)  # fmt: skip
def tanh(x: ArrayLike) -> Array:
    r"""Hyperbolic tangent.

    The derivative :math:`4 e^{-2|x|} / (1 + e^{-2|x|})^2` does not cancel, as
    :math:`1 - \tanh^2 x` does.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.tanh(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.761,  0.        ,  0.761], dtype=float32)
    """
    return num.tanh(jnp.asarray(x))


def _scaled_tanh(x: Array, alpha: Any, beta: Any) -> Array:
    z = beta * x
    # beta · x may be too small to be a normal number where the result is not.
    return jnp.where(jnp.abs(z) < 2.0**-30, (alpha * beta) * x, alpha * num.tanh(z))


def _scaled_argument(x: Array, beta: Any) -> num.Wide:
    """Return 2 · beta · x, where a number such as 2/3 is the fraction that it stands for."""
    if isinstance(beta, int | float):
        short = Fraction(beta).limit_denominator(10_000)
        lost = float(short - Fraction(beta)) if float(short) == beta else 0.0
        beta = extended.constant(float(beta), lost, x)
    return extended.scaled(beta, 2 * x)


def _scaled_tanh_by_beta(x: Array, alpha: Any, beta: Any) -> Array:
    return logistic.slope_times(4 * alpha * x, _scaled_argument(x, beta))


@activation(
    parameters={
        "alpha": Parameter(partial=lambda x, alpha, beta: num.tanh(beta * x), samples=(1.0,)),
        "beta": Parameter(partial=_scaled_tanh_by_beta, samples=(1.5,)),
    },
    dx=lambda x, alpha, beta: logistic.slope_times(
        4 * alpha * beta + 0 * jnp.clip(x, -1, 1), _scaled_argument(x, beta)
    ),
    dxx=lambda x, alpha, beta: logistic.curvature_times(
        8 * alpha * beta * beta, _scaled_argument(x, beta)
    ),
    limits=lambda alpha, beta: (-alpha * math.copysign(1, beta), alpha * math.copysign(1, beta)),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x, alpha, beta: alpha * mp.sinh(beta * x) / mp.cosh(beta * x),
    tier="stable",
    latex=r"\alpha \tanh(\beta x)",
    paper="LeCun, Bottou, Orr & Müller 1998, Efficient backprop",
    names={"onnx": "ScaledTanh"},
)
def scaled_tanh(x: ArrayLike, alpha: ArrayLike = 1.7159, beta: ArrayLike = 2 / 3) -> Array:
    r"""Scaled hyperbolic tangent: :math:`\alpha \tanh(\beta x)`.

    The defaults are LeCun's, with which the value at 1 is 1. ONNX has this function as an
    activation of its recurrent operators, without a default.

    Args:
      x: an array of any shape.
      alpha: scale of the output; broadcasts against ``x``.
      beta: scale of the input; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.scaled_tanh(jnp.array([-1.0, 0.0, 1.0]))
      Array([-1.000,  0.       ,  1.000], dtype=float32)
    """
    return _scaled_tanh(jnp.asarray(x), alpha, beta)


def _ratio(a: Any, slope: Any, x: Array) -> num.Wide:
    """Return a / slope as a `Wide`: where the line meets a, without the error of a division."""
    if isinstance(a, int | float) and isinstance(slope, int | float):
        return num.Wide.of(a / slope, x)
    if isinstance(slope, int | float):
        return num.product(1 / slope, a)
    return num.quotient(jnp.asarray(a, x.dtype), slope)


def _above_zero(x: Array, slope: Any, offset: Any) -> Array:
    """Return x + offset / slope, the distance from the point where the line is 0."""
    zero = _ratio(offset, slope, x)
    return (x + zero.head) + zero.tail


def _ends(x: Array, slope: Any, offset: Any) -> tuple[float, float] | None:
    """Return where the line is 0 and 1 if these are known to be short numbers, such as -3 and 3."""
    if num.is_double(x) or not all(isinstance(v, int | float) for v in (slope, offset)):
        return None
    ends = (-offset / slope, (1 - offset) / slope)
    short = all((1024 * end).is_integer() and abs(end) < 1024 for end in ends)
    return ends if short else None


def _hard_sigmoid_bounds(x: Array, slope: Any, offset: Any) -> tuple[Array, Array]:
    """Return where the line is above 0, and where it is below 1."""
    ends = _ends(x, slope, offset)
    if ends is not None:
        return x > ends[0], x < ends[1]
    x = jnp.clip(x, -1e30, 1e30)
    from_zero = num.Wide.of(x, x) + _ratio(offset, slope, x)
    return from_zero.value > 0, (from_zero - _ratio(1.0, slope, x)).value < 0


def _is_on_line(x: Array, slope: Any, offset: Any) -> Array:
    above, below = _hard_sigmoid_bounds(x, slope, offset)
    return above & below


@activation(
    parameters={
        "slope": Parameter(
            partial=lambda x, slope, offset: jnp.where(
                _is_on_line(x, slope, offset) | jnp.isnan(x), x, 0
            ),
            domain="positive",
            samples=(0.25,),
        ),
        "offset": Parameter(
            partial=lambda x, slope, offset: jnp.where(
                jnp.isnan(x), x, _is_on_line(x, slope, offset)
            ),
            samples=(0.25,),
        ),
    },
    region=_is_on_line,
    slope=lambda piece, slope, offset: num.choose(piece == 1, slope, 0.0),
    limits=(0.0, 1.0),
    slope_limits=(0.0, 0.0),
    kinks=lambda slope, offset: {-offset / slope: "left", (1 - offset) / slope: "right"},
    reference=lambda mp, x, slope, offset: min(max(slope * x + offset, mp.mpf(0)), mp.mpf(1)),
    tier="stable",
    latex=r"\min(\max(s x + o, 0), 1)",
    paper="Courbariaux, Bengio & David 2015, BinaryConnect, arXiv:1511.00363",
    names={
        "jax": "hard_sigmoid",
        "flax": "hard_sigmoid",
        "keras": "hard_sigmoid",
        "torch": ["hardsigmoid", "Hardsigmoid"],
        "onnx": (
            "HardSigmoid", {"slope": 0.2, "offset": 0.5}, {"alpha": "slope", "beta": "offset"},
        ),
    },
)  # fmt: skip
def hard_sigmoid(x: ArrayLike, *, slope: ArrayLike = 1 / 6, offset: ArrayLike = 0.5) -> Array:
    r"""Hard sigmoid: ``slope * x + offset``, cut at 0 and 1.

    The derivative at both kinks is 0. The default slope of 1/6 is that of JAX, Keras 3 and torch;
    ONNX and older Keras have 0.2.

    Args:
      x: an array of any shape.
      slope: slope of the middle part, positive; broadcasts against ``x``.
      offset: value at 0; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_sigmoid(jnp.array([-4.0, 0.0, 1.5]))
      Array([0.  , 0.5 , 0.75], dtype=float32)
    """
    x = jnp.asarray(x)
    ends = _ends(x, slope, offset)
    if ends is not None:
        return jnp.clip((x - ends[0]) * slope, 0, 1)
    above, below = _hard_sigmoid_bounds(x, slope, offset)
    line = _above_zero(x, slope, offset) * slope
    return jnp.where((above & below) | jnp.isnan(x), line, jnp.where(above, 1, 0))


@activation(
    region=lambda x: jnp.abs(x) < 1,
    slope=lambda piece: 0.5 * piece.astype(jnp.float32),
    limits=(0.0, 1.0),
    slope_limits=(0.0, 0.0),
    kinks={-1.0: "left", 1.0: "right"},
    reference=lambda mp, x: min(max((x + 1) / 2, mp.mpf(0)), mp.mpf(1)),
    tier="stable",
    paper="JAX, jax.nn.sparse_sigmoid",
    latex=r"\min(\max(\tfrac12 (x + 1), 0), 1)",
    names={"jax": "sparse_sigmoid", "keras": "sparse_sigmoid"},
)
def sparse_sigmoid(x: ArrayLike) -> Array:
    r"""Sparse sigmoid: the derivative of `sparse_plus`, :math:`(x + 1) / 2` cut at 0 and 1.

    The derivative at both kinks is 0 (jax.nn has half of it, 0.25).

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sparse_sigmoid(jnp.array([-2.0, 0.0, 3.0]))
      Array([0. , 0.5, 1. ], dtype=float32)
    """
    return 0.5 * (jnp.clip(jnp.asarray(x), -1, 1) + 1)


@activation(
    parameters={
        "min_value": Parameter(
            partial=lambda x, min_value, max_value: jnp.where(
                jnp.isnan(x), x, (x < min_value) & (x <= max_value)
            ),
            samples=(-2.0,),
        ),
        "max_value": Parameter(
            partial=lambda x, min_value, max_value: jnp.where(jnp.isnan(x), x, x > max_value),
            samples=(3.0,),
        ),
    },
    region=lambda x, min_value, max_value: (x >= min_value) & (x <= max_value),
    slope=lambda piece, min_value, max_value: piece == 1,
    limits=lambda min_value, max_value: (min_value, max_value),
    slope_limits=(0.0, 0.0),
    kinks=lambda min_value, max_value: {min_value: "right", max_value: "left"},
    reference=lambda mp, x, min_value, max_value: (
        mp.mpf(min_value) if x < min_value else mp.mpf(max_value) if x > max_value else +x
    ),
    tier="stable",
    latex=r"\min(\max(x, a), b)",
    paper="Collobert 2004, Large scale machine learning",
    names={
        "jax": "hard_tanh",
        "flax": "hard_tanh",
        "keras": "hard_tanh",
        "torch": (("hardtanh", "Hardtanh"), {}, {"min_val": "min_value", "max_val": "max_value"}),
    },
    keeps_integers=True,
)  # fmt: skip
def hard_tanh(x: ArrayLike, min_value: ArrayLike = -1.0, max_value: ArrayLike = 1.0) -> Array:
    r"""Hard tanh: ``x`` cut at ``min_value`` and ``max_value``.

    The derivative at both kinks is 1, as in jax.nn.

    Args:
      x: an array of any shape.
      min_value: lower bound; broadcasts against ``x``.
      max_value: upper bound; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_tanh(jnp.array([-2.0, 0.5, 3.0]))
      Array([-1. ,  0.5,  1. ], dtype=float32)
    """
    x = jnp.asarray(x)
    dtype = x.dtype
    low, high = jnp.asarray(min_value, dtype), jnp.asarray(max_value, dtype)
    return jnp.where(x > high, high, jnp.where(x < low, low, x))


@activation(
    dx=lambda x: (1 / (1 + jnp.abs(x))) ** 2,
    dxx=lambda x: jnp.where(x >= 0, -2, 2) * (1 / (1 + jnp.abs(x))) ** 3,
    lean_dx=lambda y: (1 - jnp.abs(y)) ** 2,
    limits=(-1.0, 1.0),
    slope_limits=(0.0, 0.0),
    kinks={0.0: "right"},
    reference=lambda mp, x: x / (1 + x) if x >= 0 else x / (1 - x),
    tier="stable",
    latex=r"\frac{x}{1 + |x|}",
    paper="Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward "
    "networks",
    names={
        "jax": "soft_sign",
        "flax": "soft_sign",
        "keras": "softsign",
        "torch": ["softsign", "Softsign"],
        "onnx": "Softsign",
    },
)  # fmt: skip
def soft_sign(x: ArrayLike) -> Array:
    r"""Soft sign: :math:`x / (1 + |x|)`.

    Its second derivative jumps at 0, where it is -2.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.soft_sign(jnp.array([-1.0, 0.0, 3.0]))
      Array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    x = jnp.asarray(x)
    most = np.asarray(jnp.finfo(x.dtype).max / 2, x.dtype)
    bounded = jnp.clip(x, -most, most)
    return bounded / (1 + jnp.abs(bounded))


softsign = soft_sign
