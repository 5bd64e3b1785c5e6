"""Time the softmax family by the length of its rows, against the peers and the copy bound.

The rows are cut from an array of the same size, whatever their length.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from benchmarks import _peers, _record, _timing

LENGTHS = (16, 128, 1024, 8192, 131072)
ELEMENTS = 1 << 22
TIMES = 8
ROUNDS = 4
# The package entmax sorts or bisects rows, and takes a second for what takes others milliseconds.
SLOW = ("sparsemax", "entmax15", "entmax")


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; all without one")
    options = parser.parse_args()
    known = _peers.rows()
    rounds = options.rounds or ROUNDS
    lengths = LENGTHS[1:4:2] if options.short else LENGTHS
    record = _record.Recorder("rows", options)
    for name in _record.chosen(list(known), options, ("softmax", "logsumexp", "sparsemax")):
        functions = known[name]
        elements = ELEMENTS >> (5 if name in SLOW else 3 if options.short else 0)
        normal = np.random.default_rng(0).normal(size=elements)
        _peers.agree(functions, jnp.asarray(normal[:64].reshape(4, 16), jnp.float32))
        for dtype in ("float32",) if options.short else ("float32", "bfloat16"):
            for length in lengths:
                x = jnp.asarray(2 * normal.reshape(-1, length), dtype)
                forward = _peers.forward_calls(functions, TIMES, x)
                forward["copy"] = _timing.looped(lambda v: v + 1, TIMES, x)
                both = _peers.gradient_calls(functions, TIMES, x)
                both["copy"] = _timing.looped(
                    lambda v, g: (v + 1, v * g), TIMES, x, jnp.ones_like(x)
                )
                for kind, calls in (("forward", forward), ("both", both)):
                    timed = _timing.interleaved(calls, rounds, repeats=TIMES)
                    record.add(
                        function=name, dtype=dtype, length=length, elements=elements,
                        seconds=timed, **{"pass": kind},
                    )  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
