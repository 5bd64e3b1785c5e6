"""Sphinx extension: a warning, and so an error, for each public name that no page documents."""

from __future__ import annotations

import importlib
from typing import Any

import public
from sphinx.util import logging

import advact_jax

logger = logging.getLogger(__name__)


def undocumented(documented: set[str]) -> list[str]:
    """Return the public names that stand for nothing in a set of full names."""
    told = {id(_object(name)) for name in documented if name.startswith("advact_jax")}
    listed = {"": advact_jax, **public.modules()}
    return [
        f"{module.__name__}.{name}"
        for module in listed.values()
        for name in public.names(module)
        if id(getattr(module, name)) not in told
    ]


def _object(name: str) -> Any:
    path, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(path or name), last, None)
    except ImportError:  # A method or an attribute.
        return None


def check(app: Any, env: Any) -> None:
    """Compare what is public with what the pages document."""
    for name in undocumented({*env.domains["py"].data["objects"]}):
        logger.warning("no page documents %s", name, type="undocumented")


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
