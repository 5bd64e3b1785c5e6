"""The benchmarks' own helpers: what they count, what they time, and what the summary concludes."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from benchmarks import (
    _nets,
    _peers,
    _reading,
    _record,
    _timing,
    _training,
    loops,
    memory,
    parity,
    summary,
    tables,
)


def figure(function: str, ours: float, theirs: float, **fields: Any) -> dict[str, Any]:
    return {
        "function": function, "dtype": "float32", "elements": 1000, "size": "large",
        "pass": "forward", "seconds": {"ours": [ours, ours], "jax.nn": [theirs, theirs]}, **fields,
    }  # fmt: skip


def recorded(folder: Path, name: str, *found: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"about": {}, "figures": found}))


# -- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scanned", [True, False])
@pytest.mark.parametrize(
    ("unit", "kept"),
    [
        (_nets.Unit(lambda x: x), 4),  # what the next product needs
        (_nets.Unit(jnp.exp), 4),  # its output alone
        (_nets.Unit(jnp.sin), 8),  # and the cosine
        (_nets.Unit(jnp.multiply, gated=True), 12),  # and both factors
    ],
)
def test_bytes_kept_of_a_known_function(unit: _nets.Unit, kept: int, scanned: bool) -> None:
    for name in ("mlp", "transformer"):
        assert _nets.kept_per_element(_nets.NETS[name], unit, scanned=scanned) == kept


def test_the_peak_grows_by_what_is_kept() -> None:
    net = _nets.Net(_nets._mlp, {"in": (4, 64), "out": (64, 4)}, (4,), (64,))
    peaks = [_nets.peak_bytes(net, _nets.Unit(jnp.sin), 2, n, scanned=True) for n in (1024, 2048)]
    hidden = 2 * 1024 * 64
    assert 8 * hidden <= peaks[1] - peaks[0] <= 16 * hidden


@pytest.mark.parametrize("budget", [9, 10, 99, 100, 12345])
def test_the_largest_that_fits(budget: int) -> None:
    asked = []

    def needs(n: int) -> int:
        asked.append(n)
        return 10 * n + (5 if n > 30 else 0)

    n = memory.largest(needs, budget)
    assert (n == 0 or needs(n) <= budget) and needs(n + 1) > budget
    assert len(asked) < 12


def test_both_libraries_have_the_same_units() -> None:
    x = jnp.linspace(-2, 2, 12).reshape(4, 3)
    for name, ours in _nets.LIBRARIES["ours"].items():
        w = {"alpha": jnp.full(3, 0.25)}
        theirs = _nets.LIBRARIES["jax.nn"][name]
        np.testing.assert_allclose(ours(w, x, x), theirs(w, x, x), rtol=1e-5, atol=1e-6)


# -- time ---------------------------------------------------------------------------------------


def test_each_call_runs_once_in_every_round() -> None:
    ran: list[str] = []
    calls = {name: functools.partial(ran.append, name) for name in "abc"}
    found = _timing.interleaved(calls, 5, repeats=2)
    for i in range(6):
        assert sorted(ran[3 * i : 3 * i + 3]) == ["a", "b", "c"]
    assert ran != ["a", "b", "c"] * 6
    assert all(0 <= timing.min <= timing.median for timing in found.values())


def test_a_loop_computes_the_function_each_time() -> None:
    seen: list[float] = []

    def watched(x: Any) -> Any:
        io_callback(lambda v: seen.append(float(v)), None, x[0])
        return jnp.sin(x)

    x = jnp.linspace(0.5, 2, 8)
    np.testing.assert_allclose(_timing.looped(watched, 7, x)(), jnp.sin(x), rtol=1e-6)
    jax.effects_barrier()
    assert seen == [0.5] * 7


def test_value_and_gradient_for_a_cotangent() -> None:
    x, g, a = jnp.array([1.0, 2.0]), jnp.array([1.0, -1.0]), jnp.array([3.0, 4.0])
    y, (by_x, by_a) = _timing.with_gradient(jnp.multiply)(x, g, a)
    assert y.tolist() == [3, 8] and by_x.tolist() == [3, -4] and by_a.tolist() == [1, -2]


def test_columns_that_mean_different_functions_are_refused() -> None:
    x = jnp.linspace(-2, 2, 5)
    _peers.agree({"ours": jnp.abs, "jax.nn": jnp.abs}, x)
    with pytest.raises(ValueError, match="jax.nn: expected"):
        _peers.agree({"ours": jnp.abs, "jax.nn": jnp.sin}, x)


@pytest.mark.parametrize("name", ["gelu", "gelu exact", "leaky_relu", "threshold", "hard_tanh"])
def test_the_peers_of_a_function_are_that_function(name: str) -> None:
    _peers.agree(_peers.elementwise()[name], jnp.linspace(-3, 3, 7))


# -- the record ---------------------------------------------------------------------------------


def test_numbers_keep_four_digits() -> None:
    assert _record.rounded({"a": [0.123456, 3], "b": (1e-7 / 3,)}) == {
        "a": [0.1235, 3],
        "b": [3.333e-08],
    }


def test_a_wrong_name_is_an_error() -> None:
    options = _record.parser(None, names="letters").parse_args
    assert _record.chosen(["a", "b"], options([]), ["b"]) == ["a", "b"]
    assert _record.chosen(["a", "b"], options(["--short"]), ["b"]) == ["b"]
    with pytest.raises(SystemExit, match="expected names among a, b, got c"):
        _record.chosen(["a", "b"], options(["c"]))


def test_an_empty_record_holds_nothing_and_fails_nothing(tmp_path: Path) -> None:
    for check in summary.CHECKS:
        assert check(tmp_path).holds is None
    for name, table in tables.TABLES.items():
        printed = table(tmp_path)
        assert name == "summary" or "yet" in printed, name


def test_the_mean_and_the_slowest(tmp_path: Path) -> None:
    recorded(tmp_path, "speed", figure("relu", 1.0, 2.0), figure("gelu", 1.0, 1.0))
    means = summary.speed_mean(tmp_path)
    assert means.holds and means.figure == "forward 1.41"
    groups = summary.speed_groups(tmp_path)
    assert groups.holds and "float32 large forward 1.41" in groups.figure
    assert summary.speed_each(tmp_path).holds and summary.speed_each_row(tmp_path).holds
    recorded(tmp_path, "speed", figure("relu", 1.0, 2.0), figure("gelu", 1.2, 1.0))
    for check in (summary.speed_each, summary.speed_each_row):
        assert check(tmp_path).holds is False
        assert "gelu" in check(tmp_path).figure
    # One of the two ratios alone is noise.
    noisy = figure("gelu", 1.2, 1.0)
    noisy["seconds"]["ours"][1] = 1.0
    recorded(tmp_path, "speed", noisy)
    assert summary.speed_each_row(tmp_path).holds
    assert summary.speed_mean(tmp_path).holds is False


def test_each_function_counts_once_in_the_mean(tmp_path: Path) -> None:
    other = figure("relu", 1.0, 4.0) | {"size": "small"}
    recorded(tmp_path, "speed", figure("relu", 1.0, 4.0), other, figure("gelu", 1.2, 1.0))
    assert summary.speed_mean(tmp_path).figure == "forward 1.83"  # sqrt(4 / 1.2)
    assert summary.speed_each(tmp_path).figure.startswith("1 of 2: gelu forward 1.20")
    assert summary.speed_groups(tmp_path).figure == (
        "float32 large forward 1.83, float32 small forward 4.00"
    )


def test_the_copy_bound_is_that_of_linear_pieces(tmp_path: Path) -> None:
    slow = {"ours": [1.2, 1.2], "copy": [1.0, 1.0]}
    recorded(tmp_path, "speed", figure("gelu", 0, 0, seconds=slow))
    assert summary.copy_bound(tmp_path).holds is None
    recorded(tmp_path, "speed", figure("relu", 0, 0, seconds=slow))
    assert summary.copy_bound(tmp_path).holds is False


def block(**fields: Any) -> dict[str, Any]:
    return {
        "what": "block", "net": "transformer", "function": "gelu", "scanned": True,
        "kept": {"ours": 8, "jax.nn": 24}, "peak": {"ours": 64, "jax.nn": 100}, **fields,
    }  # fmt: skip


def test_peaks(tmp_path: Path) -> None:
    recorded(tmp_path, "memory", block(), block(scanned=False, peak={"ours": 2, "jax.nn": 1}))
    assert summary.peak_of_the_transformer(tmp_path).holds
    assert summary.bytes_in_blocks(tmp_path).holds
    assert summary.peak_scanned(tmp_path).holds
    assert summary.peak_unrolled(tmp_path).holds is False
    recorded(tmp_path, "memory", block(kept={"ours": 9, "jax.nn": 8}))
    assert summary.bytes_in_blocks(tmp_path).holds is False


def test_rows_that_are_lost_have_a_reason(tmp_path: Path) -> None:
    recorded(tmp_path, "speed", figure("relu", 1.04, 1.0), figure("gelu", 1.2, 1.0))
    (lost,) = _reading.losses(tmp_path, {})
    assert lost[:3] == ("speed/gelu/float32/large/forward", "jax.nn", 1.2) and not lost.why
    (lost,) = _reading.losses(tmp_path, {"speed/gelu/*": "the tails"})
    assert lost.why == "the tails"
    compiled = figure("gelu", 0, 0, same=["jax.nn"])
    recorded(tmp_path, "loops", compiled)
    (lost,) = _reading.losses(tmp_path, {})
    assert lost.why == _reading.SAME
    recorded(tmp_path, "loops", compiled | {"pass": "both"})
    (lost,) = _reading.losses(tmp_path, {})
    assert not lost.why


def test_instructions_of_a_function() -> None:
    x = jnp.ones(8)
    assert loops.instructions(jnp.negative, x) == {"negate": 1}
    assert loops.instructions(lambda v: jnp.sin(v) * v, x) == {"sine": 1, "multiply": 1}


def trained(setting: str, *final: float, **fields: Any) -> dict[str, Any]:
    return {"task": "cnn", "setting": setting, "final": list(final), "finite": True, "steps": 8,
            "curves": [[value] * 8 for value in final], "kept": 1, "memory": 1, "step": [1.0, 1.0],
            "worst_after_warmup": [2.0, 2.0], **fields}  # fmt: skip


def test_training_curves(tmp_path: Path) -> None:
    base = trained("jax.nn", 1.0, 1.2)
    recorded(tmp_path, "parity", base, trained("ours", 1.05, 1.2))
    assert summary.same_curves(tmp_path).holds
    for wrong in (
        trained("ours", 1.4, 1.5),
        trained("ours", 1.0, 1.2, finite=False),
        trained("ours", 1.0, 1.2, worst_after_warmup=[9.0, 2.0]),
    ):
        recorded(tmp_path, "parity", base, wrong)
        assert summary.same_curves(tmp_path).holds is False
        assert summary.same_curves_lean(tmp_path).holds is None
        recorded(tmp_path, "parity", base, wrong | {"setting": "lean, side"})
        assert summary.same_curves_lean(tmp_path).holds is False
        assert "| no |" in tables.parity(tmp_path)


def test_curves_that_part_and_meet_again(tmp_path: Path) -> None:
    base = trained("jax.nn", 1.0, 1.2)
    bent = [[2.0] * 6 + [1.0] * 2, [2.0] * 6 + [1.2] * 2]
    recorded(tmp_path, "parity", base, trained("ours", 1.0, 1.2, curves=bent))
    assert summary.same_curves(tmp_path).holds is False
    early = [[9.0] * 2 + [1.0] * 6, [9.0] * 2 + [1.2] * 6]
    recorded(tmp_path, "parity", base, trained("ours", 1.0, 1.2, curves=early))
    assert summary.same_curves(tmp_path).holds


def test_a_net_is_trained_with_the_settings_that_change_it() -> None:
    further = {"other gelu": {"gelu": jnp.tanh}, "other softmax": {"softmax": jnp.tanh}}
    task = _training.Task(lambda _: 0.0, lambda *_: 0.0, lambda _: 0.0, 1.0, frozenset({"gelu"}))
    found = parity.settings_of(task, further)
    assert list(found) == ["jax.nn", "ours", "other gelu"]
    assert found["other gelu"]["gelu"] is jnp.tanh
    assert found["other gelu"]["elu"] is found["ours"]["elu"]


def test_bytes_of_a_training_step() -> None:
    w = jnp.ones((5, 3))

    def loss(params: Any, batch: Any, given: Any) -> Any:
        return given["gelu"](batch @ params).sum()

    task = _training.Task(lambda _: w, loss, lambda _: jnp.ones((2, 5)), 1.0, frozenset())
    # The batch; and beside it what the function keeps.
    assert _training.kept_bytes(task, {"gelu": lambda x: x}) == 4 * 10
    assert _training.kept_bytes(task, {"gelu": jnp.exp}) == 4 * (10 + 6)


def test_the_text_of_the_long_run() -> None:
    characters, kinds = _training.text()
    assert len(characters) > 100_000 and characters.max() == kinds - 1 < 256
