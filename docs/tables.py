"""Print the tables of README.md and of the documents anew: `make tables`.

Between a marker `<!-- table: ARGUMENTS -->` and `<!-- end -->` stands what the command
`python -m advact_jax ARGUMENTS` prints; after `<!-- memory: ARGUMENTS -->` and
`<!-- speed: ARGUMENTS -->`, what `benchmarks/memory.py` and `benchmarks/speed.py` print (and so for
`lean` and `diagnostics`); after
`<!-- example: NAME ARGUMENTS -->`, what `examples/NAME.py` prints; and after
`<!-- source: NAME PART -->`, a function of it. The paths given here are rewritten; without
any, all of them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKER = re.compile(
    r"<!-- (table|memory|speed|lean|diagnostics|example|source): (.*?) -->\n(.*?)<!-- end -->",
    re.DOTALL,
)


def printed(kind: str, arguments: str) -> str:
    """Return what the command of a marker prints, in a code block if it is plain text."""
    given = arguments.split()
    if kind == "source":
        return f"```python\n{source(ROOT / 'examples' / f'{given[0]}.py', *given[1:])}\n```\n"
    if kind == "example":
        command = [f"examples/{given[0]}.py", *given[1:]]
    else:
        command = [
            *(["-m", "advact_jax"] if kind == "table" else [f"benchmarks/{kind}.py"]),
            *given,
        ]
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout if kind == "table" else f"```\n{ran.stdout}```\n"


def source(path: Path, part: str) -> str:
    """Return the text of a function in a file."""
    text = path.read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == part:
            return ast.get_source_segment(text, node) or ""
    raise ValueError(f"expected {path} to define {part}.")


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
