"""Time every elementwise function against the peers and the copy bound.

Forward, and forward with backward; float32 and bfloat16; an array that stays in the cache and one
that does not. The bounds are x + 1, and (x + 1, x * g) for value and gradient.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import _peers, _record, _timing

SMALL, LARGE = 1 << 15, 1 << 24
# Enough of them in one call that its dispatch does not count.
REPEATS = {SMALL: 256, LARGE: 8}
DTYPES = ("float32", "bfloat16")
SHORT = ("relu", "elu", "softplus", "sigmoid", "silu", "gelu", "mish")


def figures(
    functions: dict[str, Any], x: Any, times: int, rounds: int
) -> dict[str, dict[str, _timing.Timing]]:
    """Return the times of the libraries by pass."""
    forward = _peers.forward_calls(functions, times, x)
    forward["copy"] = _timing.looped(lambda v: v + 1, times, x)
    timed = {"forward": _timing.interleaved(forward, rounds, repeats=times)}
    both = _peers.gradient_calls(functions, times, x)
    both["copy"] = _timing.looped(lambda v, g: (v + 1, v * g), times, x, jnp.ones_like(x))
    timed["both"] = _timing.interleaved(both, rounds, repeats=times)
    return timed


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; all without one")
    parser.add_argument("--shared", action="store_true", help="those alone that jax.nn has")
    parser.add_argument("--large", type=int, help="elements of the large array")
    parser.add_argument("--dtypes", nargs="*")
    options = parser.parse_args()
    large = options.large or (1 << 21 if options.short else LARGE)
    rounds = options.rounds or (5 if options.short else _timing.ROUNDS)
    known = _peers.elementwise()
    names = _record.chosen(list(known), options, SHORT)
    if options.shared:
        names = _peers.shared(known)
    record = _record.Recorder("speed", options)
    normal = np.random.default_rng(0).normal(size=large).astype(np.float32)
    for name in names:
        functions = known[name]
        _peers.agree(functions, jnp.linspace(-3, 3, 7))
        for dtype in options.dtypes or DTYPES[: 1 if options.short else 2]:
            for size, label in ((SMALL, "small"), (large, "large")):
                x = jnp.asarray(3 * normal[:size], dtype)
                times = REPEATS.get(size, max(1, LARGE * 8 // size))
                for kind, timed in figures(functions, x, times, rounds).items():
                    record.add(
                        function=name, dtype=dtype, elements=size, size=label,
                        seconds=timed, **{"pass": kind},
                    )  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
