"""The example that `make demo` runs, in short."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

for needed in ("sklearn", "matplotlib", "rich"):
    pytest.importorskip(needed, reason=f"the example needs {needed}: pip install advact-jax[demo]")

SCRIPT = Path(__file__).parents[2] / "examples" / "digits_cnn.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_cnn", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_quick_run_trains_and_shows_its_results(tmp_path):
    picture = tmp_path / "out" / "digits.png"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--out", str(picture)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "\x1b" not in done.stdout
    for word in (
        "activation_3",
        "PReLU",
        "bilinear",
        "test accuracy",
        "alpha",
        "beta",
        "All reach",
    ):
        assert word in done.stdout


def test_missing_the_target_is_exit_code_1(tmp_path, monkeypatch, capsys):
    module = example()
    monkeypatch.setattr(module, "QUICK_TARGET", 1.01)
    command = ["--quick", "--only", "relu", "--epochs", "1", "--out", str(tmp_path / "a.png")]
    assert module.main(command) == 1
    assert "FAILED: mean test accuracy" in capsys.readouterr().out


def test_the_product_is_the_convolution():
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(
        example().convolution_as_product(x, kernel), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("option", ["--seeds", "--epochs"])
def test_wrong_options_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        example().arguments([option, "0"])
    assert "must be at least 1" in capsys.readouterr().err
