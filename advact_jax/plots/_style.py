"""What all figures share: colours, line styles, sizes, and the import of matplotlib."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008, Color universal design, without the yellow, which paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The second cue, for prints without colour.
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (9, 3)), (0, (1, 3)))
GREY = "#595959"  # Seven times as dark as white paper.

SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "font.size": 9,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "xtick.color": GREY,
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelsize": 8,
}

DPI = 150


def require() -> Any:
    """Return matplotlib, or raise ImportError that tells how to install it."""
    try:
        import matplotlib
    except ImportError:
        raise ImportError(
            "advact_jax.plots: expected matplotlib, which is not installed. "
            'Run: pip install "advact-jax[plots]"'
        ) from None
    return matplotlib


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the library, and leave the settings of the user as they are."""
    matplotlib = require()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **SETTINGS}):
        yield


def figure(
    columns: int,
    rows: int = 1,
    *,
    panel: tuple[float, float] = (3.1, 2.7),
    extra_height: float = 0.0,
    **options: Any,
) -> tuple[Figure, Any]:
    """Return a figure and the array of its panels, each of a size in inches.

    It is made without pyplot, so that no window opens and no global list keeps it.
    """
    require()
    from matplotlib.figure import Figure

    size = (panel[0] * columns, panel[1] * rows + extra_height)
    made = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, **options)
    return made, axes


def line(index: int) -> dict[str, Any]:
    """Return the colour, style and width of the curve of this number.

    Later ones are thinner, so that one that covers another leaves it to be seen.
    """
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index % len(LINES)],
        "linewidth": max(1.4, 2.6 - 0.3 * index),
    }


def shade(index: int, count: int) -> dict[str, Any]:
    """Return the colour and the line style of one of a family, from dark to light."""
    colours = require().colormaps["viridis"]
    colour = colours(0.8 * index / max(count - 1, 1))
    return {**line(index), "color": tuple(float(part) for part in np.round(colour, 3))}


def legend_below(made: Figure, axes: Any) -> None:
    """Put one legend of the curves of a panel under the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    letters = sum(len(label) + 9 for label in labels)  # with the line and the gap
    rows = 1 + int(letters / (13 * made.get_figwidth()))
    columns = -(-len(labels) // rows)
    made.legend(handles, labels, loc="outside lower center", ncols=columns)


def save(made: Figure, path: str | Path) -> None:
    """Write a figure; the same one gives the same bytes."""
    is_vector = Path(path).suffix in (".svg", ".svgz")
    with require().rc_context({"svg.hashsalt": "advact_jax"}):
        made.savefig(path, metadata={"Date": None} if is_vector else None)
