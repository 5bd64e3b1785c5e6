"""A declaration that is wrong must turn a contract red: each of these does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import advact_jax
from advact_jax import Parameter, testing
from advact_jax._declare import row_function
from advact_jax.testing import Case, ContractError, RowCase
from advact_jax.testing.rows import check_row_residuals, check_row_strange


def _sigmoid_reference(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _of(formula: Callable[..., Any], **declaration: Any) -> Case:
    return Case(advact_jax.activation(**declaration)(formula))


def _sigmoid(x: Any) -> Any:
    return advact_jax.sigmoid.spec.formula(x)  # type: ignore[attr-defined]


def test_a_slope_wrong_by_a_tenth_of_a_percent_is_found() -> None:
    case = _of(_sigmoid, dx=lambda x: 1.001 * _sigmoid(x) * (1 - _sigmoid(x)))
    with pytest.raises(ContractError, match="jacrev at x"):
        testing.check_rule(case)


def test_a_wrong_second_derivative_is_found() -> None:
    slope = advact_jax.sigmoid.spec.dx  # type: ignore[attr-defined]
    case = _of(_sigmoid, dx=slope, dxx=lambda x: -slope(x) * _sigmoid(x))
    with pytest.raises(ContractError, match="hessian at x"):
        testing.check_rule(case)


def test_a_wrong_parameter_derivative_is_found() -> None:
    def scaled(x: Any, alpha: Any = 2.0) -> Any:
        return alpha * x

    case = _of(scaled, parameters={"alpha": Parameter(partial=lambda x, alpha: 1.01 * x)})
    with pytest.raises(ContractError, match="jacrev at x"):
        testing.check_rule(case)


def test_a_slope_that_dies_in_the_tail_is_found() -> None:
    case = _of(_sigmoid, dx=lambda x: _sigmoid(x) * (1 - _sigmoid(x)))
    with pytest.raises(ContractError, match="first derivative in bfloat16 within 0.51 ulp"):
        testing.check_accuracy(case, "bfloat16", judge=advact_jax.sigmoid)


def test_an_overflow_is_found() -> None:
    case = _of(lambda x: (x + jnp.sqrt(x * x + 4)) / 2)
    with pytest.raises(ContractError, match="finite value in bfloat16 where the truth is finite"):
        testing.check_accuracy(case, "bfloat16", judge=advact_jax.squareplus)


def test_a_cancellation_is_found() -> None:
    case = _of(lambda x: x - jnp.tanh(x))
    with pytest.raises(ContractError, match="value in float32 within 4.0 ulp"):
        testing.check_accuracy(case, "float32", judge=advact_jax.tanh_shrink)


def test_a_formula_that_is_not_the_reference_is_found() -> None:
    case = _of(lambda x: 1 / (1 + jnp.exp(-1.0000001 * x)), reference=_sigmoid_reference)
    with pytest.raises(ContractError, match="in float64"):
        testing.check_reference(case)


def test_a_kink_on_the_wrong_side_is_found() -> None:
    case = _of(
        lambda x: jnp.maximum(x, 0),
        region=lambda x: x >= 0,
        slope=lambda piece: piece,
        kinks={0.0: "left"},
        reference=lambda mp, x: max(x, mp.mpf(0)),
    )
    with pytest.raises(ContractError, match="first derivative of 0"):
        testing.check_reference(case)


def test_half_a_slope_at_a_tie_is_found() -> None:
    case = _of(
        lambda x: jnp.maximum(x, 0), kinks={0.0: "left"}, reference=lambda mp, x: max(x, mp.mpf(0))
    )
    with pytest.raises(ContractError, match="first derivative of 0"):
        testing.check_reference(case)


def test_a_swallowed_nan_is_found() -> None:
    with pytest.raises(ContractError, match="value of NaN at NaN"):
        testing.check_nan(_of(lambda x: jnp.where(x > 0, x, 0)), "float32")


def test_a_wrong_limit_is_found() -> None:
    with pytest.raises(ContractError, match="limits"):
        testing.check_limits(_of(_sigmoid, limits=(0.0, 2.0)), "float32")


def test_a_formula_that_widens_its_input_is_rounded_back() -> None:
    testing.check_dtypes(_of(lambda x: x * jnp.float32(2)))


def test_a_kept_output_that_cannot_tell_the_slope_is_found() -> None:
    case = _of(jnp.tanh, dx_from_output=lambda y: 1 - y * y)
    with pytest.raises(ContractError, match="first derivative in bfloat16"):
        testing.check_accuracy(case, "bfloat16", judge=advact_jax.tanh)


def test_more_residuals_than_declared_are_found() -> None:
    case = Case(advact_jax.softplus)
    plain = Case(advact_jax.softplus)
    object.__setattr__(plain, "function", _with_spec(jax.nn.mish, case.spec))
    with pytest.raises(ContractError, match="at most 8 bytes"):
        testing.check_residuals(plain)


def test_a_recompilation_is_found() -> None:
    case = Case(advact_jax.softplus)
    fresh = Case(_with_spec(lambda x: x, case.spec))
    calls = iter(range(100))
    fresh.function._cache_size = lambda: next(calls)  # type: ignore[attr-defined]
    with pytest.raises(ContractError, match="no compilation"):
        testing.check_jit(fresh)


def test_an_operation_across_elements_is_found() -> None:
    with pytest.raises(ContractError):
        testing.check_modes(_of(lambda x: x * jnp.sum(x)))


def test_check_activation_asks_for_a_declaration() -> None:
    with pytest.raises(TypeError, match="declared with advact_jax.activation"):
        testing.check_activation(jnp.tanh)


def test_check_activation_passes_a_user_s_own_and_finds_it_broken() -> None:
    @advact_jax.activation(
        parameters={"alpha": Parameter(samples=(0.5,))},
        kinks={0.0: "left"},
        reference=lambda mp, x, alpha: alpha * max(x, mp.mpf(0)) ** 2,
    )
    def scaled_square(x: Any, alpha: Any = 1.0) -> Any:
        positive = jnp.where(x > 0, x, 0 * x)
        return alpha * positive * positive

    testing.check_activation(scaled_square, exact=False)
    testing.check_reference(Case(scaled_square))


def _with_spec(function: Callable[..., Any], spec: Any) -> Callable[..., Any]:
    def call(x: Any) -> Any:
        return function(x)

    call.spec = spec  # type: ignore[attr-defined]
    return call


# -- functions along an axis --------------------------------------------------------------------


def _of_rows(formula: Callable[..., Any], **declaration: Any) -> RowCase:
    def share(x: Any, axis: int = -1) -> Any:
        return formula(x, axis)

    def reference(mp: Any, row: Any) -> Any:
        return [1 / mp.fsum(mp.exp(z - x) for z in row) for x in row]

    return RowCase(row_function(reference=reference, **declaration)(share))


@jax.custom_jvp
def _wrong_share(x: Any) -> Any:
    return jax.nn.softmax(x)


@_wrong_share.defjvp
def _wrong_share_rule(primals: Any, tangents: Any) -> Any:
    return jax.jvp(jax.nn.softmax, primals, (1.001 * tangents[0],))


def test_a_wrong_slope_of_a_row_is_found() -> None:
    case = _of_rows(lambda x, axis: _wrong_share(x))
    with pytest.raises(ContractError, match="expected a derivative in float64"):
        testing.check_row_reference(case)


def test_a_row_of_another_function_is_found() -> None:
    with pytest.raises(ContractError, match="expected a value in float64"):
        testing.check_row_reference(_of_rows(lambda x, axis: jax.nn.softmax(2 * x, axis)))


def test_a_row_summed_in_16_bits_is_found() -> None:
    def narrow(x: Any, axis: int) -> Any:
        e = jnp.exp(x - jnp.max(x, axis, keepdims=True))
        return e / jnp.sum(e, axis, keepdims=True)

    with pytest.raises(ContractError, match="value in bfloat16 within 0.51 ulp"):
        testing.check_row_accuracy(_of_rows(narrow), "bfloat16")


def test_a_row_of_infinities_that_gives_nan_is_found() -> None:
    with pytest.raises(ContractError, match="value that is not NaN"):
        check_row_strange(_of_rows(jax.nn.softmax))


def test_more_kept_of_a_row_than_declared_is_found() -> None:
    case = _of_rows(lambda x, axis: jnp.sin(x) * jax.nn.softmax(x, axis))
    with pytest.raises(ContractError, match="at most 4 bytes"):
        check_row_residuals(case)
