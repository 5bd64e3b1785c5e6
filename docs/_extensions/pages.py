"""The text of the pages that follow from declarations, as reStructuredText."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from advact_jax import catalog, registry
from advact_jax._spec import RowSpec, Spec, names_in

LIBRARIES = {
    "jax": "JAX",
    "flax": "Flax",
    "keras": "Keras",
    "torch": "PyTorch",
    "huggingface": "Hugging Face",
    "onnx": "ONNX",
}


def title(text: str, line: str = "=") -> str:
    """Return a heading."""
    return f"{text}\n{line * len(text)}\n"


def code(value: Any) -> str:
    """Return a value as code, and nothing for what is missing."""
    return "" if value is None or value == "" else f"``{value}``"


def number(value: Any) -> str:
    """Return a number as short as it can be told from others, with signs of infinity."""
    if not isinstance(value, float | int) or isinstance(value, bool):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.6g}".replace("-", "−")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
    for row in [heads, *rows]:
        for index, cell in enumerate(row):
            lines.append(f"   {'* -' if index == 0 else '  -'} {cell}".rstrip())
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return a text of several lines in one, what is markup in it escaped."""
    return re.sub(r"([|*_])", r"\\\1", " ".join(text.split()))


def indented(text: str) -> str:
    """Return a text as the content of a directive."""
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())


def summary(function: Any) -> str:
    """Return the first paragraph of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n\n")[0]


def sources(paper: str) -> str:
    """Return the sources with links to arXiv, in a list."""
    linked = re.sub(
        r"arXiv:(\d{4}\.\d{4,5})", r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", plain(paper)
    )
    return "\n".join(f"* {source.strip()}" for source in linked.split("; ")) + "\n"


# -- one activation -----------------------------------------------------------------------------


def activation_page(
    function: Any, family: str, told: Mapping[str, Any], errors: Mapping[str, list[list[str]]]
) -> str:
    """Return the page of an activation.

    Args:
      function: the public function.
      family: the name of its family.
      told: what was found of it by `producing.produce`.
      errors: the rows of the accuracy tables that are its, by type.
    """
    spec = function.spec
    elementwise = isinstance(spec, Spec)
    second = [name for name, other in catalog.aliases().items() if other is function]
    also = f" It is also called {', '.join(map(code, second))}." if second else ""
    about = (
        f"**{spec.tier.capitalize()}**, one of the family :ref:`{family} <family-{family}>`.{also}"
    )
    left = "f(x) = " if elementwise else ""
    parts = [
        title(spec.name),
        summary(function),
        f".. math::\n\n   {left}{spec.latex}\n",
        about,
        _figure(spec, elementwise),
        *(_declared(spec, told) if elementwise else ()),
        title("Accuracy", "-") + _accuracy(errors),
        title("Memory", "-") + _memory(spec),
        title("Names elsewhere", "-") + _names(spec),
    ]
    if spec.notes:
        rows = ((what, plain(note)) for what, note in spec.notes.items())
        parts.append(title("Known limits", "-") + table(["where", "what holds instead"], rows))
    parts += [
        title("Source", "-") + sources(spec.paper),
        title("Function", "-") + f".. autofunction:: advact_jax.{spec.name}\n",
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _figure(spec: Spec | RowSpec, elementwise: bool) -> str:
    alt = f"Value, first and second derivative of {spec.name}"
    both = "".join(
        f".. image:: {spec.name}{dark}.svg\n   :class: {kind}\n   :alt: {alt}\n\n"
        for kind, dark in (("only-light", ""), ("only-dark", "-dark"))
    )
    images = f".. container:: figure-row\n\n{indented(both)}\n\n"
    if elementwise:
        return (
            f"{images}The value and two derivatives at the usual parameters; a dotted line marks a "
            "kink, a ring the limit of the piece that does not own it. "
            f"`The explorer <../explorer.html#{spec.name}>`__ moves the parameters.\n"
        )
    return f"{images}A slice, with two derivatives by its x: the title says which.\n"


def _declared(spec: Spec, told: Mapping[str, Any]) -> Iterable[str]:
    """Yield what is declared of an elementwise activation alone."""
    if spec.parameters or spec.flags:
        yield title("Parameters", "-") + _parameters(spec)
    ends = [["value", *map(number, spec.at("limits", **_filled(spec)) or ("", ""))]]
    slopes = spec.at("slope_limits", **_filled(spec))
    ends += [["slope", *map(number, slopes)]] if slopes else []
    if spec.limits is not None:
        heads = ["at the usual parameters", "x → −∞", "x → ∞"]
        yield title("Limits", "-") + table(heads, ends)
    if told["kinks"]:
        sides = spec.at("kinks", **_filled(spec))
        rows = [
            [number(at), f"the {sides.get(at, '')} piece", number(value), number(slope)]
            for at, value, slope in told["kinks"]
        ]
        heads = ["x", "belongs to", "value there", "derivative there"]
        yield title("Kinks", "-") + table(heads, rows)


def _filled(spec: Spec) -> dict[str, Any]:
    """Return the initial or a sample value of each parameter without a default."""
    return {
        key: p.initial if p.initial is not None else (*p.samples, 1.0)[0]
        for key, p in spec.parameters.items()
        if key not in spec.defaults
    }


def _parameters(spec: Spec) -> str:
    heads = ["name", "default", "starts at, where learned", "domain", "usually learned"]
    rows = [
        [
            code(key),
            code(spec.defaults.get(key, "required")),
            _initial(parameter),
            parameter.domain,
            ("yes" if parameter.learned else "no")
            + ("" if parameter.differentiable else "; its derivative is 0 or a jump"),
        ]
        for key, parameter in spec.parameters.items()
    ]
    rows += [
        [code(key), code(spec.default_flags[key]), "", " or ".join(map(code, values)), "a switch"]
        for key, values in spec.flags.items()
    ]
    learned = [key for key, parameter in spec.parameters.items() if parameter.learned]
    if not learned:
        return table(heads, rows)
    keys = repr(learned[0]) if len(learned) == 1 else repr(tuple(learned))
    layer = f'``Learnable("{spec.name}", learn={keys})``'.replace("'", '"')
    return (
        f"{table(heads, rows)}\nA layer of :mod:`advact_jax.linen` or :mod:`advact_jax.nnx` that "
        f"learns what is usually learned: {layer}.\n"
    )


def _initial(parameter: Any) -> str:
    others = [f"{v:g} in {LIBRARIES[k]}" for k, v in parameter.initial_in.items()]
    own = [] if parameter.initial is None else [f"{parameter.initial:g}"]
    return ", ".join([*own, *others])


def _accuracy(errors: Mapping[str, list[list[str]]]) -> str:
    rows = []
    for dtype, found in errors.items():
        for name, *cells in found:
            inside = name[name.index("(") :] if "(" in name else ""
            rows.append([f"{dtype} {code(inside)}".strip(), *cells])
    if not rows:
        return "It has no row in :doc:`/accuracy`.\n"
    orders = ("value", "1st derivative", "2nd derivative")
    heads = ["worst ulp", *orders, *(f"jax.nn: {order}" for order in orders)]
    if all(cell == "-" for row in rows for cell in row[4:]):
        heads, rows = heads[:4], [row[:4] for row in rows]
    return (
        f"{table(heads, rows)}\nWhat is measured, and on which inputs, is told in "
        ":doc:`/accuracy`.\n"
    )


def _memory(spec: Spec | RowSpec) -> str:
    if isinstance(spec, RowSpec):
        return (
            f"Reverse mode keeps {spec.kept:g} bytes for each float32 entry of the input: see "
            ":doc:`/memory`.\n"
        )
    kept = {
        4: "the output alone, which the next layer keeps anyway",
        5: "the output, and one byte that tells the linear piece",
        8: "the output and the input",
    }
    size = spec.residual_bytes
    what = kept[size]
    if size == 8 and spec.slope_by_output(spec.defaults):
        what = "the output, once for the next layer and once more where a scan stacks it"
    return f"Reverse mode keeps {size} bytes per float32 element, {what}: see :doc:`/memory`.\n"


def _names(spec: Spec | RowSpec) -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for dialect in registry.DIALECTS:
        for name in names_in(spec, dialect):
            differs = [f"{key} = {value!r}" for key, value in name.defaults.items()]
            differs += [
                f"{theirs} has no effect" if ours is None else f"{theirs} is our {ours}"
                for theirs, ours in name.arguments.items()
            ]
            rows.setdefault((LIBRARIES[dialect], ", ".join(differs)), []).append(code(name.name))
    if not rows:
        return "No library of those that we know has it.\n"
    listed = [[library, ", ".join(names), differs] for (library, differs), names in rows.items()]
    return table(["library", "name", "what differs"], listed)


# -- the gallery --------------------------------------------------------------------------------


def gallery(told: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page that shows all activations, family by family."""
    known = {**catalog.elementwise(), **catalog.along_axis()}
    parts = [
        title("Gallery"),
        f"All {len(known)} activations of the library, family by family: the value, and paler the "
        "first derivative. Of a function along an axis, a slice, as on its page.\n",
    ]
    for family, functions in families().items():
        doc = inspect.getdoc(catalog.FAMILIES[family]) or ""
        parts += [
            f".. _family-{family}:\n",
            title(family.replace("_", " ").capitalize(), "-"),
            doc.partition("\n\n")[0].replace("`", "``") + "\n",
            ".. raw:: html\n\n" + indented(cards(told, functions)) + "\n",
        ]
    names = sorted(name for functions in families().values() for name in functions)
    parts.append(".. toctree::\n   :hidden:\n\n" + indented("\n".join(names)))
    return "\n".join(parts) + "\n"


def cards(told: Mapping[str, Mapping[str, Any]], names: Iterable[str], folder: str = "") -> str:
    """Return thumbnails that lead to the pages of activations, as HTML."""
    inside = "\n".join(
        f'<a href="{folder}{name}.html">{told[name]["thumbnail"]}'
        # A long name is broken at its words.
        f"<span>{name.replace('_', '_<wbr>')}</span></a>"
        for name in names
    )
    return f'<div class="gallery">{inside}</div>'


def families() -> dict[str, list[str]]:
    """Return the names of the activations of each family, in their order there."""
    known = {**catalog.elementwise(), **catalog.along_axis()}
    found: dict[str, list[str]] = {family: [] for family in catalog.FAMILIES}
    for name, function in known.items():
        found[function.__module__.rpartition(".")[2]].append(name)
    return {family: names for family, names in found.items() if names}


# -- the accuracy tables ------------------------------------------------------------------------


def accuracy_rows(path: Path) -> dict[str, dict[str, list[list[str]]]]:
    """Return the rows of the accuracy document, by activation and type."""
    found: dict[str, dict[str, list[list[str]]]] = {}
    dtype = ""
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            dtype = line.removeprefix("## ").strip()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if dtype and line.startswith("| ") and len(cells) == 7 and "worst ulp" not in cells[0]:
            name = cells[0].partition("(")[0]
            found.setdefault(name, {}).setdefault(dtype, []).append(cells)
    return found
