"""Curves in the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np

from advact_jax._samples import Samples
from advact_jax.cli import output

ORDERS = ("value", "first derivative", "second derivative")
COLOURS = ["blue", "red", "green", "magenta", "yellow", "cyan", "white"]


def derivatives(samples: Samples, *, height: int = 14) -> str:
    """Return a chart of the value and the derivatives of one activation."""
    return _chart(
        [(samples.x, y) for y in samples.curves], list(ORDERS[: len(samples.curves)]), height, ""
    )


def overlay(every: Sequence[Samples], order: int, *, height: int = 14) -> str:
    """Return a chart of one curve of each activation."""
    series = [(samples.x, samples.curves[order]) for samples in every]
    return _chart(series, [samples.label for samples in every], height, ORDERS[order])


def _chart(
    series: list[tuple[np.ndarray, np.ndarray]], labels: list[str], height: int, title: str
) -> str:
    try:
        import uniplot
    except ImportError:
        raise ImportError(
            'expected uniplot, which is not installed. Run: pip install "advact-jax[cli]"'
        ) from None
    # Without colours, each curve is drawn with a letter of its own.
    in_colour = output.is_terminal() and "NO_COLOR" not in os.environ
    xs, ys = zip(*series, strict=True)
    drawn = uniplot.plot_to_string(
        ys=[np.where(np.isfinite(y), y, np.nan) for y in ys],
        xs=list(xs),
        lines=True,
        width=64,
        height=height,
        legend_labels=labels,
        **({"title": title} if title else {}),
        color=[COLOURS[i % len(COLOURS)] for i in range(len(labels))] if in_colour else False,
        character_set="braille" if in_colour else "ascii",
        x_min=float(xs[0][0]),
        x_max=float(xs[0][-1]),
    )
    encoding = sys.stdout.encoding or "ascii"
    return drawn.encode(encoding, "replace").decode(encoding)
