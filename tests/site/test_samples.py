"""What the explorer page shows is what the library computes, and pages say what is declared."""

from __future__ import annotations

import base64
import functools
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import catalog, initializers
from tests.site.tools import ROOT, module

ELEMENTWISE = catalog.elementwise()


def read(text: str, dtype: Any, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


@functools.cache
def packed(name: str) -> dict[str, Any]:
    packing = module("packing")
    return json.loads(json.dumps(packing.packed(packing.sample(ELEMENTWISE[name]))))


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_the_explorer_has_the_values_of_the_library(name: str) -> None:
    data, sampling = packed(name), module("sampling")
    activation: Any = ELEMENTWISE[name]
    points = sampling.combinations(activation.spec, sampling.axes(activation.spec))
    y = read(data["y"], np.float32, len(points), 3, data["size"])
    x = read(data["x"], np.float32, -1, data["size"])
    assert np.isfinite(y).all()
    for index in (0, len(points) // 2, len(points) - 1):
        at = x[index % len(x)][:: data["size"] // 9]
        given = points[index]
        value = functools.partial(activation, **given)
        wanted: list[Any] = [value, jax.vmap(jax.grad(value)), jax.vmap(jax.grad(jax.grad(value)))]
        for order, function in enumerate(wanted):
            shown = y[index, order][:: data["size"] // 9]
            np.testing.assert_allclose(shown, function(jnp.asarray(at)), rtol=1e-6, atol=1e-7)


def test_kinks_stand_between_the_numbers_next_to_them() -> None:
    data = packed("relu")
    slope = read(data["y"], np.float32, -1, 3, data["size"])[:, 1]
    x = read(data["x"], np.float32, -1, data["size"])
    usual = 0
    for axis in data["axes"]:
        usual = usual * len(axis["values"]) + axis["usual"]
    at = np.flatnonzero(x[usual % len(x)] == 0)
    assert data["kinks"][usual] == [0.0]
    assert slope[usual, at[0] - 1] == slope[usual, at[0]] == 0 and slope[usual, at[-1] + 1] == 1


def test_the_histograms_are_of_a_net_of_the_library() -> None:
    data, sampling = packed("prelu"), module("sampling")
    (axis,) = data["axes"]
    shape = len(axis["values"]), len(data["weights"]), len(sampling.LAYERS)
    spread = read(data["spread"], np.float32, *shape)
    counts = read(data["counts"], np.uint16, *shape, sampling.EDGES.size + 1)
    assert (counts.sum(-1) == sampling.WIDTH * sampling.BATCH).all()
    keys = jax.random.split(jax.random.key(0), max(sampling.LAYERS) + 1)
    h = jax.random.normal(keys[0], (sampling.BATCH, sampling.WIDTH))
    index = axis["usual"]
    gain = initializers.gain("prelu", alpha=axis["values"][index])
    for layer, key in enumerate(keys[1:], 1):
        w = initializers.get("lecun_normal")(key, (sampling.WIDTH, sampling.WIDTH), jnp.float32)
        h = ELEMENTWISE["prelu"](h @ w * gain, axis["values"][index])
        if layer in sampling.LAYERS:
            place = sampling.LAYERS.index(layer)
            assert spread[index, 0, place] == pytest.approx(float(jnp.std(h)), rel=1e-4)
            positive = int(jnp.sum((h >= 0) & (h < 3)))
            assert counts[index, 0, place, 25:49].sum() == pytest.approx(positive, abs=2)


def test_the_errors_in_16_bits_are_those_of_the_accuracy_table() -> None:
    rows = module("pages").accuracy_rows(ROOT / "docs" / "accuracy.md")["relu6"]["bfloat16"][0]
    errors = packed("relu6")["errors"]
    for index, (whose, order) in enumerate((w, o) for w in ("ours", "jax.nn") for o in range(3)):
        assert max(errors[whose][order]) == pytest.approx(float(rows[1 + index]), abs=0.005)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_usual_parameters_are_on_the_grid(name: str) -> None:
    sampling, spec = module("sampling"), ELEMENTWISE[name].spec  # type: ignore[attr-defined]
    usual = sampling.usual(spec)
    points = 1
    for axis in sampling.axes(spec):
        points *= len(axis.values)
        at = axis.values[axis.usual]
        assert at == usual[axis.name] or at == float(np.float32(usual[axis.name]))
        assert len(set(axis.values)) == len(axis.values) > 1
        assert all(
            (v is None or v >= 0)
            for v in axis.values
            if axis.name in spec.parameters and spec.parameters[axis.name].domain != "real"
        )
    assert points <= 300


def test_every_activation_has_its_rows_of_accuracy() -> None:
    rows = module("pages").accuracy_rows(ROOT / "docs" / "accuracy.md")
    for name in ELEMENTWISE:
        assert {*rows[name]} == {"bfloat16", "float16", "float32"}, name
    assert len(rows["gelu"]["float32"]) == 2  # both forms


def test_a_page_tells_what_is_declared() -> None:
    pages = module("pages")
    told = {"kinks": [[0.0, 0.0, 1.0]], "thumbnail": ""}
    rows = {"bfloat16": [["leaky_relu", "0.48", "0.16", "0.00", "-", "-", "-"]]}
    text = pages.activation_page(ELEMENTWISE["leaky_relu"], "rectifiers", told, rows)
    for part in (
        r"f(x) = \begin{cases}", "Stable", "- ``negative_slope``", "nonnegative", "the right piece",
        "Reverse mode keeps 4 bytes", "Keras\n     - ``leaky_relu``", "- negative_slope = 0.2",
        "autofunction:: advact_jax.leaky_relu", "- bfloat16\n     - 0.48",
    ):  # fmt: skip
        assert part in text, part
    assert "jax.nn: value" not in text  # There was none to compare with.


@pytest.mark.parametrize("name", [*ELEMENTWISE, *catalog.along_axis()])
def test_no_text_of_a_declaration_is_read_as_markup(name: str) -> None:
    told = {"kinks": [], "thumbnail": ""}
    text = module("pages").activation_page(catalog.lookup(name), "linear", told, {})
    text = re.sub(r"``.*?``|:\w+:`.*?`|`[^`]*`(?:__?)?|\*\*\w+\*\*|\\.", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("   ")]
    assert not re.search(r"\|\w[^|]*\||(?<!\S)\*\w|`|\w_(?!\w)", "\n".join(lines)), text


def test_what_a_built_page_must_not_hold(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    links = module("links")
    (tmp_path / "b.html").write_text('<p id="here"><a href="https://example.com">x</a></p>')
    good = '<a href="b.html#here">b</a><img src="data:image/png;base64,">'
    (tmp_path / "a.html").write_text(good)
    assert links.problems(tmp_path) == []
    for bad in (
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.com/x.css">',
        '<a href="c.html">c</a>',
        '<a href="b.html#there">b</a>',
    ):
        (tmp_path / "a.html").write_text(good + bad)
        assert len(links.problems(tmp_path)) == 1, bad
    (tmp_path / "a.html").write_text(good)
    (tmp_path / "x.css").write_text("@font-face { src: url(https://fonts.example.com/x.woff) }")
    assert len(links.problems(tmp_path)) == 1
