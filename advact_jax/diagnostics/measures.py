"""All that is measured of one activation, batch after batch: state in, state out."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from advact_jax._rule import compute_dtype
from advact_jax.diagnostics.arrays import (
    DEAD,
    SATURATED,
    Moments,
    Rank,
    active,
    merge_moments,
    moments,
    rank_collapse,
    wide,
)


class Measures(NamedTuple):
    """What was measured of one activation over some batches; `merge` joins them.

    `values` says what it amounts to. Inside a scan each entry has a leading axis, for the steps.

    Attributes:
      outputs: the moments of the output.
      saturated: how many slopes lie below the bound of `saturation`.
      active: which units were ever active, as `active_units` tells.
      gradient: the norm of the gradient by the output, root mean square over the batches.
      passed: the same of the gradient by the input, which is what is left of it.
      batches: how many batches there were.
      rank: the `Rank` of the output, averaged over the batches.

    Example:
      >>> from advact_jax import diagnostics
      >>> watched = diagnostics.observe(advact_jax.relu, most=0)
      >>> y, seen = watched(jnp.array([[-1.0, 2.0], [-3.0, -4.0]]))
      >>> measures = seen.layers["relu"]
      >>> measures.active, measures.saturated
      (Array([False,  True], dtype=bool), Array(3., dtype=float32))
    """

    outputs: Moments
    saturated: Array
    active: Array
    gradient: Array
    passed: Array
    batches: Array
    rank: Rank


def measure(
    slopes: Array,
    y: Array,
    *,
    axis: int = -1,
    saturated: float = SATURATED,
    dead: float = DEAD,
    rows: Literal["samples", "tokens"] = "samples",
    most: int = 32,
) -> Measures:
    """Return what one batch tells of an activation, without gradients.

    Args:
      slopes: the derivative at each entry of the input.
      y: the output.
      axis: the axis of the units.
      saturated: the bound of `saturation`.
      dead: the bound of `active_units`.
      rows: as in `rank_collapse`.
      most: as in `rank_collapse`; 0 to leave the rank out.

    Returns:
      The `Measures`, whose gradients are NaN.

    Example:
      >>> from advact_jax import diagnostics
      >>> x = jnp.array([[-5.0, 0.0], [-6.0, 7.0]])
      >>> measures = diagnostics.measure(diagnostics.slope(jnp.tanh, x), jnp.tanh(x), most=0)
      >>> measures.saturated, measures.active
      (Array(3., dtype=float32), Array([False,  True], dtype=bool))
    """
    small = jnp.abs(wide(slopes)) < saturated
    unknown = jnp.full((), jnp.nan, jnp.float32)
    rank = rank_collapse(y, rows=rows, most=most) if most else Rank(unknown, unknown, unknown)
    return Measures(
        outputs=moments(y),
        saturated=jnp.sum(small, dtype=compute_dtype(y.dtype)),
        active=active(slopes, axis, dead),
        gradient=unknown,
        passed=unknown,
        batches=jnp.ones((), jnp.float32),
        rank=rank,
    )


def merge(first: Measures, second: Measures) -> Measures:
    """Return what two sets of batches tell of an activation together.

    Args:
      first: the measures of one set.
      second: those of the other.

    Returns:
      The `Measures` of both. Ranks and cosines, which are of one batch, are averaged.

    Example:
      >>> from advact_jax import diagnostics
      >>> x = jnp.array([[-1.0, 1.0], [-2.0, -3.0]])
      >>> one, two = (
      ...     diagnostics.measure(diagnostics.slope(advact_jax.relu, x), x) for x in (x, -x)
      ... )
      >>> diagnostics.values(one)["dead"], diagnostics.values(diagnostics.merge(one, two))["dead"]
      (Array(0.5, dtype=float32), Array(0., dtype=float32))
    """
    batches = first.batches + second.batches
    weight = second.batches / batches
    rank = jax.tree.map(lambda a, b: a + (b - a) * weight, first.rank, second.rank)
    return Measures(
        outputs=merge_moments(first.outputs, second.outputs),
        saturated=first.saturated + second.saturated,
        active=first.active | second.active,
        gradient=_root_mean_square(first.gradient, second.gradient, weight),
        passed=_root_mean_square(first.passed, second.passed, weight),
        batches=batches,
        rank=rank,
    )


def _root_mean_square(first: Array, second: Array, weight: Array) -> Array:
    return jnp.hypot(first * jnp.sqrt(1 - weight), second * jnp.sqrt(weight))


QUANTITIES = (
    "mean",
    "std",
    "saturation",
    "dead",
    "gradient_norm",
    "gradient_lost",
    "cosine",
    "effective_rank",
    "stable_rank",
)


def values(measures: Measures) -> dict[str, Array]:
    """Return what the measures of an activation amount to, by the names of ``QUANTITIES``.

    Args:
      measures: what was measured.

    Returns:
      Mean and standard deviation of the output, `saturation`, the share of dead units, the norm of
      the gradient by the output (root mean square over the batches), `gradient_lost`, `Rank`.

    Example:
      >>> from advact_jax import diagnostics
      >>> x = jnp.array([[-5.0, 0.0], [-6.0, 7.0]])
      >>> measures = diagnostics.measure(diagnostics.slope(jnp.tanh, x), jnp.tanh(x), most=0)
      >>> found = diagnostics.values(measures)
      >>> found["mean"], found["saturation"], found["dead"]
      (Array(-0.25, dtype=float32), Array(0.75, dtype=float32), Array(0.5, dtype=float32))
    """
    return {
        "mean": measures.outputs.mean,
        "std": jnp.sqrt(measures.outputs.variance),
        "saturation": measures.saturated / measures.outputs.number,
        "dead": 1 - jnp.mean(measures.active, axis=-1, dtype=jnp.float32),
        "gradient_norm": measures.gradient,
        "gradient_lost": 1 - measures.passed / measures.gradient,
        "cosine": measures.rank.cosine,
        "effective_rank": measures.rank.effective_rank,
        "stable_rank": measures.rank.stable_rank,
    }
