"""Every contract, for every elementwise activation, generated from the declarations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import accuracy, catalog, testing
from advact_jax._spec import Spec

CASES = {
    case.name: case
    for function in catalog.elementwise().values()
    for case in testing.cases(function)
}


def _is_structure(case: testing.Case) -> bool:
    required = set(case.spec.parameters) - set(case.spec.defaults)
    return set(case.given) <= {*case.spec.flags, *required}


# One for each function and each flag: structure does not depend on a parameter's value.
STRUCTURES = {name: case for name, case in CASES.items() if _is_structure(case)}
# The rule takes all sample values itself, but for a parameter that is None unless it is given.
RULES = {
    name: case
    for name, case in CASES.items()
    if name in STRUCTURES or any(case.spec.defaults[key] is None for key in case.given)
}
DTYPES = ("bfloat16", "float16", "float32")
sampled = pytest.mark.sampled


def _marked(name: str, dtype: str) -> object:
    """Return a case as a parameter of a test; bfloat16 at the defaults has its turn more often."""
    marks = [pytest.mark.sampled(3) if name in STRUCTURES and dtype == "bfloat16" else sampled]
    return pytest.param(CASES[name], dtype, id=f"{dtype}-{name}", marks=marks)


every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_case_and_dtype = pytest.mark.parametrize(
    ("case", "dtype"), [_marked(name, dtype) for dtype in DTYPES for name in CASES]
)
every_structure = pytest.mark.parametrize("case", STRUCTURES.values(), ids=STRUCTURES)


@every_case_and_dtype
def test_value_and_two_derivatives_are_accurate(
    case: testing.Case, dtype: str, backend: str
) -> None:
    testing.check_accuracy(case, dtype)


@sampled
@every_case
def test_float32_is_accurate_in_a_denser_sample(case: testing.Case) -> None:
    testing.check_accuracy(case, "float32", points=500_000)
    testing.check_parameter_accuracy(case, "float32", points=500_000)


def test_laplace_beside_its_mean() -> None:
    case, *_ = testing.cases(advact_jax.laplace)
    x = accuracy.samples(np.float32, kinks=(case.spec.defaults["mu"],), count=1)
    for error, limit in zip(accuracy.measure(case, case, x), (4, 4, 8), strict=True):
        assert error.ulps <= limit


@sampled
@every_case_and_dtype
def test_derivatives_by_parameters_are_accurate(
    case: testing.Case, dtype: str, backend: str
) -> None:
    testing.check_parameter_accuracy(case, dtype)


@sampled
@every_case
def test_float64_agrees_with_mpmath(case: testing.Case) -> None:
    testing.check_reference(case)


@sampled
@pytest.mark.parametrize("case", RULES.values(), ids=RULES)
def test_rule_is_autodiff_of_the_formula(case: testing.Case) -> None:
    testing.check_rule(case)


BY_OUTPUT = [n for n, c in STRUCTURES.items() if c.spec.slope_by_output(c.spec.defaults)]


@pytest.mark.parametrize("by", [jax.grad, jax.jacfwd])
@pytest.mark.parametrize("name", [*BY_OUTPUT, "silu()"])
def test_a_derivative_is_differentiated_within_another_formula(name: str, by: Any) -> None:
    first = by(CASES[name])
    second, third = jax.grad(first), jax.grad(jax.grad(first))
    for x in (-1.3, 0.7):
        found = jax.grad(jax.grad(lambda x: first(x) ** 2))(x)
        wanted = 2 * (second(x) ** 2 + first(x) * third(x))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@sampled
@every_case
def test_nan_and_limits(case: testing.Case, backend: str) -> None:
    # The infinities of 16 bits are among the inputs that are judged above, for every case.
    for dtype in DTYPES if case.name in STRUCTURES else ("float32",):
        testing.check_nan(case, dtype)
        testing.check_limits(case, dtype)


# These test the rule that all share, so one function serves as well as another.
@sampled
@every_structure
@pytest.mark.parametrize(
    "check",
    [
        testing.check_modes,
        testing.check_dtypes,
        testing.check_parameter_shapes,
        testing.check_vmap,
        testing.check_jit,
        testing.check_scan_and_remat,
        testing.check_pallas,
    ],
)
def test_transformations(case: testing.Case, check: object, backend: str) -> None:
    check(case)  # type: ignore[operator]


@every_structure
def test_what_the_backward_pass_keeps(case: testing.Case) -> None:
    testing.check_residuals(case)


@sampled
@every_structure
@pytest.mark.parametrize(
    "check", [testing.check_shard_map, testing.check_strict, testing.check_lowering]
)
def test_structure(case: testing.Case, check: object) -> None:
    check(case)  # type: ignore[operator]


def _says_why(spec: Spec, field: str) -> bool:
    # A function that has no limit has none of the slope either.
    return any(key in ("limits", field) for key in spec.notes)


def test_every_activation_has_a_reference_limits_and_a_definition() -> None:
    for name, function in catalog.elementwise().items():
        spec = function.spec  # type: ignore[attr-defined]
        assert spec.reference is not None, name
        for field in ("limits", "slope_limits"):  # A periodic function has none, and says so.
            assert getattr(spec, field) is not None or _says_why(spec, field), (name, field)
        assert spec.latex, name
        for parameter in spec.parameters.values():
            assert parameter.samples, name


def test_sizes_of_sixteen_bits() -> None:
    from advact_jax import accuracy

    assert accuracy.every_input(jnp.bfloat16).size == 65_282
    assert accuracy.every_input(jnp.float16).size == 63_490
