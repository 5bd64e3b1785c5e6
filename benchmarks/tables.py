"""Print a table of the record as Markdown: `python -m benchmarks.tables NAME [FILTER ...]`.

python -m benchmarks.tables machine
python -m benchmarks.tables speed float32 large     or: bfloat16, small
python -m benchmarks.tables memory gelu silu        blocks of these units; all without names
python -m benchmarks.tables parity                  training; kept: its bytes and its time
python -m benchmarks.tables loops relu              instructions of functions
python -m benchmarks.tables lost                    the rows that are not won, and why
python -m benchmarks.tables summary                 what holds
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _reading, _record, summary
from benchmarks._reading import figures, mean, ratio
from benchmarks._record import Figure, select

PEERS = ("jax.nn", "keras", "torch", "flax linen", "flax nnx", "entmax", "copy")
MISSING = "Not measured yet."
PASSES = {"forward": "forward", "both": "with gradient"}


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; numbers have three digits."""
    rows = list(rows)
    if not rows:
        return MISSING
    lines = [heads, ["---"] * len(heads), *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else (
        f"{value:,.0f}" if isinstance(value, float | int) else str(value)
    )  # fmt: skip


def _unit(figure: Figure) -> float:
    """Return our time in nanoseconds for an element."""
    return float(figure["seconds"]["ours"][0] / figure["elements"] * 1e9)


def ratios(found: list[Figure], key: Callable[[Figure], str], head: str) -> str:
    """Return a table of ours over each peer, a column for each pass, with geometric means."""
    if not found:
        return MISSING
    peers = [p for p in PEERS if any(p in figure["seconds"] for figure in found)]
    passes = [kind for kind in PASSES if select(found, **{"pass": kind})]
    rows: dict[str, dict[str, Figure]] = {}
    for figure in found:
        rows.setdefault(key(figure), {})[figure["pass"]] = figure
    columns = [(kind, peer) for kind in passes for peer in peers]
    body = [
        [
            name,
            *(_unit(by_pass[kind]) if kind in by_pass else None for kind in passes),
            *(ratio(by_pass[kind], peer) if kind in by_pass else None for kind, peer in columns),
        ]
        for name, by_pass in rows.items()
    ]
    means = [
        mean(ratio(f, peer) for f in select(found, **{"pass": kind})) for kind, peer in columns
    ]
    heads = [head, *(f"{PASSES[kind]}, ns" for kind in passes)]
    heads += [f"{PASSES[kind]} / {peer}" for kind, peer in columns]
    return markdown(heads, [*body, ["geometric mean", *(None for _ in passes), *means]])


def speed(out: Path, *chosen: str) -> str:
    """Print the elementwise functions of one type and size."""
    dtype, size = (*chosen, "float32", "large")[:2] if len(chosen) != 1 else (chosen[0], "large")
    found = select(figures("speed", out), dtype=dtype, size=size)
    return ratios(found, lambda figure: figure["function"], "function")


def rows(out: Path, dtype: str = "float32") -> str:
    """Print the softmax family by the length of rows."""
    found = select(figures("rows", out), dtype=dtype)
    return ratios(found, lambda f: f"{f['function']}, {f['length']}", "function, length")


def gated(out: Path, dtype: str = "float32") -> str:
    """Print the gated units."""
    found = select(figures("gated", out), dtype=dtype)
    return ratios(found, lambda f: f"{f['function']}, {f['size']}", "unit, size")


def learned(out: Path, dtype: str = "float32") -> str:
    """Print the functions with learned parameters."""
    found = select(figures("learned", out), dtype=dtype)
    return ratios(found, lambda f: f"{f['function']}, {f['channels']}", "function, parameters")


def _by_library(
    found: list[Figure], key: Callable[[Figure], str], head: str, unit: str, factor: float
) -> str:
    libraries = list(dict.fromkeys(name for f in found for name in f["seconds"]))
    body = [
        [key(f), *(f["seconds"][n][0] * factor if n in f["seconds"] else None for n in libraries)]
        for f in found
    ]
    return markdown([head, *(f"{name}, {unit}" for name in libraries)], body)


def dispatch(out: Path) -> str:
    """Print the time of an eager call."""
    return _by_library(figures("dispatch", out), lambda f: f["function"], "function", "µs", 1e6)


def compiling(out: Path) -> str:
    """Print the time to trace and to compile."""
    found = [f for f in figures("compile", out) if f["what"] != "import"]
    return _by_library(found, lambda f: f"{f['function']}, {f['what']}", "48 layers", "s", 1.0)


def imports(out: Path) -> str:
    """Print the time of a fresh Python that imports something."""
    return _by_library(
        select(figures("compile", out), what="import"), lambda f: "seconds", "", "s", 1.0
    )


def memory(out: Path, *names: str) -> str:
    """Print bytes kept and peaks of the blocks."""
    found = select(figures("memory", out), what="block")
    body = [
        [
            f["function"], f["net"], "scanned" if f["scanned"] else "unrolled",
            f["kept"]["jax.nn"], f["kept"]["ours"],
            f["peak"]["jax.nn"] / 2**20, f["peak"]["ours"] / 2**20, _reading.over(f["peak"]),
        ]
        for f in found
        if not names or f["function"] in names
    ]  # fmt: skip
    heads = ["unit", "net", "", "bytes kept, jax.nn", "ours", "peak MiB, jax.nn", "ours", "ratio"]
    return markdown(heads, body)


def functions(out: Path, *names: str) -> str:
    """Print bytes kept and peaks of each function that jax.nn has."""
    found = select(figures("memory", out), what="function")
    body = [
        [
            f["function"], f["kept"]["jax.nn"], f["kept"]["ours"],
            _reading.over(f["peak"]), _reading.over(f["unrolled"]),
            f["other_barrier"] / f["unrolled"]["jax.nn"],
        ]
        for f in found
        if not names or f["function"] in names
    ]  # fmt: skip
    heads = ["function", "bytes kept, jax.nn", "ours", "peak / jax.nn, scanned", "unrolled",
             "the other prevent_cse"]  # fmt: skip
    return markdown(heads, body)


def fits(out: Path) -> str:
    """Print the largest batch and depth in a budget."""
    body = [
        [
            f["function"], f["net"], f["budget"] >> 20, f["batch"]["jax.nn"], f["batch"]["ours"],
            f["depth"]["jax.nn"], f["depth"]["ours"],
        ]
        for f in select(figures("memory", out), what="fits")
    ]  # fmt: skip
    heads = ["unit", "net", "MiB", "batch, jax.nn", "ours", "depth, jax.nn", "ours"]
    return markdown(heads, body)


def growth(out: Path, what: str = "size") -> str:
    """Print how times grow with the size, the depth or the channels."""
    found = select(figures("growth", out), what=what)
    keys: dict[str, Callable[[Figure], str]] = {
        "size": lambda f: f"{f['function']}, {f['pass']}, {f['elements']:,}",
        "channels": lambda f: f"{f['function']}, {f['channels']:,}",
        "depth": lambda f: (
            f"{f['depth']}, {'scanned' if f['scanned'] else 'unrolled'}, {f['part']}"
        ),
    }
    return _by_library(found, keys[what], what, "ms", 1e3)


def gpu(out: Path) -> str:
    """Print the bandwidth as a share of the copy's."""
    found = [f for f in figures("gpu", out) if "seconds" in f]
    if not found:
        return "No GPU has been lent for a run of this version: there are no figures yet."
    body = [
        [
            f["function"] + (f", {f['length']}" if "length" in f else ""), f["dtype"],
            PASSES[f["pass"]], f["copy_gigabytes_per_second"],
            *(1 / value if (value := _share(f, name)) else None for name in ("jax.nn", "ours")),
        ]
        for f in found
    ]  # fmt: skip
    heads = ["function", "type", "pass", "copy, GB/s", "jax.nn, share of it", "ours"]
    return markdown(heads, body)


def _share(figure: Figure, library: str) -> float | None:
    timed = figure["seconds"]
    return timed[library][0] / timed["copy"][0] if library in timed else None


def parity(out: Path) -> str:
    """Print what training reached, and how far apart the curves are."""
    found, body = figures("parity", out), []
    for f in found:
        (base,) = select(found, task=f["task"], setting="jax.nn")
        beside = _reading.parity(f, base)
        apart = [a - b for a, b in zip(f["final"], base["final"], strict=True)]
        ours = f is not base
        body.append([
            f["task"], f["setting"], f"{f['steps']} x {len(f['final'])}",
            f"{statistics.mean(f['final']):.4f}", f"{_reading.spread(f['final']):.4f}",
            f"{statistics.mean(apart):+.4f}" if ours else None,
            beside.last if ours else None, beside.curve if ours else None,
            ("yes" if beside.alike else "no") if ours else None,
        ])  # fmt: skip
    heads = ["net", "functions", "steps x seeds", "last loss", "spread of seeds", "beside jax.nn",
             "in spreads", "curves, in spreads", "alike"]  # fmt: skip
    return markdown(heads, body)


def kept(out: Path) -> str:
    """Print what the training steps kept, their memory and their time."""
    found, body = figures("parity", out), []
    for f in found:
        (base,) = select(found, task=f["task"], setting="jax.nn")
        body.append([
            f["task"], f["setting"], f["kept"] / 2**20, f["kept"] / base["kept"],
            f["memory"] / 2**20, f["memory"] / base["memory"],
            f["step"][0] * 1e3, f["step"][0] / base["step"][0],
        ])  # fmt: skip
    heads = ["net", "functions", "kept, MiB", "/ jax.nn", "compiled, MiB", "/ jax.nn",
             "ms a step", "/ jax.nn"]  # fmt: skip
    return markdown(heads, body)


def loops(out: Path, *names: str) -> str:
    """Print how many instructions a function has, and whether they are jax.nn's."""
    body = [
        [
            f["function"], f["dtype"], PASSES[f["pass"]], f["instructions"]["jax.nn"],
            f["instructions"]["ours"], "yes" if "jax.nn" in f["same"] else "no",
        ]
        for f in figures("loops", out)
        if not names or f["function"] in names
    ]  # fmt: skip
    return markdown(["function", "type", "pass", "instructions, jax.nn", "ours", "the same"], body)


def lost(out: Path) -> str:
    """Print the rows that are not won, and why."""
    if not any(out.glob("*.json")):
        return MISSING
    found = sorted(_reading.losses(out), key=lambda loss: -loss.ratio)
    body = [[f"`{loss.row}`", loss.peer, loss.ratio, loss.why or "not explained yet"]
            for loss in found]  # fmt: skip
    return markdown(["row", "ahead", "ours over it", "why"], body) if body else "None."


def held(out: Path) -> str:
    """Print what the summary prints."""
    return "\n".join(summary.lines(out))


def machine(out: Path) -> str:
    """Print on what and when each part was measured."""
    body: list[list[Any]] = []
    places: dict[str, list[str]] = {}
    for path in sorted(out.glob("*.json")):
        about: dict[str, Any] = _record.read(path.stem, out)["about"]  # type: ignore[index]
        body.append(
            [path.stem, f"`{about['command']}`", about["date"], about["minutes"], about["load"]]
        )
        versions = ", ".join(f"{key} {value}" for key, value in about["versions"].items())
        place = f"{about['processor']}, {about['cores']} cores, {about['device']}; {versions}"
        places.setdefault(place, []).append(path.stem)
    told = [f"{', '.join(parts)}: {place}." for place, parts in places.items()]
    if len(places) == 1:
        told = [f"All on: {place}." for place in places]
    heads = ["part", "command", "date", "minutes", "load at the start"]
    return "\n\n".join([markdown(heads, body), *told])


TABLES: dict[str, Callable[..., str]] = {
    "machine": machine, "speed": speed, "rows": rows, "gated": gated, "learned": learned,
    "dispatch": dispatch, "compile": compiling, "imports": imports, "memory": memory,
    "functions": functions, "fits": fits, "growth": growth, "gpu": gpu, "parity": parity,
    "kept": kept, "loops": loops, "lost": lost, "summary": held,
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = _record.parser(__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("filters", nargs="*")
    options = parser.parse_args()
    print(TABLES[options.table](_record.folder(options), *options.filters))


if __name__ == "__main__":
    main()
