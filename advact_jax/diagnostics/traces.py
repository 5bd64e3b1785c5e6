"""Where the activations of a function lie in its trace.

The trace (a jaxpr) names every call of an activation, whatever framework made it: the functions of
this library are jitted, and a jitted call keeps its name. So plain functions are found as well as
`Activation` objects and layers of linen or nnx, and the model is not changed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax.extend.core as jex
import jax.numpy as jnp

from advact_jax import _rule, catalog

# What to do with an equation of a trace, by its number: the name of the activation that it is, or
# the plan of the trace inside it.
Plan: TypeAlias = "dict[int, str | Plan]"

_ENTERED = ("jit", "pjit", "closed_call", "remat2", "checkpoint", "scan")
_RULE_FILE = _rule.apply.__code__.co_filename


def inner(equation: Any) -> Any:
    """Return the trace inside an equation that can be entered, else None."""
    if equation.primitive.name not in _ENTERED or equation.params.get("differentiated"):
        return None
    held = equation.params["jaxpr"]
    return getattr(held, "jaxpr", held)


def subject(equation: Any) -> int | None:
    """Return the number of the input that an elementwise equation maps to its output."""
    out = equation.outvars[0].aval if len(equation.outvars) == 1 else None
    if out is None or not jnp.issubdtype(out.dtype, jnp.floating) or not out.shape:
        return None
    for i, given in enumerate(equation.invars):
        if given.aval.shape == out.shape and given.aval.dtype == out.dtype:
            return i
    return None


# -- which equation is an activation ------------------------------------------------------------


@functools.cache
def _names() -> frozenset[str]:
    """Return the names of the elementwise activations that jax.nn has too."""
    known = catalog.elementwise().items()
    return frozenset(name for name, f in known if "jax" in f.spec.names)  # type: ignore[attr-defined]


def _source(equation: Any) -> tuple[str, str]:
    """Return the name and the place of a function that has a derivative rule of its own."""
    if equation.primitive.name != "custom_jvp_call":
        return "", ""
    name, _, place = str(equation.params["call_jaxpr"].jaxpr.debug_info.func_src_info).partition(
        " at "
    )
    return name, place.replace("\\", "/")


def _is_declared(equation: Any) -> bool:
    """Tell whether an equation is the rule that all declared activations share."""
    return _source(equation)[1].startswith(_RULE_FILE.replace("\\", "/") + ":")


def activation(equation: Any, around: str) -> str:
    """Return the name of the activation that an equation is, else an empty string.

    Args:
      equation: an equation of a trace.
      around: the name of the jitted function around it, for an activation without one.
    """
    if subject(equation) is None:
        return ""
    if equation.primitive.name in ("jit", "pjit"):
        name, out = str(equation.params["name"]), equation.outvars[0].aval
        alike = sum(given.aval.shape == out.shape for given in equation.invars)
        is_jax_nn = name in _names() and alike == 1
        return name if is_jax_nn or any(map(_is_declared, inner(equation).eqns)) else ""
    if _is_declared(equation):
        return around or "activation"
    name, place = _source(equation)
    return name if name in _names() and "/jax/_src/nn/" in place else ""


# -- paths --------------------------------------------------------------------------------------

_TRANSFORMED = re.compile(r"^\w+\((.*)\)$")
_NO_SCOPES = ("checkpoint", "rematted_computation", "closed_call", "while", "body", "remat")


def _scopes(equation: Any) -> Iterator[str]:
    """Yield the named scopes of an equation, without what transformations add."""
    for part in str(equation.source_info.name_stack).split("/"):
        while found := _TRANSFORMED.match(part):
            part = found[1]
        if part and part not in _NO_SCOPES:
            yield part


class Sites:
    """The activations of a trace.

    Attributes:
      seen: those that can be measured, by their path, with the lengths of the scans around them.
      unseen: the paths of those that cannot.
      plan: what to do with the equations of the trace.
    """

    def __init__(self, trace: Any) -> None:
        self.seen: dict[str, tuple[int, ...]] = {}
        self.unseen: list[str] = []
        self.plan = self._plan(trace, [], (), "")

    def _plan(self, trace: Any, path: list[str], lengths: tuple[int, ...], around: str) -> Plan:
        plan: Plan = {}
        for i, equation in enumerate(trace.eqns):
            here = [*path, *_scopes(equation)]
            if name := activation(equation, around):
                plan[i] = self._add("/".join([*here, name]), lengths)
            elif (within := inner(equation)) is not None:
                name = str(equation.params.get("name", around))
                steps = equation.params.get("length")
                deeper = lengths if steps is None else (*lengths, steps)
                if found := self._plan(within, here, deeper, name):
                    plan[i] = found
            else:
                self._note(equation, [*here, equation.primitive.name])
        return plan

    def _add(self, name: str, lengths: tuple[int, ...]) -> str:
        unique, count = name, 1
        while unique in self.seen:
            count += 1
            unique = f"{name}_{count}"
        self.seen[unique] = lengths
        return unique

    def _note(self, equation: Any, path: list[str]) -> None:
        """Take down the activations within an equation that cannot be entered."""
        for trace in jex.jaxprs_in_params(equation.params):
            for within in trace.eqns:
                if name := activation(within, path[-1]):
                    self.unseen.append("/".join([*path, name]))
                else:
                    self._note(within, path)

    def labels(self, parameters: Container[str] = ()) -> dict[str, str]:
        """Return what each is called, by its path.

        Linen names the whole model in front of each path, but not in the paths of parameters; this
        is left out, unless it is one of the names in those.
        """
        first = {name.split("/")[0] for name in self.seen}
        strip = len(first) == 1 and all("/" in name for name in self.seen)
        strip = strip and not any(name in parameters for name in first)
        return {name: name.partition("/")[2] if strip else name for name in self.seen}


# -- parts of a trace as functions --------------------------------------------------------------


def names_in(plan: Plan) -> Iterator[str]:
    """Yield the names of the activations of a plan."""
    for step in plan.values():
        if isinstance(step, str):
            yield step
        else:
            yield from names_in(step)


def read(known: Mapping[Any, Any], variable: Any) -> Any:
    """Return the value of a variable or of a literal."""
    return variable.val if isinstance(variable, jex.Literal) else known[variable]


def evaluate(trace: Any, equations: Sequence[Any], known: dict[Any, Any]) -> None:
    """Evaluate equations of a trace; ``known`` has the values of variables, and gets new ones."""
    if not equations:
        return
    made = [v for e in equations for v in e.outvars if not isinstance(v, jex.DropVar)]
    given = {v: None for e in equations for v in e.invars if not isinstance(v, jex.Literal)}
    needed = [v for v in given if v not in set(made)]
    part = trace.replace(
        constvars=[],
        invars=needed,
        outvars=made,
        eqns=[*equations],
        debug_info=trace.debug_info._replace(arg_names=None, result_paths=None),
    )
    values = jex.jaxpr_as_fun(jex.ClosedJaxpr(part, []))(*(known[v] for v in needed))
    known.update(zip(made, values, strict=True))
