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
    """Return the elementwise activations by name, family after family.

    Example:
      >>> from advact_jax import catalog
      >>> known = catalog.elementwise()
      >>> {name: float(known[name](-2.0)) for name in ("relu", "elu", "hard_tanh")}
      {'relu': 0.0, 'elu': -0.8647, 'hard_tanh': -1.0}
      >>> "softmax" in known
      False
    """
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, Spec).items()
    }


def along_axis() -> dict[str, Callable[..., Any]]:
    """Return the functions along an axis (the softmax family, glu, maxout, ...) by name.

    Example:
      >>> from advact_jax import catalog
      >>> catalog.along_axis()["sparsemax"](jnp.array([0.1, 0.2, 2.0]))
      Array([0., 0., 1.], dtype=float32)
    """
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, RowSpec).items()
        if not function.spec.needs_key  # type: ignore[attr-defined]
    }


def drawn() -> dict[str, Callable[..., Any]]:
    """Return the functions that need a random key in every call, by name.

    Example:
      >>> from advact_jax import catalog
      >>> y = catalog.drawn()["gumbel_softmax"](jnp.zeros(3), key=jax.random.key(0))
      >>> print(y.sum())
      1.0
    """
    return {
        name: function
        for module in FAMILIES.values()
        for name, function in _declared(module, RowSpec).items()
        if function.spec.needs_key  # type: ignore[attr-defined]
    }


def name_in(function: Callable[..., Any], dialect: str) -> str | None:
    """Return the usual name of an activation in another library, None if it has none there.

    Example:
      >>> from advact_jax import catalog
      >>> catalog.name_in(advact_jax.hard_tanh, "torch")
      'hardtanh'
      >>> catalog.name_in(advact_jax.snake, "torch") is None
      True
    """
    names = names_in(function.spec, dialect)  # type: ignore[attr-defined]
    return names[0].name if names else None


def aliases() -> dict[str, Callable[..., Any]]:
    """Return the activations that have a second name here, by that name.

    Example:
      >>> from advact_jax import catalog
      >>> catalog.aliases()["swish"] is advact_jax.silu
      True
    """
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
