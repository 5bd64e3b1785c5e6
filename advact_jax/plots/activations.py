"""Pictures of activations: value and derivatives with kinks, families, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from advact_jax import _samples, properties
from advact_jax._samples import Samples
from advact_jax.plots import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = ("value", "first derivative", "second derivative")


def curves(
    activation: str | Callable[..., Any],
    *more: str | Callable[..., Any],
    derivatives: int = 2,
    parameter: str | None = None,
    values: Sequence[Any] | None = None,
    x_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw value and derivatives of activations, a panel for each.

    Kinks are marked: a dot is the value at a kink, a ring the limit of the other piece. Of a
    function along an axis a slice is drawn: the first output for the input (x, 0), or, of a gated
    unit, the output for the gate x and the value 1.

    Args:
      activation: a name, a function or an `advact_jax.Activation`.
      *more: others, drawn into the same panels.
      derivatives: how many derivatives, at most 2.
      parameter: a parameter of the activation, to draw the curves of a family of its values.
      values: these values; without them, the usual ones.
      x_range: both ends; without it, around 0 and all kinks.

    Returns:
      A figure.

    Raises:
      ValueError: if a name is unknown, a value is outside its domain, or there are several
        activations beside a parameter.
      TypeError: if the activation has no such parameter.
      ImportError: if matplotlib is missing.

    Example:
      >>> from advact_jax import plots
      >>> figure = plots.curves("gelu", "silu", derivatives=1)
      >>> [axes.get_title() for axes in figure.axes]
      ['value', 'first derivative']
      >>> figure = plots.curves("elu", parameter="alpha", values=(0.5, 1.0, 2.0))
    """
    if parameter is None:
        if values is not None:
            raise ValueError("curves: expected parameter beside values, got none.")
        every = _samples.several(
            (activation, *more), derivatives=derivatives, x_range=x_range
        )  # fmt: skip
        title = every[0].label if len(every) == 1 else ""
    else:
        if more:
            raise ValueError(
                f"curves: expected one activation beside parameter={parameter!r}, "
                f"got {1 + len(more)}."
            )
        every = _samples.family(
            activation, parameter, values, derivatives=derivatives, x_range=x_range
        )
        title = _samples.label_of(activation, without=parameter)
    notes = {s.note for s in every if s.note}
    with _style.style():
        made, axes = _style.figure(derivatives + 1, extra_height=0.35 if len(every) > 1 else 0.0)
        for order, panel in enumerate(axes[0]):
            for index, samples in enumerate(every):
                look = (
                    _style.line(index)
                    if parameter is None
                    else _style.shade(index, len(every))
                )  # fmt: skip
                if len(every) == 1:
                    look["linewidth"] = 1.8
                _draw(panel, samples, order, look)
            if len(every) == 1:
                for kink in every[0].kinks:
                    panel.axvline(kink, color=_style.GREY, linestyle=":", linewidth=0.9, zorder=1)
            if all(np.ptp(samples.curves[order]) == 0 for samples in every):
                middle = every[0].curves[order][0]
                panel.set_ylim(middle - 1, middle + 1)
            _leave_poles_out(panel, every, order)
            panel.set_title(TITLES[order])
            panel.set_xlabel("x")
        heading = ": ".join([*filter(None, [title]), *([notes.pop()] if len(notes) == 1 else [])])
        if heading:
            made.suptitle(heading)
        if len(every) > 1:
            _style.legend_below(made, axes[0][0])
    return made


def compare(
    activation: str | Callable[..., Any],
    *more: str | Callable[..., Any],
    x_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw value and slope of elementwise activations over a table of their properties.

    Args:
      activation: a name, a declared function or an `advact_jax.Activation`.
      *more: others.
      x_range: both ends; without it, around 0 and all kinks.

    Returns:
      A figure.

    Raises:
      ValueError: if a name is unknown.
      TypeError: if an activation is not elementwise.
      ImportError: if matplotlib is missing.

    Example:
      >>> from advact_jax import plots
      >>> figure = plots.compare("relu", "gelu", "tanh")
    """
    every = _samples.several((activation, *more), derivatives=1, x_range=x_range)
    rows = [properties.of(each).shown() for each in (activation, *more)]
    with _style.style():
        made, axes = _style.figure(2, panel=(4.6, 3.0))
        for order, panel in enumerate(axes[0]):
            for index, samples in enumerate(every):
                _draw(panel, samples, order, _style.line(index))
            panel.set_title(TITLES[order])
            panel.set_xlabel("x")
        _table_under(made, [samples.label for samples in every], rows)
    return made


def _leave_poles_out(panel: Axes, every: Sequence[Samples], order: int) -> None:
    """Show the middle of the values where a few near a pole would make all else a flat line."""
    y = np.concatenate([samples.curves[order] for samples in every])
    y = y[np.isfinite(y)]
    low, high = np.percentile(y, (3, 97))
    if np.ptp(y) > 1e5 * (high - low) > 0:
        margin = 0.2 * (high - low)
        panel.set_ylim(low - margin, high + margin)


def _draw(panel: Axes, samples: Samples, order: int, look: dict[str, Any]) -> None:
    """Draw one curve into a panel, cut where it jumps, with a mark at each kink."""
    for index, (x, y) in enumerate(samples.pieces(order)):
        panel.plot(x, y, **look, label=samples.label if index == 0 else "_nolegend_")
    jumps = {kink: ends for kink, *ends in samples.jumps(order)}
    mark = {"color": look["color"], "marker": "o", "linestyle": "none", "zorder": 3}
    for kink in samples.kinks:
        value = samples.curves[order][np.searchsorted(samples.x, kink)]
        panel.plot([kink], [value], **mark)
        left, _, right = jumps.get(kink, (value, value, value))
        for limit in {left, right}:
            if kink in jumps and not np.isclose(limit, value):
                panel.plot([kink], [limit], **mark, markerfacecolor="white")


def _table_under(made: Figure, labels: list[str], rows: list[dict[str, str]]) -> None:
    """Put a table under the panels of a figure, which is its legend too."""
    height = 0.28 * (len(rows) + 1)
    width, above = made.get_size_inches()
    made.set_size_inches(width, above + height)
    share = height / (above + height)
    engine: Any = made.get_layout_engine()
    engine.set(rect=(0, share, 1, 1 - share))
    bottom = made.add_axes((0.01, 0.01, 0.98, share - 0.02), xlim=(0, 1), ylim=(0, 1))
    bottom.axis("off")
    bottom.set_in_layout(False)
    for index in range(len(rows)):
        at = 1 - (index + 1.5) / (len(rows) + 1)
        bottom.plot([0, 0.05], [at, at], **_style.line(index))
    table = bottom.table(
        cellText=[[label, *row.values()] for label, row in zip(labels, rows, strict=True)],
        colLabels=["", *rows[0]],
        colLoc="left",
        cellLoc="left",
        bbox=(0.055, 0, 0.945, 1),  # type: ignore[arg-type]
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.auto_set_column_width(list(range(len(rows[0]) + 1)))
    for cell in table.get_celld().values():
        cell.set_edgecolor("#BBBBBB")
        cell.set_linewidth(0.6)
