"""``advact-jax show``: all that is declared and measured of one activation."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import click

from advact_jax import catalog, registry
from advact_jax._spec import RowSpec, Spec, names_in
from advact_jax.cli import accuracy as measuring
from advact_jax.cli import output
from advact_jax.cli.arguments import dialect_option, json_option, made, one_argument, single


@click.command(
    "show",
    short_help="All that is known of an activation.",
    epilog="""\b
Examples:
  advact-jax show mish
  advact-jax show leaky_relu negative_slope=0.2
  advact-jax show Hardtanh --dialect torch
  advact-jax show entmax --no-accuracy --no-plot
  advact-jax show softplus --json""",
)
@one_argument
@dialect_option
@click.option("--dtype", type=click.Choice(measuring.DTYPES), default="bfloat16", show_default=True)
@click.option("--accuracy/--no-accuracy", "accurate", default=True, help="Measure the errors.")
@click.option("--plot/--no-plot", "plotted", default=True, help="Draw the curves.")
@json_option
def command(
    words: tuple[str, ...],
    dialect: str | None,
    dtype: str,
    accurate: bool,
    plotted: bool,
    as_json: bool,
) -> None:
    """Show an activation: definition, parameters, kinks, limits, accuracy, names, paper, memory.

    The errors are measured here and now, in worst ulp over every input of a 16-bit type; kinks,
    limits and properties are those at the parameters that are given.
    """
    activation = made(single(words), dialect)
    function, fixed = registry.resolve("show", activation)
    spec = getattr(function, "spec", None)
    if not isinstance(spec, Spec | RowSpec):
        raise ValueError(f"expected an activation with a declaration, got {words[0]!r}.")
    known = _declared(function, spec, fixed)
    if isinstance(spec, Spec):
        known |= _at(activation, spec, fixed)
    # What draws is no function of its input, of which there are errors and curves.
    is_drawn = spec.name in catalog.drawn()
    if accurate and not is_drawn:
        tried = output.progress([spec.name], "measuring", 1)
        known["accuracy"] = {
            each.name: measuring.orders(each.ours)
            for each in measuring.measured(tried, dtype, False)
        }
        known["accuracy_dtype"] = dtype
    if as_json:
        output.as_json(known)
        return
    output.record(_title(known), _fields(known))
    if plotted and not is_drawn:
        from advact_jax import _samples
        from advact_jax.cli import charts

        samples = _samples.samples(activation)
        print(f"\n{samples.label}{': ' * bool(samples.note)}{samples.note}")
        print(charts.derivatives(samples))


# -- what is known ------------------------------------------------------------------------------


def _declared(
    function: Callable[..., Any], spec: Spec | RowSpec, fixed: dict[str, Any]
) -> dict[str, Any]:
    text = inspect.getdoc(function) or ""
    return {
        "name": spec.name,
        "family": function.__module__.rpartition(".")[2],
        "tier": spec.tier,
        "kind": "elementwise" if isinstance(spec, Spec) else "along an axis",
        "aliases": [name for name, other in catalog.aliases().items() if other is function],
        "summary": re.sub(r":\w+:|`", "", text.partition("\n")[0]),
        "definition": spec.latex,
        "parameters": _parameters(spec),
        "given": fixed,
        "bytes_kept": spec.residual_bytes if isinstance(spec, Spec) else spec.kept,
        "names": {
            dialect: [name.name for name in names_in(spec, dialect)]
            for dialect in registry.DIALECTS
            if names_in(spec, dialect)
        },
        "differs": {
            f"{dialect} {there}": differs
            for dialect, there, ours, differs in registry.table()
            if ours == spec.name and differs
        },
        "paper": spec.paper,
        "notes": dict(spec.notes),
    }


def _parameters(spec: Spec | RowSpec) -> dict[str, Any]:
    found = {}
    for key, argument in list(spec.signature.parameters.items())[1:]:
        parameter = spec.parameters.get(key)
        has_default = argument.default is not inspect.Parameter.empty
        found[key] = {
            "default": argument.default if has_default else None,
            "required": not has_default,
            **(
                {
                    "domain": parameter.domain,
                    "learned": parameter.learned,
                    "initial": parameter.initial,
                }
                if parameter
                else {}
            ),
        }
    return found


def _at(activation: Any, spec: Spec, fixed: dict[str, Any]) -> dict[str, Any]:
    """Return what depends on the values of the parameters."""
    from advact_jax import _samples, properties

    given = {**_samples.initial(spec), **fixed}
    found = properties.of(activation)
    return {
        "label": found.label,
        "kinks": {f"{kink:g}": side for kink, side in spec.at("kinks", **given).items()},
        "limits": spec.at("limits", **given),
        "slope_limits": spec.at("slope_limits", **given),
        "properties": dataclasses.asdict(found) | {"shown": found.shown()},
    }


# -- in words -----------------------------------------------------------------------------------


def _title(known: dict[str, Any]) -> str:
    also = f" = {' = '.join(known['aliases'])}" if known["aliases"] else ""
    return f"{known['name']}{also}: {known['tier']}, {known['kind']}, family {known['family']}"


def _fields(known: dict[str, Any]) -> dict[str, str]:
    fields = {
        "summary": known["summary"],
        "definition": known["definition"],
        "parameters": "; ".join(_parameter(k, p) for k, p in known["parameters"].items()),
        "given": ", ".join(f"{key}={value}" for key, value in known["given"].items()),
    }
    if "kinks" in known:
        sides = (f"{kink} (the {side} piece owns it)" for kink, side in known["kinks"].items())
        fields["kinks"] = ", ".join(sides) or "none"
        fields["limits"] = _pair(known["limits"])
        fields["slope limits"] = _pair(known["slope_limits"])
        fields |= known["properties"]["shown"]
    for name, errors in known.get("accuracy", {}).items():
        label = "accuracy" if name == known["name"] else f"accuracy of {name}"
        fields[label] = _accuracy(errors, known["accuracy_dtype"])
    fields["keeps"] = f"{known['bytes_kept']:g} bytes per float32 element for the backward pass"
    fields["elsewhere"] = "; ".join(
        f"{dialect}: {', '.join(names)}" for dialect, names in known["names"].items()
    )
    fields["differs"] = "; ".join(f"{there}: {what}" for there, what in known["differs"].items())
    fields["paper"] = known["paper"]
    return fields | {f"note on {contract}": why for contract, why in known["notes"].items()}


def _parameter(key: str, parameter: dict[str, Any]) -> str:
    text = key if parameter["required"] else f"{key} = {parameter['default']}"
    words = ["required"] if parameter["required"] else []
    words += [parameter["domain"]] if parameter.get("domain") else []
    if parameter.get("learned"):
        starts = parameter["initial"]
        words.append("learned" if starts is None else f"learned, from {starts:g}")
    return f"{text} ({', '.join(words)})" if words else text


def _pair(limits: tuple[float, float] | None) -> str:
    return "none" if limits is None else f"{limits[0]:.6g} at -inf, {limits[1]:.6g} at inf"


def _accuracy(errors: dict[str, Any] | None, dtype: str) -> str:
    if errors is None:
        return ""
    cells = []
    for order, error in errors.items():
        wrong = f" and {error['not_finite']} not finite" if error["not_finite"] else ""
        cells.append(f"{order.replace('_', ' ')} {error['ulps']:.2f}{wrong}")
    return f"worst ulp in {dtype}: {', '.join(cells)}"
