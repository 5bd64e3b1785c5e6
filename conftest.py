"""Settings of every test: four virtual CPU devices, the backends, the names in examples.

Tests with the marker ``sampled`` take turns: of thirty, one is run, another each day, so that all
are run in thirty days; of those with ``sampled(3)``, one in three. What a change touches is tested
whole, as far as the time goes, in up to MOST tests more: the activations of files that differ from
the last commit before this one, or from the branch that this one left, and of files that import
such. Which file a test speaks of, its parameter ``case`` says, or SUBJECTS in its module.
"""

from __future__ import annotations

import ast
import datetime
import functools
import os
import pathlib
import subprocess
import zlib

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

import hypothesis  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import pytest  # noqa: E402

hypothesis.settings.register_profile("default", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("default")

# What a change touches is tested by this many tests beside the day's sample, all of a family or
# two, in two minutes on two cores; `make exhaustive ARGS=--changed` runs all where more is touched,
# ARGS="--family gates" the tests of one file.
MOST = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what chooses among the sampled tests."""
    group = parser.getgroup("sampling")
    group.addoption("--one-in", type=int, help="run one sampled test in N (30; with -k: all)")
    group.addoption(
        "--family", action="append", help="only the tests of advact_jax/functions/FAMILY.py"
    )
    group.addoption("--changed", action="store_true", help="only what a change touches")
    group.addoption(
        "--touched", type=int, default=MOST, help=f"how many tests of these more ({MOST})"
    )
    group.addoption("--long", action="store_true", help="also the tests that take minutes")
    group.addoption("--day", help="the day whose sample is run: 2026-01-31 (today)")


def pytest_configure(config: pytest.Config) -> None:
    """Fix the day here, since the worker processes take it from the environment."""
    day = config.getoption("--day") or datetime.date.today().isoformat()
    os.environ.setdefault("ADVACT_DAY", datetime.date.fromisoformat(day).isoformat())


def _one_in(config: pytest.Config) -> int:
    return config.getoption("--one-in") or (1 if config.option.keyword else 30)


def pytest_report_header(config: pytest.Config) -> str:
    """Tell how the same tests are run again."""
    return f"sampled tests: --one-in {_one_in(config)} --day {os.environ['ADVACT_DAY']}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the sampled tests whose day it is not, those of other families, and long ones."""
    if not config.getoption("--long"):
        _keep(config, items, [item for item in items if not item.get_closest_marker("long")])
    families = {f"advact_jax.functions.{name}" for name in config.getoption("--family") or ()}
    if config.getoption("--changed"):
        families |= {"", *_touched_by(_changed_modules())}  # None may be.
    if families:
        _keep(config, items, [item for item in items if _subjects(item) & families])
    one_in = _one_in(config)
    if one_in == 1 or not any(item.get_closest_marker("sampled") for item in items):
        return
    day = datetime.date.fromisoformat(os.environ["ADVACT_DAY"]).toordinal()
    changed = _changed_modules()
    touched = _touched_by(changed)
    chosen, of_changed = set[pytest.Item](), list[pytest.Item]()
    for item in items:
        marker = item.get_closest_marker("sampled")
        period = 1 if marker is None else marker.args[0] if marker.args else one_in
        if (zlib.crc32(item.nodeid.encode()) + day) % period == 0:
            chosen.add(item)
        elif _subjects(item) & touched and _has_backend(item):
            of_changed.append(item)
    # Those of the changed files themselves first.
    of_changed.sort(
        key=lambda item: (
            not _subjects(item) & changed,
            zlib.crc32(f"{day} {item.nodeid}".encode()),
        )
    )
    chosen.update(of_changed[: config.getoption("--touched")])
    _keep(config, items, [item for item in items if item in chosen])


def _keep(config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept


def _subjects(item: pytest.Item) -> set[str]:
    """Return the modules of which a sampled test speaks."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    if hasattr(case, "function"):
        return {case.function.__module__}
    module: Any = getattr(item, "module", None)
    if module is None:  # an example of a docstring
        return set()
    subjects = getattr(module, "SUBJECTS", ())
    return {module.__name__, *(f"advact_jax.{name}" for name in subjects)}


def _has_backend(item: pytest.Item) -> bool:
    """Tell whether a test would be run here, and not skipped for its backend."""
    return _is_found(getattr(getattr(item, "callspec", None), "params", {}).get("backend", "cpu"))


@functools.cache
def _is_found(backend: str) -> bool:
    try:
        return bool(jax.devices(backend))
    except RuntimeError:
        return False


def _touched_by(changed: set[str]) -> set[str]:
    """Return the modules that differ, and those of the package that import one of them."""
    touched, before = set(changed), set[str]()
    imports = _imports()
    while touched != before:
        before = set(touched)
        touched |= {name for name, imported in imports.items() if imported & touched}
    return touched


def _imports() -> dict[str, set[str]]:
    """Return what each module of the package imports from the package."""
    package = pathlib.Path(__file__).parent / "advact_jax"
    found: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        imported = found.setdefault(_module(file.relative_to(package.parent)), set())
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def _module(file: pathlib.PurePath) -> str:
    return ".".join(file.with_suffix("").parts)


def _changed_modules() -> set[str]:
    """Return the modules that differ from the branch point, or else from the commit before."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", os.path.dirname(__file__), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    base = git("merge-base", "HEAD", "origin/main")
    if not base or base == git("rev-parse", "HEAD"):
        base = "HEAD~1"
    files = git("diff", "--name-only", base).splitlines()
    return {_module(pathlib.PurePath(f)) for f in files if f.endswith(".py")}


@pytest.fixture(params=["cpu", "gpu", "tpu"], scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test on each backend that JAX finds."""
    if not _is_found(request.param):
        pytest.skip(f"JAX finds no {request.param}")
    with jax.default_device(jax.devices(request.param)[0]):
        yield request.param


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, object]) -> None:
    """Give the examples of docstrings what a reader has imported."""
    import advact_jax

    doctest_namespace.update(jax=jax, jnp=jnp, advact_jax=advact_jax)
