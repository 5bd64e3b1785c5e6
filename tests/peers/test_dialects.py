"""The arguments that a translation writes are arguments of the libraries themselves."""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

import flax.linen  # noqa: E402
import jax  # noqa: E402

from advact_jax import catalog, dialects  # noqa: E402
from advact_jax._spec import Spec, names_in  # noqa: E402
from advact_jax.registry import Activation  # noqa: E402

WHERE = {
    "torch": (torch.nn.functional, torch.nn),
    "keras": (keras.activations, keras.layers),
    "jax": (jax.nn,),
    "flax": (flax.linen,),
}
# Written in C, so that Python knows no arguments.
OPAQUE = ("softplus", "gelu", "hardshrink", "softshrink")
CASES = [
    (dialect, name, key)
    for dialect in WHERE
    for name, function in catalog.elementwise().items()
    if names_in(function.spec, dialect)  # type: ignore[attr-defined]
    for key in (*function.spec.parameters, *function.spec.flags)  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("dialect, name, key", CASES)
def test_a_parameter_is_written_only_where_it_is_an_argument(
    dialect: str, name: str, key: str
) -> None:
    function = catalog.lookup(name)
    spec: Spec = function.spec  # type: ignore[attr-defined]
    if name == "prelu":  # an array, or a weight
        return
    given: dict[str, Any] = {
        k: p.samples[0] for k, p in spec.parameters.items() if k not in spec.defaults
    }
    given[key] = not spec.default_flags[key] if key in spec.flags else 0.75
    made = Activation(function, **given)
    takes = [_arguments(dialect, each.name) for each in names_in(spec, dialect)]
    theirs = {k: v for n in names_in(spec, dialect) for v, k in n.arguments.items()}
    try:
        spelt = dialects.spell(made, dialect)
    except ValueError:
        assert not any(theirs.get(key, key) in arguments for arguments in takes if arguments)
        return
    arguments = _arguments(dialect, spelt.name)
    assert arguments is None or set(spelt.parameters) <= arguments


def _arguments(dialect: str, name: str) -> set[str] | None:
    """Return the arguments of a function or class, None if they are not known."""
    if dialect == "torch" and name in OPAQUE:
        return None
    for module in WHERE[dialect]:
        if hasattr(module, name):
            return set(inspect.signature(getattr(module, name)).parameters)
    return None
