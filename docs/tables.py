"""Print the tables of README.md and of the documents anew: `make tables`.

Between a marker `<!-- table: ARGUMENTS -->` and `<!-- end -->` stands what the command
`python -m advact_jax ARGUMENTS` prints; after `<!-- memory: ARGUMENTS -->` and
`<!-- speed: ARGUMENTS -->`, what `benchmarks/memory.py` and `benchmarks/speed.py` print. The paths
given to this script are rewritten; without any, all of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKER = re.compile(r"<!-- (table|memory|speed): (.*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def printed(kind: str, arguments: str) -> str:
    """Return what the command of a marker prints, in a code block if it is plain text."""
    command = ["-m", "advact_jax"] if kind == "table" else [f"benchmarks/{kind}.py"]
    ran = subprocess.run(
        [sys.executable, *command, *arguments.split()],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout if kind == "table" else f"```\n{ran.stdout}```\n"


def main() -> None:
    """Rewrite the tables in place."""
    every = ["README.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
    for path in map(ROOT.joinpath, sys.argv[1:] or every):
        text = MARKER.sub(
            lambda m: f"<!-- {m[1]}: {m[2]} -->\n{printed(m[1], m[2])}<!-- end -->",
            path.read_text(),
        )
        path.write_text(text)


if __name__ == "__main__":
    main()
