"""The same function in each library: ours, jax.nn, Keras on JAX, torch, Flax, the package entmax.

A library that is not installed is left out. A function of torch or of entmax takes tensors; all
others take JAX arrays. `agree` shows that the columns of a table mean the same function.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import advact_jax
from advact_jax import catalog
from advact_jax._spec import Spec
from advact_jax.testing.cases import cases
from benchmarks import _timing

Function = Callable[..., Any]

# Their functions take tensors.
OF_TENSORS = ("torch", "entmax")

# What says the same as our defaults, where their defaults differ or are missing.
_SAME: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("keras", "leaky_relu"): {"negative_slope": 0.01},
    ("keras", "gelu"): {"approximate": True},
    ("torch", "gelu"): {"approximate": "tanh"},
    ("keras", "threshold"): {"threshold": 1.0, "default_value": 0.5},
    ("torch", "threshold"): {"threshold": 1.0, "value": 0.5},
    ("torch", "softmax"): {"dim": -1},
    ("torch", "log_softmax"): {"dim": -1},
    ("torch", "softmin"): {"dim": -1},
    ("torch", "logsumexp"): {"dim": -1},
    ("keras", "logsumexp"): {"axis": -1},
    ("jax", "logsumexp"): {"axis": -1},
    ("jax", "logmeanexp"): {"axis": -1},
}
_EXACT_GELU = {"ours": False, "jax.nn": False, "keras": False, "torch": "none"}

# Where the name in the catalogue is not the function that computes it: Keras's PReLU is a layer,
# its sparsemax is wrong for a support of two or more; rrelu is random.
_LEFT_OUT = {("keras", "prelu"), ("keras", "sparsemax"), ("torch", "prelu"), ("torch", "rrelu")}
_OURS: Mapping[str, Mapping[str, Any]] = {
    "threshold": {"threshold": 1.0, "value": 0.5},
    "logsumexp": {"axis": -1},
    "logmeanexp": {"axis": -1},
    "entmax": {"alpha": 1.3},
}


@functools.cache
def library(name: str) -> Any:
    """Return the module of a library, None if it is not installed."""
    if name == "keras":
        os.environ.setdefault("KERAS_BACKEND", "jax")
    if importlib.util.find_spec(name) is None:
        return None
    module = importlib.import_module(name)
    if name == "keras" and module.backend.backend() != "jax":
        return None
    return module


def _found(dialect: str, name: str) -> Function | None:
    """Return the function of this name in a library."""
    module = library(dialect)
    if module is None:
        return None
    places = {
        "jax": ("nn",),
        "keras": ("activations", "ops"),
        "torch": ("nn.functional", ""),
    }
    for place in places[dialect]:
        holder = functools.reduce(getattr, filter(None, place.split(".")), module)
        if hasattr(holder, name):
            return getattr(holder, name)
    return None


def _peers_of(name: str, function: Function) -> dict[str, Function]:
    made = {"ours": _at_defaults(name, function)}
    for label, dialect in (("jax.nn", "jax"), ("keras", "keras"), ("torch", "torch")):
        theirs = catalog.name_in(function, dialect)
        found = None
        if theirs is not None and (dialect, name) not in _LEFT_OUT:
            found = _found(dialect, theirs)
        if theirs in ("Identity", "linear") and dialect == "torch":
            found = None  # It returns its input, and computes nothing.
        if found is not None:
            given = _SAME.get((dialect, name))
            made[label] = functools.partial(found, **given) if given else found
    return made


def _at_defaults(name: str, function: Function) -> Function:
    """Return our function, with values for what has no default or another one than theirs."""
    if name in _OURS:
        return functools.partial(function, **_OURS[name])
    if isinstance(function.spec, Spec):  # type: ignore[attr-defined]
        given = cases(function)[0].given
        return functools.partial(function, **given) if given else function
    return function


def elementwise() -> dict[str, dict[str, Function]]:
    """Return every elementwise function by name, each by library; some are ours alone."""
    made = {}
    for name, function in catalog.elementwise().items():
        if name == "rrelu":
            continue
        made[name] = _peers_of(name, function)
        if name == "gelu":
            made["gelu exact"] = {
                label: functools.partial(f, approximate=_EXACT_GELU[label])
                for label, f in made[name].items()
            }
    return made


def shared(functions: Mapping[str, Mapping[str, Function]]) -> list[str]:
    """Return the names of those that jax.nn has."""
    return [name for name, found in functions.items() if "jax.nn" in found]


_ROWS = (
    "softmax", "log_softmax", "softmin", "logsumexp", "logmeanexp", "standardize", "softmax_one",
    "sparsemax", "entmax15", "entmax",
)  # fmt: skip


def rows() -> dict[str, dict[str, Function]]:
    """Return the softmax family by name, each by library, along the last axis."""
    known = catalog.along_axis()
    made = {name: _peers_of(name, known[name]) for name in _ROWS}
    entmax = library("entmax")
    if entmax is not None and library("torch") is not None:
        made["sparsemax"]["entmax"] = functools.partial(entmax.sparsemax, dim=-1)
        made["entmax15"]["entmax"] = functools.partial(entmax.entmax15, dim=-1)
        bisection = functools.partial(entmax.entmax_bisect, **_OURS["entmax"], dim=-1)
        made["entmax"]["entmax"] = bisection
    return made


def gated() -> dict[str, dict[str, Function]]:
    """Return gated units as functions of the gate and of what it lets through."""
    made: dict[str, dict[str, Function]] = {
        "glu": {"ours": lambda gate, up: advact_jax.glu(gate, up=up)},
        **{name: {"ours": getattr(advact_jax, name)} for name in ("reglu", "geglu", "swiglu")},
    }
    inner = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}
    for name, unit in inner.items():
        for label, function in _peers_of(unit, catalog.elementwise()[unit]).items():
            if label != "ours":
                made[name][label] = _product(function)
    return made


def _product(function: Function) -> Function:
    return lambda gate, up: function(gate) * up


def agree(functions: Mapping[str, Function], *arrays: Any, tolerance: float = 2e-3) -> None:
    """Raise an error unless all libraries give the same values, where they give a number."""
    found = {}
    for label, function in functions.items():
        if label in OF_TENSORS:
            y = function(*map(_timing.to_torch, arrays)).float().detach().numpy()
        else:
            y = np.asarray(jnp.asarray(function(*arrays), jnp.float32))
        found[label] = y
    for label, y in found.items():
        known = ~np.isnan(y)
        if not np.allclose(y[known], found["ours"][known], rtol=tolerance, atol=tolerance):
            raise ValueError(f"{label}: expected {found['ours']}, as ours has it, got {y}.")


def forward_calls(
    functions: Mapping[str, Function], times: int, *arrays: Any
) -> dict[str, Callable[[], Any]]:
    """Return a call by library that computes the function several times."""
    calls = {}
    for label, function in functions.items():
        if label in OF_TENSORS:
            tensors = map(_timing.to_torch, arrays)
            calls[label] = _timing.looped_torch(function, times, *tensors)
        else:
            calls[label] = _timing.looped(function, times, *arrays)
    return calls


def gradient_calls(
    functions: Mapping[str, Function], times: int, x: Any, *others: Any
) -> dict[str, Callable[[], Any]]:
    """Return a call by library that computes value and gradients several times."""
    y = jax.eval_shape(functions["ours"], x, *others)
    g = jnp.ones(y.shape, y.dtype)
    calls = {}
    for label, function in functions.items():
        if label in OF_TENSORS:
            tensors = map(_timing.to_torch, (x, g, *others))
            calls[label] = _timing.looped_torch_gradient(function, times, *tensors)
        else:
            both = _timing.with_gradient(function)
            calls[label] = _timing.looped(both, times, x, g, *others)
    return calls
