"""Layers of ``flax.linen`` that learn activations with tables of coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from jax.typing import ArrayLike

from advact_jax import _curves
from advact_jax._docstrings import documented
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax._sharing import Axes
from advact_jax.functions.powers import poly_relu
from advact_jax.functions.rational import Version, rational
from advact_jax.functions.spline import Grid
from advact_jax.functions.tables import apl, pwlu
from advact_jax.linen.learned import _Learned

_DRAWN = nn.initializers.normal(0.1)


@documented
class Rational(_curves.Rational, _Learned, kw_only=True):
    r"""Padé activation unit, a quotient of two polynomials whose coefficients are learned.

    .. math:: f(x) = \frac{a_0 + a_1 x + \dots + a_m x^m}{1 + |b_1 x| + \dots + |b_n x^n|}

    The parameters are ``numerator`` and ``denominator``, by default one of each for the whole
    layer, as in the paper. They start as `advact_jax.rational_coefficients`.

    Args:
      approximates: the activation to start close to, by name.
      version: version of the denominator, as in `advact_jax.rational`.
      published: whether to start from the published coefficients; else from our own fits, which
        are the same function in all versions.
      degrees: degrees of the polynomials.
      <numerator: coefficients, constant first>
      <denominator: coefficients>
      <one>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.Rational(approximates="tanh")
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 3)))
      >>> variables["params"]["numerator"].shape, variables["params"]["denominator"].shape
      ((6,), (4,))

    References:
      Molina, Schramowski & Kersting 2020, Padé activation units, arXiv:1907.06732.
    """

    _function = staticmethod(rational)
    axis: Axes | None = None
    approximates: str = "leaky_relu"
    version: Version = "A"
    published: bool = True
    degrees: tuple[int, int] = (5, 4)
    numerator_init: Initial | None = None
    numerator_regularizer: Penalised = None
    numerator_constraint: Constrained = None
    denominator_init: Initial | None = None
    denominator_regularizer: Penalised = None
    denominator_constraint: Constrained = None

    @nn.nowrap
    def _drawn(self) -> dict[str, Any]:
        draw = self.version == "D" and self.has_rng("noise")
        return {"key": self.make_rng("noise")} if draw else {}


@documented
class PWLU(_curves.PWLU, _Learned, kw_only=True):
    r"""Piecewise linear unit, a polygon whose corners are learned.

    The parameters are the ``heights`` at the ``intervals + 1`` knots, the slopes of the tails,
    ``left_slope`` and ``right_slope``, and the ends ``low`` and ``high`` of the knots, by default
    one of each per channel, as in the paper, where it starts as ReLU. The paper moves the ends to
    three standard deviations of the input on either side of its mean after the first epochs: give
    these as ``low_init`` and ``high_init``.

    Args:
      approximates: the activation to start from, by name: its values at the knots and its
        slopes at the ends.
      intervals: number of intervals.
      <heights: values at the knots>
      <left_slope: slope of the left tail>
      <right_slope: slope of the right tail>
      <low: first knot>
      <high: last knot>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.PWLU(intervals=6)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 2)))
      >>> variables["params"]["heights"][0]
      Array([0., 0., 0., 0., 1., 2., 3.], dtype=float32)

    References:
      Zhou, Zhu, Wang, Yan & Zhang 2021, Learning specialized activation functions with the
      piecewise linear unit, arXiv:2104.03693.
    """

    _function = staticmethod(pwlu)
    approximates: str = "relu"
    intervals: int = 16
    heights_init: Initial | None = None
    heights_regularizer: Penalised = None
    heights_constraint: Constrained = None
    left_slope_init: Initial | None = None
    left_slope_regularizer: Penalised = None
    left_slope_constraint: Constrained = None
    right_slope_init: Initial | None = None
    right_slope_regularizer: Penalised = None
    right_slope_constraint: Constrained = None
    low_init: Initial = _initial(pwlu, "low")
    low_regularizer: Penalised = None
    low_constraint: Constrained = None
    high_init: Initial = _initial(pwlu, "high")
    high_regularizer: Penalised = None
    high_constraint: Constrained = None


@documented
class APL(_curves.APL, _Learned, kw_only=True):
    r"""Adaptive piecewise linear unit, a rectifier with learned hinges.

    .. math:: f(x) = \max(x, 0) + \sum_{s=1}^S a_s \max(0, b_s - x)

    The parameters are ``slopes`` and ``hinges``, by default S of each per channel. The layer starts
    as ReLU, with the hinges spread evenly over [-1, 1]; codes differ in how they start. The paper
    has one set per unit (``shared_axes=()``).

    Args:
      hinge_count: the number S of hinges.
      <slopes: slopes>
      <hinges: places of the hinges>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.APL(hinge_count=2)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 1)))
      >>> variables["params"]["hinges"]
      Array([[-0.5,  0.5]], dtype=float32)

    References:
      Agostinelli, Hoffman, Sadowski & Baldi 2014, Learning activation functions to improve deep
      neural networks, arXiv:1412.6830.
    """

    _function = staticmethod(apl)
    hinge_count: int = 1
    slopes_init: Initial = 0.0
    slopes_regularizer: Penalised = None
    slopes_constraint: Constrained = None
    hinges_init: Initial | None = None
    hinges_regularizer: Penalised = None
    hinges_constraint: Constrained = None


@documented
class PolyReLU(_curves.PolyReLU, _Learned, kw_only=True):
    r"""Polynomial of the rectified input, with learned weights.

    .. math:: f(x) = w_0 r^n + \dots + w_{n-1} r + b, \quad r = \max(x, 0)

    The parameters are ``weights``, that of the highest power first, which start at 1 / n as in the
    paper, and ``bias``, by default one of each for the whole layer.

    Args:
      order: the highest power n.
      <weights: weights>
      <bias: constant>
      <one>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.PolyReLU(order=2)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 3)))
      >>> variables["params"]["weights"]
      Array([0.5, 0.5], dtype=float32)

    References:
      Zhuo et al. 2024, Polynomial composition activations, arXiv:2411.03884.
    """

    _function = staticmethod(poly_relu)
    axis: Axes | None = None
    order: int = 3
    weights_init: Initial | None = None
    weights_regularizer: Penalised = None
    weights_constraint: Constrained = None
    bias_init: Initial = _initial(poly_relu, "bias")
    bias_regularizer: Penalised = None
    bias_constraint: Constrained = None


@documented
class BSpline(_curves.BSpline, _Learned, kw_only=True):
    r"""SiLU and a spline beside it, the curve of a Kolmogorov-Arnold network.

    .. math:: f(x) = w_b \, x \, \sigma(x) + w_s \sum_k c_k B_k(x)

    The parameters are ``coefficients``, ``base`` (w_b) and ``scale`` (w_s), by default one of each
    per channel. The spline is that of `advact_jax.bspline`, 0 far from its grid. As in the paper,
    its coefficients start at random with the deviation 0.1, and ``scale`` at 1; ``base`` starts at
    1, where the paper's networks draw the weights of their edges.

    Args:
      grid: the ends (low, high) of the grid.
      intervals: number of intervals of the grid.
      degree: degree of the polynomials.
      <coefficients: coefficients of the spline>
      <base: weight of SiLU>
      <scale: weight of the spline>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.BSpline(intervals=4)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 2)))
      >>> variables["params"]["coefficients"].shape
      (2, 7)

    References:
      Liu et al. 2024, KAN: Kolmogorov-Arnold networks, arXiv:2404.19756.
    """

    _function = staticmethod(_curves.silu_and_spline)
    grid: Grid = (-1.0, 1.0)
    intervals: int = 5
    degree: int = 3
    coefficients_init: Initial = _DRAWN
    coefficients_regularizer: Penalised = None
    coefficients_constraint: Constrained = None
    base_init: Initial = _initial(_curves.silu_and_spline, "base")
    base_regularizer: Penalised = None
    base_constraint: Constrained = None
    scale_init: Initial = _initial(_curves.silu_and_spline, "scale")
    scale_regularizer: Penalised = None
    scale_constraint: Constrained = None

    @nn.nowrap
    def refit(
        self,
        params: Mapping[str, Any],
        x: ArrayLike,
        *,
        intervals: int | None = None,
        grid: Grid | None = None,
    ) -> tuple[BSpline, dict[str, Any]]:
        """Move the spline to another grid, by least squares at samples of the input.

        Args:
          params: the layer's parameters.
          x: samples of its input.
          intervals: the new number of intervals; None for the same.
          grid: the new ends; None for the same.

        Returns:
          The layer on the new grid, and its parameters.

        Raises:
          ValueError: if the samples do not fit the parameters, or the grid is wrong.
          TypeError: if an argument is of the wrong type.

        Example:
          >>> import jax, jax.numpy as jnp
          >>> from advact_jax import linen
          >>> layer, x = linen.BSpline(), jnp.linspace(-1, 1, 50)[:, None]
          >>> variables = layer.init(jax.random.key(0), x)
          >>> finer, params = layer.refit(variables["params"], x, intervals=10)
          >>> y, z = layer.apply(variables, x), finer.apply({"params": params}, x)
          >>> params["coefficients"].shape, bool(jnp.allclose(y, z, atol=1e-5))
          ((1, 13), True)
        """
        intervals = self.intervals if intervals is None else intervals
        grid = self.grid if grid is None else grid
        held = params["coefficients"]
        found = _curves.refitted(self, self._shared(), nn.meta.unbox(held), x, intervals, grid)
        new = held.replace_boxed(found) if isinstance(held, nn.meta.AxisMetadata) else found
        return self.clone(intervals=intervals, grid=grid), {**params, "coefficients": new}
