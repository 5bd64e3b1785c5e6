"""Bandwidth of each function on a GPU, as a share of the copy's, ours and jax.nn's.

Where JAX sees no GPU it says so and leaves the record as it is. With --contracts the contract tests
are run there too, and their result is recorded.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _nets, _peers, _record, _timing

LARGE, ROWS = 1 << 27, 1 << 25
TIMES, ROUNDS = 20, 10
LENGTHS = (128, 1024, 8192, 131072)
IN_JAX = ("ours", "jax.nn")


def _measure(record: _record.Recorder, name: str, functions: Any, x: Any, **fields: Any) -> None:
    here = {key: function for key, function in functions.items() if key in IN_JAX}
    forward = _peers.forward_calls(here, TIMES, x)
    forward["copy"] = _timing.looped(lambda v: v + 1, TIMES, x)
    both = _peers.gradient_calls(here, TIMES, x)
    both["copy"] = _timing.looped(lambda v, g: (v + 1, v * g), TIMES, x, jnp.ones_like(x))
    moved = {"forward": 2 * x.nbytes, "both": 4 * x.nbytes}
    for kind, calls in (("forward", forward), ("both", both)):
        timed = _timing.interleaved(calls, ROUNDS, repeats=TIMES)
        record.add(
            function=name, dtype=x.dtype.name, elements=x.size, seconds=timed,
            copy_gigabytes_per_second=moved[kind] / timed["copy"].min / 1e9,
            **{"pass": kind}, **fields,
        )  # fmt: skip


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; those of jax.nn without one")
    parser.add_argument("--contracts", action="store_true", help="run tests/contracts as well")
    parser.add_argument("--pretend", action="store_true", help="measure whatever device there is")
    options = parser.parse_args()
    if jax.default_backend() != "gpu" and not options.pretend:
        print("no GPU")
        return
    elementwise, rows = _peers.elementwise(), _peers.rows()
    size = 1 << 16 if options.pretend else LARGE >> (3 if options.short else 0)
    record = _record.Recorder("gpu", options)
    normal = 3 * np.random.default_rng(0).normal(size=size).astype(np.float32)
    known = [*_peers.shared(elementwise), *rows]
    for name in _record.chosen(known, options):
        for dtype in ("float32", "bfloat16"):
            if name in elementwise:
                _measure(record, name, elementwise[name], jnp.asarray(normal, dtype))
                continue
            for length in LENGTHS[1:2] if options.short or options.pretend else LENGTHS:
                x = jnp.asarray(normal[:ROWS].reshape(-1, length), dtype)
                _measure(record, name, rows[name], x, length=length)
    if not options.names:
        net = _nets.NETS["transformer"]
        for name in _nets.LIBRARIES["ours"]:
            peak = {
                library: _nets.peak_bytes(net, units[name], 12, 32, scanned=True)
                for library, units in _nets.LIBRARIES.items()
            }
            record.add(what="peak", function=name, peak=peak)
    if options.contracts:
        command = [sys.executable, "-m", "pytest", "tests/contracts", "-q", "--one-in", "1"]
        ran = subprocess.run(command, cwd=_record.ROOT, capture_output=True, text=True)
        record.add(what="contracts", passed=ran.returncode == 0, said=ran.stdout.splitlines()[-1:])
    record.write()


if __name__ == "__main__":
    main()
