"""The commands that README, CONTRIBUTING and the guides name exist, and run where that is quick.

Those that train, measure or build for minutes are only looked up each day, and run by `make long`:
benchmarks in their short form, into a folder of their own. The checks of every change run `make
test` itself, and `lint`, `types`, `examples` and `newest`.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from advact_jax import catalog
from advact_jax.cli import main

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BEGINNINGS = ("make ", "pip ", "python ", "advact-jax ", ".ci/", ".venv/")
# These take minutes or hours, or draw into the documents: all benchmarks but what reads the record.
LONG = ("diagnostics", "lean", "sequential")
QUICK = ("tables", "summary")


def named() -> list[str]:
    """Return each command in a block of shell or in backticks, once."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            found += [line.partition("#")[0].strip() for line in block.splitlines()]
        plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", plain)]
    return sorted({command for command in found if command.startswith(BEGINNINGS)})


def of(*beginnings: str) -> list[str]:
    return [command for command in named() if command.startswith(beginnings)]


def test_the_commands_are_found() -> None:
    assert {"make demo", "make test", "pip install advact-jax", "advact-jax show mish"} <= {
        *named()
    }


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("command", of("make "))
def test_make_has_the_target(command: str) -> None:
    words = [*shlex.split(command), f"PYTHON={sys.executable}", "--dry-run"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and ran.stdout, ran.stderr


@pytest.mark.parametrize("command", of("pip "))
def test_pip_installs_what_is_declared(command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = shlex.split(command)[2:]
    name, _, extras = asked.rstrip("]").partition("[")
    assert name == project["name"]
    assert {*filter(None, extras.split(","))} <= {*project["optional-dependencies"]}


@pytest.mark.parametrize("command", of("advact-jax ", "python -m advact_jax "))
def test_the_command_line_runs(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without a name, the accuracy of all would be measured.
    monkeypatch.setattr(catalog, "along_axis", dict)
    if "accuracy" in command:
        few = {"relu6": catalog.lookup("relu6")}
        monkeypatch.setattr(catalog, "elementwise", lambda: few)
    words = command.replace("python -m advact_jax", "advact-jax").replace("DTYPE", "float16")
    assert main.run(shlex.split(words)[1:]) == 0
    assert capsys.readouterr().out


def scripts(*, long: bool) -> list[str]:
    """Return the scripts that take minutes, or the others."""
    found = [c for c in of("python ") if not c.startswith("python -m advact_jax ")]
    return [c for c in found if takes_long(module_of(c)) == long]


def module_of(command: str) -> str:
    _, *words = shlex.split(command)
    return words[words[0] == "-m"].removesuffix(".py").replace("/", ".")


def takes_long(module: str) -> bool:
    package, _, last = module.rpartition(".")
    return last in LONG or package == "benchmarks" and last not in QUICK


@pytest.mark.parametrize("command", scripts(long=True))
def test_the_long_script_is_there(command: str) -> None:
    module: Any = importlib.import_module(module_of(command))
    assert callable(module.main)


@pytest.mark.long
@pytest.mark.parametrize("command", scripts(long=True))
def test_the_long_script_runs(command: str, tmp_path: Path) -> None:
    module = module_of(command)
    short = ["--short", "--out", str(tmp_path)] if module.rpartition(".")[2] not in LONG else []
    words = [sys.executable, "-m", module, *short]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout or any(tmp_path.iterdir()) or module == "benchmarks.pictures"


@pytest.mark.parametrize("command", scripts(long=False))
def test_the_script_runs(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.endswith("benchmarks.tables"):
        command += " machine"  # a table of those that it prints
    _, *words = shlex.split(command)
    name, *arguments = words[words[0] == "-m" :]
    module: Any = importlib.import_module(module_of(command))
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    module.main()
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", of(".ci/", ".venv/"))
def test_the_file_is_there_or_comes_with_an_extra(command: str) -> None:
    tool = shlex.split(command)[0]
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert (ROOT / tool).exists() or any(Path(tool).name in each for each in lint["lint"])
