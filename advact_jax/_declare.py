"""The decorators that turn a declaration into the public function.

``jax.jit`` is outermost, so that an eager call is one fast dispatch: the public function is the
jitted function itself, unless it has flags, whose errors are named in Python. A parameter that is
left at its default is a compile-time constant; one that is passed is traced. Flags are static.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from advact_jax import _checks
from advact_jax._rule import apply, compute_dtype
from advact_jax._spec import DOMAINS, Formula, Parameter, RowSpec, Spec

P = ParamSpec("P")
R = TypeVar("R")


def activation(
    *misplaced: Any,
    parameters: Mapping[str, Parameter] | None = None,
    flags: Mapping[str, tuple[Any, ...]] | None = None,
    dx: Formula | None = None,
    dxx: Formula | None = None,
    dx_from_output: Formula | None = None,
    output_tells_slope: Callable[..., bool] | None = None,
    lean_dx: Formula | None = None,
    region: Formula | None = None,
    slope: Formula | None = None,
    region_from_output: Formula | None = None,
    output_tells_region: Callable[..., bool] | None = None,
    limits: tuple[Any, Any] | Formula | None = None,
    slope_limits: tuple[Any, Any] | Formula | None = None,
    kinks: Mapping[float, str] | Formula | None = None,
    value_floor: float = 0.0,
    reference: Formula | None = None,
    latex: str = "",
    tier: Literal["stable", "experimental"] = "experimental",
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
      *misplaced: nothing; every argument is given by name.
      parameters: a `Parameter` for each argument after ``x`` that may be an array.
      flags: the values of each argument that is a static switch.
      dx: first derivative by ``x``, as a function of ``x`` and the parameters.
      dxx: second derivative by ``x``.
      dx_from_output: first derivative as a function of the output; the output is then kept for the
        backward pass in place of the input. With ``dx`` beside it, in float32 and float64 only, and
        the second derivative is taken from the input.
      output_tells_slope: a predicate of the parameters, true where ``dx_from_output`` loses no
        digits; without it, it never does.
      lean_dx: first derivative as a function of the output where that loses digits: for `lean`.
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
      value_floor: for a function with a zero whose place depends on the parameters: the size below
        which errors of the value are counted in ulps of this size, in float32 and float64.
      reference: the function of an mpmath number, ``reference(mp, x, **parameters)``, written in
        other algebra than the formula.
      latex: the definition.
      tier: "stable" where the definition and its usual initial values are settled, "experimental"
        where the literature still moves. The contracts are the same.
      paper: the source.
      names: the names in other libraries, by dialect: a string; where something differs there, the
        fields of a ``Name`` as a tuple, whose first may be several names; or a list of these.
      keeps_integers: whether integer input gives integer output, as in jax.nn.
      notes: known limits: the contract that is not met, and why.

    Returns:
      A decorator that returns the public function. Its declaration is its attribute ``spec``.

    Raises:
      TypeError: if a parameter or flag is not an argument of the function, or the decorator stands
        without its parentheses.

    Example:
      >>> import jax, jax.numpy as jnp, advact_jax
      >>> @advact_jax.activation(dx=lambda x: 2 * jnp.maximum(x, 0))
      ... def squared_relu(x):
      ...     return jnp.maximum(x, 0) ** 2
      >>> jax.grad(squared_relu)(3.0)
      Array(6., dtype=float32, weak_type=True)
    """
    if misplaced:
        raise TypeError(
            "activation: expected arguments by name, and the function after them, got "
            f"{_checks.describe(misplaced[0])}. Write @advact_jax.activation(), with parentheses."
        )

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
            output_tells_slope=output_tells_slope,
            lean_dx=lean_dx,
            region=region,
            slope=slope,
            region_from_output=region_from_output,
            output_tells_region=output_tells_region,
            limits=limits,  # type: ignore[arg-type]
            slope_limits=slope_limits,  # type: ignore[arg-type]
            kinks=kinks or {},
            value_floor=value_floor,
            reference=reference,
            latex=latex,
            tier=tier,
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
    return evaluate(spec, x, {key: given[key] for key in spec.parameters if key in given}, fixed)


def evaluate(spec: Spec, x: Any, given: dict[str, Array], fixed: dict[str, Any]) -> Array:
    """Apply the rule to the arguments of a call: ``given`` as arrays, or ``fixed``."""
    x_name = next(iter(spec.signature.parameters))
    x = _checks.real(spec.name, x_name, x)
    if spec.keeps_integers and not given and jnp.issubdtype(x.dtype, jnp.integer):
        return spec.formula(x, **fixed)
    x = _checks.floating(spec.name, x_name, x)
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
            tables = {
                key: jnp.asarray(value, compute_dtype(jnp.result_type(float)))
                for key, value in constants.items()
                if key in spec.parameters
            }
            return spec.formula(x, **{**constants, **tables}, **others)
        return evaluate(spec, x, {}, {**spec.defaults, **spec.default_flags, **constants})

    entry.__name__ = entry.__qualname__ = spec.name
    return jax.jit(entry)


def row_function(
    *,
    static: tuple[str, ...] = ("axis",),
    direct: bool = False,
    row: str | None = None,
    given: tuple[Mapping[str, Any], ...] = ({},),
    lengths: tuple[int, ...] = (8,),
    channel_axis: int = -1,
    counted: Mapping[str, str] | None = None,
    kept: float = 4,
    takes_complex: bool = False,
    needs_key: bool = False,
    reference: Formula | None = None,
    latex: str = "",
    tier: Literal["stable", "experimental"] = "experimental",
    paper: str = "",
    names: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
    parameters: Mapping[str, Parameter] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function along an axis: the decorated function holds its own rule.

    Args:
      static: the arguments that are known before tracing.
      direct: whether to leave out the Python function that names a static argument which JAX cannot
        hash. It adds half a microsecond to an eager call.
      row: the argument that holds the rows; the first without it.
      given: the arguments at which the contracts are checked, one mapping for each check.
      lengths: the lengths of the rows that are checked.
      channel_axis: the axis of the rows where the function has no argument ``axis``.
      counted: by dtype, what an error of the value is measured against where that is not the entry
        itself: "row" for the largest output of the row, "input" for the largest input, or 1,
        "2^-5" for this number where the entry is smaller.
      takes_complex: whether complex input is allowed.
      kept: bytes of float32 that reverse mode keeps for each entry of the input.
      needs_key: whether every call needs a random key. Its results are then no function of the row,
        so that the generated contracts leave it out.
      reference: the function of a list of mpmath numbers, ``reference(mp, row, **given)``.
      latex: the definition.
      tier: "stable" where the definition and its usual initial values are settled, "experimental"
        where the literature still moves. The contracts are the same.
      paper: the source.
      names: the name in other libraries, by dialect.
      notes: known limits: the contract that is not met, and why.
      parameters: a `Parameter` for each argument that a layer may learn.

    Returns:
      A decorator that returns the public function, jitted, with errors that name it.
    """

    def declare(formula: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(formula)
        spec = RowSpec(
            name=formula.__name__,
            formula=formula,
            signature=signature,
            static=static,
            row=row or next(iter(signature.parameters)),
            given=given,
            lengths=lengths,
            channel_axis=channel_axis,
            counted=dict(counted or {}),
            kept=kept,
            takes_complex=takes_complex,
            needs_key=needs_key,
            reference=reference,
            latex=latex,
            tier=tier,
            paper=paper,
            names=dict(names or {}),
            notes=dict(notes or {}),
            parameters=dict(parameters or {}),
        )

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
    strict = [
        (position, key, *DOMAINS[spec.parameters[key].domain])
        for position, key in enumerate(spec.signature.parameters)
        if key in spec.parameters and spec.parameters[key].strict
    ]
    if strict or not direct:

        @functools.wraps(spec.formula)
        def function(*args: Any, **kwargs: Any) -> Any:
            for position, key, expected, holds in strict:
                value = args[position] if position < len(args) else kwargs.get(key)
                if isinstance(value, int | float) and not holds(value):
                    raise ValueError(
                        f"{spec.name}: expected {key} to be {expected}, got {value!r}."
                    )
            try:
                return compiled(*args, **kwargs)
            except (TypeError, ValueError):
                _checks.entry(spec.name, spec.signature, static, args, kwargs)
                raise

        function._cache_size = compiled._cache_size
    function.spec = spec
    # Pickled and copied by name, as a plain Python function is.
    function.__reduce_ex__ = lambda protocol: spec.formula.__qualname__
    return function
