"""The declaration of an activation, and the one differentiation rule that all of them share.

A declaration is a typed function of ``x`` and its parameters with its derivatives, limits, kinks,
reference and sources beside it. `activation` turns it into the public function:

* ``jax.jit`` is outermost, so that an eager call is one fast dispatch: the public function is the
  jitted function itself, unless it has flags, whose errors are named in Python. A parameter that is
  left at its default is a compile-time constant; one that is passed is traced. Flags are static.
* The rule is a ``jax.custom_jvp`` with symbolic zeros: the partial derivative of what is not
  differentiated is not computed, and every mode of differentiation works.
* The tangent map is rematerialised: reverse mode keeps the input (or the output, or one byte that
  tells the piece, where these tell the derivative) and never an array of derivatives.
* Inputs of 16 bits or fewer are computed in float32 and rounded once.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from advact_jax import _checks, _numerics

P = ParamSpec("P")
R = TypeVar("R")
Formula = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What the library knows of one parameter of an activation.

    Attributes:
      partial: the derivative of the function by this parameter, as a function of ``x`` and all
        parameters; None where there is none (a jump moves with the parameter) or where JAX should
        derive it from the formula.
      domain: the values for which the definition makes sense: "real", "nonnegative" or "positive".
      initial: the usual initial value where the parameter is learned.
      initial_in: the initial values of layers elsewhere, by dialect, where they differ.
      learned: whether the literature learns it.
      differentiable: False where the derivative is zero or a jump; it is then 0.
      samples: values at which the contracts are checked, beside the default.
    """

    partial: Formula | None = None
    domain: str = "real"
    initial: float | None = None
    initial_in: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    learned: bool = False
    differentiable: bool = True
    samples: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Spec:
    """The declaration of an activation; `activation` describes the fields."""

    name: str
    formula: Formula
    signature: inspect.Signature
    parameters: Mapping[str, Parameter]
    flags: Mapping[str, tuple[Any, ...]]
    dx: Formula | None
    dxx: Formula | None
    dx_from_output: Formula | None
    region: Formula | None
    slope: Formula | None
    region_from_output: Formula | None
    output_tells_region: Callable[..., bool] | None
    limits: tuple[Any, Any] | None
    slope_limits: tuple[Any, Any] | None
    kinks: Any
    reference: Formula | None
    latex: str
    paper: str
    names: Mapping[str, Any]
    keeps_integers: bool
    notes: Mapping[str, str]

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each parameter that has one."""
        return {
            key: self.signature.parameters[key].default
            for key in self.parameters
            if self.signature.parameters[key].default is not inspect.Parameter.empty
        }

    def at(self, field: str, **given: Any) -> Any:
        """Return a field (limits, kinks, ...) at these parameters."""
        value = getattr(self, field)
        return (
            value(**{**self.defaults, **self.default_flags, **given}) if callable(value) else value
        )

    @property
    def residual_bytes(self) -> int:
        """Bytes of float32 kept per element for the backward pass, the 4 of the output included."""
        if self.dx_from_output is not None or self.output_tells(self.defaults):
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

    def codes_from_output(self, y: Array, **given: Any) -> Array:
        """Return what `codes` returns for the input that gave the output ``y``."""
        return _codes(self.region_from_output or self.region, y, **given)

    def slope_of(self, codes: Array, dtype: Any, **given: Any) -> Array:
        """Return the slope of the pieces that `codes` names, NaN for NaN."""
        slope_formula: Any = self.slope
        slope = jnp.asarray(slope_formula(codes, **given)).astype(dtype)
        return jnp.where(codes < 0, jnp.asarray(math.nan, dtype), slope)

    def output_tells(self, fixed: Mapping[str, Any]) -> bool:
        """Tell whether the output alone determines the piece, given the fixed parameters."""
        if self.output_tells_region is None or any(key not in fixed for key in self.parameters):
            return False
        return bool(self.output_tells_region(**{key: fixed[key] for key in self.parameters}))


def _codes(region: Any, x: Array, **given: Any) -> Array:
    found = jnp.asarray(region(x, **given)).astype(jnp.int8)
    return jnp.where(jnp.isnan(x), jnp.int8(-1), found)


def compute_dtype(dtype: Any) -> Any:
    """Return the type in which a formula runs: float32 for narrower types, else the same."""
    return jnp.dtype(jnp.float32) if _bits(dtype) < 32 else dtype


def _bits(dtype: Any) -> int:
    return jnp.finfo(dtype).bits


# -- the rule -----------------------------------------------------------------------------------


def _derivative_function(
    spec: Spec, names: tuple[str, ...], fixed: Mapping[str, Any], low: bool
) -> Any:
    """Return f'(x, *values) with the declared second derivative as its rule."""

    def plain(x: Array, *values: Array) -> Array:
        with _numerics.narrow(low):
            return spec.derivative(x, **fixed, **dict(zip(names, values, strict=True)))

    if spec.dxx is None:
        return plain
    dxx = spec.dxx
    first = jax.custom_jvp(plain)

    @functools.partial(first.defjvp, symbolic_zeros=True)
    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        x, *values = primals
        tx, *tvalues = tangents
        out, moved = first(*primals), [i for i, t in enumerate(tvalues) if not _is_zero(t)]
        tangent = jnp.zeros_like(out)
        if not _is_zero(tx):
            with _numerics.narrow(low):
                second = dxx(x, **fixed, **dict(zip(names, values, strict=True)))
            tangent = tangent + second * tx
        if moved:

            def of_moved(*some: Array) -> Array:
                full = list(values)
                for i, value in zip(moved, some, strict=True):
                    full[i] = value
                return plain(x, *full)

            tangent = (
                tangent
                + jax.jvp(
                    of_moved, tuple(values[i] for i in moved), tuple(tvalues[i] for i in moved)
                )[1]
            )
        return out, tangent

    return first


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _partial(spec: Spec, name: str, x: Array, given: dict[str, Any]) -> Array:
    """Return the derivative by one parameter, in the type of ``x``."""
    declared = spec.parameters[name]
    if not declared.differentiable:
        return jnp.where(jnp.isnan(x), x, 0)
    if declared.partial is not None:
        return declared.partial(x, **given)
    others = {key: value for key, value in given.items() if key != name}
    value = given[name]
    return jax.jvp(
        lambda v: spec.formula(x, **others, **{name: v}), (value,), (jnp.ones_like(value),)
    )[1]


def apply(spec: Spec, x: Array, given: Mapping[str, Array], fixed: Mapping[str, Any]) -> Array:
    """Evaluate a declaration under the shared rule.

    Args:
      spec: the declaration.
      x: floating-point input.
      given: traced parameters, already in the compute type and with as many axes as the result.
      fixed: parameters that are Python constants, and flags.

    Returns:
      An array of the dtype of ``x``.
    """
    names, dtype = tuple(given), x.dtype
    wide, low = compute_dtype(dtype), _bits(dtype) < 32
    first = _derivative_function(spec, names, fixed, low)

    @jax.custom_jvp
    def core(x: Array, *values: Array) -> Array:
        with _numerics.narrow(low):
            y = spec.formula(x.astype(wide), **fixed, **dict(zip(names, values, strict=True)))
        return y.astype(dtype)

    @functools.partial(core.defjvp, symbolic_zeros=True)
    def rule(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        x, *values = primals
        y = core(*primals)
        moved = tuple(i for i, t in enumerate(tangents) if not _is_zero(t))
        kept, derivative = _kept(spec, x, y, tuple(values), names, fixed, moved, first)

        def tangent_map(kept: Array, values: tuple[Array, ...], *some: Array) -> Array:
            total = jnp.zeros((), wide)
            for i, tangent in zip(moved, some, strict=True):
                if i == 0:
                    coefficient = derivative(kept, *values)
                else:
                    with _numerics.narrow(low):
                        coefficient = _partial(
                            spec, names[i - 1], kept.astype(wide),
                            {**fixed, **dict(zip(names, values, strict=True))},
                        )  # fmt: skip
                total = total + coefficient * tangent.astype(wide)
            return jnp.broadcast_to(total, y.shape).astype(dtype)

        return y, jax.checkpoint(tangent_map, prevent_cse=_PREVENT_CSE)(
            kept, tuple(values), *(tangents[i] for i in moved)
        )

    return core(x, *given.values())


# See the memory notes in the documentation: a barrier costs speed where forward and backward pass
# fuse, and saves nothing under scan, where XLA cannot merge the two passes.
_PREVENT_CSE = False


def _kept(
    spec: Spec,
    x: Array,
    y: Array,
    values: tuple[Array, ...],
    names: tuple[str, ...],
    fixed: Mapping[str, Any],
    moved: tuple[int, ...],
    first: Callable[..., Array],
) -> tuple[Array, Callable[..., Array]]:
    """Choose what reverse mode keeps, and how the derivative follows from it.

    The input serves always. Where ``x`` alone moves, the output or one byte may serve instead.
    """
    wide = compute_dtype(x.dtype)
    if moved == (0,) and spec.region is not None:
        given = {**fixed, **dict(zip(names, values, strict=True))}
        if spec.output_tells(fixed):
            return y, lambda y, *values: spec.slope_of(
                spec.codes_from_output(y.astype(wide), **fixed), wide, **fixed
            )
        codes = spec.codes(x.astype(wide), **given)
        return codes, lambda codes, *values: spec.slope_of(
            codes, wide, **fixed, **dict(zip(names, values, strict=True))
        )
    if moved == (0,) and spec.dx_from_output is not None:
        from_output = spec.dx_from_output
        return y, lambda y, *values: from_output(
            y.astype(wide), **fixed, **dict(zip(names, values, strict=True))
        )
    return x, lambda x, *values: first(x.astype(wide), *values)


# -- the public decorator -----------------------------------------------------------------------


def activation(
    *,
    parameters: Mapping[str, Parameter] | None = None,
    flags: Mapping[str, tuple[Any, ...]] | None = None,
    dx: Formula | None = None,
    dxx: Formula | None = None,
    dx_from_output: Formula | None = None,
    region: Formula | None = None,
    slope: Formula | None = None,
    region_from_output: Formula | None = None,
    output_tells_region: Callable[..., bool] | None = None,
    limits: tuple[Any, Any] | Formula | None = None,
    slope_limits: tuple[Any, Any] | Formula | None = None,
    kinks: Mapping[float, str] | Formula | None = None,
    reference: Formula | None = None,
    latex: str = "",
    paper: str = "",
    names: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    notes: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    r"""Declare an elementwise activation: the decorated function is its formula.

    The formula gets ``x`` in float32 or float64 and its parameters as arrays that broadcast (or as
    Python numbers where a call leaves them at their default). All other fields are optional: a
    derivative that is not declared is derived by JAX from the formula.

    Args:
      parameters: a `Parameter` for each argument after ``x`` that may be an array.
      flags: the values of each argument that is a static switch.
      dx: first derivative by ``x``, as a function of ``x`` and the parameters.
      dxx: second derivative by ``x``.
      dx_from_output: first derivative as a function of the output; the output is then kept for the
        backward pass in place of the input.
      region: for a piecewise linear function, the number (0 to 127, or a bool) of the piece that
        owns each element. One byte per element is then kept for the backward pass.
      slope: the slope of each piece, as a function of these numbers and the parameters.
      output_tells_region: a predicate of the parameters, true where the output tells the piece; the
        output is then kept, which the next layer keeps anyway.
      region_from_output: the number of the piece as a function of the output, where that is not
        ``region`` itself.
      limits: the limits at minus and plus infinity (or a function of the parameters).
      slope_limits: the limits of the derivative.
      kinks: points where the function or a derivative jumps, each with the side ("left" or
        "right") whose piece owns it (or a function of the parameters).
      reference: the function of an mpmath number, ``reference(mp, x, **parameters)``, written in
        other algebra than the formula.
      latex: the definition.
      paper: the source.
      names: the names in other libraries, by dialect: a string; where something differs there, the
        fields of a `Name` as a tuple, whose first may be several names; or a list of these.
      keeps_integers: whether integer input gives integer output, as in jax.nn.
      notes: known limits: the contract that is not met, and why.

    Returns:
      A decorator that returns the public function. Its declaration is its attribute ``spec``.

    Raises:
      TypeError: if a parameter or flag is not an argument of the function.

    Example:
      >>> import jax, jax.numpy as jnp, advact_jax
      >>> @advact_jax.activation(dx=lambda x: 2 * jnp.maximum(x, 0))
      ... def squared_relu(x):
      ...     return jnp.maximum(x, 0) ** 2
      >>> jax.grad(squared_relu)(3.0)
      Array(6., dtype=float32, weak_type=True)
    """

    def declare(formula: Callable[P, R]) -> Callable[P, R]:
        spec = Spec(
            name=formula.__name__,
            formula=formula,
            signature=inspect.signature(formula),
            parameters=dict(parameters or {}),
            flags=dict(flags or {}),
            dx=dx,
            dxx=dxx,
            dx_from_output=dx_from_output,
            region=region,
            slope=slope,
            region_from_output=region_from_output,
            output_tells_region=output_tells_region,
            limits=limits,  # type: ignore[arg-type]
            slope_limits=slope_limits,  # type: ignore[arg-type]
            kinks=kinks or {},
            reference=reference,
            latex=latex,
            paper=paper,
            names=dict(names or {}),
            keeps_integers=keeps_integers,
            notes=dict(notes or {}),
        )
        _, *arguments = spec.signature.parameters
        if set(arguments) != {*spec.parameters, *spec.flags}:
            raise TypeError(
                f"{spec.name}: expected a Parameter or a flag for each argument after the first, "
                f"{arguments}, got parameters {[*spec.parameters]} and flags {[*spec.flags]}."
            )

        def entry(*args: P.args, **kwargs: P.kwargs) -> Any:
            return _entry(spec, *args, **kwargs)

        return public(spec, entry, tuple(spec.flags), direct=not spec.flags)

    return declare


def _entry(spec: Spec, *args: Any, **kwargs: Any) -> Array:
    """Check the arguments of a call, bring them to common form and apply the rule."""
    arguments = _checks.bind(spec.name, spec.signature, args, kwargs).arguments
    x = arguments.pop(next(iter(spec.signature.parameters)))
    given: dict[str, Any] = {}
    fixed: dict[str, Any] = {**spec.defaults, **spec.default_flags}
    for key, value in arguments.items():
        if key in spec.flags or value is None:
            fixed[key] = _checked_flag(spec, key, value)
        else:
            fixed.pop(key, None)
            given[key] = _checks.real(spec.name, key, value)
    return _evaluate(spec, x, {key: given[key] for key in spec.parameters if key in given}, fixed)


def _evaluate(spec: Spec, x: Any, given: dict[str, Array], fixed: dict[str, Any]) -> Array:
    x_name = next(iter(spec.signature.parameters))
    x = _checks.real(spec.name, x_name, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        if spec.keeps_integers and not given and x.dtype != jnp.bool_:
            return spec.formula(x, **fixed)
        x = x.astype(jax.eval_shape(jnp.exp, x).dtype)
    shapes = {x_name: x.shape, **{key: value.shape for key, value in given.items()}}
    shape = _checks.broadcast_shape(spec.name, shapes)
    wide = compute_dtype(x.dtype)
    for key, value in given.items():
        given[key] = _with_rank(value.astype(wide), len(shape))
    return apply(spec, _with_rank(x, len(shape)), given, fixed)


def _with_rank(value: Array, rank: int) -> Array:
    """Put axes of size 1 in front; scalars stay scalars, which broadcast anyway."""
    if value.ndim == 0 or value.ndim == rank:
        return value
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


def _checked_flag(spec: Spec, key: str, value: Any) -> Any:
    if key in spec.flags and value not in spec.flags[key]:
        allowed = " or ".join(repr(v) for v in spec.flags[key])
        raise TypeError(
            f"{spec.name}: expected {key} to be {allowed}, got {_checks.describe(value)}."
        )
    return value


@functools.lru_cache(maxsize=4096)
def bound(function: Any, fixed: tuple[tuple[str, Any], ...]) -> Callable[..., Array]:
    """Return a declared function with these parameters as compile-time constants, jitted.

    What the constants allow is then used: a leaky rectifier whose slope is known to be positive
    keeps its output alone for the backward pass.
    """
    spec, constants = function.spec, dict(fixed)

    def entry(x: Any, **others: Any) -> Any:
        if isinstance(spec, RowSpec):
            return spec.formula(x, **constants, **others)
        return _evaluate(spec, x, {}, {**spec.defaults, **spec.default_flags, **constants})

    entry.__name__ = entry.__qualname__ = spec.name
    return jax.jit(entry)


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


@dataclasses.dataclass(frozen=True)
class RowSpec:
    """The declaration of a function along an axis; `row_function` describes the fields."""

    name: str
    formula: Callable[..., Any]
    signature: inspect.Signature
    static: tuple[str, ...]
    reference: Formula | None
    latex: str
    paper: str
    names: Mapping[str, Any]
    notes: Mapping[str, str]


def row_function(
    *,
    static: tuple[str, ...] = ("axis",),
    direct: bool = False,
    reference: Formula | None = None,
    latex: str = "",
    paper: str = "",
    names: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function along an axis: the decorated function holds its own rule.

    Args:
      static: the arguments that are known before tracing.
      direct: whether to leave out the Python function that names a static argument which JAX cannot
        hash. It adds half a microsecond to an eager call.
      reference: the function of a list of mpmath numbers, ``reference(mp, row)``.
      latex: the definition.
      paper: the source.
      names: the name in other libraries, by dialect.
      notes: known limits: the contract that is not met, and why.

    Returns:
      A decorator that returns the public function, jitted, with errors that name it.
    """

    def declare(formula: Callable[P, R]) -> Callable[P, R]:
        spec = RowSpec(
            formula.__name__, formula, inspect.signature(formula), static, reference, latex,
            paper, dict(names or {}), dict(notes or {}),
        )  # fmt: skip

        def entry(*args: P.args, **kwargs: P.kwargs) -> Any:
            return formula(*args, **kwargs)

        return public(spec, entry, static, direct)

    return declare


def public(
    spec: Spec | RowSpec, entry: Callable[..., Any], static: tuple[str, ...], direct: bool
) -> Any:
    """Return the function that users call: if direct, the jitted entry with nothing around it."""
    named = functools.wraps(spec.formula)(entry)
    compiled: Any = jax.jit(named, static_argnames=static)
    function = compiled
    if not direct:

        @functools.wraps(spec.formula)
        def function(*args: Any, **kwargs: Any) -> Any:
            try:
                return compiled(*args, **kwargs)
            except ValueError:
                _checks.hashable(spec.name, spec.signature, static, args, kwargs)
                raise

        function._cache_size = compiled._cache_size
    function.spec = spec
    # Pickled and copied by name, as a plain Python function is.
    function.__reduce_ex__ = lambda protocol: spec.formula.__qualname__
    return function
