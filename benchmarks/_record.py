"""The record: a JSON file for each benchmark, with machine and command beside the figures."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "benchmarks"
SHORT = ROOT / "build" / "benchmarks"

Figure = dict[str, Any]

_PACKAGES = ("jax", "jaxlib", "flax", "keras", "torch", "entmax")


def parser(description: str | None, *, names: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if names:
        made.add_argument("names", nargs="*", help=names)
    made.add_argument(
        "--short", action="store_true", help=f"smaller and fewer, into {SHORT.relative_to(ROOT)}"
    )
    made.add_argument("--rounds", type=int, help="how often each call is timed")
    made.add_argument("--out", type=Path, help="the folder of the record")
    return made


def folder(options: argparse.Namespace) -> Path:
    """Return where the record of a run is written: a short one does not replace the long one's."""
    return options.out or (SHORT if options.short else RECORD)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the processor, the device and the versions."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = jax.devices()[0]
    return {
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


class Recorder:
    """Collects the figures of a benchmark, shows each and writes all."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.short, self.out = name, bool(options.short), folder(options)
        self.about = {
            "benchmark": name,
            "command": " ".join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]]),
            "short": self.short,
            **machine(),
        }
        self.figures: list[Figure] = []
        self._start = time.perf_counter()

    def add(self, **figure: Any) -> None:
        """Take a figure, and print its beginning for whoever waits."""
        self.figures.append(figure)
        shown = {key: value for key, value in figure.items() if key != "curves"}
        print(json.dumps(rounded(shown)), flush=True)

    def write(self) -> Path:
        """Write the file."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{self.name}.json"
        about = {**self.about, "minutes": round((time.perf_counter() - self._start) / 60, 1)}
        lines = ",\n".join(json.dumps(rounded(figure)) for figure in self.figures)
        path.write_text(f'{{"about": {json.dumps(about)},\n"figures": [\n{lines}\n]}}\n')
        return path


def rounded(value: Any) -> Any:
    """Return plain JSON with four digits of each float: what a benchmark can tell."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def read(name: str, out: Path = RECORD) -> dict[str, Any] | None:
    """Return the record of a benchmark, None if there is none."""
    path = out / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def select(figures: Iterable[Figure], **fields: Any) -> list[Figure]:
    """Return the figures with these values."""
    return [f for f in figures if all(f.get(key) == value for key, value in fields.items())]


def seconds(figure: Figure, library: str) -> float | None:
    """Return the minimum time of a library, None if it has no such function."""
    timing = figure["seconds"].get(library)
    return None if timing is None else timing[0]


def ratio(figure: Figure, below: str, above: str = "ours") -> float | None:
    """Return how long one library takes over another: below 1, the first is faster."""
    a, b = seconds(figure, above), seconds(figure, below)
    return None if a is None or b is None else a / b


def chosen(
    known: Sequence[str], options: argparse.Namespace, short: Sequence[str] = ()
) -> list[str]:
    """Return the names that were asked for: without any, all, or some in a short run."""
    names = options.names or (short if options.short else ())
    wrong = sorted(set(names) - set(known))
    if wrong:
        raise SystemExit(f"expected names among {', '.join(known)}, got {', '.join(wrong)}.")
    return [name for name in known if not names or name in names]
