"""Memory of a training step with jax.nn's function and with ours.

Bytes kept for each hidden element (from the traced residuals) and the temporary memory of the
compiled gradient, in a scan over blocks and unrolled; then the largest batch and depth that fit a
budget. Nothing is run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from advact_jax import _rule, catalog
from advact_jax.testing.compiled import residual_bytes
from benchmarks import _nets, _record

DEPTH = 12
BATCHES = {"mlp": 512, "cnn": 32, "transformer": 32}
SHORT = ("gelu", "softplus")
# Of the temporary memory of one gradient, in MiB.
BUDGET = 512
_MLP = _nets.NETS["mlp"]


def largest(needs: Callable[[int], int], budget: int) -> int:
    """Return the largest n for which ``needs(n)`` is within the budget; it must grow with n.

    The next guess is on the line through the two ends, since memory grows almost in proportion.
    """
    low, high = 0, 1
    at_low, at_high = 0, needs(1)
    while at_high <= budget:
        guess = max(2 * high, high * budget // max(at_high, 1) + 1)
        low, at_low, high = high, at_high, min(guess, 16 * high)
        at_high = needs(high)
    while high - low > 1:
        share = (budget - at_low) / max(at_high - at_low, 1)
        middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
        needed = needs(middle)
        if needed <= budget:
            low, at_low = middle, needed
        else:
            high, at_high = middle, needed
    return low


def _blocks(record: _record.Recorder, names: list[str], nets: list[str]) -> None:
    for kind in nets:
        net = _nets.NETS[kind]
        for name in names:
            for scanned in (True, False):
                kept, peak = {}, {}
                for library, units in _nets.LIBRARIES.items():
                    unit = units[name]
                    kept[library] = _nets.kept_per_element(net, unit, scanned=scanned)
                    peak[library] = _nets.peak_bytes(
                        net, unit, DEPTH, BATCHES[kind], scanned=scanned
                    )
                record.add(
                    what="block", net=kind, function=name, scanned=scanned, kept=kept, peak=peak
                )


@contextlib.contextmanager
def other_barrier() -> Iterator[None]:
    """Compile our functions with the rule's `prevent_cse` the other way round."""
    usual = _rule._PREVENT_CSE
    jax.clear_caches()
    _rule._PREVENT_CSE = not usual
    try:
        yield
    finally:
        _rule._PREVENT_CSE = usual
        jax.clear_caches()


def _functions(record: _record.Recorder, names: Sequence[str]) -> None:
    """Measure each function that jax.nn has, in the MLP."""
    known = catalog.elementwise()
    for name, ours in known.items():
        peer = catalog.name_in(ours, "jax")
        if peer is None or (names and name not in names):
            continue
        both = {"ours": ours, "jax.nn": getattr(jax.nn, peer)}
        units = {key: _nets.Unit(function) for key, function in both.items()}
        with other_barrier():
            flipped = _nets.peak_bytes(_MLP, units["ours"], DEPTH, BATCHES["mlp"], scanned=False)
        record.add(
            what="function",
            other_barrier=flipped,
            function=name,
            declared=ours.spec.residual_bytes,  # type: ignore[attr-defined]
            kept={key: residual_bytes(f) for key, f in both.items()},
            peak={
                k: _nets.peak_bytes(_MLP, u, DEPTH, BATCHES["mlp"], scanned=True)
                for k, u in units.items()
            },
            unrolled={
                k: _nets.peak_bytes(_MLP, u, DEPTH, BATCHES["mlp"], scanned=False)
                for k, u in units.items()
            },
        )


def _fits(record: _record.Recorder, names: list[str], nets: list[str], budget: int) -> None:
    for kind in nets:
        net = _nets.NETS[kind]
        for name in names:
            batch: dict[str, int] = {}
            depth: dict[str, int] = {}
            for library, units in _nets.LIBRARIES.items():

                def needs(depth: int, batch: int, unit: Any = units[name], net: Any = net) -> int:
                    return _nets.peak_bytes(net, unit, depth, batch, scanned=True)

                batch[library] = largest(lambda n, f=needs: f(DEPTH, n), budget)  # type: ignore[misc]
                depth[library] = largest(lambda n, f=needs, b=BATCHES[kind]: f(n, b), budget)  # type: ignore[misc]
            record.add(
                what="fits", net=kind, function=name, budget=budget, batch=batch, depth=depth
            )


def main() -> None:
    """Measure and write the record."""
    parser = _record.parser(__doc__, names="units; all without one")
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS))
    parser.add_argument("--budget", type=int, default=BUDGET, help="MiB that batch or depth fit in")
    options = parser.parse_args()
    record = _record.Recorder("memory", options)
    names = _record.chosen(list(_nets.LIBRARIES["ours"]), options, SHORT)
    _blocks(record, names, options.nets)
    if not options.names:
        _functions(record, SHORT if options.short else ())
    fitted = ["gelu"] if options.short else names
    fitted_nets = ["transformer"] if options.short else options.nets
    _fits(record, fitted, fitted_nets, options.budget << 20)
    record.write()


if __name__ == "__main__":
    main()
