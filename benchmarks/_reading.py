"""What follows from the record: ratios, means, and the rows that are not won."""

from __future__ import annotations

import fnmatch
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _record
from benchmarks._record import Figure

# Two that compile to the same code differ by as much from run to run.
NOISE = 1.05
TIMED = ("speed", "rows", "gated", "learned", "dispatch", "compile")
REASONS = Path(__file__).parent / "reasons.toml"

# What tells a row of the record, in the order in which a reader looks for it.
_FIELDS = (
    "what", "part", "net", "function", "dtype", "size", "length", "channels", "scanned", "pass",
)  # fmt: skip


class Loss(NamedTuple):
    """A row in which a peer is ahead."""

    row: str
    peer: str
    ratio: float
    why: str


def figures(name: str, out: Path = _record.RECORD) -> list[Figure]:
    """Return the figures of a benchmark, none if it has not been run."""
    found = _record.read(name, out)
    return [] if found is None else found["figures"]


def label(name: str, figure: Figure) -> str:
    """Return the name of a row, such as ``speed/gelu/float32/small/both``."""
    parts = [name]
    for field in _FIELDS:
        if field in figure:
            value = figure[field]
            parts.append({True: "scanned", False: "unrolled"}[value] if field == "scanned"
                         else f"{field}={value}" if field in ("length", "channels")
                         else str(value))  # fmt: skip
    return "/".join(parts)


def ratio(figure: Figure, peer: str, which: int = 0) -> float | None:
    """Return our time over a peer's: of the minima (0) or of the medians (1)."""
    ours, theirs = (figure["seconds"].get(key) for key in ("ours", peer))
    return None if ours is None or theirs is None else ours[which] / theirs[which]


def surely(figure: Figure, peer: str) -> float | None:
    """Return the smaller one of both ratios: what stands out of the noise stands out in both."""
    found = [ratio(figure, peer, which) for which in (0, 1)]
    return None if None in found else min(value for value in found if value is not None)


def mean(ratios: Iterable[float | None]) -> float | None:
    """Return the geometric mean of those that there are."""
    logs = [math.log(value) for value in ratios if value]
    return math.exp(sum(logs) / len(logs)) if logs else None


def peers_of(figure: Figure) -> list[str]:
    """Return the libraries in a figure, without ours and the copy."""
    return [key for key in figure["seconds"] if key != "copy" and not key.startswith("ours")]


def reasons(path: Path = REASONS) -> Mapping[str, str]:
    """Return why rows are not won, by a pattern of their names."""
    return tomllib.loads(path.read_text()).get("rows", {})


def _why(row: str, known: Mapping[str, str]) -> str:
    return next((why for pattern, why in known.items() if fnmatch.fnmatchcase(row, pattern)), "")


def losses(out: Path = _record.RECORD, known: Mapping[str, str] | None = None) -> Iterator[Loss]:
    """Yield the rows in which a peer is ahead by more than the noise, with the reason if known.

    A row of times is lost to the fastest peer; one of memory where more is kept or needed.
    """
    known = reasons() if known is None else known
    for name in TIMED:
        for figure in figures(name, out):
            if figure.get("what") in ("trace", "compile", "import"):
                continue
            behind = {peer: surely(figure, peer) or 0.0 for peer in peers_of(figure)}
            if behind and max(behind.values()) > NOISE:
                peer = max(behind, key=behind.__getitem__)
                row = label(name, figure)
                yield Loss(row, peer, behind[peer], _why(row, known))
    for figure in figures("memory", out):
        for field in ("kept", "peak", "unrolled"):
            if field in figure and over(figure[field]) > 1.005:
                row = f"{label('memory', figure)}/{field}"
                yield Loss(row, "jax.nn", over(figure[field]), _why(row, known))


def over(values: Mapping[str, Any]) -> float:
    """Return ours over jax.nn's, of bytes or of what fits."""
    return values["ours"] / values["jax.nn"] if values["jax.nn"] else 1.0
