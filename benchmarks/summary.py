"""Check the record against what the library promises: each sentence with its figure.

python -m benchmarks.summary            of the record
python -m benchmarks.summary --short    of the last short run
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from advact_jax import catalog
from benchmarks import _reading, _record
from benchmarks._reading import figures, label, mean, over, ratio, surely
from benchmarks._record import Figure, select


class Check(NamedTuple):
    """A sentence, whether it holds (None: not measured), and the figure."""

    sentence: str
    holds: bool | None
    figure: str


def shared(out: Path) -> list[Figure]:
    """Return the timed figures of all functions that jax.nn has."""
    found = figures("speed", out) + figures("rows", out)
    found += select(figures("gated", out), function="glu")
    return [figure for figure in found if "jax.nn" in figure["seconds"]]


def _group(figure: Figure) -> str:
    return f"{figure['dtype']} {figure.get('size', 'rows')} {figure['pass']}"


def _grouped(found: Iterable[Figure], key: Callable[[Figure], str]) -> dict[str, list[Figure]]:
    groups: dict[str, list[Figure]] = {}
    for figure in found:
        groups.setdefault(key(figure), []).append(figure)
    return groups


def _means(found: Iterable[Figure], peer: str, key: Callable[[Figure], str]) -> dict[str, float]:
    """Return the geometric mean of our time over a peer's, by what the key tells."""
    means = {
        name: mean(ratio(f, peer) for f in group) for name, group in _grouped(found, key).items()
    }
    return {name: value for name, value in means.items() if value}


def _speed(means: dict[str, float]) -> dict[str, float]:
    """Return how many times as fast we are."""
    return {key: 1 / value for key, value in means.items()}


def _by_function(found: Iterable[Figure]) -> dict[str, float]:
    """Return the mean of each function in each pass, over all types, sizes and lengths."""
    return _means(found, "jax.nn", lambda f: f"{f['function']} {f['pass']}")


def _worst(sentence: str, limit: float, found: dict[str, float]) -> Check:
    """Check that no ratio is above the limit, and name those that are."""
    if not found:
        return Check(sentence, None, "")
    above = sorted((key for key in found if found[key] > limit), key=lambda key: -found[key])
    top = max(found, key=found.__getitem__)
    listed = ", ".join(f"{key} {found[key]:.2f}" for key in above[:8])
    more = f" and {len(above) - 8} more" if len(above) > 8 else ""
    of = f"{len(above)} of {len(found)}: {listed}{more}" if above else f"at most {found[top]:.2f}"
    return Check(sentence, not above, f"{of}" + ("" if above else f" ({top})"))


def _at_least(sentence: str, limit: float, found: dict[str, float]) -> Check:
    if not found:
        return Check(sentence, None, "")
    listed = ", ".join(f"{key} {value:.2f}" for key, value in found.items())
    return Check(sentence, min(found.values()) >= limit, listed)


def speed_mean(out: Path) -> Check:
    """Check the geometric mean over all functions, each of which counts once."""
    passes = _grouped(shared(out), lambda f: f["pass"])
    means = {name: mean(_by_function(found).values()) or 1.0 for name, found in passes.items()}
    return _at_least(
        "Over all shared functions, the geometric mean is at least 1.2 times jax.nn's speed, "
        "forward and forward + backward.",
        1.2, _speed(means),
    )  # fmt: skip


def speed_groups(out: Path) -> Check:
    """Check the geometric mean in each type and size by itself."""
    return _at_least(
        "So it is in each type and size by itself.",
        1.2, _speed(_means(shared(out), "jax.nn", _group)),
    )  # fmt: skip


def speed_each(out: Path) -> Check:
    """Check each function against jax.nn."""
    return _worst(
        "No function is more than 10 % slower than jax.nn's in either, in its mean over types and "
        "sizes.",
        1.1, _by_function(shared(out)),
    )  # fmt: skip


def speed_each_row(out: Path) -> Check:
    """Check each function in each type and size by itself."""
    ratios = {
        f"{figure['function']} {_group(figure)}"
        + (f" {figure['length']}" if "length" in figure else ""): surely(figure, "jax.nn") or 0.0
        for figure in shared(out)
    }
    return _worst("Nor in any type and size by itself.", 1.1, ratios)


def speed_torch(out: Path) -> Check:
    """Check the mean against torch."""
    found = select(figures("speed", out), size="large")
    return _at_least(
        "For large arrays, ours are faster than torch's in the mean.",
        1.0, _speed(_means([f for f in found if "torch" in f["seconds"]], "torch", _group)),
    )  # fmt: skip


def copy_bound(out: Path) -> Check:
    """Check the piecewise linear functions against the copy bound."""
    linear = {name for name, f in catalog.elementwise().items() if f.spec.region is not None}  # type: ignore[attr-defined]
    ratios = {
        f"{figure['function']} {figure['pass']}": surely(figure, "copy") or 0.0
        for figure in select(figures("speed", out), dtype="float32", size="large")
        if figure["function"] in linear
    }
    return _worst(
        "The piecewise linear functions are within 1.1 of the copy bound for large float32 arrays.",
        1.1, ratios,
    )  # fmt: skip


def bytes_declared(out: Path) -> Check:
    """Check the bytes kept against the declaration."""
    found = select(figures("memory", out), what="function")
    return _worst(
        "Bytes kept are at most the declared ones.", 1.0,
        {f["function"]: f["kept"]["ours"] / f["declared"] for f in found},
    )  # fmt: skip


def _blocks(out: Path, field: str, **fields: bool | str) -> dict[str, float]:
    return {
        label("memory", figure).removeprefix("memory/"): over(figure[field])
        for figure in select(figures("memory", out), **fields)
        if field in figure
    }


def bytes_in_blocks(out: Path) -> Check:
    """Check the bytes kept in the blocks."""
    return _worst(
        "In every block measured, the bytes kept are at most what jax.nn keeps.",
        1.0, _blocks(out, "kept", what="block"),
    )  # fmt: skip


def peak_of_the_transformer(out: Path) -> Check:
    """Check the peak of the transformer with gelu."""
    return _worst(
        "The compiled peak of a scanned transformer with gelu is at most 0.65 of jax.nn's.",
        0.65,
        _blocks(out, "peak", what="block", net="transformer", function="gelu", scanned=True),
    )


def peak_scanned(out: Path) -> Check:
    """Check all peaks under scan."""
    scanned = _blocks(out, "peak", what="block", scanned=True)
    return _worst(
        "The compiled peak is never above jax.nn's in a scan, for any function.",
        1.005, scanned | _blocks(out, "peak", what="function"),
    )  # fmt: skip


def peak_unrolled(out: Path) -> Check:
    """Check all peaks of unrolled nets."""
    unrolled = _blocks(out, "peak", what="block", scanned=False)
    return _worst(
        "The compiled peak is never above jax.nn's in an unrolled net, for any function.",
        1.005, unrolled | _blocks(out, "unrolled", what="function"),
    )  # fmt: skip


def compilation(out: Path) -> Check:
    """Check tracing and compiling."""
    found = select(figures("compile", out), what="trace + compile")
    return _worst(
        "Trace + compile of the 48-layer net takes at most 1.1 of jax.nn's.",
        1.1, {f["function"]: surely(f, "jax.nn") or 0.0 for f in found},
    )  # fmt: skip


def dispatch(out: Path) -> Check:
    """Check eager calls."""
    found = [f for f in figures("dispatch", out) if "jax.nn" in f["seconds"]]
    return _worst(
        "Eager dispatch takes at most as long as jax.nn's.",
        _reading.NOISE, {f["function"]: surely(f, "jax.nn") or 0.0 for f in found},
    )  # fmt: skip


def reasons_given(out: Path) -> Check:
    """Check that what is not won is explained."""
    lost = list(_reading.losses(out))
    without = [loss.row for loss in lost if not loss.why]
    measured = any(figures(name, out) for name in (*_reading.TIMED, "memory"))
    listed = "".join(f", {row}" for row in without[:5])
    return Check(
        "Where a row is not won, the record says so and why.",
        not without if measured else None,
        f"{len(lost)} rows not won, {len(without)} of them without a reason{listed}",
    )


def same_curves(out: Path) -> Check:
    """Check that training with ours goes as with jax.nn."""
    return _worst(
        "Trained with ours, nets go the way that they go with jax.nn: last losses and curves are "
        "within the spread of the seeds, and none diverges.",
        1.0, _trained(out, lean=False),
    )  # fmt: skip


def same_curves_lean(out: Path) -> Check:
    """Check that training with less kept goes as with jax.nn."""
    return _worst("So do they with each setting that keeps less.", 1.0, _trained(out, lean=True))


def _trained(out: Path, *, lean: bool) -> dict[str, float]:
    found = figures("parity", out)
    ratios: dict[str, float] = {}
    for figure in found:
        (base,) = select(found, task=figure["task"], setting="jax.nn")
        if figure["setting"] == "jax.nn" or (figure["setting"] != "ours") != lean:
            continue
        beside = _reading.parity(figure, base)
        apart = math.inf if beside.diverged else max(beside.last, beside.curve)
        ratios[f"{figure['task']}, {figure['setting']}"] = apart
    return ratios


CHECKS: tuple[Callable[[Path], Check], ...] = (
    speed_mean, speed_groups, speed_each, speed_each_row, speed_torch, copy_bound, bytes_declared,
    bytes_in_blocks, peak_of_the_transformer, peak_scanned, peak_unrolled, compilation, dispatch,
    reasons_given, same_curves, same_curves_lean,
)  # fmt: skip


def lines(out: Path) -> list[str]:
    """Return each sentence with its verdict and figure, as Markdown."""
    found = []
    for check in CHECKS:
        sentence, holds, figure = check(out)
        verdict = {True: "holds", False: "does not hold", None: "not measured"}[holds]
        found.append(f"- **{verdict}**: {sentence}" + (f" {figure}." if figure else ""))
    return found


def main() -> None:
    """Print each sentence with its figure."""
    print("\n".join(lines(_record.folder(_record.parser(__doc__).parse_args()))))


if __name__ == "__main__":
    main()
