"""The curves of activations: their numbers against mpmath, and what the figures hold."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import mpmath as mp
import numpy as np
import pytest

import advact_jax
from advact_jax import _samples, catalog, plots
from advact_jax.plots import _style
from tests.plots import golden

GOLDEN = json.loads(golden.PATH.read_text())


# -- the numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, parameters", [("gelu", {"approximate": False}), ("elu", {"alpha": 0.5})]
)
def test_samples_are_the_reference_and_its_derivatives(
    name: str, parameters: dict[str, Any]
) -> None:
    found = _samples.samples(name, count=23, **parameters)
    spec: Any = catalog.lookup(name).spec  # type: ignore[attr-defined]
    assert np.all(np.diff(found.x) > 0) and len(found.slopes) == 2
    with mp.workdps(40):
        for order, curve in enumerate(found.curves):
            for x, y in zip(found.x, curve, strict=True):
                if abs(x) < 1e-6 and found.kinks:
                    continue
                truth = mp.diff(lambda v: spec.reference(mp, v, **parameters), mp.mpf(x), order)
                assert float(truth) == pytest.approx(y, rel=1e-12, abs=1e-12)


def test_a_jump_has_both_its_ends_and_its_value() -> None:
    found = _samples.samples("hard_shrink")
    value, slope = found.jumps(0), found.jumps(1)
    assert [tuple(np.round(jump, 6)) for jump in value] == [
        (-0.5, -0.5, 0.0, 0.0), (0.5, 0.0, 0.0, 0.5),
    ]  # fmt: skip
    assert [jump[1:] for jump in slope] == [(1, 0, 0), (0, 0, 1)]
    assert found.jumps(2) == []
    left, middle, right = found.pieces(0)  # without the value at the kinks, which no line joins
    assert np.all(left[0] == left[1]) and np.all(right[0] == right[1]) and not np.any(middle[1])
    assert _samples.samples("elu").jumps(1) == []  # continuous, though it has a kink


def test_a_pole_does_not_flatten_the_rest() -> None:
    value, slope, curvature = (panel.get_ylim() for panel in plots.curves("log1mexp").axes)
    assert value[0] < -15 and slope[0] > -20 and slope[1] < 20 and curvature[0] > -1000


def test_the_range_holds_all_kinks_and_few_swings() -> None:
    assert _samples.samples("relu6", derivatives=0).x[[0, -1]].tolist() == [-4, 8]
    assert _samples.samples("sine", derivatives=0).x[-1] < 1
    both = _samples.several(["relu6", "gelu"], derivatives=0)
    assert [samples.x[-1] for samples in both] == [8, 8]


def test_slices_of_functions_along_an_axis() -> None:
    x = np.linspace(-3, 3, 7)
    softmax = _samples.samples("softmax", x_range=(-3, 3), count=7)
    np.testing.assert_allclose(softmax.value, 1 / (1 + np.exp(-x)), rtol=1e-12)
    gated = _samples.samples("swiglu", x_range=(-3, 3), count=7)
    np.testing.assert_allclose(gated.value, x / (1 + np.exp(-x)), rtol=1e-12)
    assert softmax.note == "first output for the input (x, 0)" and gated.note == "gate x, value 1"


def test_json_has_the_same_numbers() -> None:
    found = _samples.samples("hard_tanh", count=9)
    read = json.loads(json.dumps(found.to_json()))
    np.testing.assert_array_equal(read["second_derivative"], found.slopes[1])
    assert read["kinks"] == {"-1": "right", "1": "left"}


@pytest.mark.sampled
@pytest.mark.parametrize("name", [*catalog.elementwise(), *catalog.along_axis()])
def test_every_activation_can_be_drawn(name: str) -> None:
    figure = plots.curves(name)
    assert len(figure.axes) == 3
    poles = 1 if name == "log1mexp" else 0  # It is infinite at 0.
    for axes in figure.axes:
        for line in axes.get_lines():
            assert np.sum(~np.isfinite(np.asarray(line.get_ydata(), float))) <= poles


# -- the figures --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden.FIGURES)
def test_a_figure_holds_what_is_golden(name: str) -> None:
    # After a change that is meant: python tests/plots/golden.py, and look at the pictures.
    found = json.loads(json.dumps(golden.described(golden.FIGURES[name]())))
    assert found == GOLDEN[name]


def test_colours_and_line_styles_tell_curves_apart() -> None:
    looks = [_style.line(index) for index in range(len(_style.COLOURS))]
    assert len({str(look["linestyle"]) for look in looks}) == len(looks)
    light = [_luminance(look["color"]) for look in looks]
    assert max(light) < 0.5  # on white paper


def _luminance(colour: str) -> float:
    from matplotlib.colors import to_rgb

    return float(np.dot(np.asarray(to_rgb(colour)) ** 2.2, (0.2126, 0.7152, 0.0722)))


def test_a_figure_leaves_no_trace_and_is_written_the_same_twice(tmp_path: Path) -> None:
    with mpl.rc_context({"font.size": 31, "lines.linewidth": 9}):
        before = dict(mpl.rcParams)
        figure = plots.curves("relu", derivatives=0)
        assert dict(mpl.rcParams) == before
    assert figure.axes[0].title.get_fontsize() == _style.SETTINGS["axes.titlesize"]
    written = []
    for name in ("a.svg", "b.svg"):
        _style.save(plots.curves("relu", derivatives=0), tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "advact-jax\[plots\]"'):
        plots.curves("relu", derivatives=0)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "name": (lambda: plots.curves("reluu"), ValueError, "Did you mean relu"),
    "derivatives": (lambda: plots.curves("relu", derivatives=3), ValueError, "0, 1 or 2, got 3"),
    "values alone": (lambda: plots.curves("elu", values=[1]), ValueError, "parameter beside"),
    "several": (
        lambda: plots.curves("elu", "celu", parameter="alpha"), ValueError, "one activation"
    ),
    "parameter": (
        lambda: plots.curves("elu", parameter="beta", values=[1.0]), TypeError, "alpha"
    ),
    "no values": (lambda: plots.curves("elu", parameter="alpha", values=()), ValueError, "none"),
    "of an axis": (
        lambda: plots.curves("entmax", parameter="alpha"), ValueError, "expected values of alpha"
    ),
    "compared": (lambda: plots.compare("softmax"), TypeError, "expected an elementwise"),
    "range": (
        lambda: plots.curves(advact_jax.relu, x_range=(1, 1)), ValueError, "lower and an upper"
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_mistake_is_told(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
