"""The pictures of diagnostics hold the numbers that they should: golden data, not pixels."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import diagnostics
from advact_jax.diagnostics.meanfield import FixedPoint

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install advact-jax[plots]")
plots: Any = pytest.importorskip("advact_jax.plots.diagnostics")


def history(steps: int = 4, parameters: bool = True) -> diagnostics.History:
    """Return a run of two layers whose numbers are known."""
    made = diagnostics.History()
    for step in range(steps):
        unknown = jnp.float32(jnp.nan)
        layers = OrderedDict(
            (
                name,
                diagnostics.Measures(
                    outputs=diagnostics.Moments(jnp.float32(8), jnp.float32(step), jnp.float32(8)),
                    saturated=jnp.float32(2 * i),
                    active=jnp.arange(4) >= i,
                    gradient=jnp.float32(10.0 ** (-i - step)) if step < 3 else unknown,
                    passed=jnp.float32(0.5 * 10.0 ** (-i - step)),
                    batches=jnp.float32(1),
                    rank=diagnostics.Rank(jnp.float32(0.25), jnp.float32(3), jnp.float32(2)),
                ),
            )
            for i, name in enumerate(("a/relu", "b/relu"))
        )
        learned = {"a": {"alpha": jnp.array([0.0, 1.0 + step])}, "b": {"beta": jnp.float32(step)}}
        seen = diagnostics.Observation(layers, OrderedDict())
        made.add(10 * step, seen, learned if parameters else None)
    return made


def test_layers_by_steps_are_the_arrays_of_the_history() -> None:
    run = history()
    figure = plots.layers_by_steps(run, ("gradient_norm", "saturation", "dead"))
    shown, hidden = figure.axes[:3], figure.axes[3]
    for axis, quantity in zip(shown, ("gradient_norm", "saturation", "dead"), strict=True):
        (mesh,) = axis.collections
        expected = np.ma.masked_invalid(run.array(quantity))
        np.testing.assert_allclose(mesh.get_array(), expected)
        edges = mesh.get_coordinates()
        np.testing.assert_allclose(edges[0, :, 0], [-5, 5, 15, 25, 35])
        assert axis.get_ylim() == (1.5, -0.5)  # the first layer at the top
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["a/relu", "b/relu"]
    assert not hidden.get_visible()
    assert shown[0].collections[0].norm.vmin == pytest.approx(1e-3)
    assert shown[0].collections[0].norm.vmax == pytest.approx(1.0)
    assert np.ma.is_masked(shown[0].collections[0].get_array()[0, 3])  # not a number
    assert (shown[1].collections[0].norm.vmin, shown[1].collections[0].norm.vmax) == (0, 1)


def test_one_step_is_enough_for_a_picture() -> None:
    (mesh,) = plots.layers_by_steps(history(1), ("dead",)).axes[0].collections
    np.testing.assert_allclose(mesh.get_array(), [[0.0], [0.25]])


def test_learned_parameters_are_means_and_percentiles_by_step() -> None:
    figure = plots.learned_parameters(history())
    alpha, beta = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["a alpha", "b beta"]
    start, curve = alpha.lines
    np.testing.assert_allclose(curve.get_xdata(), [0, 10, 20, 30])
    np.testing.assert_allclose(curve.get_ydata(), [0.5, 1.0, 1.5, 2.0])
    assert start.get_ydata()[0] == 0.5
    (band,) = alpha.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(0.95 * 4) and heights.min() == pytest.approx(0.05)
    np.testing.assert_allclose(beta.lines[1].get_ydata(), [0, 1, 2, 3])
    assert not beta.collections  # a single number has no band


def report(name: str, chi: float) -> diagnostics.DepthReport:
    """Return a report of known numbers."""
    layers = np.arange(5.0)
    theory = {"variance": 2.0**layers, "correlation": layers / 10, "gradient": chi ** layers[::-1]}
    measured = {
        "variance": np.stack([2.0**layers / 2, 2.0**layers * 2]),
        "correlation": np.stack([layers / 10 - 0.05, layers / 10 + 0.05]),
        "gradient": np.stack([chi ** layers[::-1]] * 2),
    }
    point = FixedPoint(1.0, chi, 1.0, 2.0, 2.0, "ordered")
    return diagnostics.DepthReport(name, "he_normal", 5, 8, 2, 1.0, 0.0, theory, measured, point)


def test_depth_has_theory_as_curves_and_measures_as_points() -> None:
    reports = (report("relu", 0.5), report("tanh", 0.25))
    figure = plots.depth(*reports)
    keys = ("variance", "correlation", "gradient")
    for axis, key in zip(figure.axes, keys, strict=True):
        curves = [line for line in axis.lines if line.get_linestyle() != "None"]
        points = [line for line in axis.lines if line.get_linestyle() == "None"]
        assert axis.get_yscale() == ("linear" if key == "correlation" else "log")
        for made, curve in zip(reports, curves, strict=True):
            np.testing.assert_allclose(curve.get_xdata(), [1, 2, 3, 4, 5])
            np.testing.assert_allclose(curve.get_ydata(), made.theory[key])
        # The middle of the seeds: the geometric mean of what has a logarithmic scale.
        for made, point in zip(reports, points[:2], strict=False):
            np.testing.assert_allclose(point.get_ydata(), made.theory[key], atol=1e-12)
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [r"relu, he_normal ($\chi_1$ = 0.5)", r"tanh, he_normal ($\chi_1$ = 0.25)"]
    styles = {(line.get_color(), str(line.get_linestyle())) for line in legend.get_lines()}
    assert len({c for c, _ in styles}) == len({s for _, s in styles}) == 2  # told apart twice


def test_wrong_arguments_are_named() -> None:
    empty = diagnostics.History()
    with pytest.raises(ValueError, match="layers_by_steps: expected a history with an obs"):
        plots.layers_by_steps(empty)
    with pytest.raises(ValueError, match="expected quantities among mean, .* got 'median'"):
        plots.layers_by_steps(history(1), ("median",))
    with pytest.raises(ValueError, match="learned_parameters: expected a history with param"):
        plots.learned_parameters(history(1, parameters=False))
    with pytest.raises(ValueError, match="depth: expected a report"):
        plots.depth()
