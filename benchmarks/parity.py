"""Train the same nets with jax.nn's functions and with ours, for thousands of steps, several seeds.

The settings take turns, a chunk of steps each, in shuffled order: losses, divergence, time a step
and memory are of one run. With --lean also those that keep less for the backward pass. A further
setting is a dictionary of functions by the names of jax.nn: `--also package.module:NAME` adds a
dictionary of such settings, as further curves.
"""

from __future__ import annotations

import importlib
import random
import time
from typing import Any

import jax
import numpy as np

import advact_jax
from benchmarks import _record, _training

SETTINGS = {
    "jax.nn": _training.setting(jax.nn),
    "ours": _training.setting(advact_jax),
}
CHUNK = 20


def lean(keep: Any) -> dict[str, _training.Function]:
    """Return the setting that keeps a bit or a byte beside the output."""
    gate = advact_jax.lean("silu", keep)
    units = {name: advact_jax.lean(name, keep) for name in ("gelu", "silu", "mish")}
    return {**units, "swiglu": lambda gated, up: gate(gated) * up}


LEAN = {
    "lean, side": lean("side"),
    "lean, slope": {**lean("slope"), "elu": advact_jax.lean("elu", "slope")},
}


def added(paths: list[str]) -> dict[str, _training.Setting]:
    """Return the settings that `--also` names, each completed with ours."""
    found: dict[str, _training.Setting] = {}
    for path in paths:
        module, _, name = path.partition(":")
        for label, functions in getattr(importlib.import_module(module), name).items():
            found[label] = {**SETTINGS["ours"], **functions}
    return found


def train(
    task: _training.Task, settings: dict[str, _training.Setting], steps: int, seeds: int
) -> tuple[dict[str, list[np.ndarray]], dict[str, list[float]], dict[str, int]]:
    """Return losses of each seed, seconds a step of each chunk, and bytes, by setting."""
    losses: dict[str, list[np.ndarray]] = {name: [] for name in settings}
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    runs = {name: _training.Run(task, given, steps, CHUNK, 0) for name, given in settings.items()}
    shuffled, order = random.Random(0), list(settings)
    for seed in range(seeds):
        found: dict[str, list[np.ndarray]] = {name: [] for name in settings}
        for run in runs.values():
            run.again(seed, task)
        for _ in range(steps // CHUNK):
            shuffled.shuffle(order)
            for name in order:
                start = time.perf_counter()
                found[name].append(runs[name].advance())
                seconds[name].append((time.perf_counter() - start) / CHUNK)
        for name in settings:
            losses[name].append(np.concatenate(found[name]))
    return losses, seconds, {name: run.temporary_bytes for name, run in runs.items()}


def smoothed(losses: np.ndarray, points: int) -> list[float]:
    """Return means of equal stretches."""
    return [float(part.mean()) for part in np.array_split(losses, min(points, len(losses)))]


def main() -> None:
    """Train, and write the record."""
    parser = _record.parser(__doc__, names="tasks; all without one")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--lean", action="store_true", help="with what keeps less as well")
    parser.add_argument("--also", nargs="*", default=[], metavar="MODULE:NAME")
    options = parser.parse_args()
    steps = options.steps or (200 if options.short else 3000)
    seeds = options.seeds or (2 if options.short else 4)
    also = [*options.also, *(["benchmarks.parity:LEAN"] if options.lean else [])]
    settings = {**SETTINGS, **added(also)}
    record = _record.Recorder("parity", options)
    for name in _record.chosen(list(_training.TASKS), options):
        losses, seconds, memory = train(_training.TASKS[name](), settings, steps, seeds)
        for label in settings:
            runs = losses[label]
            tail = max(1, steps // 10)
            record.add(
                task=name,
                setting=label,
                steps=steps,
                curves=[smoothed(run, 100) for run in runs],
                final=[float(run[-tail:].mean()) for run in runs],
                worst_after_warmup=[float(run[steps // 4 :].max()) for run in runs],
                finite=all(bool(np.isfinite(run).all()) for run in runs),
                step=[min(seconds[label]), float(np.median(seconds[label]))],
                memory=memory[label],
            )
    record.write()


if __name__ == "__main__":
    main()
