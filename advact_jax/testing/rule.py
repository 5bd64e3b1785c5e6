"""The declared derivatives against autodiff of the formula; all modes of differentiation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import accuracy
from advact_jax.testing.cases import Case


def check_rule(case: Case) -> None:
    """Check the declared derivatives against autodiff of the plain formula, in float64.

    First and second derivatives by ``x``, by each parameter, and mixed, in closed form at points
    away from the kinks; forward and reverse mode agree. Parameters take all their sample values.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(dx=lambda x: 1.01 * jnp.cos(x))
      ... def wave(x):
      ...     return jnp.sin(x)
      >>> testing.check_rule(testing.Case(wave))
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: wave(): expected jacrev at x = -4.13 to be -0.55002,
      as autodiff of the formula has it, got -0.55552.
    """
    kinks = accuracy.kinks_of(case.spec, case.given)
    points = np.asarray([v for v in np.linspace(-4.13, 4.27, 41) if v not in kinks])
    learnt = case.differentiable
    flags = {key: v for key, v in case.given.items() if key in case.spec.flags}
    with jax.enable_x64(True):
        values = [jnp.asarray(case.arguments[key], jnp.float64) for key in learnt]
        held = {key: v for key, v in case.given.items() if key not in learnt and key not in flags}

        def ruled(x: Any, *parameters: Any) -> Any:
            return case.function(x, **held, **flags, **dict(zip(learnt, parameters, strict=True)))

        def plain(x: Any, *parameters: Any) -> Any:
            return case.formula(x, **dict(zip(learnt, parameters, strict=True)))

        every = tuple(range(1 + len(learnt)))
        in_axes = (0, *(None for _ in learnt))
        transforms = (jax.jacrev, jax.jacfwd, jax.hessian)

        mapped = [
            (
                jax.vmap(transform(ruled, every), in_axes),
                jax.vmap(transform(plain, every), in_axes),
            )
            for transform in transforms
        ]
        compiled = jax.jit(
            lambda x, *values: [(found(x, *values), wanted(x, *values)) for found, wanted in mapped]
        )
        for at in (values, *_samples(case, learnt, values)):
            for transform, (found, wanted) in zip(
                transforms, compiled(jnp.asarray(points), *at), strict=True
            ):
                for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                    off = np.flatnonzero(~np.isclose(a, b, rtol=1e-7, atol=1e-9))
                    if off.size:
                        case.fail(
                            f"expected {transform.__name__} at x = {points[off[0]]} to be "
                            f"{b[off[0]]}, as autodiff of the formula has it, got {a[off[0]]}."
                        )


def _samples(case: Case, names: list[str], values: list[Any]) -> list[list[Any]]:
    """Return the values with one replaced by each of its declared samples."""
    return [
        [jnp.float64(sample) if other == key else v for other, v in zip(names, values, strict=True)]
        for key in names
        for sample in case.spec.parameters[key].samples
    ]


def check_modes(case: Case, dtype: Any = jnp.float32) -> None:
    """Check that reverse, forward, linearize and both second orders give the same.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation()
      ... def mixed(x):
      ...     return x * jnp.sum(x)
      >>> testing.check_modes(testing.Case(mixed))
      Traceback (most recent call last):
      advact_jax.testing.cases.ContractError: mixed(): expected ...
    """
    x = jnp.asarray(np.linspace(-3.3, 3.1, 17), dtype)
    ones = jnp.ones_like(x)
    _, first, second = accuracy.derivatives(case)

    def total(v: Any) -> Any:
        return case(v).astype(jnp.float32).sum()

    @jax.jit
    def modes(x: Any) -> dict[str, Any]:
        return {
            "reverse mode": (first(x), jax.grad(total)(x)),
            "forward mode": (first(x), jax.jvp(case, (x,), (ones,))[1]),
            "linearize": (first(x), jax.linearize(case, x)[1](ones)),
            "reverse over reverse": (second(x), jax.vjp(first, x)[1](ones)[0]),
            "hessian": (jnp.diag(second(x)), jax.hessian(total)(x)),
        }

    for what, (wanted, found) in modes(x).items():
        case.expect_close(what, found, wanted)
