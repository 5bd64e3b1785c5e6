"""Names, dialects, fixed activations and their JSON."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import advact_jax
from advact_jax import Activation, _spec, catalog, deserialize, get, layers, registry, serialize
from advact_jax.testing import residual_bytes

EVERY = {**catalog.elementwise(), **catalog.along_axis()}
X = jnp.linspace(-4, 4, 24).reshape(2, 12)
REQUIRING = [
    name
    for name, function in EVERY.items()
    if any(
        argument.default is argument.empty
        for argument in list(function.spec.signature.parameters.values())[1:]  # type: ignore[attr-defined]
    )
]
TABLES = [n for n, f in catalog.along_axis().items() if f.spec.parameters]  # type: ignore[attr-defined]
# Functions of several arrays, which no value can hold.
GIVEN_ARRAYS = ("modrelu", "funnel_relu", "dynamic_relu", "poly_norm", "softmax_with_sink")
# What functions along an axis must be told.
REQUIRED: dict[str, dict[str, Any]] = {"maxout": {"k": 2}, "gaussian_topk": {"sparsity": 0.5}}


# -- names and dialects -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*EVERY, *catalog.aliases()])
def test_get_returns_the_function_itself(name: str) -> None:
    if name in REQUIRING and name not in REQUIRED:  # Nothing to call without their parameters.
        with pytest.raises(TypeError, match=f"get: expected .*which {name} has no default"):
            get(name)
    elif name in REQUIRED:
        np.testing.assert_array_equal(
            get(name, **REQUIRED[name])(X), EVERY[name](X, **REQUIRED[name])
        )
    else:
        assert get(name) is getattr(advact_jax, name)


# The traps of the inventory: one name, other defaults.
TRAPS: list[tuple[str, str | None, dict[str, float]]] = [
    ("gelu", None, {}),
    ("gelu", "jax", {}),
    ("gelu", "keras", {"approximate": False}),
    ("gelu", "torch", {"approximate": False}),
    ("GELU", "torch", {"approximate": False}),
    ("gelu", "huggingface", {"approximate": False}),
    ("gelu_new", "huggingface", {}),
    ("gelu_pytorch_tanh", "huggingface", {}),
    ("Gelu", "onnx", {"approximate": False}),
    ("quick_gelu", "huggingface", {}),
    ("leaky_relu", "jax", {}),
    ("leaky_relu", "keras", {"negative_slope": 0.2}),
    ("LeakyReLU", "keras", {"negative_slope": 0.3}),
    ("LeakyReLU", "torch", {}),
    ("LeakyRelu", "onnx", {}),
    ("hard_sigmoid", "keras", {}),
    ("Hardsigmoid", "torch", {}),
    ("HardSigmoid", "onnx", {"slope": 0.2, "offset": 0.5}),
]


@pytest.mark.parametrize("cap", [0, -1.0, math.nan])
def test_a_strict_parameter_is_checked_in_every_call(cap: float) -> None:
    x = jnp.ones(3)
    for call in (
        lambda: advact_jax.softcap(x, cap),
        lambda: advact_jax.softcap(x, cap=cap),
        lambda: jax.jit(lambda x: advact_jax.softcap(x, cap))(x),
    ):
        with pytest.raises(ValueError, match="softcap: expected cap to be positive"):
            call()
    np.testing.assert_array_equal(advact_jax.softcap(x), x)


@pytest.mark.parametrize("name, dialect, expected", TRAPS)
def test_the_defaults_of_a_dialect(
    name: str, dialect: str | None, expected: dict[str, float]
) -> None:
    expected = {k: v for k, v in expected.items() if k != "offset"}  # 0.5 is our default too.
    found = get(name, dialect=dialect)
    assert (found.parameters if isinstance(found, Activation) else {}) == expected


@pytest.mark.parametrize(
    "name, dialect, theirs, ours",
    [
        (
            "Hardtanh", "torch", {"min_val": -2.0, "max_val": 3.0},
            {"min_value": -2.0, "max_value": 3.0},
        ),
        ("Softplus", "torch", {"beta": 2.0, "threshold": 20.0}, {"beta": 2.0}),
        ("GELU", "torch", {"approximate": "tanh"}, {}),
        ("softshrink", "torch", {"lambd": 0.25}, {"threshold": 0.25}),
        ("Elu", "onnx", {"alpha": 0.5}, {"alpha": 0.5}),
        ("Swish", "onnx", {"alpha": 1.5}, {"beta": 1.5}),
        ("softmax", "torch", {"dim": 0}, {"axis": 0}),
        (
            "threshold", "keras", {"threshold": 0.5, "default_value": -1.0},
            {"threshold": 0.5, "value": -1.0},
        ),
    ],
)  # fmt: skip
def test_the_arguments_of_a_dialect(
    name: str, dialect: str, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    found = get(name, dialect=dialect, **theirs)
    assert (found.parameters if isinstance(found, Activation) else {}) == ours


@pytest.mark.parametrize("dialect", registry.DIALECTS)
def test_every_name_of_a_dialect_is_found_once(dialect: str) -> None:
    names = [n.name for f in EVERY.values() for n in _spec.names_in(f.spec, dialect)]  # type: ignore[attr-defined]
    # ONNX has one operator for both of our shrinkage functions: the general one is meant.
    assert len(names) == len(set(names)) and len(names) > 10
    for function in EVERY.values():
        for name in _spec.names_in(function.spec, dialect):  # type: ignore[attr-defined]
            required = {
                key: 0.5 for key, p in function.spec.signature.parameters.items()  # type: ignore[attr-defined]
                if p.default is p.empty and key in getattr(function.spec, "parameters", ())  # type: ignore[attr-defined]
            }  # fmt: skip
            assert Activation(name.name, dialect=dialect, **required).function is function


def test_the_old_name_of_the_slope_is_taken_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="alpha is the old name"):
        found = get("LeakyReLU", dialect="keras", alpha=0.1)
    assert found == Activation("leaky_relu", negative_slope=0.1)
    with pytest.warns(DeprecationWarning, match="alpha is the old name"):
        assert layers.LeakyReLU(alpha=0.1) == found


# -- fixed activations --------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("name", [name for name in EVERY if name not in GIVEN_ARRAYS])
def test_an_activation_is_the_function_at_its_parameters(name: str) -> None:
    function = EVERY[name]
    spec = function.spec  # type: ignore[attr-defined]
    parameters = getattr(spec, "parameters", {})
    given: dict[str, Any] = {key: p.samples[0] for key, p in parameters.items() if p.samples}
    if isinstance(spec, _spec.RowSpec):
        given = dict(spec.given[0])
    made = Activation(function, **given)
    x = X[..., None] if name == "softmax2d" else X
    given = {key: jnp.asarray(v) if key in parameters else v for key, v in given.items()}
    np.testing.assert_allclose(made(x), function(x, **given), rtol=2e-6, atol=1e-7)

    def slope(f: Callable[[Any], Any]) -> Any:
        return jax.grad(lambda x: jnp.sum(f(x) ** 2))(x)

    np.testing.assert_allclose(
        slope(made), slope(lambda x: function(x, **given)), rtol=2e-5, atol=1e-6
    )


@given(
    name=st.sampled_from(sorted(catalog.elementwise())),
    values=st.lists(st.floats(0.015625, 64.0), min_size=4, max_size=4),
)
def test_json_round_trip_is_exact(name: str, values: list[float]) -> None:
    function = catalog.elementwise()[name]
    names = function.spec.parameters  # type: ignore[attr-defined]
    made = Activation(name, **dict(zip(names, values, strict=False)))
    again = deserialize(json.loads(json.dumps(serialize(made), allow_nan=False)))
    assert again == made and hash(again) == hash(made) and again.parameters == made.parameters


def test_infinite_parameters_are_written_too() -> None:
    made = Activation("hard_tanh", max_value=float("inf"))
    assert deserialize(json.loads(json.dumps(serialize(made), allow_nan=False))) == made


def test_activations_are_values() -> None:
    a: Any = layers.LeakyReLU(0.3)
    b = get("LeakyReLU", dialect="keras")
    assert a == b and hash(a) == hash(b) and a != layers.LeakyReLU(0.2) and a != 3
    assert {a: 1}[b] == 1
    for same in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a), copy.copy(a)):
        assert same == a
    with pytest.raises(AttributeError, match="LeakyReLU: expected no assignment"):
        a.slope = 0.2
    with pytest.raises(AttributeError, match="expected no assignment"):
        del a._function
    assert repr(layers.ReLU(6)) == "Activation('relu', max_value=6.0)"
    assert eval(repr(a)) == a


def test_an_activation_is_a_static_argument() -> None:
    traces = []

    def apply(x: Any, f: Any) -> Any:
        traces.append(f)
        return f(x)

    jitted = jax.jit(apply, static_argnums=1)
    for _ in range(2):
        jitted(X, layers.ELU(0.5))
    assert len(traces) == 1


def test_a_known_slope_keeps_the_output_alone() -> None:
    assert residual_bytes(layers.LeakyReLU(0.3)) == 4


def test_activations_in_flax() -> None:
    linen, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")
    wanted = advact_jax.elu(advact_jax.relu(X, max_value=2.0), 0.5)
    stack = (layers.ReLU(max_value=2), layers.ELU(0.5))
    model = linen.Sequential(stack)
    np.testing.assert_allclose(model.apply(model.init(jax.random.key(0), X), X), wanted, rtol=1e-6)
    np.testing.assert_allclose(nnx.Sequential(*stack)(X), wanted, rtol=1e-6)
    assert hash(model) == hash(linen.Sequential((layers.ReLU(2.0), layers.ELU(0.5))))


def test_softmax_takes_a_mask_and_several_axes() -> None:
    mask = X > 0
    np.testing.assert_array_equal(layers.Softmax()(X, mask=mask), advact_jax.softmax(X, where=mask))
    np.testing.assert_array_equal(layers.Softmax([0, 1])(X), advact_jax.softmax(X, (0, 1)))


# -- a user's own -------------------------------------------------------------------------------


def test_an_activation_passes_a_key_on_to_what_draws() -> None:
    key = jax.random.key(0)
    made = get("RReLU", dialect="torch", lower=0.25, upper=0.5, inplace=True)
    wanted = advact_jax.rrelu(X, key, 0.25, 0.5)
    np.testing.assert_array_equal(made(X, key=key), wanted)
    np.testing.assert_array_equal(made(X), advact_jax.rrelu(X, lower=0.25, upper=0.5))
    with pytest.raises(TypeError, match="elu: expected no key for a function that draws nothing"):
        Activation("elu", alpha=0.5)(X, key=key)


def test_a_registered_function_is_found_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})

    @advact_jax.register
    @advact_jax.activation(parameters={"scale": advact_jax.Parameter(domain="positive")})
    def tripled(x: Any, scale: Any = 3.0) -> Any:
        return scale * x

    made = get("tripled", scale=4.0)
    assert deserialize(serialize(made)) == made and made(jnp.ones(())) == 4
    assert get("tripled", dialect="keras") is tripled
    with pytest.raises(ValueError, match="'tripled', which is taken"):
        advact_jax.register(lambda x: x, name="tripled")
    with pytest.raises(ValueError, match="'relu', which is taken"):
        advact_jax.register(lambda x: x, name="relu")
    assert advact_jax.register(name="other")(jnp.sin) is jnp.sin
    assert serialize(jnp.sin) == {"activation": "other", "parameters": {}}


# -- Keras's configs ----------------------------------------------------------------------------

CONFIGS: list[tuple[Any, Activation]] = [
    ({"class_name": "ReLU", "config": {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0,
                                       "name": "r", "dtype": "float32", "trainable": True}},
     layers.ReLU(6.0)),
    ({"class_name": "LeakyReLU", "config": {}}, layers.LeakyReLU()),
    ({"class_name": "ELU", "config": {"alpha": 0.5}}, layers.ELU(0.5)),
    ({"class_name": "Softmax", "config": {"axis": 0}}, layers.Softmax(0)),
    ({"class_name": "Activation", "config": {"activation": "gelu"}},
     Activation("gelu", approximate=False)),
    ({"class_name": "function", "config": "leaky_relu"},
     Activation("leaky_relu", negative_slope=0.2)),
    ("softplus", Activation("softplus")),
]  # fmt: skip


@pytest.mark.parametrize("config, expected", CONFIGS, ids=range(len(CONFIGS)))
def test_configs_of_keras(config: Any, expected: Activation) -> None:
    assert deserialize(config) == expected


# -- errors -------------------------------------------------------------------------------------

UNTYPED: Any = advact_jax

BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "name": (lambda: get("geluu"), ValueError, "get: .*'geluu'. Did you mean gelu"),
    "name there": (
        lambda: get("hard_tanh", dialect="torch"), ValueError, "in torch, got 'hard_tanh'"
    ),
    "dialect": (lambda: get("relu", dialect="tf"), ValueError, "get: expected dialect .* 'tf'"),
    "class": (lambda: get(layers.ReLU), TypeError, "Make an instance"),
    "number": (lambda: UNTYPED.get(3), TypeError, "get: expected a name or a function, got int 3"),
    "parameter": (
        lambda: get("leaky_relu", slope=0.1), TypeError, "get: .*leaky_relu .negative_slope., got"
    ),
    "array": (
        lambda: Activation("elu", alpha=jnp.ones(3)), TypeError,
        "Activation: expected alpha to be a Python number, got float32",
    ),
    "domain": (
        lambda: Activation("celu", alpha=0.0), ValueError,
        "Activation: expected alpha to be positive, got 0.0",
    ),
    "flag": (
        lambda: Activation("gelu", approximate="yes"), TypeError,
        "expected approximate to be True or False, got str 'yes'",
    ),
    "plain function": (
        lambda: Activation(jnp.sin, beta=2.0), TypeError, "expected no parameters for a function"
    ),
    "config": (lambda: UNTYPED.deserialize(3), TypeError, "deserialize: expected a dictionary"),
    "keys": (lambda: deserialize({"name": "relu"}), ValueError, "expected a key 'activation'"),
    "lambda": (lambda: serialize(lambda x: x), ValueError, "serialize: .*advact_jax.register"),
    "other gelu": (lambda: serialize(jax.nn.gelu), ValueError, "serialize: expected an activation"),
    "config and more": (
        lambda: get({"activation": "elu"}, alpha=1.0), TypeError, "no parameters beside a config"
    ),
    "negative slope": (
        lambda: layers.LeakyReLU(-0.1), ValueError,
        "LeakyReLU: expected negative_slope to be 0 or more, got -0.1",
    ),
    "negative theta": (lambda: layers.ThresholdedReLU(-1), ValueError, "ThresholdedReLU: .*theta"),
    "negative limit": (lambda: layers.ReLU(-1), ValueError, "ReLU: expected max_value"),
    "nan": (lambda: layers.ELU(float("nan")), ValueError, "ELU: expected alpha"),
    "no number": (
        lambda: layers.ThresholdedLinear("1"), TypeError,  # type: ignore[arg-type]
        "ThresholdedLinear: expected theta to be a number, got str '1'",
    ),
    "axis": (lambda: layers.Softmax(0.5), TypeError, "Softmax: expected axis to be an int"),  # type: ignore[arg-type]
    "old name": (lambda: layers.LeakyReLU(slope=0.1), TypeError, "LeakyReLU: expected negative_s"),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_torch_s_inplace_means_nothing_here() -> None:
    assert advact_jax.get("ReLU", dialect="torch", inplace=True) is advact_jax.relu
    with pytest.raises(TypeError, match="inplace"):
        advact_jax.get("relu", inplace=True)


def test_a_config_of_a_layer_that_learns_says_where_it_is() -> None:
    with pytest.raises(ValueError, match="PReLU, which learns.*linen.PReLU or advact_jax.nnx"):
        advact_jax.deserialize({"class_name": "PReLU", "config": {"shared_axes": [1]}})
