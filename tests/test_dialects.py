"""From the words of one library to those of another, and back."""

from __future__ import annotations

from typing import Any

import pytest

import advact_jax
from advact_jax import catalog, dialects, registry
from advact_jax._spec import names_in

NAMES = [
    (dialect, name.name)
    for dialect in registry.DIALECTS
    for function in {**catalog.elementwise(), **catalog.along_axis()}.values()
    for name in names_in(function.spec, dialect)  # type: ignore[attr-defined]
]


def meant(name: str, dialect: str | None, **parameters: Any) -> Any:
    """Return the activation of a name, None if it needs more than its name."""
    try:
        return registry.get(name, dialect=dialect, **parameters)
    except TypeError:
        return None


def test_every_name_means_the_same_after_a_translation() -> None:
    # Between all libraries: wherever there is a spelling, it stands for the same function with the
    # same parameters.
    tried = 0
    for source, name in NAMES:
        made = meant(name, source)
        if made is None:
            continue
        for target in (*registry.DIALECTS, None):
            try:
                spelt = dialects.spell(name, target, source=source)
            except ValueError:
                continue
            assert meant(spelt.name, target, **spelt.parameters) == made, (source, name, spelt)
            tried += target not in (source, None)
    assert tried > 300


@pytest.mark.parametrize(
    "name, source, target, parameters, spelt",
    [
        ("LeakyReLU", "torch", "keras", {}, "LeakyReLU negative_slope=0.01"),
        ("leaky_relu", "torch", "keras", {}, "leaky_relu negative_slope=0.01"),
        ("leaky_relu", "keras", "torch", {}, "leaky_relu negative_slope=0.2"),
        ("LeakyReLU", "torch", "keras", {"negative_slope": 0.3}, "LeakyReLU"),
        ("leaky_relu", "keras", "onnx", {}, "LeakyRelu alpha=0.2"),
        ("gelu", "keras", "jax", {}, "gelu approximate=False"),
        ("gelu", None, "torch", {}, "gelu approximate=tanh"),
        ("gelu", None, "huggingface", {}, "gelu_new"),
        ("GELU", "torch", None, {}, "gelu approximate=False"),
        ("Hardtanh", "torch", None, {"min_val": -2.0}, "hard_tanh min_value=-2.0"),
        ("HardSigmoid", "onnx", "onnx", {}, "HardSigmoid"),
        ("softplus", "torch", None, {"beta": 2.0, "threshold": 20}, "softplus beta=2.0"),
        ("softmax", "jax", "torch", {}, "softmax dim=-1"),
        ("ReLU6", "torch", "keras", {}, "relu6"),
    ],
)
def test_a_translation(
    name: str, source: str | None, target: str | None, parameters: dict[str, Any], spelt: str
) -> None:
    assert str(dialects.spell(name, target, source=source, **parameters)) == spelt


@pytest.mark.parametrize(
    "source, target, initial",
    [
        ("torch", "keras", {"alpha": 0.25}),
        ("keras", "torch", {"alpha": 0.0}),
        ("flax", None, {"alpha": 0.01}),
        ("torch", "torch", {}),
    ],
)
def test_where_a_learned_slope_starts_is_translated(
    source: str, target: str | None, initial: dict[str, float]
) -> None:
    spelt = dialects.spell("PReLU", target, source=source)
    assert spelt.initial == initial and spelt.parameters == {}


def test_configs_and_activations_are_translated() -> None:
    keras = {"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}
    assert str(dialects.spell(keras, "torch")) == "leaky_relu negative_slope=0.1"
    ours = advact_jax.serialize(advact_jax.Activation("elu", alpha=0.5))
    assert str(dialects.spell(ours, "keras")) == "elu alpha=0.5"
    assert str(dialects.spell(advact_jax.swish, "torch")) == "silu"


@pytest.mark.parametrize(
    "activation, target, source, message",
    [
        ("quick_gelu", "keras", None, "expected an activation that keras has, got quick_gelu"),
        ({"activation": "silu", "parameters": {"beta": 2.0}}, "torch", None, r"got beta=2\.0"),
        ({"activation": "elu", "parameters": {"alpha": 2.0}}, "huggingface", None, "huggingface"),
        ("relu", "theano", None, "expected dialect to be one of jax"),
        ("reluu", "keras", "torch", "Did you mean ReLU"),
    ],
)
def test_what_cannot_be_said_is_told(
    activation: Any, target: str, source: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dialects.spell(activation, target, source=source)
