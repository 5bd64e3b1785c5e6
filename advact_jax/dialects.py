"""Activations in the words of another library: the way back from `advact_jax.get`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from advact_jax import _checks, registry
from advact_jax._spec import Name, RowSpec, Spec, names_in

__all__ = ["Spelling", "spell"]

# Parameters of ours that the functions elsewhere do not have, by our names.
_NOT_THERE: Mapping[str, tuple[str, ...]] = {
    "relu": ("negative_slope", "max_value", "threshold"),
    "softplus": ("beta",),
    "hard_sigmoid": ("slope", "offset"),
    "hard_tanh": ("min_value", "max_value"),
    "silu": ("beta",),
    "glu": ("gate", "interleaved"),
}
# The functions that have them nevertheless.
_THERE: Mapping[str, tuple[str, ...]] = {
    "keras": ("relu",),
    "torch": ("softplus", "hard_tanh"),
    "onnx": ("hard_sigmoid", "silu"),
}
# Where Hugging Face has a name, it stands for fixed parameters, but for this one.
_HUGGINGFACE_TAKES = ("xielu",)
# torch's own default guesses an axis, with a warning.
_ALWAYS_WRITTEN: Mapping[str, Mapping[str, str]] = {
    "torch": {"softmax": "axis", "log_softmax": "axis", "softmin": "axis"}
}


class Spelling(NamedTuple):
    """An activation in the words of a library.

    Attributes:
      name: the name there.
      parameters: the arguments that must be written there, by the names that they have there.
      initial: of what is learned, the initial values that differ from those there, by our names.

    Example:
      >>> from advact_jax import dialects
      >>> spelling = dialects.spell("leaky_relu", "keras")
      >>> spelling.name, spelling.parameters
      ('leaky_relu', {'negative_slope': 0.01})
      >>> print(spelling)
      leaky_relu negative_slope=0.01
    """

    name: str
    parameters: dict[str, Any]
    initial: dict[str, float]

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={v}" for key, v in self.parameters.items())])


def spell(
    activation: str | Callable[..., Any] | Mapping[str, Any],
    dialect: str | None,
    *,
    source: str | None = None,
    **parameters: Any,
) -> Spelling:
    """Return the name and the arguments that an activation has in another library.

    Args:
      activation: what `advact_jax.get` takes: a name, a config, a function or an `Activation`.
      dialect: whose words to use, one of ``advact_jax.registry.DIALECTS``; None for our own.
      source: whose words the name and the parameters are, as in `advact_jax.get`.
      **parameters: parameters of the activation, by their names in ``source``.

    Returns:
      A `Spelling`: where the defaults differ, the arguments say so. A class is spelt as a class
      where there is one, a function as a function.

    Raises:
      ValueError: if the library has no name for it, or none that takes these parameters.
      TypeError: if a parameter is unknown, or the activation has no declaration.

    Example:
      >>> from advact_jax import dialects
      >>> print(dialects.spell("LeakyReLU", "keras", source="torch"))
      LeakyReLU negative_slope=0.01
      >>> print(dialects.spell("gelu", "torch"))
      gelu approximate=tanh
      >>> dialects.spell("PReLU", "keras", source="torch").initial
      {'alpha': 0.25}
    """
    if dialect is not None and dialect not in registry.DIALECTS:
        raise ValueError(
            f"spell: expected dialect to be one of {', '.join(registry.DIALECTS)} or None, "
            f"got {dialect!r}."
        )
    function, given, initial = _meant(activation, source, parameters)
    spec = getattr(function, "spec", None)
    if not isinstance(spec, Spec | RowSpec):
        raise TypeError(
            "spell: expected a function declared with advact_jax.activation, "
            f"got {_checks.describe(activation)}."
        )
    if dialect is None:
        return Spelling(spec.name, given, _other(initial, spec, None))
    names = names_in(spec, dialect)
    if not names:
        raise ValueError(f"spell: expected an activation that {dialect} has, got {spec.name}.")
    takes_none = dialect == "huggingface" and spec.name not in _HUGGINGFACE_TAKES
    missing = () if spec.name in _THERE.get(dialect, ()) else _NOT_THERE.get(spec.name, ())
    found, lacking = [], list[str]()
    for place, name in enumerate(names):
        written = _differing(spec, name, given, dialect)
        lacking = [key for key in written if takes_none or key in missing]
        if not lacking:
            is_class = isinstance(activation, str) and activation[:1].isupper()
            rank = (name.name[:1].isupper() != is_class, len(written), place)
            found.append((rank, name, written))
    if not found:
        listed = ", ".join(f"{key}={given.get(key)!r}" for key in lacking)
        raise ValueError(
            f"spell: expected parameters that {names[0].name} of {dialect} takes, got {listed}."
        )
    _, name, written = min(found, key=lambda entry: entry[0])
    theirs = {ours: there for there, ours in name.arguments.items() if ours is not None}
    values = {ours: there for there, ours in name.values.items()}
    return Spelling(
        name.name,
        {theirs.get(key, key): values.get(value, value) for key, value in written.items()},
        _other(initial, spec, dialect),
    )


def _meant(
    activation: Any, source: str | None, parameters: Mapping[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any], dict[str, float]]:
    """Return the function, the parameters that differ from its defaults, and initial values."""
    if isinstance(activation, Mapping):
        activation = registry.get(activation, **parameters)
        parameters = {}
    function, fixed = registry.resolve("spell", activation, source)
    spec = getattr(function, "spec", None)
    learned = _learned(spec) if isinstance(spec, Spec) else ()
    initial = {}
    if isinstance(spec, Spec) and learned:
        initial = {key: _initial_in(spec, key, source) for key in learned}
        named = {key: value for key, value in {**fixed, **parameters}.items() if key in learned}
        return function, {}, {**initial, **named}
    if isinstance(activation, str):
        made = registry.get(activation, dialect=source, **parameters)
        fixed = registry.resolve("spell", made)[1]
    elif parameters:
        fixed = registry.Activation(function, **{**fixed, **parameters}).parameters
    return function, fixed, initial


def _learned(spec: Spec) -> tuple[str, ...]:
    """Return the parameters that only a layer can hold: learned, without a default."""
    return tuple(k for k, p in spec.parameters.items() if p.learned and k not in spec.defaults)


def _initial_in(spec: Spec, key: str, dialect: str | None) -> float:
    parameter = spec.parameters[key]
    return parameter.initial_in.get(dialect or "", parameter.initial or 0.0)


def _other(initial: Mapping[str, float], spec: Any, dialect: str | None) -> dict[str, float]:
    """Return the initial values that are not those of a library."""
    return {k: v for k, v in initial.items() if v != _initial_in(spec, k, dialect)}


def _differing(
    spec: Spec | RowSpec, name: Name, given: Mapping[str, Any], dialect: str
) -> dict[str, Any]:
    """Return the parameters, by our names, that differ from the defaults of a name elsewhere."""
    always = _ALWAYS_WRITTEN.get(dialect, {}).get(spec.name)
    found = {}
    for key, argument in list(spec.signature.parameters.items())[1:]:
        here = given.get(key, argument.default)
        there = name.defaults.get(key, argument.default)
        if here is not inspect.Parameter.empty and (here != there or key == always):
            found[key] = here
    return found
