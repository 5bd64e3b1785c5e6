"""What the learnable layers of `linen` and `nnx` share, free of either framework.

A layer holds one array for each learned parameter of an activation. Here are which parts of the
input share an entry of it, its shape, its initial value, and the checks of the arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, registry
from advact_jax._spec import Spec
from advact_jax.regularizers import Regularizer


class Initializer(Protocol):
    """A function such as those of `jax.nn.initializers`."""

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any, /) -> Any: ...


Axes: TypeAlias = int | Sequence[int]
Initial: TypeAlias = ArrayLike | Initializer

_LAST = -1


# -- the declaration ----------------------------------------------------------------------------


def declaration(function: Callable[..., Any]) -> Spec:
    """Return the declaration of an activation, or raise TypeError if it has none."""
    spec = getattr(function, "spec", None)
    if isinstance(spec, Spec):
        return spec
    raise TypeError(
        "expected a function declared with advact_jax.activation, "
        f"got {_checks.describe(function)}."
    )


def initial(function: Callable[..., Any], name: str) -> float:
    """Return the declared initial value of a learned parameter, else its default."""
    spec = declaration(function)
    declared = spec.parameters[name].initial
    return spec.defaults[name] if declared is None else declared


def initial_values(layer: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the fields ``<parameter>_init`` of a layer hold, by parameter."""
    names = declaration(function).parameters
    return {name: getattr(layer, f"{name}_init") for name in names if f"{name}_init" in dir(layer)}


class Learned(NamedTuple):
    """What a layer computes: a function, the initial values that it learns from, what is fixed."""

    function: Callable[..., Any]
    initial: Mapping[str, Any]
    fixed: Mapping[str, Any]


def learnable(
    layer: str,
    activation: str | Callable[..., Any],
    learn: Sequence[str] | None,
    initial_by_name: Mapping[str, Any] | None,
) -> Learned:
    """Return what a layer learns of any activation, from the arguments of ``Learnable``.

    Raises:
      TypeError: if the activation has no declaration, or an argument is of the wrong type.
      ValueError: if a name is unknown, or a parameter cannot be learned or has no value.
    """
    function, spec, fixed = registry.elementwise(layer, activation)
    usual = tuple(key for key, p in spec.parameters.items() if p.learned)
    names = (learn,) if isinstance(learn, str) else usual if learn is None else tuple(learn)
    possible = [key for key, p in spec.parameters.items() if p.differentiable]
    if not names or not set(names) <= set(possible):
        got = f"learn={learn!r}" if learn is not None else "none that is usually learned"
        raise ValueError(
            f"{layer}: expected learn to name parameters of {spec.name} that have a derivative "
            f"({', '.join(possible) or 'it has none'}), got {got}."
        )
    given = dict(initial_by_name or {})
    if not set(given) <= set(names):
        raise ValueError(
            f"{layer}: expected initial for what is learned ({', '.join(names)}), "
            f"got it for {', '.join(map(str, given))}."
        )
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
    return Learned(function, initial_values, fixed)


# -- sharing ------------------------------------------------------------------------------------


def as_axes(axes: Axes | None) -> Axes | None:
    """Return a list of axes as a tuple, which can be hashed."""
    return tuple(axes) if isinstance(axes, list | tuple) else axes


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Which entries of the input share a parameter.

    Attributes:
      layer: the layer's name, for messages.
      axis: the axes that have parameters of their own, None for one scalar.
      shared_axes: in Keras's meaning, the axes that share; where it is not None, it rules.
    """

    layer: str
    axis: Axes | None = _LAST
    shared_axes: Axes | None = None

    def __post_init__(self) -> None:
        if self.shared_axes is not None and self.axis != _LAST:
            raise ValueError(
                f"{self.layer}: expected either axis or shared_axes, "
                f"got axis={self.axis!r} and shared_axes={self.shared_axes!r}."
            )
        key, axes = self._chosen()
        listed = [self._integer(key, axis) for axis in axes]
        if 0 in listed:
            raise ValueError(
                f"{self.layer}: expected {key} without axis 0, which is the batch, "
                f"got {key}={getattr(self, key)!r}."
            )

    def _chosen(self) -> tuple[str, tuple[int, ...]]:
        key = "axis" if self.shared_axes is None else "shared_axes"
        value = getattr(self, key)
        if value is None:
            return key, ()
        return key, tuple(value) if isinstance(value, list | tuple) else (value,)

    def _integer(self, key: str, axis: Any) -> int:
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(
                f"{self.layer}: expected {key} to be an int, a tuple of ints or None, "
                f"got {key}={getattr(self, key)!r}."
            )
        return axis.__index__()

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Return the axes, counted from 0, of an input with ``ndim`` axes, or raise ValueError."""
        key, axes = self._chosen()
        given = f"{key}={getattr(self, key)!r}"
        for axis in axes:
            if not -ndim <= axis < ndim:
                raise ValueError(
                    f"{self.layer}: expected {key} within [{-ndim}, {ndim}) for an input with "
                    f"{ndim} axes, got {given}."
                )
        found = tuple(axis % ndim for axis in axes)
        if len(set(found)) != len(found):
            raise ValueError(f"{self.layer}: expected axes that differ, got {given}.")
        # With one axis the input is a single example, as under vmap: its axis is no batch.
        if 0 in found and ndim > 1:
            raise ValueError(
                f"{self.layer}: expected {key} without the batch axis 0, "
                f"got {given} for an input with {ndim} axes."
            )
        return found

    def shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a parameter for an input of this shape."""
        if self.shared_axes is None:
            return tuple(input_shape[axis] for axis in self.axes(len(input_shape)))
        if not input_shape:
            raise ValueError(f"{self.layer}: expected an input with a batch axis, got a scalar.")
        shared = self.axes(len(input_shape))
        return tuple(1 if i in shared else n for i, n in enumerate(input_shape) if i > 0)

    def shape_of_features(self, features: int | Sequence[int] | None) -> tuple[int, ...]:
        """Return the shape of a parameter, given the sizes that its layer was told."""
        sizes = self._sizes(features)
        if self.shared_axes is not None:
            return self.shape((1, *sizes))
        _, axes = self._chosen()
        if len(sizes) != len(axes):
            expected = "None" if self.axis is None else f"{len(axes)} size(s)"
            raise ValueError(
                f"{self.layer}: expected features to be {expected} for axis={self.axis!r}, "
                f"got features={features!r}."
            )
        return sizes

    def _sizes(self, features: Any) -> tuple[int, ...]:
        if features is None:
            return ()
        sizes = tuple(features) if isinstance(features, list | tuple) else (features,)
        if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in sizes):
            raise TypeError(
                f"{self.layer}: expected features to be an int, a tuple of ints or None, "
                f"got features={features!r}."
            )
        if any(n < 1 for n in sizes):
            raise ValueError(
                f"{self.layer}: expected positive features, got features={features!r}."
            )
        return tuple(n.__index__() for n in sizes)

    def spread(self, value: Array, ndim: int) -> Array:
        """Return a parameter in a shape that broadcasts against an input with ``ndim`` axes."""
        if self.shared_axes is not None or value.ndim == 0:
            return value
        axes = self.axes(ndim)
        sizes = dict(zip(axes, value.shape, strict=True))
        ordered = value.transpose(np.argsort(axes))
        return ordered.reshape([sizes.get(i, 1) for i in range(min(axes), ndim)])

    def check(self, name: str, held: tuple[int, ...], input_shape: tuple[int, ...]) -> None:
        """Raise ValueError unless a parameter of shape ``held`` fits the input."""
        expected = self.shape(input_shape)
        if held != expected:
            key, _ = self._chosen()
            raise ValueError(
                f"{self.layer}: expected an input that fits {name} of shape {held}, got one of "
                f"shape {input_shape}, for which {key}={getattr(self, key)!r} gives {expected}."
            )


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
      given: the initial value, a number or an array that broadcasts to the parameter's shape, or
        an initializer.
      function: the activation, whose declaration tells the parameter's domain.
      unbox: takes an array out of the metadata that an initializer of the framework adds.

    Raises:
      TypeError: if ``given`` is none of these; raised here, before any parameter is made.
      ValueError: if a value is outside the domain (here), or a shape is wrong (in the call).
    """
    if isinstance(given, Constant):
        given = given.value
    if callable(given):
        return _checked(layer, parameter, given, unbox)
    argument = f"{parameter}_init"
    if isinstance(given, bool) or not _checks.is_array_like(given):
        raise TypeError(
            f"{layer}: expected {argument} to be a number, an array or an initializer "
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


_DOMAINS: Mapping[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "real": ("finite", np.isfinite),
    "nonnegative": ("finite and not negative", lambda v: np.isfinite(v) & (v >= 0)),
    "positive": ("finite and positive", lambda v: np.isfinite(v) & (v > 0)),
}


def _check_domain(layer: str, argument: str, value: Array, domain: str) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    expected, holds = _DOMAINS[domain]
    numbers = np.asarray(value, np.float64)
    if not np.all(holds(numbers)):
        raise ValueError(
            f"{layer}: expected {argument} to be {expected}, got "
            f"{numbers if numbers.size < 8 else _checks.describe(value)}."
        )


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
    batch = value.shape[0] if value.ndim > 1 else 1
    return penalty(layer, name, regularizer, value) / max(batch, 1)
