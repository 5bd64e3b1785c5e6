"""``advact-jax accuracy``: the worst errors in ulp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import click

from advact_jax.cli import output
from advact_jax.cli.arguments import json_option, markdown_option

DTYPES = ("bfloat16", "float16", "float32")


class Measured(NamedTuple):
    """The errors of one activation, and those of jax.nn's; empty where nothing is known."""

    name: str
    ours: tuple[Any, ...]
    jax: tuple[Any, ...]


@click.command(
    "accuracy",
    short_help="The worst errors in ulp.",
    epilog="""\b
Examples:
  advact-jax accuracy
  advact-jax accuracy --dtype float32 --against jax
  advact-jax accuracy mish --dtype float32 --points 1000000
  advact-jax accuracy gelu softplus --dtype bfloat16 --markdown
  advact-jax accuracy relu6 --json""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--dtype", type=click.Choice(DTYPES), default="bfloat16", show_default=True)
@click.option("--points", type=click.IntRange(min=1), help="More or fewer of the float32 sample.")
@click.option("--against", type=click.Choice(["jax"]), help="Print jax.nn's errors beside ours.")
@markdown_option
@json_option
def command(
    names: tuple[str, ...],
    dtype: str,
    points: int | None,
    against: str | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Print the worst errors in ulp of value, first and second derivative.

    After a plus sign stands the number of inputs where the result is not finite though the truth
    is. For 16 bits every input is tried, for float32 a dense sample with tails, kinks and the ends
    of the range. Functions along an axis are tried on sample rows: value, Jacobian and Hessian.
    Without a name, all are measured, which takes minutes.
    """
    import jax

    from advact_jax import accuracy, catalog

    for name in names:
        if catalog.lookup(name).__name__ in catalog.drawn():
            raise ValueError(f"accuracy: expected a function that draws nothing, got {name!r}.")
    chosen = names or [*catalog.elementwise(), *catalog.along_axis()]
    progress = output.progress(chosen, "measuring", len(chosen))
    every = measured(progress, dtype, against is not None, points)
    if as_json:
        output.as_json([_as_json(each, dtype) for each in every])
        return
    heads = [f"{dtype}, worst ulp", *(f"ours: {order}" for order in accuracy.ORDERS)]
    if against:
        heads += [f"jax.nn: {order}" for order in accuracy.ORDERS]
    title = f"jax {jax.__version__} on {jax.default_backend()}"
    rows = ([each.name, *shown(each.ours), *(shown(each.jax) if against else [])] for each in every)
    widths = [max(24, len(heads[0])), *(max(12, len(head)) for head in heads[1:])]
    output.table(title, heads, rows, markdown=markdown, right=True, widths=widths)


def measured(
    names: Any, dtype: str, against_jax: bool, points: int | None = None
) -> Iterator[Measured]:
    """Yield the errors of these activations, at their defaults and with each flag."""
    from advact_jax import accuracy, catalog, testing

    points = points or accuracy.POINTS
    along_axis = catalog.along_axis()
    for name in names:
        function = catalog.lookup(name)
        if name in along_axis:
            every: list[Any] = testing.row_cases(function)
        else:
            # Sample values of parameters have no row of their own.
            cases = testing.cases(function)
            every = [c for c in cases if not any(key in c.spec.defaults for key in c.given)]
        for case in every:
            peer = _peer(case) if against_jax else None
            yield Measured(
                case.name if case.given else name,
                _errors(case, case, dtype, points),
                _errors(peer, case, dtype, points) if peer else (),
            )


def _peer(case: Any) -> Callable[..., Any] | None:
    """Return jax.nn's function at the arguments of a case, None if it has none."""
    import jax

    from advact_jax import catalog

    name = catalog.name_in(case.function, "jax")
    given = {"axis": -1, **case.given} if "axis" in case.spec.signature.parameters else case.given
    return functools.partial(getattr(jax.nn, name), **given) if name else None


def _errors(judged: Callable[..., Any], case: Any, dtype: str, points: int) -> tuple[Any, ...]:
    from advact_jax import accuracy, testing

    if isinstance(case, testing.RowCase):
        if case.spec.reference is None:  # As the declaration's notes say.
            return ()
        return accuracy.measure_rows(judged, case, dtype)
    x = accuracy.inputs(case.spec, dtype, case.given, points)
    return accuracy.measure(judged, case, x, case.spec.value_floor)


def shown(errors: Sequence[Any]) -> list[str]:
    """Return the cells of a table, one for each order."""
    return [*map(_cell, errors)] or ["-"] * 3


def _cell(error: Any) -> str:
    ulps = f"{error.ulps:.2f}" if error.ulps < 100 else f"{error.ulps:.3g}"
    return ulps if not error.not_finite else f"{ulps} + {error.not_finite}"


def _as_json(each: Measured, dtype: str) -> dict[str, Any]:
    return {"name": each.name, "dtype": dtype, "ours": orders(each.ours), "jax": orders(each.jax)}


def orders(errors: Sequence[Any]) -> dict[str, Any] | None:
    """Return the errors by their order, for JSON; None where nothing is known."""
    from advact_jax import accuracy

    if not errors:
        return None
    return {
        order.replace(" ", "_"): {"ulps": error.ulps, "not_finite": error.not_finite}
        for order, error in zip(accuracy.ORDERS, errors, strict=True)
    }
