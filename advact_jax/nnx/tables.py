"""Layers of ``flax.nnx`` that learn activations with tables of coefficients."""

from __future__ import annotations

from dataclasses import InitVar
from typing import Any

import jax
from flax import nnx
from jax.typing import ArrayLike

from advact_jax import _curves
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax._sharing import Axes
from advact_jax.functions.powers import poly_relu
from advact_jax.functions.rational import Version, rational
from advact_jax.functions.spline import Grid
from advact_jax.functions.tables import apl, pwlu
from advact_jax.nnx.learned import _layer, _Learned, _made
from advact_jax.nnx.recorded import record_again

_DRAWN = jax.nn.initializers.normal(0.1)


@_layer
class Rational(_curves.Rational, _Learned):
    r"""Padé activation unit, a quotient of two polynomials whose coefficients are learned.

    .. math:: f(x) = \frac{a_0 + a_1 x + \dots + a_m x^m}{1 + |b_1 x| + \dots + |b_n x^n|}

    The parameters are ``numerator`` and ``denominator``, by default one of each for the whole
    layer, as in the paper. They start as `advact_jax.rational_coefficients`.

    Args:
      <features>
      approximates: the activation to start close to, by name.
      version: version of the denominator, as in `advact_jax.rational`.
      published: whether to start from the published coefficients; else from our own fits, which
        are the same function in all versions.
      degrees: degrees of the polynomials.
      <numerator: coefficients, constant first>
      <denominator: coefficients>
      <one>
      <others>
      rngs: random streams, needed only where an initializer is random, and for version D.
      deterministic: True to draw no noise in version D; here or by ``model.eval()``.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.Rational(approximates="tanh")
      >>> layer.numerator.shape, layer.denominator.shape
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
    numerator: nnx.Param = _made()
    numerator_init: InitVar[Initial | None] = None
    numerator_regularizer: InitVar[Penalised] = None
    numerator_constraint: InitVar[Constrained] = None
    denominator: nnx.Param = _made()
    denominator_init: InitVar[Initial | None] = None
    denominator_regularizer: InitVar[Penalised] = None
    denominator_constraint: InitVar[Constrained] = None
    deterministic: bool = False
    noise: nnx.RngStream | None = _made()

    def __post_init__(self, rngs: nnx.Rngs | None, *given: Any) -> None:
        super().__post_init__(rngs, *given)
        self.noise = rngs["noise"].fork() if self.version == "D" and rngs is not None else None

    def _drawn(self) -> dict[str, Any]:
        if self.noise is None or self.deterministic:
            return {}
        return {"key": self.noise()}


@_layer
class PWLU(_curves.PWLU, _Learned):
    r"""Piecewise linear unit, a polygon whose corners are learned.

    The parameters are the ``heights`` at the ``intervals + 1`` knots, the slopes of the tails,
    ``left_slope`` and ``right_slope``, and the ends ``low`` and ``high`` of the knots, by default
    one of each per channel, as in the paper, where it starts as ReLU. The paper moves the ends to
    three standard deviations of the input on either side of its mean after the first epochs: give
    these as ``low_init`` and ``high_init``.

    Args:
      <features>
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
      rngs: random streams, needed only where an initializer is random.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.PWLU(2, intervals=6)
      >>> layer.heights[0]
      Array([0., 0., 0., 0., 1., 2., 3.], dtype=float32)

    References:
      Zhou, Zhu, Wang, Yan & Zhang 2021, Learning specialized activation functions with the
      piecewise linear unit, arXiv:2104.03693.
    """

    _function = staticmethod(pwlu)
    approximates: str = "relu"
    intervals: int = 16
    heights: nnx.Param = _made()
    heights_init: InitVar[Initial | None] = None
    heights_regularizer: InitVar[Penalised] = None
    heights_constraint: InitVar[Constrained] = None
    left_slope: nnx.Param = _made()
    left_slope_init: InitVar[Initial | None] = None
    left_slope_regularizer: InitVar[Penalised] = None
    left_slope_constraint: InitVar[Constrained] = None
    right_slope: nnx.Param = _made()
    right_slope_init: InitVar[Initial | None] = None
    right_slope_regularizer: InitVar[Penalised] = None
    right_slope_constraint: InitVar[Constrained] = None
    low: nnx.Param = _made()
    low_init: InitVar[Initial] = _initial(pwlu, "low")
    low_regularizer: InitVar[Penalised] = None
    low_constraint: InitVar[Constrained] = None
    high: nnx.Param = _made()
    high_init: InitVar[Initial] = _initial(pwlu, "high")
    high_regularizer: InitVar[Penalised] = None
    high_constraint: InitVar[Constrained] = None


@_layer
class APL(_curves.APL, _Learned):
    r"""Adaptive piecewise linear unit, a rectifier with learned hinges.

    .. math:: f(x) = \max(x, 0) + \sum_{s=1}^S a_s \max(0, b_s - x)

    The parameters are ``slopes`` and ``hinges``, by default S of each per channel. The layer starts
    as ReLU, with the hinges spread evenly over [-1, 1]; codes differ in how they start. The paper
    has one set per unit (``shared_axes=()``).

    Args:
      <features>
      hinge_count: the number S of hinges.
      <slopes: slopes>
      <hinges: places of the hinges>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is random.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.APL(1, hinge_count=2)
      >>> layer.hinges[...]
      Array([[-0.5,  0.5]], dtype=float32)

    References:
      Agostinelli, Hoffman, Sadowski & Baldi 2014, Learning activation functions to improve deep
      neural networks, arXiv:1412.6830.
    """

    _function = staticmethod(apl)
    hinge_count: int = 1
    slopes: nnx.Param = _made()
    slopes_init: InitVar[Initial] = 0.0
    slopes_regularizer: InitVar[Penalised] = None
    slopes_constraint: InitVar[Constrained] = None
    hinges: nnx.Param = _made()
    hinges_init: InitVar[Initial | None] = None
    hinges_regularizer: InitVar[Penalised] = None
    hinges_constraint: InitVar[Constrained] = None


@_layer
class PolyReLU(_curves.PolyReLU, _Learned):
    r"""Polynomial of the rectified input, with learned weights.

    .. math:: f(x) = w_0 r^n + \dots + w_{n-1} r + b, \quad r = \max(x, 0)

    The parameters are ``weights``, that of the highest power first, which start at 1 / n as in the
    paper, and ``bias``, by default one of each for the whole layer.

    Args:
      <features>
      order: the highest power n.
      <weights: weights>
      <bias: constant>
      <one>
      <others>
      rngs: random streams, needed only where an initializer is random.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.PolyReLU(order=2)
      >>> layer.weights[...]
      Array([0.5, 0.5], dtype=float32)

    References:
      Zhuo et al. 2024, Polynomial composition activations, arXiv:2411.03884.
    """

    _function = staticmethod(poly_relu)
    axis: Axes | None = None
    order: int = 3
    weights: nnx.Param = _made()
    weights_init: InitVar[Initial | None] = None
    weights_regularizer: InitVar[Penalised] = None
    weights_constraint: InitVar[Constrained] = None
    bias: nnx.Param = _made()
    bias_init: InitVar[Initial] = _initial(poly_relu, "bias")
    bias_regularizer: InitVar[Penalised] = None
    bias_constraint: InitVar[Constrained] = None


@_layer
class BSpline(_curves.BSpline, _Learned):
    r"""SiLU and a spline beside it, the curve of a Kolmogorov-Arnold network.

    .. math:: f(x) = w_b \, x \, \sigma(x) + w_s \sum_k c_k B_k(x)

    The parameters are ``coefficients``, ``base`` (w_b) and ``scale`` (w_s), by default one of each
    per channel. The spline is that of `advact_jax.bspline`, 0 far from its grid. As in the paper,
    its coefficients start at random with the deviation 0.1, and ``scale`` at 1; ``base`` starts at
    1, where the paper's networks draw the weights of their edges.

    Args:
      <features>
      grid: the ends (low, high) of the grid.
      intervals: number of intervals of the grid.
      degree: degree of the polynomials.
      <coefficients: coefficients of the spline>
      <base: weight of SiLU>
      <scale: weight of the spline>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is random.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> import flax.nnx
      >>> layer = nnx.BSpline(2, intervals=4, rngs=flax.nnx.Rngs(0))
      >>> layer.coefficients.shape
      (2, 7)

    References:
      Liu et al. 2024, KAN: Kolmogorov-Arnold networks, arXiv:2404.19756.
    """

    _function = staticmethod(_curves.silu_and_spline)
    grid: Grid = (-1.0, 1.0)
    intervals: int = 5
    degree: int = 3
    coefficients: nnx.Param = _made()
    coefficients_init: InitVar[Initial] = _DRAWN
    coefficients_regularizer: InitVar[Penalised] = None
    coefficients_constraint: InitVar[Constrained] = None
    base: nnx.Param = _made()
    base_init: InitVar[Initial] = _initial(_curves.silu_and_spline, "base")
    base_regularizer: InitVar[Penalised] = None
    base_constraint: InitVar[Constrained] = None
    scale: nnx.Param = _made()
    scale_init: InitVar[Initial] = _initial(_curves.silu_and_spline, "scale")
    scale_regularizer: InitVar[Penalised] = None
    scale_constraint: InitVar[Constrained] = None

    def refit(
        self, x: ArrayLike, *, intervals: int | None = None, grid: Grid | None = None
    ) -> None:
        """Move the spline to another grid, by least squares at samples of the input.

        The coefficients change in place, and their number with ``intervals``: an optimizer's state
        is to be made anew.

        Args:
          x: samples of the layer's input.
          intervals: the new number of intervals; None for the same.
          grid: the new ends; None for the same.

        Raises:
          ValueError: if the samples do not fit the parameters, or the grid is wrong.
          TypeError: if an argument is of the wrong type.

        Example:
          >>> import flax.nnx, jax.numpy as jnp
          >>> from advact_jax import nnx
          >>> layer, x = nnx.BSpline(1, rngs=flax.nnx.Rngs(0)), jnp.linspace(-1, 1, 50)[:, None]
          >>> y = layer(x)
          >>> layer.refit(x, intervals=10)
          >>> layer.coefficients.shape, bool(jnp.allclose(y, layer(x), atol=1e-5))
          ((1, 13), True)
        """
        intervals = self.intervals if intervals is None else intervals
        grid = self.grid if grid is None else grid
        found = _curves.refitted(self, self._shared(), self.coefficients[...], x, intervals, grid)
        self.coefficients.set_value(found)
        self.intervals, self.grid = intervals, grid
        function, names, fixed, *others = self._learned
        now: Any = (function, names, tuple({**dict(fixed), "grid": grid}.items()), *others)
        self._learned = now
        record_again(self, intervals=intervals, grid=grid)
