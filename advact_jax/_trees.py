"""What the trees of `linen` and `nnx` beside a model's parameters share: what a layer tells."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

from advact_jax.constraints import Constraint


class Layer(Protocol):
    """A layer that tells its parameters apart; a user's own may do so as well."""

    @property
    def activation_parameters(self) -> tuple[str, ...]:
        """The names of the layer's parameters that belong to an activation."""
        ...

    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraint of each parameter that has one."""
        ...


def is_layer(node: Any) -> TypeGuard[Layer]:
    """Tell whether a part of a model is such a layer."""
    # Asked of the class: a linen module runs its setup when it is asked for what it lacks.
    kind = type(node)
    return hasattr(kind, "activation_parameters") and hasattr(kind, "parameter_constraints")
