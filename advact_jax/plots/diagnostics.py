"""Pictures of diagnostics: layers by steps, what activations learned, the way through depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from advact_jax.diagnostics.depth import DepthReport
from advact_jax.diagnostics.history import History
from advact_jax.diagnostics.measures import QUANTITIES
from advact_jax.plots import _style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {
    "mean": "mean of the output",
    "std": "standard deviation of the output",
    "saturation": "share of flat entries",
    "dead": "share of dead units",
    "gradient_norm": "norm of the gradient",
    "gradient_lost": "share of the gradient lost",
    "cosine": "mean cosine of samples",
    "effective_rank": "effective rank",
    "stable_rank": "stable rank",
}
_SHARES = ("saturation", "dead", "gradient_lost", "cosine")
_LOGARITHMIC = ("std", "gradient_norm")
# From dark blue to yellow, in even steps of lightness for all kinds of eyes, and in print.
_COLOURS = "cividis"


def layers_by_steps(
    history: History,
    quantities: Sequence[str] = ("gradient_norm", "gradient_lost", "saturation", "dead"),
) -> Figure:
    """Draw quantities by layer, from the first at the top to the last, and step.

    Args:
      history: what was measured over a training run.
      quantities: names of ``QUANTITIES`` of `advact_jax.diagnostics`, with a panel for each.

    Returns:
      The figure. Shares are coloured from 0 to 1, norms by their logarithm; what was not measured
      or is not finite is white and hatched.

    Raises:
      ValueError: if the history is empty, or a quantity is unknown.
      ImportError: if matplotlib is missing.

    Example:
      >>> from advact_jax import diagnostics, plots
      >>> net = lambda x: advact_jax.sigmoid(advact_jax.relu(x))
      >>> watched = jax.jit(diagnostics.observe(net, most=0))
      >>> history = diagnostics.History()
      >>> for step in (0, 100, 200):
      ...     y, seen = watched(step * jnp.array([[-1.0, 1.0]]))
      ...     history.add(step, seen)
      >>> figure = plots.layers_by_steps(history, ["saturation", "dead"])
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['relu', 'sigmoid']
    """
    if not history.steps:
        raise ValueError("layers_by_steps: expected a history with an observation, got none.")
    unknown = [name for name in quantities if name not in QUANTITIES]
    if unknown or not quantities:
        raise ValueError(
            f"layers_by_steps: expected quantities among {', '.join(QUANTITIES)}, "
            f"got {', '.join(map(repr, unknown)) or 'none'}."
        )
    columns = min(len(quantities), 2)
    rows = -(-len(quantities) // columns)
    height = max(1.3, 0.26 * min(len(history.layers), 24) + 0.75)
    with _style.style():
        figure, axes = _style.figure(columns, rows, panel=(3.9, height), sharey=True)
        for axis, quantity in zip(axes.flat, quantities, strict=False):
            _heat(figure, axis, history, quantity)
        _finish(axes, len(quantities))
    return figure


def _finish(axes: Any, used: int) -> None:
    """Hide the panels that are not used, and name the lowest axis of each column."""
    columns = axes.shape[1]
    for i, axis in enumerate(axes.flat):
        axis.set_visible(i < used)
        if i < used <= i + columns:
            axis.set_xlabel("step")


def _heat(figure: Any, axis: Any, history: History, quantity: str) -> None:
    from matplotlib import colors, ticker

    values = history.array(quantity)
    shown = np.ma.masked_invalid(values)
    norm: Any = colors.Normalize(0, 1) if quantity in _SHARES else None
    if quantity in _LOGARITHMIC and shown.count():
        shown = np.ma.masked_less_equal(shown, 0)
        low, high = _decades(shown)
        norm = colors.LogNorm(low, high)
    axis.patch.set(hatch="////", edgecolor=_style.GREY, facecolor="white")
    mesh = axis.pcolormesh(
        _edges(history.steps),
        np.arange(len(history.layers) + 1) - 0.5,
        shown,
        cmap=_COLOURS,
        norm=norm,
        rasterized=True,
    )
    axis.grid(False)
    axis.set_title(_TITLES[quantity])
    axis.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    every = -(-len(history.layers) // 24)
    ticks = np.arange(0, len(history.layers), every)
    axis.set_yticks(ticks, [history.layers[i] for i in ticks])
    axis.set_ylim(len(history.layers) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    bar = figure.colorbar(mesh, ax=axis, pad=0.02)
    bar.outline.set_visible(False)
    if quantity in _SHARES:
        bar.set_ticks([0, 0.5, 1], labels=["0", "½", "1"])
    elif quantity in _LOGARITHMIC:
        bar.ax.yaxis.set_minor_locator(ticker.NullLocator())


def _decades(values: Any) -> tuple[float, float]:
    """Return powers of ten around positive numbers, at least one apart."""
    if not values.count():
        return 0.1, 1.0
    low = math.floor(math.log10(values.min()))
    return 10.0**low, 10.0 ** max(math.ceil(math.log10(values.max())), low + 1)


def _edges(steps: Sequence[int]) -> np.ndarray:
    """Return the bounds of the columns: halfway between the steps."""
    centres = np.asarray(steps, np.float64)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    halves = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - halves[0]], halves, [2 * centres[-1] - halves[-1]]])


def learned_parameters(history: History) -> Figure:
    """Draw what activations learn, by layer and step.

    Args:
      history: a training run, whose ``add`` got the learned parameters.

    Returns:
      A figure with a panel for each parameter of each layer: the mean over its channels, in a band
      from the 5th to the 95th percentile; a dotted line where it started. Parameters of one name
      have one scale.

    Raises:
      ValueError: if no parameters were kept.
      ImportError: if matplotlib is missing.

    Example:
      >>> from advact_jax import diagnostics, plots
      >>> net = lambda parameters, x: advact_jax.prelu(x, parameters["alpha"])
      >>> watched = jax.jit(diagnostics.observe(net, most=0))
      >>> history = diagnostics.History()
      >>> for step, alpha in [(0, 0.25), (100, 0.31), (200, 0.33)]:
      ...     parameters = {"alpha": jnp.full(4, alpha)}
      ...     y, seen = watched(parameters, jnp.ones((2, 4)))
      ...     history.add(step, seen, parameters)
      >>> figure = plots.learned_parameters(history)
      >>> [axes.get_title() for axes in figure.axes]
      ['alpha']
    """
    parameters = history.parameters()
    if not parameters:
        raise ValueError(
            "learned_parameters: expected a history with parameters, got one without. Pass "
            "diagnostics.learned(params, mask) to History.add."
        )
    names = dict.fromkeys(path.rpartition("/")[2] for path in parameters)
    # One parameter after the other, each by layer.
    paths = [path for name in names for path in parameters if path.rpartition("/")[2] == name]
    columns = min(len(paths), 4)
    with _style.style():
        figure, axes = _style.figure(columns, -(-len(paths) // columns), panel=(2.6, 2.2))
        for axis, path in zip(axes.flat, paths, strict=False):
            _curve(axis, history.parameter_steps, parameters[path])
            axis.set_title(path.replace("/", " "))
        for name in names:
            owners = [path.rpartition("/")[2] for path in paths]
            _same_scale([a for a, of in zip(axes.flat, owners, strict=False) if of == name])
        _finish(axes, len(paths))
    return figure


def _curve(axis: Any, steps: Sequence[int], values: np.ndarray) -> None:
    style = _style.line(0)
    axis.axhline(values[0].mean(), color=_style.GREY, linestyle=":", linewidth=1)
    if values.shape[1] > 1:
        low, high = np.percentile(values, (5, 95), axis=1)
        axis.fill_between(steps, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axis.plot(steps, values.mean(1), **style)


def _same_scale(axes: Sequence[Any]) -> None:
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def depth(*reports: DepthReport) -> Figure:
    """Draw how variance, correlation and gradient travel through depth.

    Args:
      *reports: what `advact_jax.diagnostics.depth_report` gave; several to compare them.

    Returns:
      A figure with three panels: theory as curves, and beside them what was measured, mean and
      standard deviation over the seeds, as points with bars.

    Raises:
      ValueError: if there is none.
      ImportError: if matplotlib is missing.

    Example:
      >>> from advact_jax import diagnostics, plots
      >>> report = diagnostics.depth_report("relu", "he_normal", depth=10, width=64, seeds=2)
      >>> figure = plots.depth(report)
      >>> [axes.get_title() for axes in figure.axes][1:]
      ['correlation of two inputs', 'squared gradient norm, last = 1']
    """
    if not reports:
        raise ValueError("depth: expected a report of depth_report or several, got none.")
    titles = {
        "variance": "variance before the activation",
        "correlation": "correlation of two inputs",
        "gradient": "squared gradient norm, last = 1",
    }
    with _style.style():
        from matplotlib import ticker

        figure, axes = _style.figure(3, panel=(3.2, 2.9), extra_height=0.35)
        for axis, (key, title) in zip(axes[0], titles.items(), strict=True):
            for i, report in enumerate(reports):
                _travelled(axis, report, key, _style.line(i))
            if key != "correlation":
                _logarithmic(axis)
            axis.set(title=title, xlabel="layer")
            axis.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
        axes[0, 1].set_ylim(min(0.0, *(r.theory["correlation"].min() for r in reports)), 1.02)
        _style.legend_below(figure, axes[0, 0])
    return figure


def _travelled(axis: Any, report: DepthReport, key: str, style: dict[str, Any]) -> None:
    layers = np.arange(1, report.depth + 1)
    label = f"{report.name}, {report.initializer} ($\\chi_1$ = {report.fixed_point.chi:.3g})"
    theory = report.theory[key]
    if key != "correlation":  # what has vanished has no logarithm
        theory = np.where(theory > 0, theory, np.nan)
    axis.plot(layers, theory, label=label, **style)
    shown = np.unique(np.linspace(0, report.depth - 1, 12).astype(int))
    measured = report.measured[key][:, shown]
    if key == "correlation":
        middle, spread = measured.mean(0), measured.std(0)
        low, high = middle - spread, middle + spread
    else:
        logs = np.log(np.where(measured > 0, measured, np.nan))
        middle, spread = np.exp(logs.mean(0)), logs.std(0)
        low, high = middle * np.exp(-spread), middle * np.exp(spread)
    axis.errorbar(
        layers[shown],
        middle,
        yerr=(middle - low, high - middle),
        color=style["color"],
        linestyle="none",
        linewidth=1,
        marker="o",
        markerfacecolor="white",
    )


def _logarithmic(axis: Any) -> None:
    """Scale an axis by the logarithm, over two decades at least."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    if high < 100 * low:
        middle = math.sqrt(low * high)
        axis.set_ylim(min(low, middle / 10), max(high, middle * 10))
