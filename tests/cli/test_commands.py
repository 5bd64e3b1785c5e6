"""The commands: their examples run, mistakes take one line, JSON is JSON."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from advact_jax import catalog
from advact_jax.cli import main, output

EXAMPLES = [
    (name, line.strip())
    for name, command in main.program.commands.items()
    for line in (command.epilog or "").splitlines()
    if line.strip().startswith("advact-jax ")
]
# These measure for seconds, or draw; they take turns.
SLOW = ("show", "accuracy", "compare", "plot", "gain")
ORDERS = ("first derivative", "second derivative")
HEAD = "jax [0-9.]+ on [a-z]+\n"


def run(*words: str) -> int:
    return main.run(words)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=pytest.mark.sampled(5) if name in SLOW else (), id=line[11:40])
        for name, line in EXAMPLES
    ],
)
def test_examples_of_the_help_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Without a name, the accuracy of all would be measured.
    few = {name: catalog.lookup(name) for name in ("relu6",)}
    words = shlex.split(line)[1:]
    if words[0] == "accuracy" and (len(words) == 1 or words[1].startswith("-")):
        monkeypatch.setattr(catalog, "elementwise", lambda: few)
        monkeypatch.setattr(catalog, "along_axis", dict)
    assert run(*words) == 0
    printed = capsys.readouterr()
    assert printed.out and not printed.err
    if "-o" in words:
        assert (tmp_path / words[words.index("-o") + 1]).stat().st_size > 1000
    if "--json" in words:
        json.loads(printed.out)


def test_every_command_has_examples_and_json() -> None:
    for name, command in main.program.commands.items():
        assert [line for each, line in EXAMPLES if each == name], name
        assert any("--json" in line for each, line in EXAMPLES if each == name), name
        assert any("--json" in parameter.opts for parameter in command.params), name


@pytest.mark.parametrize("words", [(), ("--help",), ("show", "-h")])
def test_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 0
    assert "Examples:" in capsys.readouterr().out


MISTAKES: dict[str, tuple[str, str]] = {
    "command": ("shwo", r"Expected a command, got 'shwo'\. Did you mean show\?"),
    "option": ("list --famly x", r"No such option '?--famly'?"),
    "name": ("show geluu", "expected the name of an activation, got 'geluu'. Did you mean gelu"),
    "no name": ("gain", "Missing argument"),
    "two names": ("gain relu elu", "Expected one name, got 2: relu, elu"),
    "parameter first": ("plot alpha=1 elu", "Expected a name before 'alpha=1'"),
    "parameter": ("gain elu alhpa=1", r"expected parameters of elu .*Did you mean alpha"),
    "value": ("gain elu alpha=big", "expected alpha to be a Python number, got str 'big'"),
    "domain": ("compare celu alpha=-1", "expected alpha to be positive, got -1"),
    "family": ("list --family rectifier", "'rectifier' is no family. Did you mean rectifiers"),
    "choice": ("names --dialect theano", "'theano' is not one of"),
    "along an axis": ("compare relu softmax", "expected an elementwise activation"),
    "ending": ("plot relu -o relu.bmp", r"Expected a file that ends in \.png or \.svg or \.pdf"),
    "folder": ("plot relu -o missing/relu.png", "Expected a folder that exists, got .*missing"),
    "values": ("plot elu --values 1,2", "Expected --parameter beside --values"),
    "family of two": ("plot elu relu --parameter alpha", "Expected one name beside --parameter"),
    "no such family": ("plot elu --parameter beta", r"expected parameters of elu \(alpha\)"),
    "range": ("plot elu --range 3 -3", "expected x_range to be a lower and an upper end"),
    "random": ("accuracy gumbel_softmax", "expected a function that draws nothing, got 'gumbel"),
    "no translation": ("convert --to keras quick_gelu", "expected an activation that keras has"),
    "no JSON": ("convert --to keras {oops", "Expected a config as JSON"),
    "no config": ('convert --to keras {"a":1}', "expected a key 'activation'"),
}


@pytest.mark.parametrize("line, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_takes_one_line(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split()
    assert run(*words) == 2
    printed = capsys.readouterr()
    assert not printed.out and printed.err.count("\n") == 1
    command = f" {words[0]}" if words[0] in main.program.commands else ""
    assert printed.err.startswith(f"advact-jax{command}: ")
    assert re.search(message, printed.err), printed.err


def test_without_the_extra_one_line_tells_what_to_install() -> None:
    code = """
import sys
sys.modules["rich"] = None
from advact_jax.__main__ import main
sys.exit(main(["list"]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and not ran.stdout
    assert ran.stderr == (
        "advact-jax: expected rich, which is not installed. "
        'Run: pip install "advact-jax[cli]"\n'
    )  # fmt: skip


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m advact_jax names | head -1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("Names of") and not ran.stderr


# -- what the commands say ----------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], line: str) -> Any:
    assert run(*shlex.split(line)) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("against", [False, True])
def test_accuracy_as_text(against: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("accuracy", "hard_tanh", *(["--against", "jax"] if against else [])) == 0
    text = capsys.readouterr().out
    columns = ["bfloat16, worst ulp     ", "ours: value ", *(f"ours: {order}" for order in ORDERS)]
    if against:
        columns += ["jax.nn: value", *(f"jax.nn: {order}" for order in ORDERS)]
    cells = ["hard_tanh".ljust(24), *("0.00".rjust(len(column)) for column in columns[1:])]
    lines = ["  ".join(columns), "  ".join(cells)]
    assert re.fullmatch(HEAD + re.escape("\n".join(lines)) + "\n", text)


def test_accuracy_as_markdown_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("accuracy", "hard_tanh", "--markdown") == 0
    text = capsys.readouterr().out
    row = "| hard_tanh | 0.00 | 0.00 | 0.00 |"
    heads = (
        "| bfloat16, worst ulp | ours: value | ours: first derivative | ours: second derivative |"
    )
    assert re.fullmatch(HEAD + re.escape(f"\n{heads}\n|---|---|---|---|\n{row}\n"), text)
    (entry,) = said(capsys, "accuracy hard_tanh --json")
    assert entry["ours"]["value"] == {"ulps": 0.0, "not_finite": 0} and entry["jax"] is None


def test_more_points_find_larger_errors(capsys: pytest.CaptureFixture[str]) -> None:
    worst = [
        said(capsys, f"accuracy silu --dtype float32 --json {points}")[0]["ours"]["value"]["ulps"]
        for points in ("--points 100", "", "--points 1000000")
    ]
    assert 0 < worst[0] < worst[1] < worst[2] < 4


def test_the_list_filters(capsys: pytest.CaptureFixture[str]) -> None:
    every = said(capsys, "list --json")
    assert [entry["name"] for entry in every] == [*catalog.elementwise(), *catalog.along_axis()]
    learnable = said(capsys, "list --learnable --tier stable --dialect onnx --json")
    assert {"prelu", "silu", "softplus"} <= {entry["name"] for entry in learnable}
    assert learnable == [
        e for e in every if e["learned"] and e["tier"] == "stable" and "onnx" in e["names"]
    ]
    run("list", "--family", "simplex")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "sparsemax", "entmax15", "entmax"]


def test_show_says_what_is_declared(capsys: pytest.CaptureFixture[str]) -> None:
    known = said(capsys, "show LeakyReLU --dialect keras --no-accuracy --json")
    assert known["given"] == {"negative_slope": 0.3} and known["kinks"] == {"0": "right"}
    assert known["slope_limits"] == [0.3, 1.0] and known["limits"] == ["-inf", "inf"]
    assert known["bytes_kept"] == 4 and known["names"]["onnx"] == ["LeakyRelu"]
    assert known["properties"]["lipschitz"] == 1.0
    run("show", "entmax", "--no-accuracy")
    text = capsys.readouterr().out
    assert "alpha = 1.5" in text and "Correia" in text and "entmax: first output" in text
    assert "++ value   xx first derivative   oo second derivative" in text


def test_show_of_what_draws_has_no_errors_and_no_curve(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "gumbel_softmax") == 0
    printed = capsys.readouterr().out
    assert "tau = 1.0 (positive)" in printed and "torch: gumbel_softmax" in printed
    assert "bfloat16" not in printed


def test_plot_prints_the_numbers_of_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    half, one = said(
        capsys, "plot elu --parameter alpha --values .5,1 --range -2 2 --derivatives 1 --json"
    )
    assert (half["label"], one["label"]) == ("alpha = 0.5", "alpha = 1")
    assert half["x"][0] == -2 and half["value"][0] == pytest.approx(0.5 * (2.718281828**-2 - 1))
    assert set(half) == {"label", "x", "value", "first_derivative", "kinks"}


def test_a_config_from_the_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    config = '{"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}'
    monkeypatch.setattr(sys, "stdin", io.StringIO(config))
    assert said(capsys, "convert - --to onnx --json") == {
        "dialect": "onnx", "name": "LeakyRelu", "parameters": {"alpha": 0.1}, "initial": {},
    }  # fmt: skip


def test_on_a_terminal_tables_are_drawn_and_progress_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    assert run("list", "--family", "simplex") == 0
    assert "─" in capsys.readouterr().out
    assert run("compare", "relu", "identity") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Lipschitz", "1", "1"] in lines  # a row for each property: few columns
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert [*output.progress([1, 2], "measuring")] == [1, 2]
    assert "measuring" in capsys.readouterr().err
