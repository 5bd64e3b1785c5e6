"""Self-gated functions: the input times a smooth gate of the input."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _extended as extended
from advact_jax import _gaussian as gauss
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter

# -- x · sigmoid(z(x)) ---------------------------------------------------------------------------


def _silu_curvature(x: Array, beta: Any) -> Array:
    return beta * logistic.silu_curvature(num.product(beta, x))


def _silu_by_beta(x: Array, beta: Any) -> Array:
    return logistic.slope_times(x * x, num.product(beta, x))


@activation(
    parameters={
        "beta": Parameter(partial=_silu_by_beta, initial=1.0, learned=True, samples=(0.3, 1.702))
    },
    dx=lambda x, beta: logistic.silu_slope(num.product(beta, x)),
    dxx=_silu_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x, beta: x / (1 + mp.exp(-beta * x)),
    tier="stable",
    latex=r"x\,\sigma(\beta x)",
    paper="Ramachandran, Zoph & Le 2017, Searching for activation functions, arXiv:1710.05941; "
    "Elfwing, Uchibe & Doya 2018, Sigmoid-weighted linear units, arXiv:1702.03118",
    names={
        "jax": ["silu", "swish"],
        "flax": ["silu", "swish"],
        "keras": ["silu", "swish"],
        "torch": ["silu", "SiLU"],
        "huggingface": ["silu", "swish"],
        "onnx": ("Swish", {}, {"alpha": "beta"}),
    },
)  # fmt: skip
def silu(x: ArrayLike, beta: ArrayLike = 1.0) -> Array:
    r"""Sigmoid linear unit, or swish: :math:`x \, \sigma(\beta x)`.

    Args:
      x: an array of any shape.
      beta: sharpness of the gate; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.silu(jnp.array([-jnp.inf, -1.0, 0.0, 1.0]))
      Array([ 0.       , -0.269,  0.       ,  0.731], dtype=float32)
    """
    x = jnp.asarray(x)
    return logistic.times(x, num.product(beta, x))


swish = silu


@activation(
    dx=lambda x: jnp.where(x >= 3, 1, jnp.where(x <= -3, 0, (2 * x + 3) / 6)),
    dxx=lambda x: jnp.where(jnp.isnan(x), x, jnp.where(jnp.abs(x) < 3, 1 / 3, 0)),
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={-3.0: "left", 3.0: "right"},
    reference=lambda mp, x: x * min(max(x / 6 + mp.mpf(1) / 2, mp.mpf(0)), mp.mpf(1)),
    tier="stable",
    latex=r"x \min(\max(\tfrac{x}{6} + \tfrac12, 0), 1)",
    paper="Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244",
    names={
        "jax": ["hard_silu", "hard_swish"],
        "flax": ["hard_silu", "hard_swish"],
        "keras": ["hard_silu", "hard_swish"],
        "torch": ["hardswish", "Hardswish"],
        "huggingface": "hardswish",
        "onnx": "HardSwish",
    },
)  # fmt: skip
def hard_silu(x: ArrayLike) -> Array:
    r"""Hard SiLU, or hard swish: ``x`` times the hard sigmoid of ``x``.

    The derivative is 0 at -3 and 1 at 3.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.hard_silu(jnp.array([-4.0, -1.5, 0.0, 3.0]))
      Array([-0.   , -0.375,  0.   ,  3.   ], dtype=float32)
    """
    above = jnp.maximum(jnp.asarray(x), -3)
    return above * (jnp.minimum(above + 3, 6) / 6)


hard_swish = hard_silu

# -- gelu ----------------------------------------------------------------------------------------

# 2 sqrt(2 / pi) and 3 · 0.044715 times it; then it and 0.044715 times it over log 2, so that the
# exponential is a power of two. Each is a sum of two doubles.
_Pair = tuple[float, float]
_LINEAR = (1.5957691216057308, -9.96930880911092e-17)
_SLOPE = (0.21406444881780073, 1.2025242832367862e-17)
_LINEAR_BITS = (2.3022081981443248, 1.3132826040769712e-16)
_CUBIC_BITS = (0.1029432395800235, -5.978177400718744e-18)

# Below these the value is smaller than the smallest normal number.
_LEAST_SINGLE, _LEAST_DOUBLE = -10.5, -21.4


def _bounded(x: Array) -> Array:
    """Return -abs(x), cut where the gate has closed."""
    return jnp.maximum(-jnp.abs(x), num.pick(x, _LEAST_SINGLE, _LEAST_DOUBLE))


def _cubic(a: Array, linear: _Pair, cubic: _Pair) -> Array:
    """Return linear · a + cubic · a³, rounded."""
    return a * (linear[0] + cubic[0] * (a * a))


def _leading(a: Array, linear: _Pair, cubic: _Pair, root: float) -> tuple[_Pair, _Pair]:
    """Return leading digits of two constants, and what they leave out: 0 in all where a² = root."""
    unit_one, unit_three = num.pick(a, (2.0**-13, 2.0**-7), (2.0**-31, 2.0**-13))
    third = unit_three * round(cubic[0] / unit_three)
    first = unit_one * round((linear[0] + (cubic[0] - third) * root) / unit_one)
    return (first, third), (linear[0] - first + linear[1], cubic[0] - third + cubic[1])


def _cubic_parts(a: Array, linear: _Pair, cubic: _Pair, far: bool) -> tuple[Array, ...]:
    """Return parts of linear · a + cubic · a³, for a constant near 2 and one below 0.22.

    a is cut to a grid, h, coarse enough that h, h² and their products with the leading digits of
    the constants are exact; what else there is, is small. Where the function is needed ``far`` out,
    in the tail of the tanh form, it comes in two parts. The first may be above 1, but a fused
    multiply-add rounds it only where it meets what is left of the leading part.
    """
    if num.is_narrow():
        return (_cubic(a, linear, cubic),)
    root = num.pick(a, 71.5, 375.0) if far else 0.0
    (first, third), left_out = _leading(a, linear, cubic, root)
    h = num.on_grid(a, num.pick(a, 2.0**-3, 2.0**-9))
    r, square = a - h, h * h
    top = h * (first + third * square)
    if far:
        lost = a * (left_out[0] + left_out[1] * (a * a))
        bent = (third * r) * (r * (a + 2 * h))
        return top, r * (first + 3 * third * square), bent + lost
    moved = r * (linear[0] + cubic[0] * (square + a * (a + h)))
    return top, h * (left_out[0] + left_out[1] * square) + moved


def _tanh_gate(below: Array, far: bool) -> num.Power:
    """Return exp(z) at an x <= 0, where z = 2 sqrt(2/pi) (x + 0.044715 x³)."""
    near = _cubic(below, _LINEAR_BITS, _CUBIC_BITS)
    return num.Power.of(near, *_cubic_parts(below, _LINEAR_BITS, _CUBIC_BITS, far))


def _tanh_value(x: Array) -> Array:
    below = _bounded(x)
    e, other = _tanh_gate(below, far=True).fraction
    # The last product is added as it is made, so that it may be below the smallest normal number.
    return jnp.maximum(x, 0) + num.Tail(below * e.raised / (other + e.value)).value


def _rise(below: Array) -> num.Wide:
    """Return x z' at an x <= 0: a head that is exact on a grid, and the rest."""
    if num.is_narrow():
        return num.Wide(_cubic(below, _LINEAR, _SLOPE), 0.0)
    h = num.on_grid(below, num.pick(below, 2.0**-3, 2.0**-9))
    leading = 1.59375  # few digits, so that its product with h is exact
    left_out = _cubic(below, (_LINEAR[0] - leading + _LINEAR[1], 0.0), _SLOPE)
    return num.Wide(leading * h, leading * (below - h) + left_out)


def _tanh_slope(x: Array) -> Array:
    below = _bounded(x)  # The slope at -x is 1 - the slope at x.
    gate, rise = _tanh_gate(below, far=False).split, _rise(below)
    # Sums are ordered so that what cancels at the zero of the slope is exact.
    whole, rest = gate.parts
    falling = ((1 + rise.head) + whole) + (rise.tail + rest)
    product = gate.times(falling).value
    slope = num.used_often(product / num.one_plus_squared(whole + rest))
    return jnp.where(x >= 0, 1 - slope, slope)


def _gelu_slope(x: Array, approximate: bool) -> Array:
    if approximate:
        return _tanh_slope(x)
    return gauss.gelu_slope(x)


def _tanh_curvature(x: Array) -> Array:
    """Return the second derivative, which is even, from x z' and its like multiplied out."""
    below = _bounded(x)
    a, square = -below, below * below
    gate = _tanh_gate(below, far=False).split
    e = gate.tail.value
    linear, cubic = _LINEAR[0], _SLOPE[0]
    twice = 2 * linear + 4 * cubic * square
    bent = num.polynomial(
        a, (2 * linear, -linear * linear, 4 * cubic, -2 * linear * cubic, 0.0, -cubic * cubic)
    )
    above = bent + e * (2 * twice - bent)
    plain = gate.times(above / ((1 + e) * num.one_plus_squared(e))).value
    return num.near_root(a, fits.GELU_TANH_CURVATURE, plain)


def _gelu_curvature(x: Array, approximate: bool) -> Array:
    return _tanh_curvature(x) if approximate else gauss.gelu_curvature(x)


def _gelu_reference(mp: Any, x: Any, approximate: bool) -> Any:
    if approximate:
        inner = mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3)
        return x / (1 + mp.exp(-inner))
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


@activation(
    flags={"approximate": (True, False)},
    dx=_gelu_slope,
    dxx=_gelu_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=_gelu_reference,
    tier="stable",
    latex=r"x\,\Phi(x) \approx x\,\sigma\!\left(\sqrt{8/\pi}\,(x + 0.044715\,x^3)\right)",
    paper="Hendrycks & Gimpel 2016, Gaussian error linear units, arXiv:1606.08415",
    names={
        "jax": "gelu",
        "flax": "gelu",
        "keras": ("gelu", {"approximate": False}),
        "torch": (("gelu", "GELU"), {"approximate": False}, {}, {"none": False, "tanh": True}),
        "huggingface": [
            (("gelu", "gelu_python"), {"approximate": False}),
            (("gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate", "gelu_fast"),),
        ],
        "onnx": ("Gelu", {"approximate": False}, {}, {"none": False, "tanh": True}),
    },
)  # fmt: skip
def gelu(x: ArrayLike, approximate: bool = True) -> Array:
    r"""Gaussian error linear unit: :math:`x \, \Phi(x)`, or its tanh approximation.

    As in jax.nn the approximation is the default; Keras, torch, Hugging Face and ONNX default to
    the exact form. The two differ by at most 4.7e-4.

    Args:
      x: an array of any shape.
      approximate: whether to use the tanh form.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.gelu(jnp.array([-1.0, 0.0, 1.0]), approximate=False)
      Array([-0.158,  0.        ,  0.841 ], dtype=float32)
    """
    x = jnp.asarray(x)
    if approximate:
        return _tanh_value(x)
    return gauss.gelu_value(x)


# -- mish ----------------------------------------------------------------------------------------
# With E = exp(x): tanh(softplus(x)) = (E² + 2E) / (E² + 2E + 2). For x > 0 all is divided by powers
# of E, so that only exp(-abs(x)) is needed.


def _mish_value(x: Array) -> Array:
    e = num.decay_split(x)
    v, right = e.tail.value, x > 0
    above = jnp.where(right, 1 + 2 * v, v + 2)
    below = jnp.where(right, 1 + 2 * v + 2 * v * v, v * (v + 2) + 2)
    share = jnp.maximum(x, num.pick(x, -104.0, -745.0)) * (above / below)  # Beyond, v is 0.
    return jnp.where(right, share, e.times(share).value)


def _mish_slope(x: Array) -> Array:
    """Return the slope from one quotient, which XLA on CPU then leaves in its place.

    The square below it is multiplied out: it is rounded less.
    """
    e = num.decay(x)
    v, right = e.value, x > 0
    rise = 4 * extended.limited(x, 1e3)  # Beyond, v is 0.
    one, two = 4 + rise, 6 + rise
    above = jnp.where(right, 1 + v * (4 + v * (two + v * one)), one + v * (two + v * (4 + v)))
    below = jnp.where(
        right, 1 + v * (4 + v * (8 + v * (8 + 4 * v))), 4 + v * (8 + v * (8 + v * (4 + v)))
    )
    share = num.used_often(above / below)
    plain = jnp.where(right, share, e.times_bounded(share))
    return num.near_root(x, fits.MISH_SLOPE, plain)


def _mish_curvature(x: Array) -> Array:
    right, v = x > 0, num.decay(x).value
    x = jnp.clip(x, -1e4, 1e4)
    below = jnp.where(right, 1 + 2 * v + 2 * v * v, v * (v + 2) + 2)
    above = jnp.where(
        right,
        2 * (1 - x) + v * (6 - 3 * x + v * (8 + 2 * x + v * (4 + 2 * x))),
        2 * (2 + x) + v * (8 + 2 * x + v * (6 - 3 * x + v * (2 - 2 * x))),
    )
    scale = num.decay(jnp.where(right, 2 * x, x))
    plain = scale.times(4 * above / (below * below * below))
    left = num.near_root(x, fits.MISH_CURVATURE_LEFT, plain)
    return num.near_root(x, fits.MISH_CURVATURE_RIGHT, left)


@activation(
    dx=_mish_slope,
    dxx=_mish_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x: x * mp.tanh(mp.log1p(mp.exp(x))),
    tier="stable",
    latex=r"x \tanh(\log(1 + e^x))",
    paper="Misra 2019, Mish: a self regularized non-monotonic activation function, "
    "arXiv:1908.08681",
    names={
        "jax": "mish",
        "keras": "mish",
        "torch": ["mish", "Mish"],
        "huggingface": "mish",
        "onnx": "Mish",
    },
)  # fmt: skip
def mish(x: ArrayLike) -> Array:
    r"""Mish: :math:`x \tanh(\log(1 + e^x))`.

    Computed from one exponential, without the logarithm and the tanh.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.mish(jnp.array([-1.0, 0.0, 1.0]))
      Array([-0.303,  0.        ,  0.865 ], dtype=float32)
    """
    return _mish_value(jnp.asarray(x))
