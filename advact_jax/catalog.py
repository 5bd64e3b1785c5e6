"""The catalogue: every activation of the library by name."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from advact_jax._spec import RowSpec, Spec, names_in
from advact_jax.functions import (
    attention,
    capped,
    caps,
    clamped,
    complex_valued,
    conditioned,
    expanded,
    exponential_gates,
    exponentials,
    features,
    gated,
    gates,
    gaussian,
    grouping,
    integrals,
    linear,
    log_sums,
    normalizing,
    parametric,
    periodic,
    piecewise,
    powers,
    randomized,
    rational,
    rectifiers,
    self_gated,
    self_weighted,
    shrinkage,
    sigmoids,
    simplex,
    soft_clamps,
    softmax,
    softplus,
    spline,
    tables,
    unnormalized,
)

FAMILIES: Mapping[str, ModuleType] = MappingProxyType(
    {
        module.__name__.rpartition(".")[2]: module
        for module in (
            linear,
            rectifiers,
            piecewise,
            powers,
            exponentials,
            parametric,
            integrals,
            softplus,
            sigmoids,
            caps,
            self_gated,
            gates,
            exponential_gates,
            gaussian,
            expanded,
            soft_clamps,
            periodic,
            shrinkage,
            unnormalized,
            rational,
            tables,
            spline,
            randomized,
            softmax,
            log_sums,
            simplex,
            attention,
            features,
            grouping,
            normalizing,
            self_weighted,
            conditioned,
            complex_valued,
            gated,
            clamped,
            capped,
        )
    }
)


@functools.cache  # A module is walked once; the callers join the results into their own.
def _declared(module: ModuleType, kind: type) -> dict[str, Callable[..., Any]]:
    return {
        value.spec.name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(getattr(value, "spec", None), kind)
        and value.__module__ == module.__name__
    }


def elementwise() -> dict[str, Callable[..., Any]]:
    """Return the elementwise activations by name, family after family."""
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, Spec).items()
    }


def along_axis() -> dict[str, Callable[..., Any]]:
    """Return the functions along an axis (the softmax family, glu, maxout, ...) by name."""
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, RowSpec).items()
        if not function.spec.needs_key  # type: ignore[attr-defined]
    }


def drawn() -> dict[str, Callable[..., Any]]:
    """Return the functions that need a random key in every call, by name."""
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, RowSpec).items()
        if function.spec.needs_key  # type: ignore[attr-defined]
    }


def name_in(function: Callable[..., Any], dialect: str) -> str | None:
    """Return the usual name of an activation in another library, None if it has none there."""
    names = names_in(function.spec, dialect)  # type: ignore[attr-defined]
    return names[0].name if names else None


def aliases() -> dict[str, Callable[..., Any]]:
    """Return the activations that have a second name here, by that name."""
    return {
        name: value
        for module in FAMILIES.values()
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(getattr(value, "spec", None), Spec | RowSpec)
        and value.__module__ == module.__name__
        and name != value.spec.name
    }


def lookup(name: str) -> Callable[..., Any]:
    """Return the activation of this name.

    Args:
      name: a name of the catalogue.

    Returns:
      The public function.

    Raises:
      ValueError: if there is none, with the nearest names.

    Example:
      >>> from advact_jax import catalog
      >>> catalog.lookup("softplus") is advact_jax.softplus
      True
    """
    known = {**elementwise(), **along_axis(), **drawn(), **aliases()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"lookup: expected the name of an activation, got {name!r}.{hint}")
