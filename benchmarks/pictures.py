"""Draw the pictures of the record: `python -m benchmarks.pictures`, or with --short the last run's.

Each is an SVG file beside the JSON file that it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks import _reading, _record
from benchmarks._reading import figures, ratio
from benchmarks._record import Figure, select

COLOURS = {
    "ours": "#0b6e4f", "jax.nn": "#c1440e", "torch": "#5c4b9b", "keras": "#c99700",
    "entmax": "#3366aa", "copy": "#888888",
    "lean, output": "#3366aa", "lean, side": "#5c4b9b", "lean, slope": "#c99700",
}  # fmt: skip
KINDS = {"forward": "forward", "both": "with gradient"}

# The same bytes for the same record.
matplotlib.rcParams.update(
    {"svg.hashsalt": "benchmarks", "font.size": 9, "axes.spines.top": False,
     "axes.spines.right": False, "figure.constrained_layout.use": True}
)  # fmt: skip


def _lines(axes: Any, by_library: dict[str, list[tuple[float, float]]]) -> None:
    for name, points in by_library.items():
        axes.plot(*zip(*sorted(points), strict=True), "o-", ms=3, lw=1.2, label=name,
                  color=COLOURS.get(name))  # fmt: skip


def _against(found: list[Figure], field: str, scale: Callable[[Figure], float]) -> Any:
    lines: dict[str, list[tuple[float, float]]] = {}
    for figure in found:
        for name, timing in figure["seconds"].items():
            if name in COLOURS:
                lines.setdefault(name, []).append((figure[field], timing[0] * scale(figure)))
    return lines


def _per_element(figure: Figure) -> float:
    return 1e9 / float(figure["elements"])


def speed(out: Path) -> Any:
    """Draw ours over each peer for every shared function, large arrays."""
    found = [f for f in figures("speed", out) if "jax.nn" in f["seconds"] and f["size"] == "large"]
    names = list(dict.fromkeys(f["function"] for f in found))
    if not names:
        return None
    groups = [(dtype, kind) for dtype in ("float32", "bfloat16") for kind in KINDS]
    drawn, axes = plt.subplots(
        1, len(groups), sharey=True, figsize=(11, 1.2 + 0.2 * len(names)), squeeze=False
    )
    for ax, (dtype, kind) in zip(axes[0], groups, strict=True):
        for figure in select(found, dtype=dtype, **{"pass": kind}):
            for peer in ("jax.nn", "keras", "torch", "copy"):
                value = ratio(figure, peer)
                if value is not None:
                    ax.plot(value, names.index(figure["function"]), "o", ms=4, alpha=0.8,
                            color=COLOURS[peer])  # fmt: skip
        ax.axvline(1, color="black", lw=0.6)
        ax.set_xscale("log", base=2)
        ax.set_title(f"{dtype}, {KINDS[kind]}")
        ax.set_xlabel("our time / theirs")
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    for peer in ("jax.nn", "keras", "torch", "copy"):
        axes[0][-1].plot([], [], "o", color=COLOURS[peer], label=peer)
    _legend(drawn, axes)
    return drawn


def _grid(panels: list[tuple[str, Any]], label: str, unit: str, *, log: bool = True) -> Any:
    """Draw panels of lines, three in a row."""
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    drawn, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, 2.6 * rows), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (title, lines) in zip(axes.flat, panels, strict=False):
        _lines(ax, lines)
        ax.set_title(title)
        ax.set_xlabel(label)
        ax.set_ylabel(unit)
        ax.set_xscale("log")
        if log:
            ax.set_yscale("log")
    _legend(drawn, axes)
    return drawn


def _legend(drawn: Any, axes: Any) -> None:
    """Name what is in any of the panels once, above them."""
    named = {label: handle for ax in axes.flat for handle, label in
             zip(*ax.get_legend_handles_labels(), strict=True)}  # fmt: skip
    drawn.legend(named.values(), named, frameon=False, ncols=len(named), loc="outside upper center")


def rows(out: Path) -> Any:
    """Draw the softmax family by the length of the rows."""
    found = select(figures("rows", out), dtype="float32", **{"pass": "both"})
    names = list(dict.fromkeys(f["function"] for f in found))
    panels = [
        (name, _against(select(found, function=name), "length", _per_element)) for name in names
    ]
    return _grid(panels, "length of a row", "ns an element, with gradient")


def growth(out: Path) -> Any:
    """Draw how time grows with size, depth and channels."""
    found = figures("growth", out)
    panels: list[tuple[str, Any]] = []
    for name in dict.fromkeys(f["function"] for f in select(found, what="size")):
        by_size = select(found, what="size", function=name, **{"pass": "both"})
        panels.append((f"{name}: elements", _against(by_size, "elements", _per_element)))
    for part in ("trace + compile", "step"):
        for scanned in (True, False):
            at = select(found, what="depth", part=part, scanned=scanned)
            how = "scanned" if scanned else "unrolled"
            if at:
                panels.append((f"{part}, {how}: layers", _against(at, "depth", lambda _: 1e3)))
    channels = select(found, what="channels")
    if channels:
        panels.append(("prelu: channels", _against(channels, "channels", _per_element)))
    return _grid(panels, "", "ns an element, or ms a net")


def memory(out: Path) -> Any:
    """Draw the peaks of the blocks, ours over jax.nn's."""
    found = select(figures("memory", out), what="block")
    names = list(dict.fromkeys(f["function"] for f in found))
    nets = list(dict.fromkeys(f["net"] for f in found))
    if not found:
        return None
    drawn, axes = plt.subplots(1, len(nets), sharey=True, figsize=(10, 2.8), squeeze=False)
    for ax, net in zip(axes[0], nets, strict=True):
        for shift, scanned, colour in ((-0.2, True, "#0b6e4f"), (0.2, False, "#7fb69e")):
            values = [
                _reading.over(f["peak"])
                for name in names
                for f in select(found, net=net, function=name, scanned=scanned)
            ]
            where = [i + shift for i in range(len(values))]
            ax.bar(where, values, 0.4, color=colour, label="scanned" if scanned else "unrolled")
        ax.axhline(1, color="black", lw=0.6)
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
        ax.set_title(net)
    axes[0][0].set_ylabel("peak / jax.nn's")
    axes[0][0].legend(frameon=False)
    return drawn


def parity(out: Path) -> Any:
    """Draw the training curves, a line for each seed, and their mean beside that of jax.nn's."""
    found = figures("parity", out)
    tasks = list(dict.fromkeys(f["task"] for f in found))
    if not tasks:
        return None
    drawn, axes = plt.subplots(2, len(tasks), figsize=(3.2 * len(tasks), 5), squeeze=False)
    for (above, below), task in zip(axes.T, tasks, strict=True):
        (base,) = select(found, task=task, setting="jax.nn")
        steps, mean, spread = _curves(base)
        below.fill_between(steps, -spread, spread, color="#dddddd", label="spread of the seeds")
        for i, figure in enumerate(select(found, task=task)):
            colour = COLOURS.get(figure["setting"], f"C{i}")
            for j, curve in enumerate(figure["curves"]):
                above.plot(steps, curve, color=colour, lw=0.8, alpha=0.7,
                           label=figure["setting"] if j == 0 else None)  # fmt: skip
            if figure is not base:
                below.plot(steps, _curves(figure)[1] - mean, color=colour, lw=1)
        above.set_title(task)
        above.set_yscale("log")
        below.set_ylim(-1.2 * spread.max(), 1.2 * spread.max())
        below.set_xlabel("step")
    axes[0][0].set_ylabel("loss")
    axes[1][0].set_ylabel("mean loss, beside jax.nn's")
    _legend(drawn, axes)
    return drawn


def _curves(figure: Figure) -> tuple[Any, Any, Any]:
    """Return steps, the mean over the seeds and their spread."""
    curves = np.array(figure["curves"])
    steps = (np.arange(curves.shape[1]) + 0.5) * figure["steps"] / curves.shape[1]
    return steps, curves.mean(0), curves.std(0, ddof=min(1, len(curves) - 1))


PICTURES: dict[str, Callable[[Path], Any]] = {
    "speed": speed, "rows": rows, "growth": growth, "memory": memory, "parity": parity,
}  # fmt: skip


def main() -> None:
    """Write the pictures of which there are figures."""
    out = _record.folder(_record.parser(__doc__).parse_args())
    for name, draw in PICTURES.items():
        drawn = draw(out)
        if drawn is not None:
            drawn.savefig(out / f"{name}.svg", metadata={"Date": None})
            plt.close(drawn)
            print(f"{name}.svg")


if __name__ == "__main__":
    main()
