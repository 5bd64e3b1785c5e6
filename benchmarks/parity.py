"""Train the same nets with jax.nn's functions and with ours, for thousands of steps, several seeds.

The settings take turns, a chunk of steps each, in shuffled order: losses, divergence, time a step
and memory are of one run. Beside jax.nn's functions and ours are those that keep less for the
backward pass. A further setting is a dictionary of functions by the names of jax.nn:
`--also package.module:NAME` adds a dictionary of such settings, as further curves.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Iterable, Mapping
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
SHORT = ("transformer, gelu", "cnn, elu")


def lean(keep: Any, names: Iterable[str]) -> dict[str, _training.Function]:
    """Return the functions that keep less; of a gated unit, its gate does."""
    made: dict[str, _training.Function] = {name: advact_jax.lean(name, keep) for name in names}
    if "silu" in made:
        made["swiglu"] = lambda gate, up: made["silu"](gate) * up
    return made


LEAN = {
    "lean, output": lean("output", ("softplus", "elu")),
    "lean, side": lean("side", ("gelu", "silu", "mish")),
    "lean, slope": lean("slope", ("gelu", "silu", "softplus", "mish", "elu")),
}


def settings_of(
    task: _training.Task, further: Mapping[str, _training.Setting]
) -> dict[str, _training.Setting]:
    """Return the settings that make a difference to a task, each completed with ours."""
    used = {name: own for name, own in further.items() if task.uses & own.keys()}
    return {**SETTINGS, **{name: {**SETTINGS["ours"], **own} for name, own in used.items()}}


def named(paths: list[str]) -> dict[str, _training.Setting]:
    """Return the settings that `--also` names."""
    found: dict[str, _training.Setting] = {}
    for path in paths:
        module, _, name = path.partition(":")
        found |= getattr(importlib.import_module(module), name)
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
    parser.add_argument("--also", nargs="*", default=[], metavar="MODULE:NAME")
    options = parser.parse_args()
    steps = options.steps or (100 if options.short else 2000)
    seeds = options.seeds or (2 if options.short else 4)
    further = LEAN | named(options.also)
    record = _record.Recorder("parity", options)
    for name in _record.chosen(list(_training.TASKS), options, SHORT):
        task = _training.TASKS[name]()
        settings = settings_of(task, further)
        losses, seconds, memory = train(task, settings, steps, seeds)
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
                kept=_training.kept_bytes(task, settings[label]),
            )
        record.write()


if __name__ == "__main__":
    main()
