"""What is public: the names that the reference must have."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import advact_jax

# The functions are public in the package itself, and the command line is told by its help.
NOT_LISTED = ("functions", "__main__", "cli")


def modules() -> dict[str, ModuleType]:
    """Return the public modules and packages of the library by name."""
    found = {}
    for info in pkgutil.iter_modules(advact_jax.__path__):
        if not info.name.startswith("_") and info.name not in NOT_LISTED:
            found[info.name] = importlib.import_module(f"advact_jax.{info.name}")
    return found


def names(module: ModuleType) -> list[str]:
    """Return the public classes and functions of a module: its own, or what a package gathers."""
    package = hasattr(module, "__path__")
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and str(getattr(value, "__module__", "")).startswith("advact_jax")
        and (package or value.__module__ == module.__name__)
    ]


def is_at_top(value: Any) -> bool:
    """Tell whether the package itself has this class or function, which is then its place."""
    return any(other is value for other in vars(advact_jax).values())
