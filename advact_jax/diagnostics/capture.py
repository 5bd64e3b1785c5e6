"""Measuring the activations of a function while it runs, and their gradients.

A function is traced, the trace is run again with each activation measured, and JAX compiles that:
nothing is called back, and nothing but a few numbers for each activation is kept. For gradients
each activation gets a probe, an input of zeros that changes nothing. Its derivative is defined as
the norms of the gradient that comes to the activation and of that which leaves it, so that the one
backward pass there is anyway measures both.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from advact_jax.diagnostics import arrays, traces
from advact_jax.diagnostics import measures as measuring
from advact_jax.diagnostics.measures import Measures


class Observation(NamedTuple):
    """What was measured in one pass; a tree of arrays.

    Attributes:
      layers: the `Measures` of each activation, by its path, in the order of the forward pass.
      gradients: the norm of the gradient by layer; empty where none was taken.

    Example:
      >>> from advact_jax import diagnostics
      >>> loss = lambda w, x: advact_jax.tanh(x @ w["dense"]["kernel"]).sum()
      >>> watched = jax.jit(diagnostics.value_and_grad(loss, most=0))
      >>> weights = {"dense": {"kernel": jnp.zeros((2, 3))}}
      >>> (value, gradient), seen = watched(weights, jnp.ones((4, 2)))
      >>> list(seen.layers), seen.layers["tanh"].outputs.mean
      (['tanh'], Array(0., dtype=float32))
      >>> seen.gradients["dense"]
      Array(9.798, dtype=float32)
    """

    layers: OrderedDict[str, Measures]
    gradients: OrderedDict[str, Array]


class Found(NamedTuple):
    """The activations in the trace of a function, by their paths.

    Attributes:
      seen: those that are measured.
      unseen: those that lie in a loop, a branch or the like, where they cannot be.

    Example:
      >>> from advact_jax import diagnostics
      >>> def net(x):
      ...     x = advact_jax.gelu(x)
      ...     return jax.lax.while_loop(lambda x: x.sum() < 9, advact_jax.softplus, x)
      >>> diagnostics.found(net, jnp.ones(3))
      Found(seen=('gelu',), unseen=('while/softplus',))
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def found(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Found:
    """Tell which activations of a function are measured, and which are not.

    Args:
      function: a function of arrays, such as the loss of a model.
      *args: its arguments, or `jax.ShapeDtypeStruct` in place of arrays.
      **kwargs: its keyword arguments.

    Returns:
      The paths of the activations, by `Found`.

    Example:
      >>> from advact_jax import diagnostics
      >>> diagnostics.found(lambda x: advact_jax.gelu(jnp.tanh(x)), jnp.ones(3))
      Found(seen=('gelu',), unseen=())
    """
    traced = _Traced(function, args, kwargs)
    return Found(tuple(traced.labels.values()), tuple(traced.sites.unseen))


def observe(
    function: Callable[..., Any],
    *,
    axis: int = -1,
    saturated: float = arrays.SATURATED,
    dead: float = arrays.DEAD,
    rows: Literal["samples", "tokens"] = "samples",
    most: int = 32,
) -> Callable[..., tuple[Any, Observation]]:
    """Return a function that also measures the activations on its way, without gradients.

    Args:
      function: a function of arrays, such as the forward pass of a model.
      axis: the axis of the units of an activation.
      saturated: the bound of `saturation`.
      dead: the bound of `active_units`.
      rows: what `rank_collapse` compares.
      most: how many of them; 0 to leave it out, which is cheaper.

    Returns:
      A function of the same arguments, to be jitted, that returns the output and an `Observation`.

    Raises:
      ValueError: in the call, if the function has no activation that can be measured.

    Example:
      >>> from advact_jax import diagnostics
      >>> watched = jax.jit(diagnostics.observe(lambda x: advact_jax.relu(x).sum()))
      >>> y, seen = watched(jnp.array([[-1.0, 2.0], [-3.0, -4.0]]))
      >>> y, diagnostics.values(seen.layers["relu"])["dead"]
      (Array(2., dtype=float32), Array(0.5, dtype=float32))
    """
    options = {"axis": axis, "saturated": saturated, "dead": dead, "rows": rows, "most": most}

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        traced = _Traced(function, args, kwargs)
        traced.check("observe")
        output, layers = traced.run(traced.leaves, traced.probes(), options)
        return output, Observation(layers, OrderedDict())

    return watched


def value_and_grad(
    loss: Callable[..., Any],
    argnums: int = 0,
    has_aux: bool = False,
    *,
    axis: int = -1,
    saturated: float = arrays.SATURATED,
    dead: float = arrays.DEAD,
    rows: Literal["samples", "tokens"] = "samples",
    most: int = 32,
) -> Callable[..., tuple[Any, Observation]]:
    """Return what `jax.value_and_grad` does, with measures of the activations beside it.

    Args:
      loss: a function of arrays that returns a scalar.
      argnums: the number of the argument to differentiate by: that with the parameters.
      has_aux: whether the loss returns a pair, of the scalar and other output.
      axis: as in `observe`, and so are the others.
      saturated: the bound of `saturation`.
      dead: the bound of `active_units`.
      rows: what `rank_collapse` compares.
      most: how many of them; 0 to leave it out, which is cheaper.

    Returns:
      A function of the same arguments, to be jitted, that returns a pair: what
      `jax.value_and_grad` gives, and an `Observation`.

    Raises:
      ValueError: in the call, if the loss has no activation that can be measured.

    Example:
      >>> from advact_jax import diagnostics
      >>> loss = lambda w, x: jnp.sum(advact_jax.relu(w * x))
      >>> watched = jax.jit(diagnostics.value_and_grad(loss))
      >>> (value, gradient), seen = watched(jnp.array([1.0, -1.0]), jnp.array([3.0, 3.0]))
      >>> value, gradient
      (Array(3., dtype=float32), Array([3., 0.], dtype=float32))
      >>> diagnostics.values(seen.layers["relu"])["gradient_norm"]
      Array(1.4142135, dtype=float32)
    """
    options = {"axis": axis, "saturated": saturated, "dead": dead, "rows": rows, "most": most}

    @functools.wraps(loss)
    def watched(*args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        if not 0 <= argnums < len(args):
            raise ValueError(
                f"value_and_grad: expected argnums to be the number of one of the {len(args)} "
                f"positional arguments, got {argnums}."
            )
        traced = _Traced(loss, args, kwargs)
        traced.check("value_and_grad")

        def probed(parameters: Any, probes: dict[str, Array]) -> tuple[Array, Any]:
            given = [*args]
            given[argnums] = parameters
            leaves = jax.tree.leaves((tuple(given), kwargs))
            output, layers = traced.run(leaves, probes, options)
            value, aux = output if has_aux else (output, None)
            return value, (aux, layers)

        differentiated = jax.value_and_grad(probed, argnums=(0, 1), has_aux=True)
        (value, (aux, layers)), (gradient, norms) = differentiated(args[argnums], traced.probes())
        for name, both in norms.items():
            before, after = both[..., 0], both[..., 1]
            label = traced.labels[name]
            layers[label] = layers[label]._replace(gradient=before, passed=after)
        seen = Observation(layers, OrderedDict(arrays.gradient_norms(gradient)))
        return ((value, aux) if has_aux else value, gradient), seen

    return watched


# -- running a trace with its activations measured ----------------------------------------------


class _Traced:
    """The trace of a function at some arguments; what is no array is a constant of it."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.leaves, structure = jax.tree.flatten((args, kwargs))
        self.dynamic = [i for i, leaf in enumerate(self.leaves) if _is_array(leaf)]
        leaves = self.leaves

        def flat(*values: Any) -> Any:
            given = [*leaves]
            for i, array in zip(self.dynamic, values, strict=True):
                given[i] = array
            args, kwargs = jax.tree.unflatten(structure, given)
            return function(*args, **kwargs)

        traced = jax.make_jaxpr(flat, return_shape=True)
        self.trace, shapes = traced(*(leaves[i] for i in self.dynamic))
        self.structure = jax.tree.structure(shapes)
        self.sites = traces.Sites(self.trace.jaxpr)
        paths = jax.tree_util.tree_leaves_with_path((args, kwargs))
        self.labels = self.sites.labels({n for p, _ in paths for n in arrays.path_names(p)})

    def check(self, label: str) -> None:
        """Raise ValueError if there is nothing to measure."""
        if not self.sites.seen:
            unseen = ", ".join(self.sites.unseen)
            why = f"it has {unseen}, which lie in loops or branches" if unseen else "it has none"
            raise ValueError(
                f"{label}: expected a function with an elementwise activation that leaves its name "
                f"in the trace; {why}. Use the functions of advact_jax, or declare your own with "
                "advact_jax.activation."
            )

    def probes(self) -> dict[str, Array]:
        """Return zeros whose gradients are the norms of the gradients at the activations."""
        return {name: jnp.zeros((*steps, 2)) for name, steps in self.sites.seen.items()}

    def run(
        self, leaves: Sequence[Any], probes: dict[str, Array], options: Mapping[str, Any]
    ) -> tuple[Any, OrderedDict[str, Measures]]:
        """Return the output, and the measures by label."""
        trace, plan = self.trace, self.sites.plan
        given = [leaves[i] for i in self.dynamic]
        outputs, layers = _run(trace.jaxpr, trace.consts, plan, options, probes, *given)
        # JAX sorts the keys of a plain dict.
        named = OrderedDict((label, layers[name]) for name, label in self.labels.items())
        return jax.tree.unflatten(self.structure, outputs), named


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def _run(
    trace: Any,
    consts: Sequence[Any],
    plan: traces.Plan,
    options: Mapping[str, Any],
    probes: Mapping[str, Array],
    *args: Any,
) -> tuple[list[Any], dict[str, Measures]]:
    """Return the outputs of a trace, and the measures of the activations of its plan."""
    known: dict[Any, Any] = dict(zip(trace.constvars, consts, strict=True))
    known.update(zip(trace.invars, args, strict=True))
    layers: dict[str, Measures] = {}
    start = 0
    for i, step in plan.items():
        traces.evaluate(trace, trace.eqns[start:i], known)
        equation, start = trace.eqns[i], i + 1
        if isinstance(step, str):
            layers[step] = _tap(trace, equation, probes[step], options, known)
        else:
            inner = {name: probes[name] for name in traces.names_in(step)}
            values = [traces.read(known, v) for v in equation.invars]
            outputs, below = _enter(equation, step, options, inner, values)
            layers.update(below)
            known.update(zip(equation.outvars, outputs, strict=True))
    traces.evaluate(trace, trace.eqns[start:], known)
    return [traces.read(known, v) for v in trace.outvars], layers


def _tap(
    trace: Any, equation: Any, probe: Array, options: Mapping[str, Any], known: dict[Any, Any]
) -> Measures:
    """Evaluate an activation, let its gradient pass by the probe, and return its measures."""
    subject = traces.subject(equation) or 0
    variable, out = equation.invars[subject], equation.outvars[0]
    others = {v: known[v] for v in equation.invars if v is not variable and v in known}

    def function(x: Array) -> Array:
        values = {**others, variable: x}
        traces.evaluate(trace, [equation], values)
        return values[out]

    x = traces.read(known, variable)
    y = function(x)
    still = jax.lax.stop_gradient(x)
    slopes = arrays.slope(function, still)
    known[out] = _past(probe, jax.lax.stop_gradient(slopes), y)
    return jax.lax.stop_gradient(measuring.measure(slopes, y, **options))


@jax.custom_vjp
def _past(probe: Array, slopes: Array, y: Array) -> Array:
    """Return y; the gradient of the probe is the norm of that of y, and what the slopes leave."""
    return y


def _past_forward(probe: Array, slopes: Array, y: Array) -> tuple[Array, Array]:
    return y, slopes


def _past_backward(slopes: Array, gradient: Array) -> tuple[Array, Array, Array]:
    wide = arrays.wide(gradient)
    after = wide * slopes.astype(wide.dtype)
    norms = jnp.stack([arrays.norm(wide), arrays.norm(after)])
    return norms.astype(jnp.float32), jnp.zeros_like(slopes), gradient


_past.defvjp(_past_forward, _past_backward)


def _enter(
    equation: Any,
    plan: traces.Plan,
    options: Mapping[str, Any],
    probes: Mapping[str, Array],
    values: list[Any],
) -> tuple[list[Any], dict[str, Measures]]:
    """Run the trace inside an equation as the equation would."""
    kind, params = equation.primitive.name, equation.params
    trace, consts = traces.inner(equation), getattr(params["jaxpr"], "consts", ())
    inner: Callable[..., Any] = functools.partial(_run, trace, consts, plan, options)
    if kind == "scan":
        return _scan(equation, trace, inner, probes, values)
    if kind in ("remat2", "checkpoint"):
        inner = jax.checkpoint(inner, prevent_cse=params["prevent_cse"], policy=params["policy"])
    return inner(probes, *values)


def _scan(
    equation: Any, trace: Any, inner: Callable[..., Any], probes: Any, values: list[Any]
) -> tuple[list[Any], dict[str, Measures]]:
    """Run a scan, each step with its own probes."""

    # What is scanned over has an axis more outside than inside.
    def scanned(outside: Sequence[Any], inside: Sequence[Any]) -> int:
        return sum(a.aval.ndim > b.aval.ndim for a, b in zip(outside, inside, strict=True))

    carried = len(equation.outvars) - scanned(equation.outvars, trace.outvars)
    start = len(values) - scanned(equation.invars, trace.invars)
    fixed = values[: start - carried]

    def body(carry: list[Any], given: Any) -> Any:
        xs, probes = given
        outputs, layers = inner(probes, *fixed, *carry, *xs)
        return outputs[:carried], (outputs[carried:], layers)

    carry, (ys, layers) = jax.lax.scan(
        body,
        values[start - carried : start],
        (values[start:], probes),
        **{key: equation.params[key] for key in ("length", "reverse", "unroll")},
    )
    return [*carry, *ys], layers
