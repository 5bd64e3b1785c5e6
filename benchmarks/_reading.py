"""What follows from the record: ratios, means, and the rows that are not won."""

from __future__ import annotations

import fnmatch
import math
import statistics
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _record
from benchmarks._record import Figure

# Two that compile to the same code differ by as much from run to run.
NOISE = 1.05
# Two losses are alike if they differ by less than this share, whatever the spread of the seeds.
SAME_LOSS = 0.005
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


SAME = "It compiles to the same instructions: the difference is that of two runs."


def _same(name: str, figure: Figure, peer: str, out: Path) -> bool:
    """Tell whether XLA makes the same of ours and of the peer's, by the record of loops."""
    told = ("function", "dtype", "pass")
    return name == "speed" and any(
        peer in found["same"] and all(found[key] == figure[key] for key in told)
        for found in figures("loops", out)
    )


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
                why = SAME if _same(name, figure, peer, out) else _why(row, known)
                yield Loss(row, peer, behind[peer], why)
    for figure in figures("memory", out):
        for field in ("kept", "peak", "unrolled"):
            if field in figure and over(figure[field]) > 1.005:
                row = f"{label('memory', figure)}/{field}"
                yield Loss(row, "jax.nn", over(figure[field]), _why(row, known))


class Parity(NamedTuple):
    """Training beside that with jax.nn, of the same seeds: in spreads between the seeds.

    Attributes:
      last: how far apart the last losses are, in the mean.
      curve: how far apart the curves are, over all stretches, from a quarter of the steps on.
      diverged: whether a loss is not finite, or rises far above all of jax.nn's.
    """

    last: float
    curve: float
    diverged: bool

    @property
    def alike(self) -> bool:
        """Whether they agree within the spread of the seeds."""
        return not self.diverged and self.last <= 1 and self.curve <= 1


def parity(figure: Figure, base: Figure) -> Parity:
    """Compare a training run with that of jax.nn's functions."""
    skipped = len(base["curves"][0]) // 4
    ours, theirs = (
        list(zip(*(curve[skipped:] for curve in f["curves"]), strict=True)) for f in (figure, base)
    )
    tallest = 1.5 * max(base["worst_after_warmup"])
    diverged = not figure["finite"] or max(figure["worst_after_warmup"]) > tallest
    return Parity(_apart([figure["final"]], [base["final"]]), _apart(ours, theirs), diverged)


def _apart(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """Return the mean difference over the spread of the seeds, both as root mean squares."""
    moved = [statistics.mean(a) - statistics.mean(b) for a, b in zip(ours, theirs, strict=True)]
    spreads = [max(spread(b), SAME_LOSS * statistics.mean(b)) for b in theirs]
    return math.hypot(*moved) / math.hypot(*spreads)


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation over the seeds."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def over(values: Mapping[str, Any]) -> float:
    """Return ours over jax.nn's, of bytes or of what fits."""
    return values["ours"] / values["jax.nn"] if values["jax.nn"] else 1.0
