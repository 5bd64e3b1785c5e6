"""Curves of an activation as arrays: what the figures, the terminal and the documentation draw."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import _checks, accuracy, registry
from advact_jax._spec import RowSpec, Spec
from advact_jax.testing.cases import RowCase

# Beside each kink stand two inputs at this share of the range, so that a jump has both its ends.
BESIDE = 1e-9
# A step larger than this share of the curve's height, between these two, is a jump.
JUMP = 1e-6
COUNT = 400


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """An activation and its derivatives over a range, in float64.

    Attributes:
      label: the name, with the parameters that are given.
      x: inputs, in order; each kink is one, with a neighbour close by on either side.
      curves: the value, and as many derivatives as were asked for, at these inputs.
      kinks: the kinks in the range, each with the side whose piece owns it.
      note: what is drawn of a function that is not elementwise.
    """

    label: str
    x: np.ndarray
    curves: tuple[np.ndarray, ...]
    kinks: Mapping[float, str]
    note: str = ""

    @property
    def value(self) -> np.ndarray:
        """The function itself."""
        return self.curves[0]

    @property
    def slopes(self) -> tuple[np.ndarray, ...]:
        """The derivatives."""
        return self.curves[1:]

    def jumps(self, order: int) -> list[tuple[float, float, float, float]]:
        """Return the place, left limit, value and right limit of each jump of a curve."""
        y = self.curves[order]
        finite = y[np.isfinite(y)]
        least = JUMP * (np.ptp(finite) if finite.size else 0)
        found = []
        for kink in self.kinks:
            at = int(np.searchsorted(self.x, kink))
            left, value, right = map(float, y[at - 1 : at + 2])
            if abs(left - right) > least or max(abs(value - left), abs(value - right)) > least:
                found.append((kink, left, value, right))
        return found

    def pieces(self, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return a curve as arrays of x and y, cut where it jumps."""
        x, y = self.x, self.curves[order]
        cuts = [int(np.searchsorted(x, kink)) for kink, *_ in self.jumps(order)]
        starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, x.size]
        return [(x[a:b], y[a:b]) for a, b in zip(starts, ends, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return the curves as lists of numbers."""
        names = ("value", "first_derivative", "second_derivative")
        return {
            "label": self.label,
            **({"note": self.note} if self.note else {}),
            "x": self.x.tolist(),
            **{name: y.tolist() for name, y in zip(names, self.curves, strict=False)},
            "kinks": {f"{kink:g}": side for kink, side in self.kinks.items()},
        }


class _Curve(NamedTuple):
    """A function of one array, to be sampled."""

    label: str
    function: Callable[[Any], Any]
    kinks: Mapping[float, str]
    note: str


def samples(
    activation: str | Callable[..., Any],
    *,
    derivatives: int = 2,
    x_range: tuple[float, float] | None = None,
    count: int = COUNT,
    **parameters: Any,
) -> Samples:
    """Return the value and the first derivatives of an activation over a range.

    Of a function along an axis it is a slice: the first output for the input (x, 0), or, of a gated
    unit, the output for the gate x and the value 1. Parameters without a default are at their usual
    initial value.

    Args:
      activation: a name, a function or an `advact_jax.Activation`.
      derivatives: how many, at most 2.
      x_range: both ends; without it, around 0 and all kinks.
      count: the number of inputs, the kinks not counted.
      **parameters: parameters of the activation, as Python numbers.

    Raises:
      ValueError: if a name is unknown, or the range or a parameter makes no sense.
      TypeError: if a parameter is unknown.
    """
    curve = _curve("samples", activation, parameters)
    _checked(derivatives, x_range)
    low, high = x_range or _natural_range(curve)
    return _sampled(curve, derivatives, (float(low), float(high)), count)


def several(
    activations: Sequence[str | Callable[..., Any]],
    *,
    derivatives: int = 2,
    x_range: tuple[float, float] | None = None,
    count: int = COUNT,
) -> tuple[Samples, ...]:
    """Return the samples of several activations over one range."""
    _checked(derivatives, x_range)
    return _over_one_range(
        [_curve("samples", activation, {}) for activation in activations],
        derivatives,
        x_range,
        count,
    )


def family(
    activation: str | Callable[..., Any],
    parameter: str,
    values: Sequence[Any] | None = None,
    *,
    derivatives: int = 2,
    x_range: tuple[float, float] | None = None,
    count: int = COUNT,
) -> tuple[Samples, ...]:
    """Return the samples of one activation at several values of a parameter.

    Without ``values``, these are its default or initial value and those of its contracts.

    Raises:
      ValueError: if there is no value to take.
      TypeError: if the activation has no such parameter.
    """
    _checked(derivatives, x_range)
    if values is None:
        values = _usual_values(activation, parameter)
    if not len(values):
        raise ValueError(f"family: expected values of {parameter}, got none.")
    curves = [
        _curve("family", activation, {parameter: value})._replace(
            label=f"{parameter} = {_shown(value)}"
        )
        for value in values
    ]
    return _over_one_range(curves, derivatives, x_range, count)


def label_of(activation: str | Callable[..., Any], without: str = "") -> str:
    """Return how a figure calls an activation: its name, and the parameters that are given."""
    function, fixed = registry.resolve("label_of", activation)
    spec = getattr(function, "spec", None)
    given = {**(initial(spec) if isinstance(spec, Spec) else {}), **fixed}
    name = getattr(function, "__name__", type(function).__name__)
    return named(name, {key: value for key, value in given.items() if key != without})


def _checked(derivatives: int, x_range: tuple[float, float] | None) -> None:
    if derivatives not in (0, 1, 2):
        raise ValueError(f"expected derivatives to be 0, 1 or 2, got {derivatives!r}.")
    if x_range is not None and not (
        len(x_range) == 2 and -math.inf < x_range[0] < x_range[1] < math.inf
    ):
        raise ValueError(f"expected x_range to be a lower and an upper end, got {x_range!r}.")


# -- what is sampled ----------------------------------------------------------------------------


def _curve(label: str, activation: Any, parameters: Mapping[str, Any]) -> _Curve:
    function, fixed = registry.resolve(label, activation)
    spec = getattr(function, "spec", None)
    given = {**fixed, **parameters}
    if isinstance(spec, Spec):
        given = {**initial(spec), **given}
        # The constructor checks names and domains; a default that is given keeps its place in the
        # label.
        registry.Activation(function, **given)
        kinks = spec.at("kinks", **given)
        return _Curve(
            named(spec.name, given), functools.partial(function, **given), dict(kinks), ""
        )
    if isinstance(spec, RowSpec):
        return _slice(label, function, spec, given)
    if given:
        registry.Activation(function, **given)
    return _Curve(getattr(function, "__name__", type(function).__name__), function, {}, "")


def initial(spec: Spec) -> dict[str, float]:
    """Return a value of each parameter without a default: its initial one, or a sample."""
    return {
        key: p.samples[0] if p.initial is None else p.initial
        for key, p in spec.parameters.items()
        if key not in spec.defaults
    }


def _slice(label: str, function: Any, spec: RowSpec, given: Mapping[str, Any]) -> _Curve:
    known = list(spec.signature.parameters)
    for key in given:
        if key not in known:
            raise TypeError(
                f"{label}: expected parameters of {spec.name} ({', '.join(known[1:])}), got {key}."
            )
    case = RowCase(function, {**spec.given[0], **given})
    name = named(spec.name, given)
    if "up" in known:
        return _Curve(name, lambda x: case.call(x, up=jnp.ones_like(x)), {}, "gate x, value 1")
    if "axis" not in known and spec.channel_axis == -1:
        return _Curve(name, lambda x: case(x[..., None])[..., 0], {}, "")

    def first(x: Any) -> Any:
        y = case(jnp.stack([x, jnp.zeros_like(x)], -1))
        return y[..., 0] if y.ndim > x.ndim else y

    return _Curve(name, first, {}, "first output for the input (x, 0)")


def _usual_values(activation: Any, parameter: str) -> list[Any]:
    function, fixed = registry.resolve("family", activation)
    spec = getattr(function, "spec", None)
    if not isinstance(spec, Spec):
        raise ValueError(
            f"family: expected values of {parameter} for {_checks.describe(activation)}, which "
            "declares none of its own, got none."
        )
    if parameter in spec.flags:
        return list(spec.flags[parameter])
    if parameter not in spec.parameters:
        unknown: dict[str, Any] = {parameter: 0.0}
        registry.Activation(function, **fixed, **unknown)  # raises, with the nearest name
    found = spec.parameters[parameter]
    usual = [spec.defaults.get(parameter), found.initial, *found.samples, fixed.get(parameter)]
    return sorted({value for value in usual if value is not None})


def named(name: str, given: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in given.items() if np.ndim(value) == 0}
    inside = ", ".join(f"{key}={_shown(value)}" for key, value in shown.items())
    return f"{name}({inside})" if shown else name


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# -- sampling -----------------------------------------------------------------------------------


def _over_one_range(
    curves: Sequence[_Curve],
    derivatives: int,
    x_range: tuple[float, float] | None,
    count: int,
) -> tuple[Samples, ...]:
    if x_range is None:
        ranges = [_natural_range(curve) for curve in curves]
        x_range = min(low for low, _ in ranges), max(high for _, high in ranges)
    low, high = map(float, x_range)
    return tuple(_sampled(curve, derivatives, (low, high), count) for curve in curves)


def _natural_range(curve: _Curve) -> tuple[float, float]:
    """Return a range around 0 with all kinks, narrower if the curve swings often in it."""
    kinks = [kink for kink in curve.kinks if math.isfinite(kink)]
    low = min([-4.0, *(math.floor(kink) - 2.0 for kink in kinks)])
    high = max([4.0, *(math.ceil(kink) + 2.0 for kink in kinks)])
    if kinks:
        return low, high
    x = np.linspace(low, high, 4001)
    (y,) = accuracy.evaluate(lambda x: (curve.function(x),), x)
    steps = np.diff(y)
    signs = np.sign(steps[np.abs(steps) > 1e-9 * np.ptp(y)])  # Level tails are no swings.
    swings = int(np.count_nonzero(np.diff(signs)))
    while swings > 10:
        low, high, swings = low / 2, high / 2, swings // 2
    return low, high


def _sampled(
    curve: _Curve, derivatives: int, x_range: tuple[float, float], count: int
) -> Samples:  # fmt: skip
    low, high = x_range
    beside = BESIDE * (high - low)
    kinks = {
        float(kink): side
        for kink, side in sorted(curve.kinks.items())
        if low + beside < kink < high - beside
    }
    even = np.linspace(low, high, count)
    near = [k + sign * beside for k in kinks for sign in (-1, 0, 1)]
    far = [x for x in even if all(abs(x - k) > 2 * beside for k in kinks)]
    x = np.unique(np.asarray([*far, *near], np.float64))
    functions = accuracy.derivatives(curve.function)[: derivatives + 1]
    with jax.enable_x64(True):
        curves = accuracy.evaluate(accuracy.together(functions), x)
    wide = tuple(np.asarray(y, np.float64) for y in curves)
    return Samples(curve.label, x, wide, kinks, curve.note)
