"""Time tracing and compiling the gradient of an unrolled net of 48 layers, and importing.

All caches are cleared before each round; the libraries take turns in shuffled order.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import Any

import jax

from benchmarks import _nets, _record, _timing

DEPTH, BATCH = 48, 32

# What a fresh Python imports. The first is what the others are measured against.
IMPORTS = {
    "python": "pass",
    "jax": "import jax, jax.numpy, jax.nn",
    "ours": "import jax, jax.numpy, jax.nn, advact_jax",
    "flax": "import jax, jax.numpy, jax.nn, flax.linen",
    "ours linen": "import jax, jax.numpy, jax.nn, flax.linen, advact_jax.linen",
    "keras": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import jax, jax.numpy, keras",
    "torch": "import torch",
}


def traced_and_compiled(unit: _nets.Unit) -> tuple[float, float]:
    """Return the seconds of tracing with lowering, and of compiling."""
    net = _nets.NETS["mlp"]
    jax.clear_caches()
    gradient: Any = jax.jit(jax.grad(net.loss(unit, DEPTH, scanned=False)))
    arguments = net.arguments(unit, DEPTH, BATCH)
    start = time.perf_counter()
    lowered = gradient.lower(*arguments)
    traced = time.perf_counter()
    lowered.compile()
    return traced - start, time.perf_counter() - traced


def _compile(record: _record.Recorder, names: list[str], rounds: int) -> None:
    shuffled = random.Random(0)
    for name in names:
        found: dict[str, list[tuple[float, float]]] = {key: [] for key in _nets.LIBRARIES}
        order = list(found)
        for _ in range(rounds):
            shuffled.shuffle(order)
            for library in order:
                found[library].append(traced_and_compiled(_nets.LIBRARIES[library][name]))
        for what, take in (
            ("trace", lambda pair: pair[0]),
            ("compile", lambda pair: pair[1]),
            ("trace + compile", sum),
        ):
            timed = {
                key: _timing.spread([take(pair) for pair in pairs]) for key, pairs in found.items()
            }
            record.add(what=what, function=name, depth=DEPTH, seconds=timed)


def _imports(record: _record.Recorder, rounds: int) -> None:
    # A second import reads what the first one compiled, whatever the settings here.
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def call(code: str) -> _timing.Call:
        command = [sys.executable, "-c", code]
        return lambda: subprocess.run(command, capture_output=True, env=settings).returncode

    known = {key: code for key, code in IMPORTS.items() if not call(code)()}
    timed = _timing.interleaved({key: call(code) for key, code in known.items()}, rounds)
    record.add(what="import", function="import", seconds=timed)


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="units; all without one")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.short else 7)
    record = _record.Recorder("compile", options)
    names = _record.chosen(list(_nets.LIBRARIES["ours"]), options, ("gelu", "swiglu"))
    _compile(record, names, rounds)
    if not options.names:
        _imports(record, rounds)
    record.write()


if __name__ == "__main__":
    main()
