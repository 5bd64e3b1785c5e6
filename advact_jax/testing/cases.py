"""A declared activation at given parameters, and the error of a contract that does not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax._spec import RowSpec, Spec

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def mpmath() -> Any:
    """Return mpmath, or raise ImportError that tells how to install it."""
    try:
        import mpmath
    except ImportError:
        raise ImportError(
            "advact_jax.testing: expected mpmath, which is not installed and judges what a "
            'declaration with a reference is. Run: pip install "mpmath>=1.3"'
        ) from None
    return mpmath


class ContractError(AssertionError):
    """A contract of an activation does not hold.

    Example:
      >>> from advact_jax import testing
      >>> @advact_jax.activation(slope_limits=(0.0, 1.0))
      ... def bent(x):
      ...     return jnp.where(x > 0, x, 0.1 * x)
      >>> try:
      ...     testing.check_limits(testing.Case(bent), "float32")
      ... except testing.ContractError as error:
      ...     print(error)
      bent(): expected slope_limits [0. 1.] at -inf and inf in float32, got [0.1 1. ].
    """


class Checked:
    """Something with a name that is checked."""

    @property
    def name(self) -> str:
        """What an error calls it."""
        raise NotImplementedError

    def roundings(self, wanted: np.ndarray) -> tuple[float, float]:
        """Return by how many roundings two ways to an array may differ: relative, and absolute."""
        return 4, 4 * 2.0**-6

    def expect_close(self, what: str, found: Any, wanted: Any) -> None:
        """Check that two arrays have one type and shape, and agree up to a few roundings."""
        if found.dtype != wanted.dtype or found.shape != wanted.shape:
            self.fail(
                f"expected {what} to be {wanted.dtype}{wanted.shape}, got "
                f"{found.dtype}{found.shape}."
            )
        a, b = (np.asarray(v).astype(np.float64) for v in (found, wanted))
        eps = float(jnp.finfo(found.dtype).eps)
        relative, absolute = self.roundings(b)
        if not np.allclose(a, b, rtol=eps * relative, atol=eps * absolute, equal_nan=True):
            self.fail(f"expected {what} to give {wanted}, got {found}.")

    def expect_equal(self, what: str, found: Any, wanted: Any) -> None:
        """Check that two arrays are equal."""
        if not np.array_equal(np.asarray(found), np.asarray(wanted), equal_nan=True):
            self.fail(f"expected {what} to give {wanted}, got {found}.")

    def fail(self, message: str) -> None:
        """Raise a `ContractError` that names the function."""
        raise ContractError(f"{self.name}: {message}")


@dataclasses.dataclass(frozen=True, eq=False)
class Case(Checked):
    """A declared activation at given parameters and flags.

    Attributes:
      function: the public function.
      given: parameters and flags by name; the others stay at their default.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.Case(advact_jax.elu, {"alpha": 0.5})
      >>> case.name, case.at("limits"), case.differentiable
      ('elu(alpha=0.5)', (-0.5, inf), ['alpha'])
      >>> print(case(-1.0), case.derivative_by("alpha", 0.5)(-1.0))
      -0.3161 -0.6321
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


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | str) else float(value)


def cases(function: Callable[..., Any]) -> list[Case]:
    """Return the cases to check: the defaults, each flag, and each sample of each parameter.

    Example:
      >>> from advact_jax.testing.cases import cases
      >>> [case.name for case in cases(advact_jax.gelu)]
      ['gelu()', 'gelu(approximate=False)']
      >>> [case.name for case in cases(advact_jax.prelu)]
      ['prelu(alpha=0.25)', 'prelu(alpha=-0.5)']
    """
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
        others = parameter.samples[key in required :]  # The first is there already.
        found += [Case(function, {**required, key: np.float32(v)}) for v in others]
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class RowCase(Checked):
    """A function along an axis at given arguments; it is called with rows along the last axis.

    Attributes:
      function: the public function.
      given: its other arguments by name.

    Example:
      >>> from advact_jax import testing
      >>> case = testing.RowCase(advact_jax.maxout, {"k": 2})
      >>> case.name, case(jnp.array([[1.0, 5.0, -3.0, -2.0]]))
      ('maxout(k=2)', Array([[ 5., -2.]], dtype=float32))
    """

    function: Callable[..., Any]
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def spec(self) -> RowSpec:
        """The declaration."""
        return self.function.spec  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The function's name and what is given."""
        return f"{self.spec.name}({', '.join(f'{k}={_shown(v)}' for k, v in self.given.items())})"

    def call(self, x: Any, **others: Any) -> Any:
        """Call the function at these arguments and others."""
        return self.function(**{self.spec.row: x, **self.given, **others})

    def __call__(self, x: Any) -> Any:
        """Call the function on rows along the last axis."""
        if "axis" in self.spec.signature.parameters:
            return self.call(x, axis=-1)
        behind = -1 - self.spec.channel_axis
        y = self.call(x.reshape(*x.shape, *(1,) * behind))
        return y.reshape(y.shape[: y.ndim - behind])

    def roundings(self, wanted: np.ndarray) -> tuple[float, float]:
        """Sums over a row may be taken in another order."""
        return 4, 16 * float(np.max(np.abs(wanted), initial=0))

    def weighted(self, x: Any) -> Any:
        """Call the function, with a factor for each entry of a row.

        The slopes of shares, whose sum is 1, would else add up to nothing but rounding.
        """
        y = self(x)
        if y.ndim < x.ndim:
            return y
        factors = np.cos(np.arange(y.shape[-1]) + 0.5).reshape((1,) * (y.ndim - 1) + (-1,))
        return y * jnp.asarray(factors, y.dtype)

    def reference(self, mp: Any, row: list[Any]) -> Any:
        """Return the declared reference of one row."""
        of_row: Any = self.spec.reference
        return of_row(mp, row, **self.given)


def row_cases(function: Callable[..., Any]) -> list[RowCase]:
    """Return the cases of a function along an axis, one for each ``given`` of its declaration.

    Example:
      >>> from advact_jax import testing
      >>> [case.name for case in testing.row_cases(advact_jax.maxout)]
      ['maxout(k=2)', 'maxout(k=4)']
    """
    return [RowCase(function, given) for given in function.spec.given]  # type: ignore[attr-defined]
