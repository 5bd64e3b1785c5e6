"""What the layers of `linen` and `nnx` with tables of coefficients share: how they start.

Each class here completes what the fields of its layer say of the parameters. The fields themselves
are the layer's, of either framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _core, _modules, registry
from advact_jax._declare import row_function
from advact_jax._modules import Constant, Learned
from advact_jax._rule import compute_dtype
from advact_jax._sharing import Sharing
from advact_jax._spec import Parameter
from advact_jax.functions import rational, self_gated, spline


def _size(given: Any, usual: int) -> int:
    """Return how many coefficients a table has whose initial value is this one."""
    shape = np.shape(given.value if isinstance(given, Constant) else given)
    return shape[-1] if shape and not callable(given) or isinstance(given, Constant) else usual


def _filled(learned: Learned, usual: Mapping[str, Any], sizes: Mapping[str, int]) -> Learned:
    """Return what a layer learns, with the usual initial values where it was given None."""
    initial = {k: usual[k] if v is None else v for k, v in learned.initial.items()}
    entries = {key: _size(initial[key], size) for key, size in sizes.items()}
    return learned._replace(initial=initial, entries=entries)


class Rational:
    """A layer of a quotient of polynomials."""

    approximates: str
    version: rational.Version
    published: bool
    degrees: tuple[int, int]

    def _completed(self, label: str, learned: Learned) -> Learned:
        if not isinstance(self.degrees, tuple) or len(self.degrees) != 2:
            raise TypeError(f"{label}: expected degrees to be two ints, got {self.degrees!r}.")
        _core.positive(label, **{"each of degrees": self.degrees[0]})
        _core.positive(label, **{"each of degrees": self.degrees[1]})
        _checks.boolean(label, "published", self.published)
        try:
            a, b = rational.rational_coefficients(
                self.approximates, self.version, published=self.published
            )
        except ValueError as error:
            message = str(error).replace("rational_coefficients", label)
            raise ValueError(message.replace("expected name", "expected approximates")) from None
        sizes = {
            "numerator": self.degrees[0] + 1,
            "denominator": self.degrees[1] + (self.version == "C"),
        }
        usual = {"numerator": a, "denominator": b}
        for key, size in sizes.items():
            if learned.initial[key] is None and size != len(usual[key]):
                raise ValueError(
                    f"{label}: expected degrees (5, 4), for which there are coefficients, or both "
                    f"numerator_init and denominator_init, got degrees={self.degrees!r}."
                )
        return _filled(learned, usual, sizes)._replace(fixed={"version": self.version})

    def initial_activation(self) -> registry.Activation:
        """Return the activation to which the layer is close in the beginning."""
        return registry.Activation("silu" if self.approximates == "swish" else self.approximates)


_POLYGONS: dict[Any, dict[str, Any]] = {}


def _polygon(function: Any, low: float, high: float, intervals: int) -> dict[str, Any]:
    """Return the heights of a function at even knots and its slopes at the ends."""
    case = function, low, high, intervals
    if case not in _POLYGONS:
        found = {
            "heights": function(jnp.linspace(low, high, intervals + 1, dtype=jnp.float32)),
            "left_slope": jax.grad(function)(jnp.float32(low)),
            "right_slope": jax.grad(function)(jnp.float32(high)),
        }
        if any(isinstance(value, jax.core.Tracer) for value in found.values()):
            return found  # Under jit these belong to one trace.
        _POLYGONS[case] = {key: np.asarray(value) for key, value in found.items()}
    return _POLYGONS[case]


class PWLU:
    """A layer of a polygon on equal intervals."""

    approximates: str
    intervals: int

    def _completed(self, label: str, learned: Learned) -> Learned:
        _core.positive(label, intervals=self.intervals)
        usual: dict[str, Any] = {}
        missing = [key for key, value in learned.initial.items() if value is None]
        if missing:
            low, high = learned.initial["low"], learned.initial["high"]
            if not all(isinstance(v, int | float) for v in (low, high)):
                raise ValueError(
                    f"{label}: expected {missing[0]}_init where low_init and high_init are not "
                    "numbers, got None."
                )
            usual = _polygon(registry.get(self.approximates), low, high, self.intervals)
        return _filled(learned, usual, {"heights": self.intervals + 1})

    def initial_activation(self) -> registry.Activation:
        """Return the activation to which the layer is close in the beginning."""
        return registry.Activation(self.approximates)


class APL:
    """A layer of a rectifier and hinges."""

    hinge_count: int

    def _completed(self, label: str, learned: Learned) -> Learned:
        _core.positive(label, hinge_count=self.hinge_count)
        count = self.hinge_count
        evenly = np.linspace(-1, 1, 2 * count + 1)[1::2]
        return _filled(learned, {"hinges": evenly}, {"slopes": count, "hinges": count})

    def initial_activation(self) -> registry.Activation:
        """Return the activation to which the layer is close in the beginning."""
        return registry.Activation("relu")


class PolyReLU:
    """A layer of powers of the rectifier."""

    order: int

    def _completed(self, label: str, learned: Learned) -> Learned:
        _core.positive(label, order=self.order)
        return _filled(learned, {"weights": 1 / self.order}, {"weights": self.order})

    def initial_activation(self) -> registry.Activation:
        """Return the activation by which to choose the initial kernels around the layer."""
        return registry.Activation("relu")


@row_function(
    static=("grid", "degree"),
    parameters={
        **spline.bspline.spec.parameters,  # type: ignore[attr-defined]
        "base": Parameter(learned=True, initial=1.0),
        "scale": Parameter(learned=True, initial=1.0),
    },
)
def silu_and_spline(
    x: ArrayLike,
    coefficients: ArrayLike,
    base: ArrayLike,
    scale: ArrayLike,
    grid: spline.Grid,
    degree: int,
) -> Array:
    """Return base · silu(x) + scale · spline(x), rounded once; ``x`` alone is kept."""

    def both(x: Array, coefficients: Array, base: Array, scale: Array) -> Array:
        wide = x.astype(compute_dtype(x.dtype))
        smooth = self_gated.silu(wide)
        curve = spline.bspline(wide, coefficients, grid, degree)
        base, scale = (v.astype(wide.dtype) for v in (base, scale))
        return (base * smooth + scale * curve).astype(x.dtype)

    arrays = (jnp.asarray(v) for v in (x, coefficients, base, scale))
    return jax.checkpoint(both, prevent_cse=False)(*arrays)


class BSpline:
    """A layer of a spline beside SiLU."""

    grid: spline.Grid
    intervals: int
    degree: int

    def _completed(self, label: str, learned: Learned) -> Learned:
        _core.positive(label, intervals=self.intervals)
        count = self.intervals + _checks.integer(label, "degree", self.degree)
        grid, degree = spline.checked(label, count, self.grid, self.degree)
        return _filled(learned, {}, {"coefficients": count})._replace(
            fixed={"grid": grid, "degree": degree}
        )

    def initial_activation(self) -> registry.Activation:
        """Return the activation to which the layer is close in the beginning."""
        return registry.Activation("silu")


def refitted(
    layer: Any,
    sharing: Sharing,
    coefficients: Array,
    x: ArrayLike,
    intervals: int,
    grid: spline.Grid,
) -> Array:
    """Return the coefficients on another grid with which the splines stay closest at samples."""
    label = sharing.layer
    x = _modules.as_input(label, x, None)
    sharing.check("coefficients", coefficients.shape, x.shape, coefficients.shape[-1:])
    axes = sharing.axes(x.ndim)
    if sharing.shared_axes is not None:
        axes = tuple(i for i in range(1, x.ndim) if i not in axes)
    own = tuple(x.shape[i] for i in axes)
    samples = jnp.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim)).reshape(-1, *own)
    samples = samples.astype(jnp.promote_types(samples.dtype, jnp.float32))
    held = coefficients.reshape(*own, coefficients.shape[-1])
    y = spline.bspline(samples, held, layer.grid, layer.degree)
    found = spline.fit_bspline(samples, y, intervals, grid, layer.degree)
    return found.reshape(*coefficients.shape[:-1], found.shape[-1]).astype(coefficients.dtype)
