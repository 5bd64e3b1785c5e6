"""What the explorer page reads: the samples of an activation as JSON, arrays in base64."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np
import sampling


@dataclasses.dataclass(frozen=True)
class Sample:
    """An activation on its grid of parameters.

    Attributes:
      function: the public function.
      axes: the grid.
      points: all arguments at each point of the grid.
      usual: the index of the usual parameters among the points of the grid.
      x: the inputs at each point.
      y: value, slope and curvature there.
      kinks: the kinks at each point.
    """

    function: Any
    axes: list[sampling.Axis]
    points: list[dict[str, Any]]
    usual: int
    x: np.ndarray
    y: np.ndarray
    kinks: list[list[float]]


def sample(function: Any) -> Sample:
    """Sample an activation."""
    along = sampling.axes(function.spec)
    points = sampling.combinations(function.spec, along)
    usual = 0
    for axis in along:
        usual = usual * len(axis.values) + axis.usual
    return Sample(function, along, points, usual, *sampling.curves(function, points))


def packed(made: Sample) -> dict[str, Any]:
    """Return what the page reads of an activation, as JSON."""
    x = made.x if np.any(made.x != made.x[0]) else made.x[:1]
    weights, counts, spread = sampling.histograms(made.function, made.points)
    errors = sampling.errors(made.function)
    return {
        "name": made.function.spec.name,
        "axes": [dataclasses.asdict(axis) for axis in made.axes],
        "x": _base64(x),
        "y": _base64(made.y),
        "size": x.shape[1],
        "kinks": made.kinks,
        "weights": weights,
        "counts": _base64(counts),
        "spread": _base64(spread),
        "errors": errors and {whose: _plain(worst) for whose, worst in errors.items()},
    }


def common() -> dict[str, Any]:
    """Return what all activations share."""
    return {
        "layers": sampling.LAYERS,
        "edges": sampling.EDGES.tolist(),
        "octaves": sampling.octaves().tolist(),
    }


def _base64(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


def _plain(worst: np.ndarray) -> list[list[float | None]]:
    """Return errors to three digits; None where a result is not finite."""
    return [
        [float(f"{v:.3g}") if np.isfinite(v) else None for v in order] for order in worst.tolist()
    ]
