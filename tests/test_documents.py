"""README's and CONTRIBUTING's code runs, and their tables cover the catalogue."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array
from jax.typing import ArrayLike

import advact_jax
from advact_jax import __main__ as command
from advact_jax import catalog, initializers, linen, nnx, testing

ROOT = Path(__file__).parent.parent


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def parts() -> dict[str, str]:
    """Return the Python of README and of the guides; what is cut from a file runs with its file."""
    guides = sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))
    cut = re.findall(
        r"<!-- source: .*?<!-- end -->",
        "".join((ROOT / name).read_text() for name in guides),
        re.DOTALL,
    )
    return {
        f"{name}, {number}": block
        for name in ["README.md", *guides]
        for number, block in enumerate(blocks(name), 1)
        if not any(block in text for text in cut)
    }


@pytest.mark.parametrize("block", parts().values(), ids=parts())
def test_code_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "plots" in block:
        pytest.importorskip("matplotlib", reason="the block draws: pip install advact-jax[plots]")
    monkeypatch.chdir(tmp_path)  # for what it saves
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block, "a document", "exec"), {})


def test_the_recipe_for_a_new_activation_holds_every_contract() -> None:
    (block,) = blocks("CONTRIBUTING.md")
    scope: dict[str, Any] = {
        "activation": advact_jax.activation, "Parameter": advact_jax.Parameter, "math": math,
        "jnp": jnp, "jax": jax, "Array": Array, "ArrayLike": ArrayLike,
    }  # fmt: skip
    exec(compile(block, "CONTRIBUTING.md", "exec"), scope)
    function = scope["half_parabola"]
    testing.check_activation(function)
    # Layers follow from the declaration too, without another line.
    x = jnp.linspace(-2, 2, 12).reshape(4, 3)
    layer = linen.Learnable(function, learn="alpha", regularizer={"alpha": "l2"})
    variables = layer.init(jax.random.key(0), x)
    twin = nnx.Learnable(function, 3, learn="alpha", regularizer={"alpha": "l2"})
    y, losses = layer.apply(variables, x, mutable=["losses"])
    assert jnp.array_equal(y, twin(x)) and jnp.array_equal(y, function(x, 1.0))
    assert linen.regularization_loss(losses) == nnx.regularization_loss(twin) > 0
    assert initializers.gain(function) == pytest.approx((2 / 3) ** 0.5)


def test_the_accuracy_tables_cover_the_catalogue() -> None:
    text = (ROOT / "docs" / "accuracy.md").read_text()
    tables = re.findall(r"<!-- table: .*? -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert len(tables) == 3
    for table in tables:
        for name in catalog.elementwise():
            assert re.search(rf"^\| {name}\b", table, re.MULTILINE), name


def test_the_code_of_examples_in_documents_is_theirs() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    found = 0
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for kind, arguments, text in tables.MARKER.findall(path.read_text()):
            if kind == "source":
                found += 1
                assert text == tables.printed(kind, arguments), f"{path.name}: run make tables"
    assert found


def test_accuracy_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["accuracy", "relu6", "--dtype", "float16", "--against", "jax"]) == 0
    printed = capsys.readouterr().out
    assert "relu6" in printed and "jax.nn: second derivative" in printed


def test_accuracy_command_tells_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["accuracy", "geluu"]) == 2
    assert "Did you mean gelu" in capsys.readouterr().err


def test_the_names_in_the_migration_page_are_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["names", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed in (ROOT / "docs" / "migration.md").read_text(), "run make tables"
    for name in ("quick_gelu", "Hardtanh", "LeakyReLU"):
        assert f"| {name} |" in printed


def test_the_names_of_one_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["names", "--dialect", "onnx"]) == 0
    printed = capsys.readouterr().out
    assert "HardSigmoid" in printed and "alpha is slope" in printed and "torch" not in printed
