"""The contracts of functions that draw, at numbers drawn before: functions of x then."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import catalog, testing

SUBJECTS = ("functions.randomized",)
# As many as a row has entries, the same in each type: rounded to float32.
NOISE = np.asarray(jax.random.gumbel(jax.random.key(7), (4096,), jnp.float32))


def _reference(mp: Any, row: list[Any], key: Any, tau: float = 1.0) -> list[Any]:
    logits = [(x + mp.mpf(float(g))) / mp.mpf(tau) for x, g in zip(row, NOISE, strict=False)]
    return [1 / mp.fsum(mp.exp(z - y) for z in logits) for y in logits]


def _case(tau: float) -> testing.RowCase:
    def drawn(x: Any, key: Any, tau: Any = 1.0, axis: int = -1) -> Any:
        return advact_jax.gumbel_softmax(x, key, tau, axis=axis)

    # The sum of x and noise is rounded: errors of the value count in ulps of the row's largest.
    drawn.spec = dataclasses.replace(  # type: ignore[attr-defined]
        advact_jax.gumbel_softmax.spec,  # type: ignore[attr-defined]
        reference=_reference,
        counted={"all": "row"},
    )
    return testing.RowCase(drawn, {"key": jax.random.key(0), "tau": tau})


CASES = [_case(1.0), _case(0.5)]
every_case = pytest.mark.parametrize("case", CASES, ids=["tau=1", "tau=0.5"])


@pytest.fixture(autouse=True)
def _drawn_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def gumbel(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        return jnp.broadcast_to(jnp.asarray(NOISE[: shape[-1]], dtype), shape)

    jax.clear_caches()
    monkeypatch.setattr(jax.random, "gumbel", gumbel)
    yield
    jax.clear_caches()


def test_these_are_all_functions_that_draw() -> None:
    assert set(catalog.drawn()) == {"gumbel_softmax"}


@every_case
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_value_and_two_derivatives_are_accurate(
    case: testing.RowCase, dtype: str, backend: str
) -> None:
    testing.check_row_accuracy(case, dtype)


@every_case
def test_float64_agrees_with_mpmath(case: testing.RowCase) -> None:
    testing.check_row_reference(case)


@every_case
@pytest.mark.parametrize("check", testing.ROW_STRUCTURE)
def test_structure(case: testing.RowCase, check: Any, backend: str) -> None:
    check(case)
