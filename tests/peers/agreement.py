"""How the output and gradient of another library are compared with ours.

Ours is computed in float32, the other library in float64: then what is more than a few units in the
last place is a mistake of ours, or a difference of meaning. Where the two differ on purpose, a case
says at which points, and what either gives there. Parameters are dyadic, and so mean the same.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

# All are float32 numbers, and all kinks of the parameters in the tests are among them.
SPECIAL = np.array([np.inf, -np.inf, 1e4, -1e4, 50.0, -50.0, 20.0, -20.0, 1e-6, -1e-6, -0.0])
GRID = np.arange(-8.0, 8.125, 0.125)
RANDOM = 3 * np.random.default_rng(0).normal(size=200)
POINTS = np.concatenate([SPECIAL, GRID, RANDOM]).astype(np.float32)
ROWS = (2 * np.random.default_rng(1).normal(size=(3, 4, 6))).astype(np.float32)

# What is compared is compiled for this alone.
QUICKLY_COMPILED = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}

# Value and slope here, value and slope there, at a point.
Differs: TypeAlias = Mapping[float, tuple[tuple[float, float], tuple[float, float]]]


class Result(NamedTuple):
    """An output, and the gradient of its sum, weighted with `weights`."""

    value: np.ndarray
    gradient: np.ndarray


@dataclasses.dataclass(frozen=True)
class Case:
    """An activation here and there.

    Attributes:
      here: our function.
      there: the one of the other library.
      differs: the points where the two differ on purpose.
      noise: the error of the other library, in float64, relative to the size of the input.
      x: the input.
    """

    here: Callable[[Any], Any]
    there: Any
    differs: Differs = dataclasses.field(default_factory=dict)
    noise: float = 0.0
    x: np.ndarray = dataclasses.field(default_factory=lambda: POINTS)


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """Return ones for single points; weights that differ where an output has several inputs."""
    if len(shape) == 1:
        return np.ones(shape)
    return 1 + np.arange(int(np.prod(shape))).reshape(shape) % 7 / 8


def in_jax(function: Callable[[Any], Any], x: np.ndarray, dtype: str = "float32") -> Result:
    """Return what a function of JAX gives."""

    @functools.partial(jax.jit, compiler_options=QUICKLY_COMPILED)
    def both(x: Any) -> tuple[Any, Any]:
        y, pullback = jax.vjp(function, x)
        return y, *pullback(jnp.asarray(weights(y.shape), y.dtype))

    with jax.enable_x64(dtype == "float64"):
        y, gradient = both(jnp.asarray(x, dtype))
        return Result(np.asarray(y), np.asarray(gradient))


@functools.cache
def _in_jax_once(function: Callable[[Any], Any], is_rows: bool) -> Result:
    """Return what `in_jax` does: an activation has the same name in several libraries."""
    return in_jax(function, ROWS if is_rows else POINTS)


def ulps(found: np.ndarray, expected: np.ndarray, floor: float) -> np.ndarray:
    """Return errors in units in the last place of the type of ``found``, at least of ``floor``.

    What is below the smallest normal number may be 0.
    """
    info = jnp.finfo(found.dtype)
    tiny, eps = float(info.tiny), float(info.eps)
    size = np.maximum(np.abs(np.where(np.isfinite(expected), expected, 1)), max(floor, tiny))
    unit = np.exp2(np.floor(np.log2(size))) * eps
    with np.errstate(invalid="ignore"):
        off = np.abs(found.astype(np.float64) - expected) / unit
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        same |= (found == 0) & (np.abs(expected) < tiny)
    return np.where(same, 0.0, np.where(np.isnan(off), np.inf, off))


def assert_close(
    found: Result, expected: Result, x: np.ndarray, *, ulp: float = 4.0, noise: float = 0.0
) -> None:
    """Assert that values and gradients differ by a few units in the last place.

    Near a zero, where terms cancel, the unit is that of 2^-6 for a gradient, as in the contracts,
    and that of 1 where several inputs count.
    """
    floors = (0.0, 2.0**-6) if x.ndim == 1 else (1.0, 1.0)
    for name, a, b, floor in zip(Result._fields, found, expected, floors, strict=True):
        assert a.shape == b.shape, f"{name}: expected shape {b.shape}, got {a.shape}"
        off = ulps(a, b, floor)
        with np.errstate(invalid="ignore"):
            off = np.where(np.abs(a - b) <= noise * np.abs(x), 0, off) if noise else off
        worst = np.unravel_index(np.argmax(off), off.shape)
        where = f" at {x[worst]!r}" if x.shape == off.shape else ""
        assert off[worst] <= ulp, (
            f"{name}{where}: expected {b[worst]!r}, got {a[worst]!r}, {off[worst]:.3g} ulp off"
        )


def check(case: Case, there: Result, *, ulp: float = 4.0) -> None:
    """Assert that a case agrees at all points but those where it says that it differs.

    Args:
      case: the case.
      there: what the other library gave for ``case.x``.
      ulp: the largest difference, in units in the last place of float32.
    """
    is_usual = case.x is POINTS or case.x is ROWS
    here = _in_jax_once(case.here, case.x is ROWS) if is_usual else in_jax(case.here, case.x)
    agrees = np.ones(case.x.shape, bool)
    for point, expected in case.differs.items():
        is_point = case.x == point
        assert is_point.any(), f"{point} is no point of the test"
        agrees &= ~is_point
        for result, (value, slope) in zip((here, there), expected, strict=True):
            np.testing.assert_allclose(result.value[is_point], value, rtol=1e-6)
            np.testing.assert_allclose(result.gradient[is_point], slope, rtol=1e-6)
    if case.differs:
        here, there = (Result(*(part[agrees] for part in r)) for r in (here, there))
    assert_close(here, there, case.x[agrees] if case.differs else case.x, ulp=ulp, noise=case.noise)
