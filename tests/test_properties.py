"""Range, direction, steepest slope, dead regions and the variance in depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import _samples, catalog, properties, testing

INF = math.inf
# Range, direction, Lipschitz constant, dead region and fixed point of the variance, each worked out
# by hand or taken from a paper. The fixed point: of selu 1 (Klambauer et al. 2017); of tanh 0 for
# weights of variance 1 / fan_in (Poole et al. 2016); of squareplus with b = 4 where
# E[(x² + x sqrt(x² + 4) + 2) / 2] = (q + 2) / 2 = q; of sine where (1 - exp(-1800 q)) / 2 = q.
KNOWN: dict[str, tuple[Any, tuple[str, str | None, float, str, float]]] = {
    "relu": ("relu", ("[0, inf)", "increasing", 1, "(-inf, 0]", 0)),
    "relu6": ("relu6", ("[0, 6]", "increasing", 1, "(-inf, 0] [6, inf)", 0)),
    "identity": ("identity", ("(-inf, inf)", "increasing", 1, "", 1)),
    "sigmoid": ("sigmoid", ("(0, 1)", "increasing", 0.25, "", 0.264687)),
    "tanh": ("tanh", ("(-1, 1)", "increasing", 1, "", 0)),
    "selu": ("selu", ("(-1.7581, inf)", "increasing", 1.7580993408473766, "", 1)),
    "gelu": (
        advact_jax.Activation("gelu", approximate=False),
        ("[-0.16997, inf)", None, 1.1289041451202, "", 0),
    ),
    "silu": ("silu", ("[-0.27846, inf)", None, 1.0998393194, "", 0)),
    "hard_tanh": ("hard_tanh", ("[-1, 1]", "increasing", 1, "(-inf, -1) (1, inf)", 0)),
    "hard_shrink": ("hard_shrink", ("(-inf, inf)", "increasing", INF, "[-0.5, 0.5]", 0)),
    "step": ("step", ("[0, 1]", "increasing", INF, "(-inf, inf)", 0.5)),
    "squareplus": ("squareplus", ("(0, inf)", "increasing", 1, "", 2)),
    "exponential": ("exponential", ("(0, inf)", "increasing", INF, "", INF)),
    "sine": ("sine", ("[-1, 1]", None, 30, "", 0.5)),
    "gcu": ("gcu", ("(-inf, inf)", None, INF, "", 0)),
    "falling": (
        advact_jax.Activation("prelu", alpha=-0.5),
        ("[0, inf)", None, 1, "", 0),
    ),
}  # fmt: skip


# The others take turns: each compiles for a second or two.
ALWAYS = ("relu", "gelu", "selu", "hard_shrink", "squareplus")


@pytest.mark.parametrize(
    "activation, known",
    [
        pytest.param(*known, marks=() if name in ALWAYS else pytest.mark.sampled(4), id=name)
        for name, known in KNOWN.items()
    ],
)
def test_properties_are_the_known_ones(activation: Any, known: tuple[Any, ...]) -> None:
    found = properties.of(activation)
    values, monotone, lipschitz, dead, fixed_point = known
    assert (str(found.range), found.monotone) == (values, monotone)
    assert " ".join(map(str, found.dead)) == dead
    assert found.lipschitz == pytest.approx(lipschitz, rel=1e-9)
    assert found.fixed_point == pytest.approx(fixed_point, rel=2e-6)


def test_the_gain_is_that_of_the_initializers_where_there_is_one() -> None:
    relu, step = properties.of("relu"), properties.of("step")
    assert relu.gain == pytest.approx(math.sqrt(2)) == relu.backward_gain
    assert step.gain == pytest.approx(math.sqrt(2)) and step.backward_gain is None


def test_a_function_that_falls() -> None:
    @advact_jax.activation(limits=(INF, -INF), slope_limits=(-1.0, -1.0))
    def negated(x: Any) -> Any:
        return -x

    found = properties.of(negated)
    assert (found.monotone, found.lipschitz, found.dead) == ("decreasing", 1, ())


@pytest.mark.sampled
@pytest.mark.parametrize(
    "case",
    [testing.Case(function) for function in catalog.elementwise().values()],
    ids=lambda case: case.spec.name,
)
def test_properties_hold_at_random_inputs(case: testing.Case) -> None:
    found = properties.of(case.function)
    given = _samples.initial(case.spec)
    x = np.random.default_rng(1).normal(scale=4, size=4000)
    with jax.enable_x64(True):
        y, pullback = jax.vjp(lambda x: case.function(x, **given), jnp.asarray(np.sort(x)))
        slope = np.asarray(pullback(jnp.ones_like(y))[0])
    y, x = np.asarray(y), np.sort(x)
    assert np.all(y >= found.range.low - 1e-12) and np.all(y <= found.range.high + 1e-12)
    assert np.max(np.abs(slope)) <= found.lipschitz * (1 + 1e-9)
    steps = np.diff(y)
    if found.monotone:
        assert np.all(steps * (1 if found.monotone == "increasing" else -1) >= -1e-12)
    else:
        assert np.any(steps > 0) and np.any(steps < 0)
    dead = np.array([any(value in piece for piece in found.dead) for value in x])
    assert np.all(slope[dead] == 0)
    near = ~dead & (np.abs(x) < 4)  # Farther out, the slope of laplace is below all floats.
    assert np.all(slope[near] != 0)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "along an axis": (
        lambda: properties.of("softmax"), TypeError, "of: expected an elementwise activation"
    ),
    "name": (lambda: properties.of("geluu"), ValueError, "Did you mean gelu"),
    "domain": (lambda: properties.of("celu", alpha=-1.0), ValueError, "alpha to be positive"),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_mistake_is_told(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
