"""What the learnable layers of `linen` and `nnx` share, free of either framework.

A layer holds one array for each learned parameter of an activation. Here are what it learns, the
initial values, the penalties, and the checks of the arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, constraints, initializers, registry, regularizers
from advact_jax._spec import DOMAINS, RowSpec, Spec, names_in
from advact_jax.constraints import Constraint
from advact_jax.regularizers import Regularizer


class Initializer(Protocol):
    """A function such as those of `jax.nn.initializers`."""

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any, /) -> Any: ...


Initial: TypeAlias = str | ArrayLike | Initializer
Penalised: TypeAlias = str | Mapping[str, Any] | Regularizer | None
Constrained: TypeAlias = str | Mapping[str, Any] | Constraint | None


# -- the declaration ----------------------------------------------------------------------------


def declaration(function: Callable[..., Any]) -> Spec | RowSpec:
    """Return the declaration of an activation, or raise TypeError if it has none."""
    spec = getattr(function, "spec", None)
    if isinstance(spec, Spec | RowSpec):
        return spec
    raise TypeError(
        "expected a function declared with advact_jax.activation, "
        f"got {_checks.describe(function)}."
    )


def initial(function: Callable[..., Any], name: str) -> float:
    """Return the declared initial value of a learned parameter, else its default."""
    spec = declaration(function)
    declared = spec.parameters[name].initial
    return spec.signature.parameters[name].default if declared is None else declared


class Learned(NamedTuple):
    """What a layer computes: a function, the initial values that it learns from, what is fixed.

    ``entries`` tells how many coefficients each table has.
    """

    function: Callable[..., Any]
    initial: Mapping[str, Any]
    fixed: Mapping[str, Any]
    regularizers: Mapping[str, Regularizer]
    constraints: Mapping[str, Constraint]
    entries: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def of_fields(
        cls, label: str, function: Callable[..., Any], values: Mapping[str, Any]
    ) -> Learned:
        """Read the arguments ``<parameter>_init``, ``_regularizer`` and ``_constraint``."""

        def ending(suffix: str) -> dict[str, Any]:
            names = declaration(function).parameters
            return {key: values[key + suffix] for key in names if key + suffix in values}

        return cls(
            function,
            ending("_init"),
            {},
            _penalties(label, ending("_regularizer")),
            _constraints(label, ending("_constraint")),
        )


def at_initial_values(
    function: Callable[..., Any], names: Iterable[str], fixed: Mapping[str, Any]
) -> registry.Activation:
    """Return the activation with its usual initial values in place of what is learned."""
    usual = {name: initial(function, name) for name in names}
    return registry.Activation(function, **{**fixed, **usual})


def trailing(learned: Learned, name: str) -> tuple[int, ...]:
    """Return the axis that a parameter has beside those of the layer's sharing: that of a table."""
    return (learned.entries[name],) if name in learned.entries else ()


def field_names(function: Callable[..., Any], kind: type) -> tuple[str, ...]:
    """Return the fields of a layer's class that say something of one parameter."""
    endings = ("_init", "_regularizer", "_constraint")
    possible = [key + end for key in declaration(function).parameters for end in endings]
    return tuple(name for name in possible if name in dir(kind))


def check_fields(kind: type, arguments: Sequence[Any], fields: Mapping[str, Any]) -> None:
    """Raise TypeError for arguments that the constructor of a linen layer does not take."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    by_position = [name for name, field in known.items() if not field.kw_only]
    if len(arguments) > len(by_position):
        came = _checks.describe(arguments[len(by_position)])
        raise TypeError(
            f"{kind.__name__}: expected arguments by name, got {came}. "
            "In linen the sizes follow from the input."
        )
    if unknown := [key for key in fields if key not in known]:
        names = [name for name in known if name not in ("parent", "name")]
        raise TypeError(
            f"{kind.__name__}: got an unexpected argument {unknown[0]!r}."
            f"{_checks.known(unknown, names)}"
        )


def _penalties(label: str, given: Mapping[str, Any]) -> dict[str, Regularizer]:
    return _found(label, "regularizer", regularizers.get, given)


def _constraints(label: str, given: Mapping[str, Any]) -> dict[str, Constraint]:
    return _found(label, "constraint", constraints.get, given)


def _found(
    label: str, kind: str, get: Callable[[Any], Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    made = {key: named(get, label, f"{key}_{kind}", value) for key, value in given.items()}
    return {key: value for key, value in made.items() if value is not None}


def named(get: Callable[[Any], Any], label: str, argument: str, given: Any) -> Any:
    """Return what a name stands for; a message about it names the layer and the argument too."""
    try:
        return get(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {argument}: {error}") from None


def learnable(
    layer: str,
    activation: str | Callable[..., Any],
    learn: Sequence[str] | None,
    initial_by_name: Mapping[str, Any] | None,
    regularizer: Mapping[str, Any] | None = None,
    constraint: Mapping[str, Any] | None = None,
) -> Learned:
    """Return what a layer learns of any activation, from the arguments of ``Learnable``.

    Raises:
      TypeError: if the activation has no declaration, or an argument is of the wrong type.
      ValueError: if a name is unknown, or a parameter cannot be learned or has no value.
    """
    function, fixed = registry.resolve(layer, activation)
    try:
        spec = declaration(function)
    except TypeError as error:
        raise TypeError(f"{layer}: {error}") from None
    usual = tuple(key for key, p in spec.parameters.items() if p.learned)
    names = (learn,) if isinstance(learn, str) else usual if learn is None else tuple(learn)
    possible = [key for key, p in spec.parameters.items() if p.differentiable and not p.is_table]
    if not names or not set(names) <= set(possible):
        got = f"learn={learn!r}" if learn is not None else "none that is usually learned"
        raise ValueError(
            f"{layer}: expected learn to name parameters of {spec.name} that have a derivative "
            f"({', '.join(possible) or 'it has none'}), got {got}."
        )
    given = _by_parameter(layer, "initial", initial_by_name, names)
    initial_values = {}
    for name in names:
        usual_value = spec.parameters[name].initial
        for value in (given.get(name), fixed.pop(name, None), usual_value, spec.defaults.get(name)):
            if value is not None:
                initial_values[name] = value
                break
        else:
            raise ValueError(
                f"{layer}: expected an initial value for {name}, which {spec.name} has no default "
                f"for. Pass initial={{{name!r}: ...}}."
            )
    missing = set(spec.parameters) - set(spec.defaults) - set(names) - set(fixed)
    if missing:
        raise ValueError(
            f"{layer}: expected a value for {', '.join(sorted(missing))}, which {spec.name} has no "
            "default for. Learn it, or pass an advact_jax.Activation."
        )
    return Learned(
        function,
        initial_values,
        fixed,
        _penalties(layer, _by_parameter(layer, "regularizer", regularizer, names)),
        _constraints(layer, _by_parameter(layer, "constraint", constraint, names)),
    )


def _by_parameter(layer: str, argument: str, given: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return an argument of ``Learnable`` that has an entry for some of what is learned."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{layer}: expected {argument} to be a dictionary by parameter, such as "
            f"{{{names[0]!r}: ...}}, got {_checks.describe(given)}."
        )
    if not set(given) <= set(names):
        raise ValueError(
            f"{layer}: expected {argument} for what is learned ({', '.join(names)}), "
            f"got it for {', '.join(map(str, given))}."
        )
    return given


# -- initial values and types -------------------------------------------------------------------


class Constant:
    """An array that can be hashed and compared, as linen asks of the fields of a module.

    No dataclass: linen would look into its fields, and hash the array after all.
    """

    def __init__(self, value: Array | np.ndarray) -> None:
        self.value = value

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any, /) -> Array:
        return jnp.broadcast_to(jnp.asarray(self.value, dtype), shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and hash(self) == hash(other)

    def __hash__(self) -> int:
        value = np.asarray(self.value)
        return hash((value.shape, value.dtype, value.tobytes()))

    def __repr__(self) -> str:
        return repr(self.value)


def as_field(given: Initial) -> Initial:
    """Return an initial value as a field of a linen module: arrays become a `Constant`."""
    if isinstance(given, jax.Array | np.ndarray) and not isinstance(given, jax.core.Tracer):
        return Constant(given)
    return given


def initializer(
    layer: str,
    parameter: str,
    given: Initial,
    function: Callable[..., Any],
    unbox: Callable[[Any], Any],
) -> Initializer:
    """Return an initializer for a parameter, from the one or the value that a layer was given.

    Args:
      layer: the layer's name, for messages.
      parameter: the parameter's name.
      given: the initial value, a number or an array that broadcasts to the parameter's shape; an
        initializer, or Keras's name of one; or the name of a framework, whose value it then is.
      function: the activation, whose declaration tells the parameter's domain.
      unbox: takes an array out of the metadata that an initializer of the framework adds.

    Raises:
      TypeError: if ``given`` is none of these; raised here, before any parameter is made.
      ValueError: if a value is outside the domain (here), or a shape is wrong (in the call).
    """
    argument = f"{parameter}_init"
    if isinstance(given, Constant):
        given = given.value
    if isinstance(given, str) and given in registry.DIALECTS:
        given = _initial_in(layer, argument, given, function, parameter)
    if isinstance(given, str | Mapping):
        try:
            given = initializers.get(given)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"{layer}: {argument}: {error} A framework's own value has the name of the "
                f"framework: {', '.join(registry.DIALECTS)}."
            ) from None
    if callable(given):
        return _checked(layer, parameter, given, unbox)
    if isinstance(given, bool) or not _checks.is_array_like(given):
        raise TypeError(
            f"{layer}: expected {argument} to be a number, an array, a name or an initializer "
            f"(a function of key, shape and dtype), got {_checks.describe(given)}."
        )
    value = _checks.real(layer, argument, given)
    _check_domain(layer, argument, value, declaration(function).parameters[parameter].domain)

    def constant(key: Any, shape: tuple[int, ...], dtype: Any, /) -> Array:
        try:
            return jnp.broadcast_to(value.astype(dtype), shape)
        except ValueError:
            raise _wrong_shape(layer, argument, shape, value.shape) from None

    return constant


def _initial_in(
    layer: str, argument: str, dialect: str, function: Callable[..., Any], parameter: str
) -> float:
    """Return the initial value that a parameter has in another library."""
    spec = declaration(function)
    declared = spec.parameters[parameter].initial_in.get(dialect)
    if declared is not None:
        return declared
    names = names_in(spec, dialect)
    if not names:
        raise ValueError(
            f"{layer}: expected {argument} to name a framework that has {spec.name}, "
            f"got {dialect!r}."
        )
    # A layer's name starts with a capital letter; where there is one, its default counts.
    ordered = sorted(names, key=lambda name: not name.name[:1].isupper())
    return ordered[0].defaults.get(parameter, initial(function, parameter))


def _checked(
    layer: str, parameter: str, given: Initializer, unbox: Callable[[Any], Any]
) -> Initializer:
    def checked(key: Any, shape: tuple[int, ...], dtype: Any, /) -> Any:
        made = given(key, shape, dtype)
        if np.shape(unbox(made)) != shape:
            raise _wrong_shape(layer, f"{parameter}_init", shape, np.shape(unbox(made)))
        return made

    return checked


def _wrong_shape(
    layer: str, argument: str, expected: tuple[int, ...], got: tuple[int, ...]
) -> ValueError:
    return ValueError(
        f"{layer}: expected {argument} to give an array of shape {expected}, got shape {got}."
    )


def _check_domain(layer: str, argument: str, value: Array, domain: str) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    expected, holds = DOMAINS[domain]
    numbers = np.asarray(value, np.float64)
    if not np.all(np.isfinite(numbers) & holds(numbers)):
        also = "" if domain == "real" else f" and {expected}"
        raise ValueError(
            f"{layer}: expected {argument} to be finite{also}, got "
            f"{numbers if numbers.size < 8 else _checks.describe(value)}."
        )


def needs_key(given: Any) -> bool:
    """Tell whether an initial value may be random: an initializer, or the name of one."""
    if isinstance(given, str):
        return given.lower() not in (*registry.DIALECTS, "zeros", "ones", "constant")
    return callable(given) or isinstance(given, Mapping)


def check_sharding(layer: str, sharding: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a mesh axis or None for each axis of a parameter."""
    if not isinstance(sharding, tuple) or len(sharding) != len(shape):
        raise ValueError(
            f"{layer}: expected sharding to be a tuple with the name of a mesh axis, or None, for "
            f"each axis of a parameter of shape {shape}, got {sharding!r}."
        )


# -- types --------------------------------------------------------------------------------------


def check_types(layer: str, dtype: Any, param_dtype: Any) -> None:
    """Raise TypeError unless these are floating-point types; ``dtype`` may be None."""
    for argument, given in {"dtype": dtype, "param_dtype": param_dtype}.items():
        if given is None and argument == "dtype":
            continue
        if given is None or not jnp.issubdtype(given, jnp.floating):
            raise TypeError(
                f"{layer}: expected {argument} to be a floating-point dtype, got {given!r}."
            )


def as_input(layer: str, x: ArrayLike, dtype: Any) -> Array:
    """Return ``x`` as an array, in the type of computation where one is given."""
    x = _checks.real(layer, "x", x)
    return x if dtype is None else x.astype(dtype)


# -- penalties ----------------------------------------------------------------------------------


def penalty(layer: str, name: str, regularizer: Regularizer, value: Any) -> Array:
    """Return a regularizer's penalty as a float32 scalar, or raise ValueError if it is none."""
    given = jnp.asarray(regularizer(value), jnp.float32)
    if given.shape != ():
        raise ValueError(
            f"{layer}: expected {name}_regularizer to give a scalar, got shape {given.shape}."
        )
    return given


def activity_penalty(layer: str, name: str, regularizer: Regularizer, value: Array) -> Array:
    """Return the penalty of an output, divided by the length of its first axis."""
    batch = value.shape[0] if value.ndim else 1
    return penalty(layer, name, regularizer, value) / max(batch, 1)
