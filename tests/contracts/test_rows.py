"""Every contract, for every function along an axis, generated from the declarations."""

from __future__ import annotations

import pytest

from advact_jax import catalog, testing

CASES = {
    case.name: case
    for function in catalog.along_axis().values()
    for case in testing.row_cases(function)
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.mark.sampled(3)
@every_case
def test_value_and_two_derivatives_are_accurate(case: testing.RowCase, backend: str) -> None:
    testing.check_row_accuracy(case, "bfloat16")


@pytest.mark.sampled
@every_case
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_other_types_are_accurate(case: testing.RowCase, dtype: str, backend: str) -> None:
    testing.check_row_accuracy(case, dtype)


@pytest.mark.sampled
@every_case
def test_float64_agrees_with_mpmath(case: testing.RowCase) -> None:
    testing.check_row_reference(case)


@pytest.mark.sampled
@every_case
@pytest.mark.parametrize("check", testing.ROW_STRUCTURE)
def test_structure(case: testing.RowCase, check: object, backend: str) -> None:
    check(case)  # type: ignore[operator]


def test_every_function_has_a_reference_or_a_reason() -> None:
    for case in CASES.values():
        assert case.spec.reference is not None or case.spec.notes.get("reference"), case.name
