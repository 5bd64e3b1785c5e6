"""Activations by name: the names and defaults of other libraries, fixed parameters, JSON.

`Activation` is a function with its parameters fixed: a layer that holds nothing to learn. `get`
makes one from a name in any dialect, `serialize` and `deserialize` write and read it as plain JSON.
"""

from __future__ import annotations

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _declare, _masks, catalog
from advact_jax._spec import DOMAINS, Name, RowSpec, Spec, names_in

__all__ = ["DIALECTS", "Activation", "deserialize", "get", "register", "serialize"]

DIALECTS = ("jax", "flax", "keras", "torch", "huggingface", "onnx")

_registered: dict[str, Callable[..., Any]] = {}


class Activation:
    """An activation with fixed parameters: a callable that is immutable, hashable and comparable.

    It goes into ``flax.linen.Sequential`` and ``flax.nnx.Sequential``, is a static argument of
    ``jax.jit`` and an attribute of any module, and can be pickled. Its parameters are constants of
    the compiled function.

    Args:
      activation: a name of the catalogue, a name of `register`, or a function.
      dialect: whose names and defaults to take, one of ``registry.DIALECTS``; None for our own.
      **parameters: the parameters of the function, as Python numbers.

    Raises:
      ValueError: if no activation has this name, with the nearest names; or if a parameter is
        outside its domain.
      TypeError: if there is no such parameter, one that has no default is missing, or it is no
        number.

    Example:
      >>> from advact_jax import Activation
      >>> Activation("leaky_relu", negative_slope=0.1)
      Activation('leaky_relu', negative_slope=0.1)
      >>> Activation("leaky_relu", dialect="keras")(jnp.array([-1.0, 2.0]))
      Array([-0.2,  2. ], dtype=float32)
      >>> Activation("gelu", approximate=False) == Activation("gelu", dialect="torch")
      True
    """

    __slots__ = ("_call", "_function", "_parameters")

    _function: Callable[..., Any]
    _parameters: tuple[tuple[str, Any], ...]
    _call: Callable[..., Array]

    def __init__(
        self,
        activation: str | Callable[..., Any],
        /,
        *,
        dialect: str | None = None,
        **parameters: Any,
    ) -> None:
        label = type(self).__name__
        function, name = _resolve(label, activation, dialect)
        self._set(label, function, _translated(name, parameters, dialect))

    def _set(self, label: str, function: Callable[..., Any], parameters: dict[str, Any]) -> None:
        given = tuple(sorted(_checked(label, function, parameters).items()))
        object.__setattr__(self, "_function", function)
        object.__setattr__(self, "_parameters", given)
        object.__setattr__(self, "_call", _declare.bound(function, given) if given else function)

    @property
    def function(self) -> Callable[..., Any]:
        """The function whose parameters are fixed."""
        return self._function

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that differ from the function's defaults."""
        return dict(self._parameters)

    @property
    def name(self) -> str:
        """The name of the function."""
        return _name_of(self._function)

    def __call__(
        self, x: ArrayLike, mask: ArrayLike | None = None, *, key: Array | None = None
    ) -> Any:
        """Apply the activation.

        Args:
          x: an array.
          mask: which steps of a sequence count; it is passed on.
          key: a key of `jax.random`, for a function that draws, such as `rrelu`.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          TypeError: if a key is given to a function that draws nothing.
        """
        if key is not None and "key" not in inspect.signature(self._function).parameters:
            raise TypeError(f"{self.name}: expected no key for a function that draws nothing.")
        y = self._call(x) if key is None else self._call(x, key=key)
        if mask is None:
            return y
        return _masks.beside(y, _masks.checked(self.name, mask, jnp.shape(y)))

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(
            f"{type(self).__name__}: expected no assignment, since activations cannot be changed, "
            f"got one to {key}. Make a new one."
        )

    def __delattr__(self, key: str) -> None:
        self.__setattr__(key, None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return (self._function, self._parameters) == (other._function, other._parameters)

    def __hash__(self) -> int:
        return hash((self._function, self._parameters))

    def __repr__(self) -> str:
        listed = "".join(f", {key}={value!r}" for key, value in self._parameters)
        return f"Activation({self.name!r}{listed})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._function, self.parameters)


def _remade(function: Callable[..., Any], parameters: dict[str, Any]) -> Activation:
    return Activation(function, **parameters)


# -- names --------------------------------------------------------------------------------------


def _own() -> dict[str, Callable[..., Any]]:
    """Return all functions by our names, aliases and registered ones included."""
    return {**_declared(), **catalog.aliases(), **_registered}


def _declared() -> dict[str, Callable[..., Any]]:
    return {**catalog.elementwise(), **catalog.along_axis(), **catalog.drawn()}


# torch's functions that overwrite their input have an underscore more.
_IN_PLACE = ("celu", "elu", "hardtanh", "leaky_relu", "relu", "rrelu", "selu", "threshold")


def _in_dialect(dialect: str) -> dict[str, tuple[Callable[..., Any], Name]]:
    found = {}
    for function in _declared().values():
        for name in names_in(function.spec, dialect):  # type: ignore[attr-defined]
            found[name.name] = (function, name)
    return found


def _resolve(label: str, given: Any, dialect: str | None) -> tuple[Callable[..., Any], Name]:
    if dialect is not None and dialect not in DIALECTS:
        raise ValueError(
            f"{label}: expected dialect to be one of {', '.join(DIALECTS)} or None, "
            f"got {dialect!r}."
        )
    if isinstance(given, str):
        known: dict[str, tuple[Callable[..., Any], Name]] = (
            {key: (function, Name(key)) for key, function in _own().items()}
            if dialect is None
            else {
                **{key: (function, Name(key)) for key, function in _registered.items()},
                **_in_dialect(dialect),
            }
        )
        if dialect == "torch" and given.endswith("_") and given[:-1] in _IN_PLACE:
            given = given[:-1]
        if given in known:
            return known[given]
        hint = _hint(given, known, dialect)
        where = "" if dialect is None else f" in {dialect}"
        raise ValueError(
            f"{label}: expected the name of an activation{where}, got {given!r}.{hint}"
        )
    if callable(given) and not inspect.isclass(given):
        return given, Name(getattr(given, "__name__", ""))
    raise TypeError(
        f"{label}: expected a name or a function, got {_checks.describe(given)}."
        + (" Make an instance of the class." if inspect.isclass(given) else "")
    )


def _hint(given: str, known: Mapping[str, Any], dialect: str | None) -> str:
    """Return which name may be meant: one of these, or the same in another dialect."""
    if given in _own():
        return " It is a name of advact_jax itself, without a dialect."
    elsewhere = [d for d in DIALECTS if d != dialect and given in _in_dialect(d)]
    if elsewhere:
        return f" It is a name in the dialect {' or '.join(elsewhere)}."
    plain = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), plain, n=3)
    return f" Did you mean {' or '.join(plain[name] for name in near)}?" if near else ""


def resolve(
    label: str, activation: str | Callable[..., Any], dialect: str | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the function that is meant, and the parameters that an `Activation` fixes.

    Example:
      >>> from advact_jax import registry
      >>> function, fixed = registry.resolve("my_net", "LeakyReLU", dialect="torch")
      >>> function is advact_jax.leaky_relu, fixed
      (True, {})
      >>> registry.resolve("my_net", registry.Activation("elu", alpha=0.5))[1]
      {'alpha': 0.5}
      >>> registry.resolve("my_net", "geluu")
      Traceback (most recent call last):
      ValueError: my_net: expected the name of an activation, got 'geluu'. Did you mean gelu or ...
    """
    if isinstance(activation, Activation):
        return activation.function, activation.parameters
    return _resolve(label, activation, dialect)[0], {}


def elementwise(
    label: str, activation: str | Callable[..., Any]
) -> tuple[Callable[..., Any], Spec, dict[str, Any]]:
    """Return what `resolve` does with the declaration, or raise TypeError if it has none.

    Example:
      >>> from advact_jax import registry
      >>> function, spec, fixed = registry.elementwise("my_net", "relu6")
      >>> spec.limits, spec.kinks
      ((0.0, 6.0), {0.0: 'left', 6.0: 'right'})
      >>> registry.elementwise("my_net", "softmax")
      Traceback (most recent call last):
      TypeError: my_net: expected an elementwise activation, ... got softmax, which works along ...
    """
    function, fixed = resolve(label, activation)
    spec = getattr(function, "spec", None)
    if not isinstance(spec, Spec):
        what = _checks.describe(activation)
        if isinstance(spec, RowSpec):
            what = f"{spec.name}, which works along an axis"
        raise TypeError(
            f"{label}: expected an elementwise activation, declared with advact_jax.activation, "
            f"got {what}."
        )
    return function, spec, fixed


def _name_of(function: Callable[..., Any]) -> str:
    for name, known in _registered.items():
        if known is function:
            return name
    return getattr(function, "__name__", repr(function))


# -- parameters ---------------------------------------------------------------------------------


# Arguments that every name of a dialect takes and that mean nothing here: no array is overwritten.
_MEANINGLESS = {"torch": ("inplace",)}


def _translated(name: Name, parameters: Mapping[str, Any], dialect: str | None) -> dict[str, Any]:
    """Return the parameters by our names, with the defaults of the dialect."""
    found = dict(name.defaults)
    for key, value in parameters.items():
        if key in _MEANINGLESS.get(dialect or "", ()):
            continue
        ours = name.arguments.get(key, key)
        if ours is not None:
            is_written_otherwise = isinstance(value, str) and value in name.values
            found[ours] = name.values[value] if is_written_otherwise else value
    return found


def _checked(label: str, function: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as Python values, those at their default left out."""
    if not parameters and not isinstance(getattr(function, "spec", None), Spec | RowSpec):
        return {}
    spec = getattr(function, "spec", None)
    if not isinstance(spec, Spec | RowSpec):
        raise TypeError(
            f"{label}: expected no parameters for a function that is not declared with "
            f"advact_jax.activation, got {', '.join(parameters)}. Use functools.partial."
        )
    _, *arguments = spec.signature.parameters.values()
    # Of the arguments of a function along an axis, arrays such as a mask have the default None.
    known = [
        a.name
        for a in arguments
        if not isinstance(spec, RowSpec)
        or a.name in (*spec.static, *spec.parameters)
        or a.default is not None
    ]
    found = {}
    for key, value in parameters.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise TypeError(
                f"{label}: expected parameters of {spec.name} ({', '.join(known) or 'none'}), "
                f"got {key}.{hint}"
            )
        default = spec.signature.parameters[key].default
        found[key] = _plain(label, spec, key, value, default)
        if found[key] == default and type(found[key]) is type(default):
            del found[key]
    for argument in arguments:
        if argument.default is argument.empty and argument.name not in found:
            raise TypeError(
                f"{label}: expected {argument.name}, which {spec.name} has no default for, "
                "got nothing. A learned one belongs in a layer of advact_jax.linen or nnx."
            )
    return found


def _plain(label: str, spec: Spec | RowSpec, key: str, value: Any, default: Any) -> Any:
    """Return a parameter as a Python value, or raise TypeError or ValueError."""
    if isinstance(spec, RowSpec) and key in spec.parameters and spec.parameters[key].is_table:
        return _table(label, key, value)
    if isinstance(spec, RowSpec) and key in spec.static:
        return tuple(value) if isinstance(value, list) else value
    if isinstance(spec, Spec) and key in spec.flags:
        if value not in spec.flags[key]:
            allowed = " or ".join(map(repr, spec.flags[key]))
            raise TypeError(
                f"{label}: expected {key} to be {allowed}, got {_checks.describe(value)}."
            )
        return bool(value)
    if value is None and default is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(
            f"{label}: expected {key} to be a Python number, got {_checks.describe(value)}. "
            "An array belongs in a call of the function, or in a layer of advact_jax.linen or nnx."
        )
    number = float(value)
    expected, holds = DOMAINS[spec.parameters[key].domain if key in spec.parameters else "real"]
    if not holds(number):
        raise ValueError(f"{label}: expected {key} to be {expected}, got {value!r}.")
    return number


def _table(label: str, key: str, value: Any) -> tuple[float, ...]:
    """Return a table of coefficients as a tuple of numbers, or raise TypeError."""
    try:
        row = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        row = np.zeros((0, 0))
    if row.ndim != 1 or isinstance(value, str):
        raise TypeError(
            f"{label}: expected {key} to be a sequence of numbers, got {_checks.describe(value)}."
        )
    return tuple(row.tolist())


def table() -> list[tuple[str, str, str, str]]:
    """Return dialect, name there, name here and what differs, for every name of every dialect.

    Example:
      >>> from advact_jax import registry
      >>> for dialect, there, here, differs in registry.table():
      ...     if dialect == "keras" and here == "leaky_relu":
      ...         print(there, differs)
      leaky_relu negative_slope=0.2
      LeakyReLU negative_slope=0.3
    """
    rows = []
    for dialect in DIALECTS:
        for name, (function, entry) in sorted(_in_dialect(dialect).items(), key=_by_letters):
            differs = [f"{key}={value!r}" for key, value in entry.defaults.items()]
            differs += [
                f"{theirs} has no effect" if ours is None else f"{theirs} is {ours}"
                for theirs, ours in entry.arguments.items()
            ]
            differs += [f"{theirs!r} is {ours!r}" for theirs, ours in entry.values.items()]
            rows.append((dialect, name, _name_of(function), ", ".join(differs)))
    return rows


def _by_letters(entry: tuple[str, Any]) -> tuple[str, str]:
    return entry[0].lower(), entry[0]


# -- the public functions -----------------------------------------------------------------------


def get(
    identifier: str | Mapping[str, Any] | Callable[..., Any] | None,
    *,
    dialect: str | None = None,
    **parameters: Any,
) -> Callable[..., Array]:
    """Return an activation by name, from a config, or as it is.

    Args:
      identifier: a name; a config, as `serialize` or Keras writes it; a callable, which is returned
        as it is if there are no parameters; None for the identity.
      dialect: whose names and defaults to take: "jax", "flax", "keras", "torch", "huggingface" or
        "onnx"; None for our own, which are those of jax.nn.
      **parameters: parameters, under the names that they have in the dialect.

    Returns:
      The function itself where no parameter differs from its default, else an `Activation`.

    Raises:
      ValueError: if the name is unknown, with the nearest names, or a value is out of its domain.
      TypeError: if the identifier is of another type, or a parameter is unknown.

    Example:
      >>> import advact_jax
      >>> advact_jax.get("gelu") is advact_jax.gelu
      True
      >>> advact_jax.get("gelu", dialect="keras")
      Activation('gelu', approximate=False)
      >>> advact_jax.get("Hardtanh", dialect="torch", min_val=-2.0)
      Activation('hard_tanh', min_value=-2.0)
      >>> advact_jax.get({"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}})
      Activation('leaky_relu', negative_slope=0.1)
    """
    if identifier is None:
        identifier = catalog.lookup("identity")
    if isinstance(identifier, Mapping):
        if parameters:
            raise TypeError(
                "get: expected no parameters beside a config, which has its own, "
                f"got {', '.join(parameters)}."
            )
        return _simplest(deserialize(identifier))
    if isinstance(identifier, str):
        if dialect == "keras":
            parameters = _without_alpha(identifier, parameters)
        return _simplest(_labelled("get", identifier, dialect, parameters))
    if parameters:
        return _labelled("get", identifier, None, parameters)
    return _resolve("get", identifier, dialect)[0]


def _labelled(
    label: str, identifier: Any, dialect: str | None, parameters: Mapping[str, Any]
) -> Activation:
    made = object.__new__(Activation)
    function, name = _resolve(label, identifier, dialect)
    made._set(label, function, _translated(name, parameters, dialect))
    return made


def _simplest(made: Activation) -> Callable[..., Array]:
    return made if made.parameters else made.function


def _without_alpha(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return Keras's parameters with the old name of the slope replaced."""
    if name in ("leaky_relu", "LeakyReLU") and "alpha" in parameters:
        warnings.warn(
            f"{name}: alpha is the old name of negative_slope. Pass negative_slope.",
            DeprecationWarning,
            stacklevel=4,
        )
        parameters = {**parameters, "negative_slope": parameters["alpha"]}
        del parameters["alpha"]
    return parameters


def serialize(activation: Callable[..., Any]) -> dict[str, Any]:
    """Return an activation as plain JSON: its name and the parameters that are not at a default.

    Args:
      activation: a function of the library, a registered one, or an `Activation`.

    Returns:
      A dictionary that ``json.dumps`` takes, and from which `deserialize` makes the same.

    Raises:
      ValueError: if the function is neither the library's nor registered: its code is not written.

    Example:
      >>> advact_jax.serialize(advact_jax.Activation("elu", alpha=0.5))
      {'activation': 'elu', 'parameters': {'alpha': 0.5}}
    """
    made = activation if isinstance(activation, Activation) else None
    function = activation if made is None else made.function
    name = _name_of(function)
    if _own().get(name) is not function:
        raise ValueError(
            f"serialize: expected an activation of the library or a registered one, got "
            f"{function!r}. Give it a name with advact_jax.register first."
        )
    parameters = {} if made is None else made.parameters
    return {
        "activation": name,
        "parameters": {key: _to_json(value) for key, value in parameters.items()},
    }


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return list(value) if isinstance(value, tuple) else value


def deserialize(config: str | Mapping[str, Any]) -> Activation:
    """Return the activation that a config describes; no code in it is run.

    Args:
      config: what `serialize` returned; a name; or Keras's ``{"class_name": ..., "config": ...}``,
        which is read with Keras's names and defaults.

    Returns:
      An `Activation`.

    Raises:
      ValueError: if the name is unknown, with the nearest names, or a key is missing.
      TypeError: if it is no config.

    Example:
      >>> advact_jax.deserialize({"activation": "elu", "parameters": {"alpha": 0.5}})
      Activation('elu', alpha=0.5)
    """
    if isinstance(config, str):
        return _labelled("deserialize", config, None, {})
    if not isinstance(config, Mapping):
        raise TypeError(
            f"deserialize: expected a dictionary or a name, got {_checks.describe(config)}."
        )
    if "activation" in config:
        parameters = config.get("parameters", {})
        if not isinstance(config["activation"], str) or not isinstance(parameters, Mapping):
            raise TypeError(
                "deserialize: expected a name under 'activation' and a dictionary under "
                f"'parameters', got {config!r}."
            )
        read = {key: _from_json(value) for key, value in parameters.items()}
        return _labelled("deserialize", config["activation"], None, read)
    if "class_name" in config:
        return _from_keras(config)
    raise ValueError(
        "deserialize: expected a key 'activation' or, as in Keras, 'class_name', got the keys "
        f"{', '.join(map(str, config)) or 'of an empty dictionary'}."
    )


def _from_json(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf", "nan") else value


# What Keras writes beside the arguments of the activation itself.
_KERAS_ALWAYS = ("name", "dtype", "trainable", "build_config")


def _from_keras(config: Mapping[str, Any]) -> Activation:
    kind, given = config["class_name"], config.get("config") or {}
    if kind == "function":
        return _labelled("deserialize", given, "keras", {})
    if not isinstance(given, Mapping):
        raise TypeError(
            f"deserialize: expected a dictionary under 'config', got {_checks.describe(given)}."
        )
    parameters = {key: value for key, value in given.items() if key not in _KERAS_ALWAYS}
    if kind == "Activation":
        inner = parameters.get("activation")
        if isinstance(inner, Mapping):
            return deserialize(inner)
        return _labelled("deserialize", inner, "keras", {})
    if kind == "PReLU":
        raise ValueError(
            "deserialize: expected an activation with fixed parameters, got PReLU, which learns "
            "its slope. Make a layer: advact_jax.linen.PReLU or advact_jax.nnx.PReLU; its weights "
            "are read by advact_jax.convert.prelu_from_keras."
        )
    return _labelled("deserialize", kind, "keras", _without_alpha(kind, parameters))


def register(
    function: Callable[..., Any] | None = None, *, name: str | None = None
) -> Callable[..., Any]:
    """Give a function of your own a name, by which `get` and `deserialize` find it.

    Args:
      function: a function, declared with `advact_jax.activation` if it has parameters.
      name: the name; the function's own by default.

    Returns:
      The function itself, so that ``@register`` is a decorator.

    Raises:
      ValueError: if the library or another function has this name.
      TypeError: if it is not callable.

    Example:
      >>> import advact_jax
      >>> @advact_jax.register
      ... def half(x):
      ...     return 0.5 * x
      >>> advact_jax.get("half") is half
      True
    """
    if function is None:
        return lambda given: register(given, name=name)
    _checks.callable_("register", "function", function)
    label = name or getattr(function, "__name__", "")
    if not label or label == "<lambda>":
        raise ValueError("register: expected a name for a function without one. Pass name=...")
    taken = _own().get(label)
    if taken is not None and taken is not function:
        raise ValueError(f"register: expected a name that is free, got {label!r}, which is taken.")
    _registered[label] = function
    return function
