"""A declared activation at given parameters, and the error of a contract that does not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax._spec import Spec


class ContractError(AssertionError):
    """A contract of an activation does not hold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A declared activation at given parameters and flags.

    Attributes:
      function: the public function.
      given: parameters and flags by name; the others stay at their default.
    """

    function: Callable[..., Any]
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """The declaration."""
        return self.function.spec  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The function's name and what is given."""
        inside = ", ".join(f"{key}={_plain(value)}" for key, value in self.given.items())
        return f"{self.spec.name}({inside})"

    def __call__(self, x: Any) -> Any:
        """Call the function at these parameters."""
        return self.function(x, **self.given)

    @property
    def arguments(self) -> dict[str, Any]:
        """All parameters and flags as Python values, defaults included."""
        full = {**self.spec.defaults, **self.spec.default_flags, **self.given}
        return {key: _plain(value) for key, value in full.items()}

    def formula(self, x: Any, **other: Any) -> Any:
        """Return the declared formula without the rule: what plain autodiff would see."""
        return self.spec.formula(x, **{**self.arguments, **other})

    def at(self, field: str) -> Any:
        """Return a field of the declaration at these parameters."""
        return self.spec.at(field, **self.arguments)

    @property
    def differentiable(self) -> list[str]:
        """The parameters by which the function can be differentiated here."""
        return [
            key
            for key, parameter in self.spec.parameters.items()
            if parameter.differentiable and self.arguments[key] is not None
        ]

    def derivative_by(self, key: str, value: float) -> Callable[[Any], Any]:
        """Return the derivative by a parameter at this value, as a function of the input."""
        others = {name: v for name, v in self.given.items() if name != key}

        def by(x: Any) -> Any:
            def of_parameter(p: Any) -> Any:
                return self.function(x, **others, **{key: p})

            y, pullback = jax.vjp(of_parameter, jnp.full_like(x, value))
            return pullback(jnp.ones_like(y))[0]

        return by

    def expect_close(self, what: str, found: Any, wanted: Any) -> None:
        """Check that two arrays have one type and shape, and agree up to a few roundings."""
        if found.dtype != wanted.dtype or found.shape != wanted.shape:
            self.fail(
                f"expected {what} to be {wanted.dtype}{wanted.shape}, got "
                f"{found.dtype}{found.shape}."
            )
        a, b = (np.asarray(v).astype(np.float64) for v in (found, wanted))
        scale = float(jnp.finfo(found.dtype).eps) * 4
        if not np.allclose(a, b, rtol=scale, atol=scale * 2.0**-6, equal_nan=True):
            self.fail(f"expected {what} to give {wanted}, got {found}.")

    def expect_equal(self, what: str, found: Any, wanted: Any) -> None:
        """Check that two arrays are equal."""
        if not np.array_equal(np.asarray(found), np.asarray(wanted), equal_nan=True):
            self.fail(f"expected {what} to give {wanted}, got {found}.")

    def fail(self, message: str) -> None:
        """Raise a `ContractError` that names the function."""
        raise ContractError(f"{self.name}: {message}")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | str) else float(value)


def cases(function: Callable[..., Any]) -> list[Case]:
    """Return the cases to check: the defaults, each flag, and each sample of each parameter."""
    spec: Spec = function.spec  # type: ignore[attr-defined]
    required = {
        key: np.float32(parameter.samples[0])
        for key, parameter in spec.parameters.items()
        if key not in spec.defaults
    }
    found = [Case(function, required)]
    for key, values in spec.flags.items():
        found += [
            Case(function, {**required, key: v}) for v in values if v != spec.default_flags[key]
        ]
    for key, parameter in spec.parameters.items():
        found += [Case(function, {**required, key: np.float32(v)}) for v in parameter.samples]
    return found
