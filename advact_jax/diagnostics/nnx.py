"""The hook for ``flax.nnx``: models in place of parameters, and the paths of their parts as names.

Models of linen need none: linen names its modules in the trace by itself, and `init` and `apply`
are plain functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
from flax import nnx

from advact_jax.diagnostics import capture
from advact_jax.diagnostics.capture import Observation

__all__ = ["observe", "value_and_grad"]


def observe(function: Callable[..., Any], **options: Any) -> Callable[..., tuple[Any, Observation]]:
    """Return what `advact_jax.diagnostics.observe` does, of a function of an nnx model.

    Args:
      function: a function whose first argument is a model, such as the model's class itself.
      **options: as those of `advact_jax.diagnostics.observe`.

    Returns:
      A function of the same arguments, for `flax.nnx.jit`, that returns the output and an
      `Observation`. What the call changes in the model, such as the statistics of a batch
      normalisation, is changed.

    Example:
      >>> import flax.nnx
      >>> from advact_jax import nnx
      >>> from advact_jax.diagnostics import nnx as diagnostics
      >>> linear = flax.nnx.Linear(3, 4, rngs=flax.nnx.Rngs(0))
      >>> model = flax.nnx.Sequential(linear, nnx.PReLU(4))
      >>> watched = flax.nnx.jit(diagnostics.observe(lambda model, x: model(x)))
      >>> y, seen = watched(model, jnp.ones((2, 3)))
      >>> list(seen.layers)
      ['layers/1/prelu']
    """

    def watched(model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        graph, state = nnx.split(model)

        def pure(state: Any, *args: Any, **kwargs: Any) -> Any:
            inner = nnx.merge(graph, state)
            with _named(inner):
                output = function(inner, *args, **kwargs)
            return output, nnx.state(inner)

        (output, state), seen = capture.observe(pure, **options)(state, *args, **kwargs)
        nnx.update(model, state)
        return output, seen

    return watched


def value_and_grad(
    loss: Callable[..., Any], has_aux: bool = False, **options: Any
) -> Callable[..., tuple[Any, Observation]]:
    """Return what `advact_jax.diagnostics.value_and_grad` does, of a loss of an nnx model.

    Args:
      loss: a function whose first argument is a model, that returns a scalar.
      has_aux: whether the loss returns a pair, of the scalar and other output.
      **options: as those of `advact_jax.diagnostics.value_and_grad`.

    Returns:
      A function of the same arguments, for `flax.nnx.jit`, that returns a pair: what
      `flax.nnx.value_and_grad` gives, and an `Observation`. What the call changes in the model is
      changed.

    Example:
      >>> import flax.nnx
      >>> from advact_jax import nnx
      >>> from advact_jax.diagnostics import nnx as diagnostics
      >>> linear = flax.nnx.Linear(3, 4, rngs=flax.nnx.Rngs(0))
      >>> model = flax.nnx.Sequential(linear, nnx.PReLU(4))
      >>> watched = flax.nnx.jit(diagnostics.value_and_grad(lambda model, x: model(x).sum()))
      >>> (value, gradient), seen = watched(model, jnp.ones((2, 3)))
      >>> sorted(seen.gradients)
      ['layers/0', 'layers/1']
    """

    def watched(model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        graph, params, *others = nnx.split(model, nnx.Param, ...)

        def pure(params: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
            inner = nnx.merge(graph, params, *others)
            with _named(inner):
                output = loss(inner, *args, **kwargs)
            value, aux = output if has_aux else (output, None)
            return value, (aux, nnx.state(inner, nnx.Not(nnx.Param)))

        differentiated = capture.value_and_grad(pure, has_aux=True, **options)
        ((value, (aux, rest)), gradient), seen = differentiated(params, others, *args, **kwargs)
        nnx.update(model, rest)
        return ((value, aux) if has_aux else value, gradient), seen

    return watched


@contextlib.contextmanager
def _named(model: Any) -> Iterator[None]:
    """Let each part of a model run in a scope of its path, while the model is traced."""
    paths = {
        id(part): [str(key) for key in path]
        for path, part in nnx.iter_graph(model)
        if isinstance(part, nnx.Module)
    }
    parts = (part for _, part in nnx.iter_graph(model) if isinstance(part, nnx.Module))
    kinds = {type(part) for part in parts if callable(part)}
    held = {kind: kind.__dict__.get("__call__") for kind in kinds}
    around: list[list[str]] = [[]]

    def scoped(call: Any) -> Any:
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
            path, outer = paths.get(id(self)), around[-1]
            if path is None or path == outer:
                return call(self, *args, **kwargs)
            below = path[len(outer) :] if path[: len(outer)] == outer else path
            around.append(path)
            try:
                with contextlib.ExitStack() as scopes:
                    for name in below:
                        scopes.enter_context(jax.named_scope(name))
                    return call(self, *args, **kwargs)
            finally:
                around.pop()

        return __call__

    calls = {kind: kind.__call__ for kind in kinds}
    try:
        for kind, call in calls.items():
            setattr(kind, "__call__", scoped(call))  # noqa: B010
        yield
    finally:
        for kind, own in held.items():
            if own is None:
                delattr(kind, "__call__")  # noqa: B043
            else:
                setattr(kind, "__call__", own)  # noqa: B010
