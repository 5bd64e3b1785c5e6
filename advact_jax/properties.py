r"""What kind of function an activation is: its range, its steepest slope, where it is dead.

All of it is computed from the declaration in float64: from the declared limits and kinks, and from
values and derivatives at some ten thousand inputs, with extremes sought between them. So an
interval is known to be closed where a kink or an extreme reaches its end, and open where only the
limit does.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from advact_jax import _samples, accuracy, initializers, registry
from advact_jax._spec import Spec

__all__ = ["Interval", "Properties", "of"]

# Slopes and steps below these are rounding, not direction.
SLOPE = 1e-12
STEP = 16 * float(np.finfo(np.float64).eps)
# Where the values on both sides of a kink differ by more, the function jumps.
JUMP = 1e-6
BLOCK = 2048


@dataclasses.dataclass(frozen=True)
class Interval:
    """An interval of real numbers.

    Attributes:
      low: lower end.
      high: upper end.
      has_low: whether the lower end belongs to it.
      has_high: whether the upper end belongs to it.

    Example:
      >>> from advact_jax import properties
      >>> relu = properties.of("relu").range
      >>> print(relu, 0.0 in relu, -1.0 in relu)
      [0, inf) True False
      >>> print(properties.Interval(-1.0, 1.0, has_high=True))
      (-1, 1]
    """

    low: float
    high: float
    has_low: bool = False
    has_high: bool = False

    def __str__(self) -> str:
        left, right = "(["[self.has_low], ")]"[self.has_high]
        return f"{left}{_shown(self.low)}, {_shown(self.high)}{right}"

    def __contains__(self, x: float) -> bool:
        return (
            self.low < x < self.high
            or (self.has_low and x == self.low)
            or (self.has_high and x == self.high)
        )


@dataclasses.dataclass(frozen=True)
class Properties:
    r"""What `of` returns.

    Attributes:
      label: the activation, with the parameters that are given.
      range: the smallest interval that holds all values.
      monotone: "increasing" or "decreasing", level pieces allowed; None if it is neither.
      lipschitz: the largest size of the slope; infinite where the function jumps.
      gain: by how much weights must be larger than LeCun's to keep the second moment of values, as
        `advact_jax.initializers.gain` returns; None where the moment is 0 or infinite.
      backward_gain: the same for gradients.
      fixed_point: the variance that the inputs of deep layers come to, from 1 and with LeCun's
        weights: where :math:`q = E[f(z)^2], z \sim N(0, q)`; 0 if it dies out, infinite if it
        grows without end.
      dead: the intervals on which the derivative is 0, so that no gradient comes through.

    Example:
      >>> from advact_jax import properties
      >>> found = properties.of("relu6")
      >>> found.monotone, found.lipschitz, round(found.gain, 3)
      ('increasing', 1.0, 1.414)
      >>> for what, shown in found.shown().items():
      ...     print(f"{what}: {shown}")
      range: [0, 6]
      monotone: increasing
      Lipschitz: 1
      gain: 1.4142
      backward gain: 1.4142
      variance goes to: 0
      dead region: (-inf, 0] and [6, inf)
    """

    label: str
    range: Interval
    monotone: str | None
    lipschitz: float
    gain: float | None
    backward_gain: float | None
    fixed_point: float
    dead: tuple[Interval, ...]

    def shown(self) -> dict[str, str]:
        """Return each property in words, as the tables of figures and of the command line do."""
        return {
            "range": str(self.range),
            "monotone": self.monotone or "no",
            "Lipschitz": _shown(self.lipschitz),
            "gain": "-" if self.gain is None else _shown(self.gain),
            "backward gain": "-" if self.backward_gain is None else _shown(self.backward_gain),
            "variance goes to": _shown(self.fixed_point),
            "dead region": " and ".join(map(str, self.dead)) or "none",
        }


def of(activation: str | Callable[..., Any], **parameters: Any) -> Properties:
    r"""Return the properties of an elementwise activation.

    Args:
      activation: a name, a function declared with `advact_jax.activation`, or an
        `advact_jax.Activation`. A level piece is found where its ends are declared as kinks.
      **parameters: parameters of the activation, as Python numbers; those without a default are
        else at their usual initial value.

    Returns:
      A `Properties`.

    Raises:
      ValueError: if a name is unknown, or a parameter is outside its domain.
      TypeError: if the activation is not elementwise, or has no declaration.

    Example:
      >>> from advact_jax import properties
      >>> relu6 = properties.of("relu6")
      >>> print(relu6.range, relu6.monotone, relu6.lipschitz, *relu6.dead)
      [0, 6] increasing 1.0 (-inf, 0] [6, inf)
      >>> gelu = properties.of("gelu", approximate=False)
      >>> print(gelu.range, gelu.monotone, round(gelu.lipschitz, 4))
      [-0.16997, inf) None 1.129

    References:
      Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, Exponential expressivity in deep neural
      networks through transient chaos, arXiv:1606.05340, for the fixed point of the variance.
    """
    function, spec, fixed = registry.elementwise("of", activation)
    given = {**_samples.initial(spec), **fixed, **parameters}
    made = registry.Activation(function, **given)
    curve = _Curve(functools.partial(function, **given), spec, given)
    return Properties(
        label=_samples.named(spec.name, given),
        range=curve.range(),
        monotone=curve.monotone(),
        lipschitz=curve.lipschitz(),
        gain=_gain(made, backward=False),
        backward_gain=_gain(made, backward=True),
        fixed_point=curve.fixed_point(),
        dead=curve.dead(),
    )


def _gain(made: registry.Activation, backward: bool) -> float | None:
    try:
        return initializers.gain(made, backward=backward)
    except ValueError:  # The moment is 0 or infinite.
        return None


def _shown(value: float) -> str:
    return f"{value:.5g}"


# -- the function at many inputs ----------------------------------------------------------------


class _Curve:
    """A function and its derivative at inputs that lie dense between and beside its kinks."""

    def __init__(self, function: Callable[[Any], Any], spec: Spec, given: Mapping[str, Any]):
        both = accuracy.together(accuracy.derivatives(function)[:2])
        self._both = jax.jit(both)
        self._kinks = {float(k): side for k, side in sorted(spec.at("kinks", **given).items())}
        self._limits = spec.at("limits", **given)
        self._slope_limits = spec.at("slope_limits", **given)
        self._x = _inputs(tuple(self._kinks))
        self._y, self._slope = self._at(self._x)

    def _at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return value and slope; in blocks of one size, so that they compile once."""
        blocks = np.pad(x, (0, -x.size % BLOCK)).reshape(-1, BLOCK)
        with jax.enable_x64(True):
            found = [self._both(block) for block in blocks]
        y, slope = (np.concatenate(column)[: x.size] for column in zip(*found, strict=True))
        return y, slope

    def _pieces(self) -> list[tuple[float, float]]:
        ends = [-math.inf, *self._kinks, math.inf]
        return list(zip(ends, ends[1:], strict=False))

    def _is_level(self, low: float, high: float) -> bool:
        inside = (self._x > low) & (self._x < high)
        return bool(np.all(self._slope[inside] == 0))

    def dead(self) -> tuple[Interval, ...]:
        """Return the pieces between kinks whose slope is 0 throughout, joined where they meet."""
        found: list[Interval] = []
        for low, high in self._pieces():
            if not self._is_level(low, high):
                continue
            piece = Interval(
                low, high, self._kinks.get(low) == "right", self._kinks.get(high) == "left"
            )
            if found and found[-1].high == low and (found[-1].has_high or piece.has_low):
                last = found.pop()
                piece = Interval(last.low, high, last.has_low, piece.has_high)
            found.append(piece)
        return tuple(found)

    def monotone(self) -> str | None:
        """Tell the direction of the function, if it has one."""
        y, slope = self._y, self._slope
        finite = np.isfinite(y)
        y = y[finite]
        steps = np.diff(y)
        rounding = STEP * np.maximum(np.abs(y[:-1]), np.abs(y[1:]))
        rises = bool(np.any(slope > SLOPE) or np.any(steps > rounding))
        falls = bool(np.any(slope < -SLOPE) or np.any(steps < -rounding))
        return None if rises == falls else "increasing" if rises else "decreasing"

    def range(self) -> Interval:
        """Return the range, with the ends that a value reaches."""
        high, has_high = self._supremum(1)
        low, has_low = self._supremum(-1)
        return Interval(-low, high, has_low, has_high)

    def _supremum(self, sign: int) -> tuple[float, bool]:
        """Return the supremum of the function times a sign, and whether a value reaches it."""
        y = sign * self._y
        ends = self._ends(y, self._limits and tuple(sign * limit for limit in self._limits))
        at = int(np.nanargmax(y))
        most, is_reached = float(y[at]), self._is_reached(at)
        if is_reached and self._x[at] not in self._kinks:
            most = float(self._highest(lambda x: sign * self._at(x)[0], at))
        limit = max(ends)
        # A value that rounds to the limit is none that reaches it.
        if limit > most or (not is_reached and limit >= most - 1e-9 * abs(most)):
            return limit, False
        return most, is_reached

    def _is_reached(self, at: int) -> bool:
        """Tell whether an extreme sample is one of the function: on a level, a kink or a turn."""
        x = float(self._x[at])
        if x in self._kinks or any(x in piece for piece in self.dead()):
            return True
        before, after = self._slope[max(at - 1, 0)], self._slope[min(at + 1, self._x.size - 1)]
        return bool(before * after < 0)

    def lipschitz(self) -> float:
        """Return the largest size of the slope, infinite where the function jumps."""
        for kink in self._kinks:
            beside = 1e-9 * max(1.0, abs(kink))
            left, at, right = self._at(np.asarray([kink - beside, kink, kink + beside]))[0]
            if max(abs(left - at), abs(right - at)) > JUMP * max(1.0, abs(at)):
                return math.inf
        size = np.abs(self._slope)
        limits = self._slope_limits
        ends = self._ends(size, limits and tuple(abs(limit) for limit in limits))
        at = int(np.nanargmax(size))
        steepest = float(self._highest(lambda x: np.abs(self._at(x)[1]), at))
        return max(steepest, *ends)

    def _ends(
        self, y: np.ndarray, limits: tuple[float, float] | None
    ) -> tuple[float, float]:  # fmt: skip
        """Return the limits at both ends, or what the farthest samples tell of a curve without."""
        if limits is not None:
            return limits
        far = np.abs(self._x) > 1e4
        with np.errstate(invalid="ignore"):
            grows = np.nanmax(y[far]) > 10 * max(np.nanmax(y[~far]), 1)
        return (math.inf, math.inf) if grows else (-math.inf, -math.inf)

    def _highest(self, function: Callable[[np.ndarray], np.ndarray], at: int) -> float:
        """Return the highest value between the neighbours of a sample, by looking ever closer."""
        best = float(function(self._x[at : at + 1])[0])
        low, high = self._x[max(at - 1, 0)], self._x[min(at + 1, self._x.size - 1)]
        inner = [k for k in self._kinks if low <= k <= high]
        if inner:  # The slope jumps there; samples lie close on either side.
            return best
        for _ in range(6):
            x = np.linspace(low, high, 65)
            y = function(x)
            peak = int(np.nanargmax(y))
            best = max(best, float(y[peak]))
            low, high = x[max(peak - 1, 0)], x[min(peak + 1, 64)]
        return best

    def fixed_point(self) -> float:
        """Return where the variance goes from 1 with LeCun's weights."""
        x, weights = _quadrature(tuple(self._kinks))
        with np.errstate(all="ignore"):
            squares = weights * self._at(x)[0] ** 2

        def change(variance: float) -> float:
            density = np.exp(-0.5 * x * x / variance) / math.sqrt(2 * math.pi * variance)
            moment = float(np.sum(np.where(density > 0, squares, 0) * density))
            return moment / variance - 1

        start = change(1.0)
        if abs(start) < 1e-6:
            return 1.0
        factor = 2.0 if start > 0 else 0.5
        near, far = 1.0, factor
        while 2.0**-20 <= far <= 2.0**20:
            if change(far) * start <= 0:
                return _root(change, near, far)
            near, far = far, far * factor
        return math.inf if start > 0 else 0.0


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function changes its sign, by bisection on a scale of factors."""
    sign = function(low) > 0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if (function(middle) > 0) == sign else (low, middle)
    return low


@functools.lru_cache(maxsize=64)
def _inputs(kinks: tuple[float, ...]) -> np.ndarray:
    """Return inputs that lie dense around 0, far out, and close to each kink on both sides."""
    far = np.geomspace(16, 1e6, 400)
    near = np.geomspace(1e-12, 1, 60)
    beside = [kink + sign * near for kink in (*kinks, 0.0) for sign in (-1, 1)]
    dense = np.linspace(-16, 16, 8001)
    between = [np.linspace(a, b, 1001) for a, b in zip(kinks, kinks[1:], strict=False)]
    return np.unique(np.concatenate([-far, dense, far, *beside, *between, kinks]))


@functools.lru_cache(maxsize=64)
def _quadrature(kinks: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights on the line, fine around 0 and cut at the kinks.

    The nodes do not depend on the variance, whose density is a factor of the weights.
    """
    scales = [2.0**k for k in range(-12, 15)]
    ends = sorted({0.0, *kinks, *scales, *(-scale for scale in scales)})
    nodes, weights = np.polynomial.legendre.leggauss(200)
    halves = np.diff(ends) / 2
    middles = np.asarray(ends[:-1]) + halves
    x = middles[:, None] + halves[:, None] * nodes
    return x.ravel(), (halves[:, None] * weights).ravel()
