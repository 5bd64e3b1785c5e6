"""What is declared of an activation: its formula, derivatives, limits, kinks, names and sources."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Formula = Callable[..., Any]


# What the values of a parameter must be, in words and as a test of a finite number.
DOMAINS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "real": ("a number", lambda v: v == v),
    "nonnegative": ("not negative", lambda v: v >= 0),
    "positive": ("positive", lambda v: v > 0),
    "at least 1": ("at least 1", lambda v: v >= 1),
}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What the library knows of one parameter of an activation.

    Attributes:
      partial: the derivative of the function by this parameter, as a function of ``x`` and all
        parameters; None where there is none (a jump moves with the parameter) or where JAX should
        derive it from the formula.
      domain: the values for which the definition makes sense, one of ``DOMAINS``.
      strict: whether a Python number outside the domain is an error in every call; without it, the
        formula is taken at its word there, and only a layer or an `Activation` raises.
      initial: the usual initial value where the parameter is learned.
      initial_in: the initial values of layers elsewhere, by dialect, where they differ.
      learned: whether the literature learns it.
      differentiable: False where the derivative is zero or a jump; it is then 0.
      samples: values at which the contracts are checked, beside the default.
      is_table: whether it holds several coefficients, along its first axis within the rule and its
        last one outside; ``partial`` then gives a list with the derivative by each.

    Example:
      >>> @advact_jax.activation(
      ...     parameters={
      ...         "alpha": advact_jax.Parameter(
      ...             partial=lambda x, alpha: jnp.sin(x), domain="positive"
      ...         )
      ...     }
      ... )
      ... def wave(x, alpha=1.0):
      ...     return x + alpha * jnp.sin(x)
      >>> print(jax.grad(wave, argnums=1)(2.0, 1.0))
      0.9093
      >>> advact_jax.Activation(wave, alpha=-1.0)
      Traceback (most recent call last):
      ValueError: Activation: expected alpha to be positive, got -1.0.
    """

    partial: Formula | None = None
    domain: str = "real"
    strict: bool = False
    initial: float | None = None
    initial_in: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    learned: bool = False
    differentiable: bool = True
    samples: tuple[float, ...] = ()
    is_table: bool = False


class _Declared:
    """What declarations of both kinds have."""

    signature: inspect.Signature
    parameters: Mapping[str, Parameter]

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each parameter that has one."""
        return {
            key: self.signature.parameters[key].default
            for key in self.parameters
            if self.signature.parameters[key].default is not inspect.Parameter.empty
        }


@dataclasses.dataclass(frozen=True)
class Spec(_Declared):
    """The declaration of an activation; `activation` describes the fields."""

    name: str
    formula: Formula
    signature: inspect.Signature
    parameters: Mapping[str, Parameter]
    flags: Mapping[str, tuple[Any, ...]]
    dx: Formula | None
    dxx: Formula | None
    dx_from_output: Formula | None
    output_tells_slope: Callable[..., bool] | None
    lean_dx: Formula | None
    region: Formula | None
    slope: Formula | None
    region_from_output: Formula | None
    output_tells_region: Callable[..., bool] | None
    limits: tuple[Any, Any] | None
    slope_limits: tuple[Any, Any] | None
    kinks: Any
    value_floor: float
    reference: Formula | None
    latex: str
    tier: str
    paper: str
    names: Mapping[str, Any]
    keeps_integers: bool
    notes: Mapping[str, str]
    # What `lean` keeps in place of the input: a function of x, y and f', which returns it together
    # with the function that gives the derivative from it.
    keep: Callable[..., tuple[Any, Callable[..., Array]]] | None = None

    def at(self, field: str, **given: Any) -> Any:
        """Return a field (limits, kinks, ...) at these parameters."""
        value = getattr(self, field)
        return (
            value(**{**self.defaults, **self.default_flags, **given}) if callable(value) else value
        )

    @property
    def residual_bytes(self) -> int:
        """Bytes of float32 kept per element for the backward pass, the 4 of the output included."""
        alone = self.dx_from_output is not None and self.dx is None
        if alone or self.output_tells(self.defaults):
            return 4
        return 5 if self.region is not None else 8

    @property
    def default_flags(self) -> dict[str, Any]:
        """The default of each flag."""
        return {key: self.signature.parameters[key].default for key in self.flags}

    # -- the derivative that reverse mode recomputes --------------------------------------------

    def derivative(self, x: Array, **given: Any) -> Array:
        """Return the first derivative by ``x``, in the type of ``x``, as plain JAX code."""
        if self.region is not None and self.slope is not None:
            return self.slope_of(self.codes(x, **given), x.dtype, **given)
        if self.dx is not None:
            return self.dx(x, **given)
        if self.dx_from_output is not None:
            return self.dx_from_output(self.formula(x, **given), **given)
        formula = functools.partial(self.formula, **given)
        return jax.jvp(formula, (x,), (jnp.ones_like(x),))[1]

    def codes(self, x: Array, **given: Any) -> Array:
        """Return one byte per element that tells the linear piece; -1 for NaN."""
        return _codes(self.region, x, **given)

    def slope_of(self, codes: Array, dtype: Any, **given: Any) -> Array:
        """Return the slope of the pieces that `codes` names, NaN for NaN."""
        slope = self._slope(codes, dtype, **given)
        return jnp.where(codes < 0, jnp.asarray(math.nan, dtype), slope)

    def slope_from_output(self, y: Array, **given: Any) -> Array:
        """Return the slope where the output is ``y``, NaN for NaN."""
        region: Any = self.region_from_output or self.region
        pieces = jnp.asarray(region(y, **given))
        if pieces.dtype != jnp.bool_:
            # In the type of y, which no vector instruction has to change.
            slopes = self._slope(pieces.astype(y.dtype), y.dtype, **given)
            return jnp.where(jnp.isnan(y), y, slopes)
        slope: Any = self.slope
        with jax.ensure_compile_time_eval():  # NumPy's numbers: JAX would compile each step.
            there, here = (float(slope(np.float64(piece), **given)) for piece in (0, 1))
            takes_nan = there != 0 or bool(region(np.float64(math.nan), **given))
        if not takes_nan:
            return jnp.where(pieces, here, y * 0)  # y is constant there, or NaN.
        return jnp.where(jnp.isnan(y), y, jnp.where(pieces, here, there))

    def _slope(self, pieces: Array, dtype: Any, **given: Any) -> Array:
        slope_formula: Any = self.slope
        return jnp.asarray(slope_formula(pieces, **given)).astype(dtype)

    def output_tells(self, fixed: Mapping[str, Any]) -> bool:
        """Tell whether the output alone determines the piece, given the fixed parameters."""
        return self._holds(self.output_tells_region, fixed)

    def slope_by_output(self, fixed: Mapping[str, Any]) -> bool:
        """Tell whether the first derivative follows from the output, given these parameters."""
        if self.dx_from_output is None:
            return False
        return self.output_tells_slope is None or self._holds(self.output_tells_slope, fixed)

    def _holds(self, predicate: Callable[..., bool] | None, fixed: Mapping[str, Any]) -> bool:
        if predicate is None or any(key not in fixed for key in self.parameters):
            return False
        return bool(predicate(**{key: fixed[key] for key in self.parameters}))


def _codes(region: Any, x: Array, **given: Any) -> Array:
    found = jnp.asarray(region(x, **given)).astype(jnp.int8)
    return jnp.where(jnp.isnan(x), jnp.int8(-1), found)


@dataclasses.dataclass(frozen=True)
class RowSpec(_Declared):
    """The declaration of a function along an axis; `row_function` describes the fields."""

    name: str
    formula: Callable[..., Any]
    signature: inspect.Signature
    static: tuple[str, ...]
    row: str
    given: tuple[Mapping[str, Any], ...]
    lengths: tuple[int, ...]
    channel_axis: int
    counted: Mapping[str, str]
    kept: float
    takes_complex: bool
    needs_key: bool
    reference: Formula | None
    latex: str
    tier: str
    paper: str
    names: Mapping[str, Any]
    notes: Mapping[str, str]
    parameters: Mapping[str, Parameter]


# -- names elsewhere ---------------------------------------------------------------------------


class Name(NamedTuple):
    """A name that an activation has in another library.

    Attributes:
      name: the name there.
      defaults: the defaults that differ there, by our names.
      arguments: our names of its arguments; None for one that changes nothing here.
      values: our values for those of its arguments that are written otherwise there.
    """

    name: str
    defaults: Mapping[str, Any] = MappingProxyType({})
    arguments: Mapping[str, str | None] = MappingProxyType({})
    values: Mapping[Any, Any] = MappingProxyType({})


def names_in(spec: Spec | RowSpec, dialect: str) -> tuple[Name, ...]:
    """Return the names of an activation in a dialect; the first is the usual one."""
    declared = spec.names.get(dialect, [])
    found = []
    for entry in declared if isinstance(declared, list) else [declared]:
        names, *others = (entry,) if isinstance(entry, str) else entry
        found += [Name(name, *others) for name in ([names] if isinstance(names, str) else names)]
    return tuple(found)
