"""Powers of the rectifier."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _numerics as num
from advact_jax import _tables
from advact_jax._declare import activation, row_function
from advact_jax._spec import Parameter


def _positive(x: Any) -> Array:
    return jnp.maximum(jnp.asarray(x), 0)


def _where_positive(x: Array, value: Any) -> Array:
    return jnp.where(jnp.isnan(x), x, jnp.where(x > 0, value, 0))


@activation(
    dx=lambda x: 2 * _positive(x),
    dxx=lambda x: _where_positive(x, 2.0),
    limits=(0.0, math.inf),
    slope_limits=(0.0, math.inf),
    kinks={0.0: "left"},
    reference=lambda mp, x: (x * (x + abs(x))) / 2,
    tier="stable",
    latex=r"\max(x, 0)^2",
    paper="So et al. 2021, Primer: searching for efficient transformers for language modeling, "
    "arXiv:2109.08668",
    names={"huggingface": "relu2"},
)
def squared_relu(x: ArrayLike) -> Array:
    r"""Squared rectified linear unit: :math:`\max(x, 0)^2`.

    Its second derivative jumps at 0, where it is 0.

    Args:
      x: an array of any shape.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.squared_relu(jnp.array([-2.0, 0.5, 3.0]))
      Array([0.  , 0.25, 9.  ], dtype=float32)

    References:
      So, Mańke, Liu, Dai, Shazeer & Le 2021, Primer, arXiv:2109.08668.
    """
    positive = _positive(x)
    return positive * positive


relu_squared = squared_relu


def _star(x: Array, scale: Any, bias: Any) -> Array:
    positive = _positive(x)
    plain = scale * positive * positive + bias
    # The value has a zero, where what the square and its product lose would be all that is left:
    # in 16 bits too.
    with num.rounded_to(None):
        near = jnp.minimum(positive, 64.0)
        square = num.Wide.of(near, near) * num.Wide.of(near, near)
        scaled = num.product(scale, square.head)
        total = num.Wide(scaled.head, scaled.tail + scale * square.tail) + num.Wide.of(bias, near)
    return jnp.where((positive < 64) & (positive > 2.0**-30), total.value, plain)


@activation(
    parameters={
        "scale": Parameter(
            partial=lambda x, scale, bias: _positive(x) * _positive(x),
            initial=1.0,
            learned=True,
            samples=(1.0, 0.3),
        ),
        "bias": Parameter(
            partial=lambda x, scale, bias: jnp.where(jnp.isnan(x), x, 1),
            initial=0.0,
            learned=True,
            samples=(0.0, -2.0),
        ),
    },
    dx=lambda x, scale, bias: 2 * scale * _positive(x),
    dxx=lambda x, scale, bias: _where_positive(x, 2 * scale),
    limits=lambda scale, bias: (bias, math.copysign(math.inf, scale)),
    slope_limits=lambda scale, bias: (0.0, math.copysign(math.inf, scale)),
    kinks={0.0: "left"},
    value_floor=2.0**-12,
    reference=lambda mp, x, scale, bias: scale * (x * (x + abs(x))) / 2 + bias,
    tier="stable",
    latex=r"s \max(x, 0)^2 + b",
    paper="Yu et al. 2022, MetaFormer baselines for vision, arXiv:2210.13452",
    notes={"float32": "Beside its zero, whose place depends on the parameters, the value is right "
           "to 2^-35 of the bias: errors are counted in ulps of 2^-12 there."},
)  # fmt: skip
def star_relu(x: ArrayLike, scale: ArrayLike = 0.8944, bias: ArrayLike = -0.4472) -> Array:
    r"""StarReLU: :math:`s \max(x, 0)^2 + b`, a squared rectifier of mean 0 and variance 1.

    The defaults are the constants of the paper, which standardise the output for standard normal
    input. Where they are learned, scale and bias start at 1 and 0, as in the authors' code. The
    second derivative jumps at 0, where it is 0.

    Args:
      x: an array of any shape.
      scale: factor of the square; broadcasts against ``x``.
      bias: what is added; broadcasts against ``x``.

    Returns:
      An array with the dtype of ``x``.

    Example:
      >>> advact_jax.star_relu(jnp.array([-2.0, 1.0]), 1.0, 0.5)
      Array([0.5, 1.5], dtype=float32)

    References:
      Yu et al. 2022, MetaFormer baselines for vision, arXiv:2210.13452.
    """
    return _star(jnp.asarray(x), scale, bias)


# -- a polynomial of the rectifier --------------------------------------------------------------


def _horner(table: Array, r: Array) -> Array:
    """Return the polynomial, leading coefficient first; a coefficient of 0 is 0 at infinity too."""
    result = table[0]
    for c in table[1:]:
        result = num.flat_where_zero(result, r) + c
    return result


def _poly_relu(x: Array, weights: Array, bias: Array) -> Array:
    r = _positive(x)
    return num.flat_where_zero(_horner(weights, r), r) + bias


def _derived(table: Array) -> Array:
    """Return the coefficients of the derivative of a polynomial without a constant term."""
    count = len(table)
    return jnp.stack([(count - k) * c for k, c in enumerate(table)])


def _poly_relu_slope(x: Array, weights: Array, bias: Array) -> Array:
    r = _positive(x)
    return _where_positive(x, _horner(_derived(weights), r))


def _poly_relu_curvature(x: Array, weights: Array, bias: Array) -> Array:
    r = _positive(x)
    if len(weights) == 1:
        return _where_positive(x, 0)
    return _where_positive(x, _horner(_derived(_derived(weights)[:-1]), r))


def _powers(x: Array, weights: Array, bias: Array) -> list[Array]:
    powers = [jnp.where(x <= 0, 0, x)]
    for _ in weights[1:]:
        powers.append(powers[-1] * powers[0])
    return powers[::-1]


_POLY_RELU_PARAMETERS = {
    "weights": Parameter(is_table=True, learned=True, partial=_powers),
    "bias": Parameter(
        learned=True,
        initial=0.0,
        partial=lambda x, **_: jnp.where(jnp.isnan(x), x, jnp.ones_like(x)),
    ),
}
_POLY_RELU = _tables.rule(
    "poly_relu", _poly_relu, _poly_relu_slope, _poly_relu_curvature, _POLY_RELU_PARAMETERS
)


@row_function(
    static=(),
    counted=dict.fromkeys(("float32", "float64"), "input"),
    parameters=_POLY_RELU_PARAMETERS,
    given=(
        _tables.given(weights=(1 / 3, 1 / 3, 1 / 3)),
        {"bias": -0.25} | _tables.given(weights=(-0.5, 2.0)),
    ),
    reference=lambda mp, row, weights, bias=0.0: [
        mp.convert(bias)
        + mp.fsum(mp.convert(w) * ((x + abs(x)) / 2) ** k for k, w in enumerate(weights[::-1], 1))
        for x in row
    ],
    tier="experimental",
    latex=r"\sum_{i=1}^n w_{n-i} \max(x, 0)^i + b",
    paper="Zhuo, Wang, Zeng, Li, Zhou and Ma 2024, Polynomial composition activations: unleashing "
    "the dynamics of large language models, arXiv:2411.03884",
    notes={"float32": "The error is a few ulp of the largest term of the sum, not of the result."},
)
def poly_relu(x: ArrayLike, weights: ArrayLike, bias: ArrayLike = 0.0) -> Array:
    r"""Polynomial of the rectified input.

    .. math:: f(x) = w_0 r^n + w_1 r^{n-1} + \dots + w_{n-1} r + b, \quad r = \max(x, 0)

    At 0 the derivative is that of the left piece, 0. Reverse mode keeps ``x`` alone.

    Args:
      x: input, real.
      weights: the n weights along the last axis, that of the highest power first; the other axes,
        if any, broadcast against ``x``. The paper has n = 3 and starts at 1/3.
      bias: the constant b; broadcasts against ``x``.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if there are no weights, or shapes don't broadcast.

    Example:
      >>> print(advact_jax.poly_relu(jnp.array([-1.0, 2.0]), jnp.array([1.0, 0.0, 0.5])))
      [0. 9.]

    References:
      Zhuo et al., "Polynomial composition activations: unleashing the dynamics of large language
      models", 2024, arXiv:2411.03884.
    """
    _tables.sizes("poly_relu", {"weights": weights})
    return _tables.evaluate(_POLY_RELU, x, {}, weights=weights, bias=bias)
