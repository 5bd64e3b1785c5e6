"""Run all benchmarks, each in a process of its own, then draw and sum up: `python -m benchmarks`.

The long run of `parity` is left out (`make parity`); a short run has it in short.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks import _record

PARTS = (
    "speed", "loops", "rows", "gated", "learned", "dispatch", "compile", "memory", "growth", "gpu",
)  # fmt: skip


def main() -> None:
    """Run the parts that were named, or all."""
    parser = _record.parser(__doc__, names="parts; all without one")
    options = parser.parse_args()
    known = [*PARTS, "parity"]
    parts = _record.chosen(known, options)
    if not options.names and not options.short:
        parts.remove("parity")
    passed = ["--short"] if options.short else []
    passed += ["--out", str(options.out)] if options.out else []
    for part in [*parts, "pictures", "summary"]:
        print(f"-- {part}", flush=True)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}", *passed], check=True)
        print(f"-- {part}: {time.perf_counter() - start:.0f} s", flush=True)
    if not options.short and not options.out:
        subprocess.run([sys.executable, "docs/tables.py", "docs/benchmarks.md"], check=True)


if __name__ == "__main__":
    main()
