"""How time and memory grow: with the size of the array, the depth of the net, the parameters."""

from __future__ import annotations

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _nets, _peers, _record, _timing, compile, learned, speed

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7, 10**8)
DEPTHS = (1, 3, 12, 48, 96)
CHANNELS = (1, 10, 100, 1000, 10_000, 100_000)
FUNCTIONS = ("gelu", "relu", "silu", "softplus", "mish")
ELEMENTS = 10**7
TURNS = 3


def _by_size(record: _record.Recorder, names: list[str], sizes: tuple[int, ...], few: bool) -> None:
    known = _peers.elementwise()
    normal = np.random.default_rng(0).normal(size=max(sizes)).astype(np.float32)
    for name in names:
        functions = {key: f for key, f in known[name].items() if key in ("ours", "jax.nn", "torch")}
        for size in sizes:
            # So many that one call takes some milliseconds.
            times = max(2 if size >= 10**8 else 4, min(1000, (1 << 23) // size))
            rounds = 3 if few or size >= 10**7 else _timing.ROUNDS
            x = jnp.asarray(3 * normal[:size])
            for kind, timed in speed.figures(functions, x, times, rounds).items():
                record.add(
                    what="size", function=name, elements=size, seconds=timed, **{"pass": kind}
                )


def _compiled(
    net: _nets.Net, name: str, depth: int, scanned: bool, rounds: int
) -> tuple[dict[str, Any], dict[str, _timing.Timing]]:
    """Return the compiled gradient by library, and how long that takes in rounds that alternate."""
    compiled: dict[str, Any] = {}
    found: dict[str, list[float]] = {library: [] for library in _nets.LIBRARIES}
    order = list(found)
    for _ in range(rounds):
        order.reverse()
        for library in order:
            unit = _nets.LIBRARIES[library][name]
            jax.clear_caches()
            start = time.perf_counter()
            compiled[library] = _nets.compiled_gradient(
                net, unit, depth, compile.BATCH, scanned=scanned
            )
            found[library].append(time.perf_counter() - start)
    return compiled, {key: _timing.spread(values) for key, values in found.items()}


def _by_depth(
    record: _record.Recorder, names: list[str], depths: tuple[int, ...], rounds: int
) -> None:
    """Measure trace + compile, a step and its memory, in a scanned and an unrolled net."""
    net = _nets.NETS["mlp"]
    for name in names:
        for depth in depths:
            for scanned in (True, False):
                compiled, made = _compiled(net, name, depth, scanned, rounds)
                peak = {k: c.memory_analysis().temp_size_in_bytes for k, c in compiled.items()}
                calls = {}
                for library, step in compiled.items():
                    unit = _nets.LIBRARIES[library][name]
                    shapes = net.arguments(unit, depth, compile.BATCH)
                    given = jax.tree.map(lambda s: jnp.full(s.shape, 0.01, s.dtype), shapes)
                    calls[library] = functools.partial(step, *given)
                common = {"function": name, "depth": depth, "scanned": scanned}
                record.add(what="depth", part="trace + compile", seconds=made, **common)
                record.add(
                    what="depth", part="step", peak=peak,
                    seconds=_timing.interleaved(calls, _timing.ROUNDS), **common,
                )  # fmt: skip


def _by_channels(record: _record.Recorder, channels: tuple[int, ...], rounds: int) -> None:
    """Measure PReLU with a slope for each channel, its gradient by the slopes included."""
    normal = np.random.default_rng(0).normal(size=ELEMENTS).astype(np.float32)
    for count in channels:
        x = jnp.asarray(normal).reshape(-1, count)
        alpha = jnp.full((count,), 0.25)
        functions = {
            key: function
            for key, function in learned.libraries("prelu", count).items()
            if key in ("ours", "jax.nn", "torch")
        }
        calls = _peers.gradient_calls(functions, TURNS, x, alpha)
        timed = _timing.interleaved(calls, rounds, repeats=TURNS)
        record.add(
            what="channels", function="prelu", channels=count, elements=x.size, seconds=timed
        )


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="functions; some without one")
    options = parser.parse_args()
    names = _record.chosen(list(FUNCTIONS), options)
    record = _record.Recorder("growth", options)
    if options.short:
        _by_size(record, names[:1], SIZES[::2], few=True)
        _by_depth(record, names[:1], DEPTHS[:3], 2)
        _by_channels(record, CHANNELS[::2], 3)
    else:
        _by_size(record, names, SIZES, few=False)
        _by_depth(record, ["gelu"], DEPTHS, 4)
        _by_channels(record, CHANNELS, 6)
    record.write()


if __name__ == "__main__":
    main()
