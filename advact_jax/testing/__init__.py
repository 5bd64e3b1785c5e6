"""Contracts of an activation, as functions that a test calls.

`check_activation` checks a declared function, the user's own included. Every contract here is also
tested for each activation of the library. A broken contract raises `ContractError`, an
AssertionError that says what was expected, what came, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from advact_jax._spec import Spec
from advact_jax.testing.cases import PLATFORMS as PLATFORMS
from advact_jax.testing.cases import Case as Case
from advact_jax.testing.cases import ContractError as ContractError
from advact_jax.testing.cases import RowCase as RowCase
from advact_jax.testing.cases import cases as cases
from advact_jax.testing.cases import row_cases as row_cases
from advact_jax.testing.compiled import check_lowering as check_lowering
from advact_jax.testing.compiled import check_pallas as check_pallas
from advact_jax.testing.compiled import check_residuals as check_residuals
from advact_jax.testing.compiled import residual_bytes as residual_bytes
from advact_jax.testing.precision import check_accuracy as check_accuracy
from advact_jax.testing.precision import check_limits as check_limits
from advact_jax.testing.precision import check_nan as check_nan
from advact_jax.testing.precision import check_parameter_accuracy as check_parameter_accuracy
from advact_jax.testing.reference import check_reference as check_reference
from advact_jax.testing.reference import reference_derivative as reference_derivative
from advact_jax.testing.rows import ROW_STRUCTURE as ROW_STRUCTURE
from advact_jax.testing.rows import check_row_accuracy as check_row_accuracy
from advact_jax.testing.rows import check_row_reference as check_row_reference
from advact_jax.testing.rule import check_modes as check_modes
from advact_jax.testing.rule import check_rule as check_rule
from advact_jax.testing.transformations import check_dtypes as check_dtypes
from advact_jax.testing.transformations import check_jit as check_jit
from advact_jax.testing.transformations import check_leaks as check_leaks
from advact_jax.testing.transformations import check_parameter_shapes as check_parameter_shapes
from advact_jax.testing.transformations import check_scan_and_remat as check_scan_and_remat
from advact_jax.testing.transformations import check_shard_map as check_shard_map
from advact_jax.testing.transformations import check_strict as check_strict
from advact_jax.testing.transformations import check_vmap as check_vmap


def check_activation(
    function: Callable[..., Any],
    *,
    given: Mapping[str, Any] | None = None,
    dtypes: tuple[Any, ...] = (jnp.bfloat16, jnp.float16, jnp.float32),
    exact: bool = True,
) -> None:
    """Check the contracts of a declared activation, the user's own for instance.

    Value and derivatives against the mpmath reference (where there is one) and against autodiff of
    the formula; accuracy and finiteness in each dtype; NaN; limits; vmap, jit, scan and checkpoint;
    dtypes and shapes; bytes kept; lowering for CPU, CUDA, ROCm and TPU.

    Args:
      function: a function declared with `advact_jax.activation`.
      given: parameters and flags at which to check; without it, every sample and flag declared.
      dtypes: the types whose accuracy is measured.
      exact: whether to measure accuracy; False checks the rest, in a fraction of the time.

    Raises:
      ContractError: naming the contract that does not hold, what was expected, and what came.
      TypeError: if the function is not a declared activation.

    Example:
      >>> import advact_jax
      >>> from advact_jax.testing import check_activation
      >>> check_activation(advact_jax.soft_sign, exact=False)
    """
    if not isinstance(getattr(function, "spec", None), Spec):
        raise TypeError(
            "check_activation: expected a function declared with advact_jax.activation, got "
            f"{function!r}."
        )
    every = cases(function) if given is None else [Case(function, given)]
    for case in every:
        if case.spec.flags or case is every[0]:
            for check in STRUCTURE:
                check(case)
        if exact:
            for dtype in dtypes:
                check_accuracy(case, dtype)
            check_reference(case)
        check_rule(case)
        check_parameter_shapes(case)
        for dtype in dtypes:
            check_nan(case, dtype)
            check_limits(case, dtype)


STRUCTURE: tuple[Callable[[Case], None], ...] = (
    check_modes,
    check_dtypes,
    check_vmap,
    check_jit,
    check_scan_and_remat,
    check_strict,
    check_residuals,
    check_lowering,
)
