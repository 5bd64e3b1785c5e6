"""Histories, their numbers and words, and the verdicts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import diagnostics
from advact_jax.diagnostics import verdict

W = jnp.array([[1.0, -1.0], [0.5, 2.0]])
X = jnp.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
LAYER = {
    "mean": 0.0, "std": 1.0, "saturation": 0.1, "dead": 0.0, "gradient_norm": 1.0,
    "gradient_lost": 0.3, "cosine": 0.2, "effective_rank": 4.0, "stable_rank": 2.0,
}  # fmt: skip


def loss(w: Any, x: Any) -> Any:
    return jnp.sum(advact_jax.tanh(advact_jax.relu(x @ w["dense"]) @ w["out"]))


def history(steps: int = 3) -> diagnostics.History:
    watched = jax.jit(diagnostics.value_and_grad(loss))
    made = diagnostics.History()
    for step in range(steps):
        weights = {"dense": W * (1 + step), "out": W}
        made.add(10 * step, watched(weights, X)[1], {"act": {"alpha": jnp.full(4, 1.0 + step)}})
    return made


@pytest.fixture(scope="module")
def run() -> diagnostics.History:
    return history()


def test_layers_stand_in_the_order_of_the_pass() -> None:
    def deep(x: Any) -> Any:
        x = advact_jax.tanh(x)
        for _ in range(10):
            x = advact_jax.relu(x)
        return jnp.sum(x)

    made = diagnostics.History()
    made.add(0, jax.jit(diagnostics.value_and_grad(deep))(X)[1])
    assert made.layers == ("tanh", "relu", *(f"relu_{i}" for i in range(2, 11)))


def test_arrays_are_layers_by_steps(run: diagnostics.History) -> None:
    assert run.layers == ("relu", "tanh") and run.steps == [0, 10, 20]
    found = run.array("mean")
    expected = [np.maximum(X @ (W * k), 0).mean() for k in (1, 2, 3)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    assert found.shape == (2, 3)
    with pytest.raises(ValueError, match="History.array: expected one of mean, std"):
        run.array("median")


def test_scalars_are_plain_floats_by_plain_names(run: diagnostics.History) -> None:
    found = run.scalars(0)
    assert all(type(key) is str and type(value) is float for key, value in found.items())
    assert {"relu/dead", "tanh/gradient_lost", "/parameter_gradient_norm"} <= set(found)
    forward = diagnostics.History()
    _, seen = diagnostics.observe(loss, most=0)({"dense": W, "out": W}, X)
    forward.add(0, seen)
    measured = {key.rpartition("/")[2] for key in forward.scalars()}
    assert measured == {"mean", "std", "saturation", "dead"}


def test_learned_parameters_are_kept_by_step(run: diagnostics.History) -> None:
    (found,) = run.parameters().values()
    assert list(run.parameters()) == ["act/alpha"] and run.parameter_steps == [0, 10, 20]
    np.testing.assert_array_equal(found, [[1.0] * 4, [2.0] * 4, [3.0] * 4])


def test_the_table_is_plain_text(run: diagnostics.History) -> None:
    lines = run.table(0).splitlines()
    assert lines[0].split() == [
        "layer", "mean", "std", "saturated", "dead", "gradient", "lost", "cosine", "eff.", "rank"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["relu", "tanh"]
    assert lines[1].split()[1] == f"{np.maximum(X @ W, 0).mean():.3g}"
    assert len({len(line) for line in lines}) == 1
    assert run.report(0).startswith("step 0\nlayer")


def test_a_history_refuses_what_is_none() -> None:
    made = history(1)
    with pytest.raises(TypeError, match="History.add: expected the Observation"):
        made.add(1, {"relu": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a step after 0, the last one, got 0"):
        made.add(0, diagnostics.observe(loss)({"dense": W, "out": W}, X)[1])


def test_parameters_outlive_a_donated_buffer() -> None:
    made, alpha = diagnostics.History(), jnp.ones(2)
    _, seen = diagnostics.observe(loss)({"dense": W, "out": W}, X)
    made.add(0, seen, {"alpha": alpha})
    alpha.delete()
    np.testing.assert_array_equal(made.parameters()["alpha"], [[1.0, 1.0]])


# -- verdicts -----------------------------------------------------------------------------------

NAN = float("nan")
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "dead layer": ({"relu": {"dead": 1.0}}, "dead layer", verdict.LU),
    "dead units": ({"a/relu": {"dead": 0.11}}, "dead units", verdict.LU),
    "saturation": ({"sigmoid": {"saturation": 0.51}}, "saturation", verdict.GLOROT),
    "vanishing": (
        {"tanh": {"gradient_norm": 0.9e-3}, "tanh_2": {}}, "vanishing gradient", verdict.SCHOENHOLZ
    ),
    "exploding": (
        {"tanh": {"gradient_norm": 1.1e3}, "tanh_2": {}}, "exploding gradient", verdict.HE
    ),
    "rank": ({"blocks/gelu[3]": {"cosine": 0.995}}, "rank collapse", verdict.DONG),
    "selu": ({"x/selu_2": {"mean": 0.11}}, "self-normalization", verdict.KLAMBAUER),
    "selu variance": ({"selu[1]": {"std": 0.89}}, "self-normalization", verdict.KLAMBAUER),
    "overflow": ({"relu": {"std": float("inf")}}, "not finite", verdict.HE),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "problem", "source"), CASES.values(), ids=CASES)
def test_each_threshold_has_advice_and_a_source(
    rows: dict[str, Any], problem: str, source: str
) -> None:
    found = diagnostics.judge({name: {**LAYER, **row} for name, row in rows.items()})
    assert [finding.problem for finding in found] == [problem]
    assert source in found[0].source and found[0].advice and found[0].layers[0] in rows
    assert str(found[0]).startswith(problem.upper())


def test_all_is_well_just_inside_the_thresholds() -> None:
    rows = {
        "relu": {"dead": 0.1, "saturation": 0.9},  # a rectifier is flat by design
        "tanh": {"saturation": 0.5, "cosine": 0.99, "gradient_norm": 1.1e3},
        "selu": {"mean": 0.1, "std": 0.9, "gradient_norm": 1.2},
    }
    assert diagnostics.judge({name: {**LAYER, **row} for name, row in rows.items()}) == []
    unknown = {key: NAN for key in ("gradient_norm", "gradient_lost", "cosine", "effective_rank")}
    assert diagnostics.judge({"relu": {**LAYER, **unknown}, "elu": {**LAYER, **unknown}}) == []


def test_a_gradient_ten_times_its_average_is_a_spike() -> None:
    def judged(norm: float, earlier: list[float]) -> list[str]:
        found = diagnostics.judge({"relu": LAYER}, {"dense": norm, "out": 0.0}, earlier)
        return [finding.problem for finding in found]

    assert judged(10.1, [1.0, 0.5, 1.5]) == ["gradient spike"]
    assert judged(9.9, [1.0, 0.5, 1.5]) == []
    assert judged(99.0, [1.0]) == []  # no average yet
    assert judged(float("nan"), [1.0, 1.0, 1.0]) == ["not finite"]


def test_a_real_net_that_dies_is_told() -> None:
    weights = {"dense": -jnp.abs(W), "out": W}
    made = diagnostics.History()
    _, seen = jax.jit(diagnostics.value_and_grad(loss))(weights, jnp.abs(X))
    made.add(0, seen)
    assert made.findings()[0].problem == "dead layer"
    assert "DEAD LAYER: no unit of relu was active" in made.report()
