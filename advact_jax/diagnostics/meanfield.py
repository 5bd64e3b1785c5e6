r"""Mean-field theory of a wide random net: what a layer does to lengths, angles and gradients.

With weights of variance :math:`\sigma_w^2 / n` for n inputs and biases of variance
:math:`\sigma_b^2`, the entries of a wide layer are normal, and depth is the iteration of two maps:

.. math::
    q \mapsto \sigma_w^2 \, E[f(\sqrt q z)^2] + \sigma_b^2, \quad
    c \mapsto (\sigma_w^2 \, E[f(u) f(v)] + \sigma_b^2) / q

where q is the variance of what enters the activation, and c the correlation of that of two inputs,
u and v. A gradient's squared norm goes back by the factor :math:`\chi = \sigma_w^2 \, E[f'(\sqrt q
z)^2]`. The expectations are Gauss quadratures on pieces between the function's kinks; for a pair of
inputs, the inner pieces end where the second input meets a kink given the first.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from advact_jax import registry
from advact_jax._spec import Spec

_REACH = 12.0
_CUTS, _NODES = 16, 20


@dataclasses.dataclass(frozen=True)
class Elementwise:
    """A function with the points at which it, or its derivative, jumps."""

    name: str
    function: Callable[..., Any]
    kinks: tuple[float, ...]

    @classmethod
    def of(cls, label: str, activation: str | Callable[..., Any]) -> Elementwise:
        """Return a declared activation, at its usual initial values, or any function as it is."""
        function, fixed = registry.resolve(label, activation)
        spec = getattr(function, "spec", None)
        if not isinstance(spec, Spec):
            return cls(getattr(function, "__name__", "function"), function, ())
        initial = {
            key: p.initial
            for key, p in spec.parameters.items()
            if key not in spec.defaults and p.initial is not None
        }
        made = registry.Activation(function, **{**initial, **fixed})
        kinks = sorted(float(k) for k in spec.at("kinks", **made.parameters))
        written = "".join(f", {key}={value:g}" for key, value in made.parameters.items())
        name = f"{made.name}({written[2:]})" if written else made.name
        return cls(name, made, tuple(k for k in kinks if math.isfinite(k)))

    def slope(self, x: Array) -> Array:
        """Return the derivative."""
        return jax.jvp(self.function, (x,), (jnp.ones_like(x),))[1]


# -- expectations -------------------------------------------------------------------------------


def _pieces(ends: Array) -> tuple[Array, Array]:
    """Return nodes and weights of the standard normal distribution on pieces, some of them empty.

    The last axis of ``ends`` has the ends of the pieces in any order.
    """
    x, w = np.polynomial.legendre.leggauss(_NODES)
    ends = jnp.sort(jnp.clip(ends, -_REACH, _REACH), axis=-1)
    low, half = ends[..., :-1, None], jnp.diff(ends, axis=-1)[..., None] / 2
    nodes = low + half * (1 + x)
    weights = half * w * jnp.exp(-0.5 * nodes * nodes) / math.sqrt(2 * math.pi)
    return nodes.reshape(*nodes.shape[:-2], -1), weights.reshape(*nodes.shape[:-2], -1)


_GRID = np.linspace(-_REACH, _REACH, _CUTS + 1)


def _with_grid(points: Array) -> Array:
    grid = jnp.broadcast_to(_GRID, (*points.shape[:-1], len(_GRID)))
    return jnp.concatenate([grid, points], -1)


def expectation(function: Callable[[Array], Array], q: Array, kinks: tuple[float, ...]) -> Array:
    """Return the mean of a function of a normal number with variance ``q``."""
    root = jnp.sqrt(q)
    # Where q is large, a smooth bend near 0 is narrow too.
    bends = (*kinks, -6.0, -2.0, 0.0, 2.0, 6.0)
    points = jnp.asarray(bends, q.dtype) / jnp.where(root > 0, root, 1)
    z, weights = _pieces(_with_grid(points))
    return jnp.sum(weights * function(root * z))


def pair_expectation(
    function: Callable[[Array], Array], q: Array, c: Array, kinks: tuple[float, ...]
) -> Array:
    """Return the mean of f(u) f(v) for normal u and v with variance ``q`` and correlation ``c``."""
    root, apart = jnp.sqrt(q), jnp.sqrt(jnp.maximum((1 - c) * (1 + c), 0))
    points = jnp.asarray(kinks, q.dtype) / jnp.where(root > 0, root, 1)
    # Seen from u, the mean over v bends within a few deviations of where v meets a kink.
    steady = jnp.where(jnp.abs(c) > 1e-3, c, 1e-3)
    near = points[:, None] / steady + jnp.array([-6.0, -2.0, 2.0, 6.0]) * apart / steady
    outer, outer_weights = _pieces(_with_grid(jnp.concatenate([points, near.ravel()])))
    given = jnp.where(apart > 0, apart, 1)
    inner, inner_weights = _pieces(_with_grid((points[None, :] - c * outer[:, None]) / given))
    v = root * (c * outer[:, None] + apart * inner)
    means = jnp.sum(inner_weights * function(v), axis=-1)
    return jnp.sum(outer_weights * function(root * outer) * means)


# -- maps ---------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("f", "depth"))
def _travel(
    f: Elementwise, depth: int, weight: Array, bias: Array, q: Array, c: Array
) -> dict[str, Array]:
    def layer(carry: tuple[Array, Array], _: None) -> Any:
        q, c = carry
        square = lambda x: jnp.square(f.function(x))  # noqa: E731
        steep = lambda x: jnp.square(f.slope(x))  # noqa: E731
        mean, second = (expectation(g, q, f.kinks) for g in (f.function, square))
        now = {
            "variance": q,
            "correlation": c,
            "chi": weight * expectation(steep, q, f.kinks),
            "mean": mean,
            "second_moment": second,
        }
        q_next = weight * second + bias
        both = weight * pair_expectation(f.function, q, c, f.kinks) + bias
        c_next = jnp.clip(both / jnp.where(q_next > 0, q_next, 1), -1, 1)
        return (q_next, c_next), now

    return jax.lax.scan(layer, (q, c), None, length=depth)[1]


def travel(
    f: Elementwise,
    depth: int,
    *,
    weight_variance: float,
    bias_variance: float = 0.0,
    variance: float = 1.0,
    correlation: float = 0.5,
) -> dict[str, np.ndarray]:
    """Return what theory says of each layer, as float64 arrays of ``depth`` entries.

    Args:
      f: the activation.
      depth: how many layers.
      weight_variance: the variance of the weights times the number of inputs.
      bias_variance: the variance of the biases.
      variance: q of the first layer.
      correlation: c of the first layer.

    Returns:
      "variance" and "correlation" of what enters the activation, "chi", and "mean" and
      "second_moment" of what leaves it.
    """
    with jax.enable_x64(True):
        given = (weight_variance, bias_variance, variance, correlation)
        found = _travel(f, depth, *(jnp.float64(v) for v in given))
        return {key: np.asarray(value) for key, value in found.items()}


@functools.partial(jax.jit, static_argnames="f")
def _moments(f: Elementwise, q: Array) -> tuple[Array, Array]:
    def one(q: Array) -> tuple[Array, Array]:
        return (
            expectation(lambda x: jnp.square(f.function(x)), q, f.kinks),
            expectation(lambda x: jnp.square(f.slope(x)), q, f.kinks),
        )

    return jax.lax.map(one, q)


@functools.lru_cache(maxsize=256)
def _tabled(f: Elementwise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return variances, and the second moments of the function and of its slope there."""
    q = np.geomspace(1e-14, 1e6, 401)
    return (q, *_moments_at(f, q))


def _moments_at(f: Elementwise, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        squares, slopes = _moments(f, jnp.asarray(q, jnp.float64))
        return np.asarray(squares), np.asarray(slopes)


# -- fixed points -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    r"""Where depth leads.

    Attributes:
      variance: the variance q that does not change any more; 0 if it dies out, infinite if it grows
        without end, and that of the start where every q is kept.
      chi: :math:`\chi_1` there: the factor of a gradient's squared norm for each layer, and the
        slope of the map of correlations at 1.
      correlation: the correlation that two different inputs tend to; NaN where the variance has no
        fixed point but 0 or infinity.
      correlation_depth: the number of layers in which their distance to that falls to 1 / e, the
        source's depth scale; infinite at the edge of chaos, NaN as above.
      gradient_depth: the number of layers in which the squared norm of a gradient changes by e.
      phase: "ordered" if chi_1 is below 1 (gradients vanish, inputs become alike), "chaotic" above
        (gradients explode, inputs become unlike), else "edge".

    Example:
      >>> from advact_jax import diagnostics
      >>> report = diagnostics.depth_report("relu", "he_normal", depth=10, width=64, seeds=2)
      >>> point = report.fixed_point
      >>> print(f"{point.phase}: {point.variance:.2f}, {point.chi:.2f}, {point.gradient_depth}")
      edge: 1.00, 1.00, inf
    """

    variance: float
    chi: float
    correlation: float
    correlation_depth: float
    gradient_depth: float
    phase: Literal["ordered", "edge", "chaotic"]


# How far from 1 chi may be for the edge: a thousand layers then change a gradient by a third.
_EDGE = 5e-4


def fixed_point(
    f: Elementwise, *, weight_variance: float, bias_variance: float = 0.0, variance: float = 1.0
) -> FixedPoint:
    """Return the fixed point to which the variance tends from a start; see `FixedPoint`."""
    q, chi = _variance_limit(f, weight_variance, bias_variance, variance)
    phase: Any = "edge" if abs(chi - 1) < _EDGE else "ordered" if chi < 1 else "chaotic"
    if phase == "edge":
        return FixedPoint(q, chi, 1.0, math.inf, math.inf, phase)
    if not 0 < q < math.inf:
        return FixedPoint(q, chi, math.nan, math.nan, _depth(chi), phase)
    if phase == "ordered":
        return FixedPoint(q, chi, 1.0, _depth(chi), _depth(chi), phase)
    path = travel(
        f,
        400,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        variance=q,
        correlation=0.5,
    )["correlation"]
    return FixedPoint(q, chi, float(path[-1]), _depth(_rate(path)), _depth(chi), phase)


def _depth(factor: float) -> float:
    """Return the number of layers in which a factor for each makes 1 / e."""
    if not 0 < factor < math.inf:
        return 0.0
    return math.inf if abs(factor - 1) < _EDGE else 1 / abs(math.log(factor))


def _rate(path: np.ndarray) -> float:
    """Return the factor by which the differences of a converging sequence shrink."""
    steps = np.abs(np.diff(path))
    sound = steps > 1e-9
    last = int(np.argmin(sound)) if not sound.all() else len(steps)
    return float((steps[last - 1] / steps[last // 2]) ** (1 / max(last - 1 - last // 2, 1)))


def _variance_limit(
    f: Elementwise, weight: float, bias: float, start: float
) -> tuple[float, float]:
    """Return the variance that is tended to, and chi there."""
    q, squares, slopes = _tabled(f)
    ratio = (weight * squares + bias) / q
    at_start = np.interp(math.log(start), np.log(q), ratio)
    if np.all(np.abs(ratio - 1) < 1e-9):
        return start, float(np.interp(math.log(start), np.log(q), weight * slopes))
    up = at_start > 1
    beyond = np.flatnonzero((q > start) & (ratio <= 1) if up else (q < start) & (ratio >= 1))
    if not len(beyond):
        end = -1 if up else 0
        return (math.inf if up else 0.0), float(weight * slopes[end])
    found = int(beyond[0] if up else beyond[-1])
    low, high = (q[found - 1], q[found]) if up else (q[found], q[found + 1])
    for _ in range(60):
        middle = math.sqrt(low * high)
        square, _slope = _moments_at(f, np.array([middle]))
        low, high = (middle, high) if weight * square[0] + bias > middle else (low, middle)
    _, slope = _moments_at(f, np.array([math.sqrt(low * high)]))
    return math.sqrt(low * high), float(weight * slope[0])


def edge_of_chaos(activation: str | Callable[..., Any], *, bias_std: float = 0.0) -> float:
    r"""Return the weight gain at which a deep net neither loses nor blows up gradients.

    It is the :math:`\sigma_w` for which :math:`\chi_1 = 1` at the fixed point of the variance:
    weights of standard deviation :math:`\sigma_w / \sqrt n` for n inputs. Without biases it is the
    square root of 2 for relu, and 1 for tanh.

    Args:
      activation: a name, a declared function, an `advact_jax.Activation`, or any elementwise
        function.
      bias_std: the standard deviation of the biases.

    Returns:
      The gain.

    Raises:
      ValueError: if there is no such gain from 0.05 to 20. That of gelu and silu, for example, is
        only at variances from which a net departs.

    Example:
      >>> from advact_jax import diagnostics
      >>> round(diagnostics.edge_of_chaos("tanh"), 3)
      1.0

    References:
      Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation,
      arXiv:1611.01232; Hayou, Doucet & Rousseau 2019, On the impact of the activation function on
      deep neural networks training, arXiv:1902.06853.
    """
    f = Elementwise.of("edge_of_chaos", activation)
    q, squares, slopes = _tabled(f)
    # At a fixed point of variance q the gain is known, so chi is a function of q alone.
    with np.errstate(all="ignore"):
        weight = (q - bias_std**2) / squares
        chi = weight * slopes
        steepness = weight * squares / q * np.gradient(np.log(squares), np.log(q))
    usual = np.isfinite(chi) & (weight > 0.05**2) & (weight < 20**2)
    if usual.all() and np.all(np.abs(chi - 1) < 1e-9):
        return math.sqrt(weight[len(q) // 2])  # one gain keeps every variance
    crossing = usual[:-1] & usual[1:] & ((chi[:-1] - 1) * (chi[1:] - 1) < 0) & (q[1:] < 1e4)
    # The variance must tend to the fixed point, not away from it.
    for i in np.flatnonzero(crossing & (steepness[:-1] < 1)):
        return _crossing(f, bias_std, q[i], q[i + 1], rises=bool(chi[i] < 1))
    # Without biases the edge may lie at a variance of 0, to which that of tanh tends.
    small = int(np.searchsorted(q, 1e-4))
    if usual[0] and abs(chi[0] - 1) < 1e-6 and weight[0] * squares[small] < q[small]:
        return math.sqrt(weight[0])
    raise ValueError(
        f"edge_of_chaos: expected an activation with chi_1 = 1 at an attracting fixed point for a "
        f"gain from 0.05 to 20, got {f.name} with biases of {bias_std:g}, which has none. "
        "depth_report shows how far from 1 a gain of your choice is."
    )


def _crossing(f: Elementwise, bias_std: float, low: float, high: float, rises: bool) -> float:
    """Return the gain at which chi crosses 1 between two variances."""
    for _ in range(60):
        middle = math.sqrt(low * high)
        square, slope = _moments_at(f, np.array([middle]))
        below = (middle - bias_std**2) / square[0] * slope[0] < 1
        low, high = (middle, high) if below == rises else (low, middle)
    square, _ = _moments_at(f, np.array([low]))
    return math.sqrt((low - bias_std**2) / square[0])
