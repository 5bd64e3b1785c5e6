"""The examples of docs/examples.md, in short: what each shows must hold."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

for needed in ("sklearn", "matplotlib", "rich"):
    pytest.importorskip(needed, reason=f"the example needs {needed}: pip install advact-jax[demo]")


def example(name: str) -> Any:
    return importlib.import_module(f"examples.{name}")


def picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def numbers(line: str) -> list[float]:
    return [
        float(number.replace(",", ""))
        for number in re.findall(r"-?\d[\d,]*\.?\d*(?:e[+-]\d+)?", line)
    ]


def rows(printed: str) -> dict[str, list[float]]:
    """Return the numbers of each row of a table by its first cell."""
    cells = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    return {first.strip(): numbers(" ".join(others)) for first, *others in cells}


def test_selu_learns_where_gradients_of_batch_norm_explode(capsys, tmp_path):
    assert example("selu_depth").main(["--short", "--out", str(tmp_path / "a.png")]) == 0
    printed = capsys.readouterr().out
    found = rows(printed)
    _, cosine, growth, accuracy = found["selu, alpha dropout"]
    assert cosine < 0.1 and 0.3 < growth < 5 and accuracy > 80
    _, _, growth, accuracy = found["relu, batch norm"]
    assert growth > 100 and accuracy < 60
    assert found["relu"][1] > 0.9
    # sqrt(pi / (pi - 1)) in wide nets, by mean-field theory.
    (line,) = re.findall(r"^relu, batch norm: gradients grow (.*) times", printed, re.MULTILINE)
    assert float(line) == pytest.approx((np.pi / (np.pi - 1)) ** 0.5, abs=0.03)
    assert picture(tmp_path / "a.png")


def test_a_physics_net_needs_second_derivatives(capsys, tmp_path):
    assert example("physics").main(["--short", "--out", str(tmp_path / "a.png")]) == 0
    printed = capsys.readouterr().out
    found = rows(printed)
    assert found["silu"][-1] < 10
    for name in ("relu", "silu, slope frozen"):
        assert found[name][-2] == 0 and found[name][-1] > 80
    assert "silu by custom_vjp: can't apply forward-mode" in printed
    assert picture(tmp_path / "a.png")


def test_the_wrong_rules_of_the_physics_example_have_right_slopes():
    module = example("physics")
    x = jnp.linspace(-4, 4, 33)
    for function in (module.silu_frozen, module.silu_by_vjp):
        slope, exact = (jax.vmap(jax.grad(f))(x) for f in (function, module.ACTIVATIONS["silu"]))
        np.testing.assert_allclose(slope, exact, rtol=1e-5, atol=1e-6)


def test_the_solution_of_the_physics_example_solves_its_equation():
    module = example("physics")
    u, du, ddu = jax.vmap(lambda t: module.derivatives(module.solution, t))(jnp.linspace(0, 3, 31))
    left = ddu + 2 * module.DAMPING * du + module.FREQUENCY**2 * u
    np.testing.assert_allclose(left, 0, atol=1e-4)
    np.testing.assert_allclose([u[0], du[0]], [1, 0], atol=1e-6)


def test_snake_goes_on_where_the_data_end(capsys, tmp_path):
    assert example("snake_signal").main(["--short", "--out", str(tmp_path / "a.png")]) == 0
    found = rows(capsys.readouterr().out)
    still = min(found["relu"][-1], found["tanh"][-1])
    assert found["snake"][-1] < 0.8 * still and found["snake beta"][-1] < 0.8 * still
    assert found["sines of a year"][-1] < found["snake"][-1]
    assert picture(tmp_path / "a.png")


def test_swiglu_keeps_half_of_the_bytes_and_learns_the_same(capsys):
    assert example("transformer_scan").main(["--short"]) == 0
    printed = capsys.readouterr().out
    found = rows(printed)
    assert found["jax.nn"][0] == 24 and found["advact_jax"][0] == 12
    assert found["advact_jax"][2] < found["jax.nn"][2]
    assert found["advact_jax"][3] == pytest.approx(found["jax.nn"][3], abs=2e-3)
    (line,) = re.findall(r"^Loss at the start (.*); both losses are", printed, re.MULTILINE)
    assert found["advact_jax"][3] < float(line) - 1


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_sharded_slopes_cause_no_collective(capsys):
    assert example("sharded_prelu").main(["--short"]) == 0
    printed = capsys.readouterr().out
    # Slopes left whole show that the count would see one.
    assert "Caused by PReLU on 1 x 4 devices: 0 collectives; 3 if whole." in printed
    sharded = next(line for line in printed.splitlines() if "slopes sharded" in line)
    first, last = numbers(sharded)[-2:]
    assert last < 0.2 * first
    assert "│ 64 " in sharded


def test_heads_learn_how_sparse_they_are(capsys, tmp_path):
    assert example("sparse_attention").main(["--short", "--out", str(tmp_path / "a.png")]) == 0
    printed = capsys.readouterr().out
    alphas = [
        numbers(line)[2] for line in printed.splitlines() if line.startswith("│") and "." in line
    ]
    assert len(alphas) == 4 and np.ptp(alphas) > 0.02 and 1 < min(alphas) and max(alphas) < 2
    plain, sparse = (
        numbers(line) for line in printed.splitlines() if re.match("softmax:|entmax:", line)
    )
    assert plain[0] == 0 and sparse[0] > 20
    assert sparse[-1] > plain[-1] - 5
    assert picture(tmp_path / "a.png")
