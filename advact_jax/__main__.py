"""Command line: ``python -m advact_jax accuracy`` and ``names`` print tables."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from advact_jax import registry

EXAMPLES = """examples:
  python -m advact_jax accuracy
  python -m advact_jax accuracy --dtype float32 --against jax
  python -m advact_jax accuracy gelu softplus --dtype bfloat16 --markdown
  python -m advact_jax names --dialect torch
"""
DTYPES = ("bfloat16", "float16", "float32")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m advact_jax",
        description="Tell about the activations of advact_jax.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    accuracy = commands.add_parser(
        "accuracy",
        help="print the worst errors in ulp of value, first and second derivative",
        description=(
            "Print, for each activation, the worst error in ulp of value, first and second "
            "derivative, and (after a plus sign) the number of inputs where the result is not "
            "finite though the truth is. For 16 bits every input is tried, for float32 a dense "
            "sample with tails, kinks and the ends of the range. Functions along an axis are tried "
            "on sample rows: value, Jacobian and Hessian."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    accuracy.add_argument("names", nargs="*", help="activations; all without any")
    accuracy.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="default: bfloat16")
    accuracy.add_argument("--against", choices=("jax",), help="print jax.nn's errors beside ours")
    accuracy.add_argument("--markdown", action="store_true", help="print a Markdown table")
    names = commands.add_parser(
        "names",
        help="print the names that other libraries have for the activations",
        description=(
            "Print the name of each activation in another library, its name here, and what differs "
            "there: defaults, by our names, and names of arguments. advact_jax.get takes the name "
            "with the dialect."
        ),
    )
    names.add_argument("--dialect", choices=registry.DIALECTS, help="one library; all without it")
    names.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    try:
        _print_accuracy(options) if options.command == "accuracy" else _print_names(options)
    except ValueError as error:
        print(f"python -m advact_jax: {error}", file=sys.stderr)
        return 2
    return 0


def _print_names(options: argparse.Namespace) -> None:
    heads = ["library", "name there", "name here", "what differs"]
    rows = [list(row) for row in registry.table() if options.dialect in (None, row[0])]
    title = f"Names of the activations in {options.dialect or 'other libraries'}"
    _table(title, heads, iter(rows), options.markdown, right=False)


def _print_accuracy(options: argparse.Namespace) -> None:
    import jax

    from advact_jax import accuracy, catalog

    for name in options.names:
        catalog.lookup(name)
    heads = [f"{options.dtype}, worst ulp", *(f"ours: {order}" for order in accuracy.ORDERS)]
    if options.against:
        heads += [f"jax.nn: {order}" for order in accuracy.ORDERS]
    title = f"jax {jax.__version__} on {jax.default_backend()}"
    _table(title, heads, _rows(options), options.markdown)


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    from advact_jax import catalog, testing

    elementwise, along_axis = catalog.elementwise(), catalog.along_axis()
    for name in options.names or [*elementwise, *along_axis]:
        function = catalog.lookup(name)
        if name in along_axis:
            every: list[Any] = testing.row_cases(function)
        else:
            # Sample values of parameters have no row of their own.
            cases = testing.cases(function)
            every = [c for c in cases if not any(key in c.spec.defaults for key in c.given)]
        for case in every:
            row = [name if not case.given else case.name, *_errors(case, case, options.dtype)]
            if options.against:
                peer = _peer(case)
                row += _errors(peer, case, options.dtype) if peer else ["-"] * 3
            yield row


def _peer(case: Any) -> Callable[..., Any] | None:
    """Return jax.nn's function at the arguments of a case, None if it has none."""
    import jax

    from advact_jax import catalog

    name = catalog.name_in(case.function, "jax")
    given = {"axis": -1, **case.given} if "axis" in case.spec.signature.parameters else case.given
    return functools.partial(getattr(jax.nn, name), **given) if name else None


def _errors(judged: Callable[..., Any], case: Any, dtype: str) -> list[str]:
    from advact_jax import accuracy, testing

    if isinstance(case, testing.RowCase):
        if case.spec.reference is None:  # As the declaration's notes say.
            return ["-"] * 3
        found: Any = accuracy.measure_rows(judged, case, dtype)
    else:
        x = accuracy.inputs(case.spec, dtype, case.given)
        found = accuracy.measure(judged, case, x, case.spec.value_floor)
    return [*map(_cell, found)]


def _cell(error: Any) -> str:
    ulps = f"{error.ulps:.2f}" if error.ulps < 100 else f"{error.ulps:.3g}"
    return ulps if not error.not_finite else f"{ulps} + {error.not_finite}"


def _table(
    title: str, heads: list[str], rows: Iterator[list[str]], markdown: bool, right: bool = True
) -> None:
    if markdown:
        print(f"{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
        return
    widths = [max(24, len(heads[0])), *(max(12, len(head)) for head in heads[1:])]
    print(title)
    print("  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)))
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        print("  ".join(cells).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
