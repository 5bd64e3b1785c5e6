"""The pictures of the site: each activation for light and dark pages, and as a thumbnail."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

# What is drawn on paper, and what it is on a dark page.
DARK = {
    "#000000": "#dddddd",
    "#0072b2": "#56b4e9",
    "#595959": "#a6a6a6",
    "#e0e0e0": "#3a3a3a",
    "#ffffff": "#131416",
}
WIDTH, HEIGHT = 120, 80


def save(made: Any, path: Path) -> None:
    """Write a figure for light and for dark pages: PATH.svg and PATH-dark.svg."""
    buffer = io.StringIO()
    # Without a date and with a fixed salt the same figure is the same file.
    with matplotlib.rc_context({"svg.hashsalt": "advact_jax"}):
        made.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    light = buffer.getvalue()
    path.with_suffix(".svg").write_text(light)
    dark = light.replace('<g id="figure_1">', '<g id="figure_1" fill="#000000">')
    for colour, other in DARK.items():
        dark = dark.replace(colour, other)
    path.with_name(f"{path.stem}-dark.svg").write_text(dark)


def thumbnail(made: Any) -> str:
    """Return a small picture of the first two panels of a figure, in the colours of the page."""
    value, slope = (_curve(panel) for panel in made.axes[:2])
    left, right = float(np.nanmin(value[:, 0])), float(np.nanmax(value[:, 0]))
    low, high = np.clip((np.nanmin(value[:, 1]), np.nanmax(value[:, 1])), -3, 5)
    low, high = min(float(low), -0.5) - 0.2, max(float(high), 0.5) + 0.2

    def point(x: float, y: float) -> str:
        across = (x - left) / (right - left) * WIDTH
        down = (high - min(max(y, low - 9), high + 9)) / (high - low) * HEIGHT
        return f"{across:.1f},{down:.1f}"

    def path(curve: np.ndarray) -> str:
        text, step = "", "M"
        for x, y in curve:
            text += "" if np.isnan(y) else step + point(x, y)
            step = "M" if np.isnan(y) else "L"
        return text

    across, down = point(0, 0).split(",")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<path class="axis" d="M0,{down}H{WIDTH}M{across},0V{HEIGHT}"/>'
        f'<path class="slope" d="{path(slope)}"/><path class="value" d="{path(value)}"/></svg>'
    )


def _curve(panel: Any) -> np.ndarray:
    """Return the points of the pieces of a curve, with NaN between them, a few hundred in all."""
    pieces = [line.get_xydata() for line in panel.get_lines() if len(line.get_xydata()) > 2]
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for piece in pieces for part in (_thin(piece), gap)])


def _thin(piece: np.ndarray) -> np.ndarray:
    """Return every third point, and the last one, unless the curve bends too often for that."""
    if np.count_nonzero(np.diff(np.sign(np.diff(piece[:, 1])))) > 6:
        return piece
    return np.concatenate([piece[:-1:3], piece[-1:]])
