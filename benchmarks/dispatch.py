"""Time a call of each function on 8 elements outside jit, against the peers."""

from __future__ import annotations

import jax.numpy as jnp

from benchmarks import _peers, _record, _timing

CALLS = 100


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; those of jax.nn without one")
    options = parser.parse_args()
    known = {**_peers.elementwise(), **_peers.rows()}
    rounds = options.rounds or (5 if options.short else 20)
    record = _record.Recorder("dispatch", options)
    x = jnp.linspace(-2, 2, 8)
    for name in _record.chosen(list(known) if options.names else _peers.shared(known), options):
        calls = {}
        for label, function in known[name].items():
            argument = _timing.to_torch(x) if label in _peers.OF_TENSORS else x
            calls[label] = _timing.eager(function, CALLS, argument)
        record.add(function=name, seconds=_timing.interleaved(calls, rounds, repeats=CALLS))
    record.write()


if __name__ == "__main__":
    main()
