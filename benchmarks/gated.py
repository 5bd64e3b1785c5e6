"""Time gated units of two arrays against the product that the peers' functions make.

The copy bounds are gate + up, and (gate + up, gate * g, up * g) for value and gradients.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from benchmarks import _peers, _record, _timing

SMALL, LARGE = 1 << 15, 1 << 23


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="units; all without one")
    options = parser.parse_args()
    known = _peers.gated()
    rounds = options.rounds or (4 if options.short else _timing.ROUNDS)
    large = LARGE >> 3 if options.short else LARGE
    record = _record.Recorder("gated", options)
    normal = 3 * np.random.default_rng(0).normal(size=(2, large)).astype(np.float32)
    for name in _record.chosen(list(known), options):
        functions = known[name]
        _peers.agree(functions, *map(jnp.asarray, normal[:, :9]))
        for dtype in ("float32", "bfloat16")[: 1 if options.short else 2]:
            for size, label, times in ((SMALL, "small", 256), (large, "large", LARGE * 3 // large)):
                gate, up = (jnp.asarray(part, dtype) for part in normal[:, :size])
                forward = _peers.forward_calls(functions, times, gate, up)
                forward["copy"] = _timing.looped(lambda a, b: a + b, times, gate, up)
                both = _peers.gradient_calls(functions, times, gate, up)
                both["copy"] = _timing.looped(
                    lambda a, g, b: (a + b, a * g, b * g), times, gate, jnp.ones_like(up), up
                )
                for kind, calls in (("forward", forward), ("both", both)):
                    record.add(
                        function=name, dtype=dtype, elements=size, size=label,
                        seconds=_timing.interleaved(calls, rounds, repeats=times),
                        **{"pass": kind},
                    )  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
