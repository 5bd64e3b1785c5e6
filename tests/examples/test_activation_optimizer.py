"""The example of slopes with an optimizer of their own, in short."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

for needed in ("sklearn", "rich"):
    pytest.importorskip(needed, reason=f"the example needs {needed}: pip install advact-jax[demo]")

SCRIPT = Path(__file__).parents[2] / "examples" / "activation_optimizer.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("activation_optimizer", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_short_run_shows_what_weight_decay_does(example, capsys):
    assert example.main(["--short"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "…" not in printed
    rows = {name: line for line in printed.splitlines() for name in example.OPTIMIZERS
            if f"│ {name} " in line}  # fmt: skip
    decayed, kept, _ = (
        [float(cell) for cell in rows[name].split("│")[3:6]] for name in example.OPTIMIZERS
    )
    assert all(a < b - 0.01 for a, b in zip(decayed, kept, strict=True))


@pytest.mark.parametrize("api", ["linen", "nnx"])
def test_slopes_stay_in_their_interval(example, monkeypatch, api):
    monkeypatch.setitem(example.PRELU, "alpha_init", 1.0)
    _, slopes = example.TRAIN[api](example.own_rule, example.load(), 5)
    assert np.max(slopes) == 1 and np.min(slopes) < 0.99
