"""``advact-jax list``: which activations there are."""

from __future__ import annotations

import difflib
from typing import Any

import click

from advact_jax import catalog, registry
from advact_jax._spec import RowSpec, names_in
from advact_jax.cli import output
from advact_jax.cli.arguments import json_option, markdown_option


def _family(_: Any, __: Any, value: str | None) -> str | None:
    if value is None or value in catalog.FAMILIES:
        return value
    near = difflib.get_close_matches(value, catalog.FAMILIES, n=3)
    hint = " or ".join(near) or ", ".join(catalog.FAMILIES)
    raise click.BadParameter(f"{value!r} is no family. Did you mean {hint}?")


@click.command(
    "list",
    short_help="The activations, by family, tier, library.",
    epilog="""\b
Examples:
  advact-jax list --family rectifiers
  advact-jax list --learnable --tier stable
  advact-jax list --dialect torch
  advact-jax list --json""",
)
@click.option("--family", callback=_family, help="One family: a file of advact_jax/functions.")
@click.option("--tier", type=click.Choice(["stable", "experimental"]), help="How settled it is.")
@click.option("--dialect", type=click.Choice(registry.DIALECTS), help="Those this library has.")
@click.option("--learnable", is_flag=True, help="Those with a parameter that is learned.")
@markdown_option
@json_option
def command(
    family: str | None,
    tier: str | None,
    dialect: str | None,
    learnable: bool,
    markdown: bool,
    as_json: bool,
) -> None:
    """List the activations, family after family.

    A name in the column of what is learned is a parameter that the literature trains. Those along
    an axis take whole rows: softmaxes, gated units, units across features.
    """
    entries = [
        entry
        for entry in _entries()
        if family in (None, entry["family"])
        and tier in (None, entry["tier"])
        and (dialect is None or entry["names"].get(dialect))
        and (not learnable or entry["learned"])
    ]
    if as_json:
        output.as_json(entries)
        return
    last = "elsewhere" if dialect is None else f"in {dialect}"
    rows = [
        [
            entry["name"],
            entry["family"],
            entry["tier"],
            entry["kind"],
            " ".join(entry["learned"]),
            " ".join(entry["names"] if dialect is None else entry["names"][dialect]),
        ]
        for entry in entries
    ]
    heads = ["name", "family", "tier", "kind", "learned", last]
    output.table("Activations" if markdown else "", heads, rows, markdown=markdown)


def _entries() -> list[dict[str, Any]]:
    other = {function: name for name, function in catalog.aliases().items()}
    found = []
    for name, function in {**catalog.elementwise(), **catalog.along_axis()}.items():
        spec: Any = function.spec  # type: ignore[attr-defined]
        names = {d: [n.name for n in names_in(spec, d)] for d in registry.DIALECTS}
        found.append(
            {
                "name": name,
                "alias": other.get(function),
                "family": function.__module__.rpartition(".")[2],
                "tier": spec.tier,
                "kind": "along an axis" if isinstance(spec, RowSpec) else "elementwise",
                "learned": [key for key, p in spec.parameters.items() if p.learned],
                "names": {d: there for d, there in names.items() if there},
            }
        )
    return found
