"""Softplus and the other smooth rectifiers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _coefficients as fits
from advact_jax import _logistic as logistic
from advact_jax import _numerics as num
from advact_jax._declare import activation
from advact_jax._spec import Parameter


def _softplus_by_beta(x: Array, beta: Any) -> Array:
    z = num.product(beta, x)
    e = num.decay(z)
    # Both terms share the factor e, so that they are added before they are small.
    return -e.times((jnp.abs(x) / (1 + e.value) + num.log1p_share(e.value) / beta) / beta)


@jax.custom_jvp
def _risen(z: Array) -> Array:
    """Return 1 - exp(-abs(z)), whose own derivative keeps its digits where it is nearly 0."""
    return num.one_minus_decay(z)


_risen.defjvps(lambda t, _, z: t * num.with_sign_of(z, num.decay(z).value))


_DUGAS = (
    "Dugas, Bengio, Bélisle, Nadeau & Garcia 2001, Incorporating second-order functional knowledge "
    "for better option pricing"
)


@activation(
    parameters={
        "beta": Parameter(
            partial=_softplus_by_beta,
            domain="positive",
            initial=1.0,
            learned=True,
            samples=(0.3, 5.0),
        )
    },
    dx=lambda x, beta: logistic.times(1.0, num.product(beta, x)),
    dxx=lambda x, beta: logistic.slope_times(beta, num.product(beta, x)),
    dx_from_output=lambda y, beta: _risen(beta * y),
    output_tells_slope=lambda beta: beta <= 1,  # Beyond, the output underflows before the slope.
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    reference=lambda mp, x, beta: mp.log1p(mp.exp(beta * x)) / beta,
    tier="stable",
    latex=r"\tfrac{1}{\beta} \log(1 + e^{\beta x})",
    paper=_DUGAS,
    names={
        "jax": "softplus",
        "flax": "softplus",
        "keras": "softplus",
        "torch": (("softplus", "Softplus"), {}, {"threshold": None}),
        "onnx": "Softplus",
    },
)  # fmt: skip
def softplus(x: ArrayLike, beta: ArrayLike = 1.0) -> Array:
    r"""Softplus: :math:`\log(1 + e^{\beta x}) / \beta`, a smooth rectifier.

    Torch's ``threshold`` is not needed: the value is right for every input.

    Args:
      x: an array of any shape.
      beta: sharpness, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.softplus(jnp.array([-1.0, 0.0, 100.0]))
      Array([  0.313,   0.693, 100.       ], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.maximum(x, 0) + logistic.softplus_tail(1 / beta, num.product(beta, x))


def _parametric_by_beta(x: Array, alpha: Any, beta: Any) -> Array:
    return logistic.times(alpha * x, num.product(beta, x))


def _parametric_by_alpha(x: Array, alpha: Any, beta: Any) -> Array:
    return beta * jnp.maximum(x, 0) + logistic.softplus_tail(1.0, num.product(beta, x))


@activation(
    parameters={
        "alpha": Parameter(
            partial=_parametric_by_alpha, initial=0.2, learned=True, samples=(0.7,)
        ),
        "beta": Parameter(
            partial=_parametric_by_beta, domain="positive", initial=5.0, learned=True,
            samples=(1.5,),
        ),
    },
    dx=lambda x, alpha, beta: logistic.times(alpha * beta, num.product(beta, x)),
    dxx=lambda x, alpha, beta: logistic.slope_times(
        alpha * beta * beta, num.product(beta, x)
    ),
    limits=lambda alpha, beta: (0.0, math.copysign(math.inf, alpha)),
    slope_limits=lambda alpha, beta: (0.0, alpha * beta),
    reference=lambda mp, x, alpha, beta: alpha * mp.log1p(mp.exp(beta * x)),
    tier="stable",
    latex=r"\alpha \log(1 + e^{\beta x})",
    paper="Keras 0.x, keras.layers.advanced_activations.ParametricSoftplus; McFarland, Cui & "
    "Butts 2013, Inferring nonlinear neuronal computation based on physiologically plausible "
    "inputs",
    names={"keras": "ParametricSoftplus"},
)  # fmt: skip
def parametric_softplus(x: ArrayLike, alpha: ArrayLike = 0.2, beta: ArrayLike = 5.0) -> Array:
    r"""Parametric softplus: :math:`\alpha \log(1 + e^{\beta x})`, alpha and beta learned.

    Keras's old documentation printed the formula without the logarithm and beta as 0.5. The
    logarithm belongs there, and beta is 5: only then is the slope for large input
    :math:`\alpha \beta = 1`, nearer to the rectifier's than softplus is.

    Args:
      x: an array of any shape.
      alpha: scale; broadcasts against ``x``.
      beta: sharpness, positive; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.parametric_softplus(jnp.array([0.0, 0.25, 2.0]))
      Array([0.138, 0.300, 2.000  ], dtype=float32)
    """
    x = jnp.asarray(x)
    line = jnp.maximum(x, 0) * (alpha * beta)
    return line + logistic.softplus_tail(alpha, num.product(beta, x))


@activation(
    dx=lambda x: logistic.times(1.0, -x),
    dxx=lambda x: logistic.slope_times(-1.0, x),
    dx_from_output=_risen,
    limits=(-math.inf, 0.0),
    slope_limits=(1.0, 0.0),
    reference=lambda mp, x: -mp.log1p(mp.exp(-x)),
    tier="stable",
    paper="PyTorch, torch.nn.LogSigmoid",
    latex=r"\log \sigma(x)",
    names={
        "jax": "log_sigmoid",
        "flax": "log_sigmoid",
        "keras": "log_sigmoid",
        "torch": ["logsigmoid", "LogSigmoid"],
    },
)  # fmt: skip
def log_sigmoid(x: ArrayLike) -> Array:
    r"""Logarithm of the sigmoid: :math:`-\log(1 + e^{-x})`.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.log_sigmoid(jnp.array([-100.0, 0.0, 1.0]))
      Array([-100.       ,   -0.693,   -0.313], dtype=float32)
    """
    x = jnp.asarray(x)
    return jnp.minimum(x, 0) - logistic.softplus_tail(1.0, x)


def _sqrtsoftplus_parts(x: Array) -> tuple[Array, num.Tail, Array]:
    """Return exp(-abs(x)), exp(min(x, 0) / 2) and what softplus(x) is times exp(min(x, 0))."""
    e = num.decay(x).value
    near = num.log1p_share(e)
    return e, num.tail(0.5 * jnp.minimum(x, 0)), jnp.where(x > 0, x + e * near, near)


def _sqrtsoftplus_slope(x: Array) -> Array:
    e, half, inside = _sqrtsoftplus_parts(x)
    return half.times_bounded(0.5 / ((1 + e) * jnp.sqrt(inside)))


def _sqrtsoftplus_curvature(x: Array) -> Array:
    e, half, inside = _sqrtsoftplus_parts(x)
    left = half.times_bounded((inside - 0.5) / inside)
    plain = jnp.where(x > 0, e - 0.5 / inside, left) / (
        2 * jnp.sqrt(inside) * num.one_plus_squared(e)
    )
    return num.near_root(x, fits.SQRTSOFTPLUS_CURVATURE, plain)


@activation(
    dx=_sqrtsoftplus_slope,
    dxx=_sqrtsoftplus_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 0.0),
    reference=lambda mp, x: mp.sqrt(mp.log1p(mp.exp(x))),
    latex=r"\sqrt{\log(1 + e^x)}",
    paper="DeepSeek-AI 2026, DeepSeek-V4, arXiv:2606.19348",
    names={"huggingface": "sqrtsoftplus"},
)
def sqrtsoftplus(x: ArrayLike) -> Array:
    r"""Square root of softplus: :math:`\sqrt{\log(1 + e^x)}`, a gate of expert routers.

    On the left it is computed from :math:`e^{x/2}`, and so is right until it underflows itself.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sqrtsoftplus(jnp.array([-1.0, 0.0, 100.0]))
      Array([ 0.560,  0.833, 10.        ], dtype=float32)
    """
    _, half, inside = _sqrtsoftplus_parts(jnp.asarray(x))
    root = jnp.sqrt(inside)
    return jnp.where(jnp.asarray(x) > 0, root, half.times_bounded(root))


# With a = abs(x) and r = sqrt(a² + b): squareplus(x) = max(x, 0) + (b / 2) / (r + a), which neither
# cancels nor needs a branch.


def _root(x: Array, b: Any) -> tuple[Array, Array, Array]:
    """Return a, a² + b and its root; where a² would overflow, the root is a."""
    a = jnp.abs(x)
    small = jnp.minimum(a, 2.0**500 if num.is_double(x) else 2.0**60)
    square = small * small + b
    return a, square, jnp.maximum(jnp.sqrt(square), a)


def _over_mean(c: Any, low: Array, high: Array) -> Array:
    """Return c / mean(low, high), and 0 for 0 / 0: b = 0 makes a kink, owned by the left."""
    # XLA would write 0.5 · low + 0.5 · high as half of a sum, which can overflow.
    mean = 0.5 * low + num.hidden(0.5, high) * high
    return c / jnp.maximum(mean, jnp.finfo(mean.dtype).tiny)


def _squareplus_slope_from_output(y: Array, b: Any) -> Array:
    """Return y / sqrt(x² + b), where the root is y + b / (4 y)."""
    nothing = y == 0
    some = jnp.where(nothing, 1, y)
    return jnp.where(nothing, 0, 1 / (1 + 0.25 * b / some / some))


def _squareplus(x: Array, b: Any) -> Array:
    a, _, root = _root(x, b)
    return jnp.maximum(x, 0) + _over_mean(0.25 * b, a, root)


def _squareplus_slope(x: Array, b: Any) -> Array:
    a, square, root = _root(x, b)
    product = a * root
    left = _over_mean(0.25 * b, product, jnp.maximum(square, product))
    return jnp.where(x > 0, 1 - left, left)


def _squareplus_curvature(x: Array, b: Any) -> Array:
    inverse = 1 / jnp.maximum(_root(x, b)[2], jnp.finfo(x.dtype).tiny)
    return 0.5 * b * inverse * inverse * inverse


def _squareplus_by_b(x: Array, b: Any) -> Array:
    return 0.25 / _root(x, b)[2]


@activation(
    parameters={
        "b": Parameter(
            partial=_squareplus_by_b, domain="nonnegative", initial=4.0, learned=True,
            samples=(0.5, 10.0),
        )
    },
    dx=_squareplus_slope,
    lean_dx=_squareplus_slope_from_output,
    dxx=_squareplus_curvature,
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks=lambda b: {0.0: "left"} if b == 0 else {},
    reference=lambda mp, x, b: (
        (x + mp.sqrt(x * x + b)) / 2 if x > 0 else b / 2 / (mp.sqrt(x * x + b) - x)
    ),
    tier="stable",
    latex=r"\tfrac12 (x + \sqrt{x^2 + b})",
    paper="Barron 2021, Squareplus: a softplus-like algebraic rectifier, arXiv:2112.11687",
    names={"jax": "squareplus", "keras": "squareplus"},
)  # fmt: skip
def squareplus(x: ArrayLike, b: ArrayLike = 4.0) -> Array:
    r"""Squareplus: :math:`(x + \sqrt{x^2 + b}) / 2`, a smooth rectifier without exponentials.

    For negative input the equal form :math:`\tfrac{b}{2} / (\sqrt{x^2 + b} - x)` is used, which
    does not cancel. With ``b = 0`` it is relu, with derivative 0 at 0.

    Args:
      x: an array of any shape.
      b: roundness of the bend, not negative; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.squareplus(jnp.array([-1e4, 0.0, 1e4]))
      Array([1.e-04, 1.e+00, 1.e+04], dtype=float32)
    """
    return _squareplus(jnp.asarray(x), b)


def _sparse_slope_from_output(y: Array) -> Array:
    bent = (y > 0) & (y < 1)
    return jnp.where(bent, jnp.sqrt(jnp.where(bent, y, 1)), jnp.where(y >= 1, 1, y))


@activation(
    dx=lambda x: 0.5 * (jnp.clip(x, -1, 1) + 1),
    lean_dx=_sparse_slope_from_output,
    dxx=lambda x: jnp.where(jnp.isnan(x), x, jnp.where(jnp.abs(x) < 1, 0.5, 0.0)),
    limits=(0.0, math.inf),
    slope_limits=(0.0, 1.0),
    kinks={-1.0: "left", 1.0: "right"},
    reference=lambda mp, x: mp.mpf(0) if x <= -1 else +x if x >= 1 else ((x + 1) / 2) ** 2,
    tier="stable",
    latex=r"\begin{cases} 0 & x \le -1 \\ \tfrac14 (x + 1)^2 & |x| < 1 \\ x & x \ge 1 \end{cases}",
    paper="Yin et al. 2024, JAX documentation of sparse_plus",
    names={"jax": "sparse_plus", "keras": "sparse_plus"},
)
def sparse_plus(x: ArrayLike) -> Array:
    r"""Sparse plus: 0 up to -1, ``x`` from 1 on, :math:`(x + 1)^2 / 4` between.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.sparse_plus(jnp.array([-2.0, 0.0, 3.0]))
      Array([0.  , 0.25, 3.  ], dtype=float32)
    """
    x = jnp.asarray(x)
    bent = jnp.clip(x, -1, 1) + 1
    return jnp.where(x >= 1, x, 0.25 * bent * bent)
