"""Compare what XLA makes of each function with what it makes of the peers' that JAX compiles.

Counted are the instructions of the compiled forward pass and of value with gradient, on a small
array. Where ours are the same as a peer's, times differ as those of two runs do. Nothing is run.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable
from typing import Any

import jax

from benchmarks import _peers, _record, _timing, speed

_INSTRUCTION = re.compile(r" = \S+ ([\w-]+)\(")
# They compute nothing: how XLA hands values on, which differs with the order of the arguments.
_NO_WORK = {"parameter", "fusion", "call", "tuple", "get-tuple-element", "bitcast", "copy"}


def instructions(function: Callable[..., Any], *arguments: Any) -> collections.Counter[str]:
    """Return how often each instruction stands in the compiled function."""
    text = jax.jit(function).lower(*arguments).compile().as_text() or ""
    found = collections.Counter(_INSTRUCTION.findall(text))
    return collections.Counter({key: n for key, n in found.items() if key not in _NO_WORK})


def main() -> None:
    """Count and write the record."""
    parser = _record.parser(__doc__, names="functions; those of jax.nn without one")
    options = parser.parse_args()
    known = _peers.elementwise()
    shared = [name for name in known if name in _peers.shared(known)]
    record = _record.Recorder("loops", options)
    for name in _record.chosen(list(known) if options.names else shared, options, speed.SHORT):
        compiled = {k: f for k, f in known[name].items() if k not in _peers.OF_TENSORS}
        for dtype in speed.DTYPES[: 1 if options.short else 2]:
            x = jax.ShapeDtypeStruct((speed.SMALL,), dtype)
            for kind, passed, given in (
                ("forward", lambda f: f, (x,)),
                ("both", _timing.with_gradient, (x, x)),
            ):
                counts = {k: instructions(passed(f), *given) for k, f in compiled.items()}
                ours = counts["ours"]
                record.add(
                    function=name, dtype=dtype, **{"pass": kind},
                    instructions={key: count.total() for key, count in counts.items()},
                    same=[k for k, count in counts.items() if k != "ours" and count == ours],
                )  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
