"""What the tested figures hold: ``python tests/plots/golden.py`` writes it to golden.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import advact_jax
from advact_jax import plots

PATH = Path(__file__).with_suffix(".json")
POINTS = (-3.0, -1.0, -0.25, 0.25, 1.0, 3.0)

FIGURES = {
    "one": lambda: plots.curves("hard_silu"),
    "several": lambda: plots.curves(
        "relu", "hard_shrink", advact_jax.Activation("softplus", beta=3.0), derivatives=1
    ),
    "family": lambda: plots.curves("elu", parameter="alpha", values=(0.5, 2.0), x_range=(-3, 3)),
    "slice": lambda: plots.curves("sparsemax", derivatives=0),
    "compared": lambda: plots.compare("relu", "tanh"),
}


def described(figure: Any) -> dict[str, Any]:
    """Return the content of a figure: its panels, and the curves and marks in each."""
    title = figure.get_suptitle()
    return {"title": title, "panels": [_panel(axes) for axes in figure.axes]}


def _panel(axes: Any) -> dict[str, Any]:
    table = [
        [cell.get_text().get_text() for (row, _), cell in sorted(each.get_celld().items())]
        for each in axes.tables
    ]
    return {
        "title": axes.get_title(),
        "x label": axes.get_xlabel(),
        "lines": [_line(line) for line in axes.get_lines()],
        **({"table": table[0]} if table else {}),
    }


def _line(line: Any) -> dict[str, Any]:
    x, y = (np.asarray(values, float) for values in line.get_data())
    found: dict[str, Any] = {
        "label": line.get_label() if not line.get_label().startswith("_") else "",
        "colour": str(line.get_color()),
        "style": str(line.get_linestyle()),
        "marker": line.get_marker(),
        "filled": str(line.get_markerfacecolor()) != "white",
        "ends": [round(float(x[0]), 6), round(float(x[-1]), 6)],
    }
    if len(x) > 2:
        inside = [p for p in POINTS if x[0] < p < x[-1]]
        found["at"] = {f"{p:g}": round(float(np.interp(p, x, y)), 3) + 0 for p in inside}
    else:
        found["y"] = [round(float(v), 5) + 0 for v in y]
    return found


if __name__ == "__main__":
    PATH.write_text(json.dumps({k: described(f()) for k, f in FIGURES.items()}, indent=1) + "\n")
