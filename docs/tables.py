"""Print the tables of README.md and of the documents anew: `make tables`.

Between a marker `<!-- table: ARGUMENTS -->` and `<!-- end -->` stands what the command
`python -m advact_jax ARGUMENTS` prints; after `<!-- record: ARGUMENTS -->`, what
`python -m benchmarks.tables ARGUMENTS` prints of the figures in docs/benchmarks; after
`<!-- lean: ARGUMENTS -->`, what `benchmarks/lean.py` prints, and so for `diagnostics`; after
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
    r"<!-- (table|record|lean|diagnostics|example|source): (.*?) -->\n(.*?)<!-- end -->", re.DOTALL
)


def printed(kind: str, arguments: str) -> str:
    """Return what the command of a marker prints, in a code block if it is plain text."""
    given = arguments.split()
    if kind == "source":
        return f"```python\n{source(ROOT / 'examples' / f'{given[0]}.py', *given[1:])}\n```\n"
    command = {
        "table": ["-m", "advact_jax", *given],
        "record": ["-m", "benchmarks.tables", *given],
        "lean": ["benchmarks/lean.py", *given],
        "diagnostics": ["benchmarks/diagnostics.py", *given],
        "example": [f"examples/{''.join(given[:1])}.py", *given[1:]],
    }[kind]
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stderr}")
    return ran.stdout if kind in ("table", "record") else f"```\n{ran.stdout}```\n"


def source(path: Path, part: str) -> str:
    """Return the text of a function or a class in a file."""
    text = path.read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part:
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
