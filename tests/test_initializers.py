"""Initial weights by name, and the gain of an activation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import Activation, catalog, initializers

pytestmark = pytest.mark.sampled(3)
SUBJECTS = ("initializers",)

KEY = jax.random.key(0)
SHAPE = (400, 100)


def draw(initializer: Any, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.asarray(initializer(KEY, shape, jnp.float32), np.float64)


# name, standard deviation, limit (of a truncated normal: 2 of its own standard deviations)
RULES: list[tuple[str, float, float]] = [
    ("random_uniform", 0.1 / math.sqrt(12), 0.05),
    ("uniform", 0.1 / math.sqrt(12), 0.05),
    ("random_normal", 0.05, math.inf),
    ("lecun_uniform", math.sqrt(1 / 400), math.sqrt(3 / 400)),
    ("lecun_normal", math.sqrt(1 / 400), 2 * math.sqrt(1 / 400) / 0.8796),
    ("glorot_uniform", math.sqrt(2 / 500), math.sqrt(6 / 500)),
    ("glorot_normal", math.sqrt(2 / 500), 2 * math.sqrt(2 / 500) / 0.8796),
    ("he_uniform", math.sqrt(2 / 400), math.sqrt(6 / 400)),
    ("he_normal", math.sqrt(2 / 400), 2 * math.sqrt(2 / 400) / 0.8796),
]


@pytest.mark.parametrize("name, deviation, limit", RULES)
def test_the_rules_of_the_field(name: str, deviation: float, limit: float) -> None:
    w = draw(initializers.get(name))
    assert abs(w.mean()) < 5 * deviation / math.sqrt(w.size)
    assert abs(w.std() / deviation - 1) < 0.02
    assert np.abs(w).max() <= limit * 1.001


def test_names_of_classes_and_configs() -> None:
    same = draw(initializers.get("he_normal"))
    np.testing.assert_array_equal(draw(initializers.get("HeNormal")), same)
    np.testing.assert_array_equal(draw(initializers.get("msra_normal")), same)
    config = {"class_name": "RandomNormal", "config": {"stddev": 0.2, "seed": None}}
    np.testing.assert_array_equal(
        draw(initializers.get(config)), draw(initializers.get("normal", stddev=0.2))
    )
    assert (draw(initializers.get("constant", value=0.25)) == 0.25).all()
    assert (draw(initializers.get("zeros")) == 0).all()
    assert (draw(initializers.get("Ones")) == 1).all()
    made = jax.nn.initializers.he_normal()
    assert initializers.get(made) is made


KNOWN: list[tuple[str, dict[str, Any], float]] = [
    ("identity", {}, 1.0),
    ("relu", {}, math.sqrt(2)),
    ("leaky_relu", {"negative_slope": 0.3}, math.sqrt(2 / (1 + 0.09))),
    ("prelu", {}, math.sqrt(2 / (1 + 0.0625))),
    ("selu", {}, 1.0),
    ("tanh", {}, 1.5925374),
]


@pytest.mark.parametrize("name, parameters, expected", KNOWN)
def test_known_gains(name: str, parameters: dict[str, Any], expected: float) -> None:
    assert initializers.gain(name, **parameters) == pytest.approx(expected, rel=1e-6)


def test_known_backward_gains() -> None:
    assert initializers.gain("relu", backward=True) == pytest.approx(math.sqrt(2), rel=1e-12)
    assert initializers.gain("leaky_relu", negative_slope=0.5, backward=True) == pytest.approx(
        math.sqrt(2 / 1.25), rel=1e-12
    )


def test_a_gain_is_right_where_gauss_hermite_alone_misses_the_kinks() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / math.sqrt(2 * math.pi)
    smooth = float(np.sum(weights * np.tanh(nodes) ** 2))
    assert initializers.gain("tanh") ** -2 == pytest.approx(smooth, rel=1e-12)
    within = math.erf(1 / math.sqrt(2))  # The share of a normal variable within [-1, 1].
    assert initializers.gain("hard_tanh", backward=True) ** -2 == pytest.approx(within, rel=1e-12)
    alone = float(np.sum(weights * (np.abs(nodes) < 1)))
    assert abs(alone - within) > 0.02


@pytest.mark.parametrize("name", catalog.elementwise())
def test_gains_agree_with_a_sample(name: str) -> None:
    if name == "step":
        assert initializers.gain(name) == pytest.approx(math.sqrt(2))
        with pytest.raises(ValueError, match="second moment is finite and not 0, got 0.0"):
            initializers.gain(name, backward=True)
        return
    spec = catalog.lookup(name).spec  # type: ignore[attr-defined]
    required = [key for key in spec.parameters if key not in spec.defaults]
    f = Activation(name, **{key: spec.parameters[key].samples[0] for key in required})
    z = np.random.default_rng(0).normal(size=2_000_000).astype(np.float32)
    moment = np.mean(np.asarray(f(z), np.float64) ** 2)
    assert initializers.gain(f) == pytest.approx(moment**-0.5, rel=0.02)


def test_a_deep_net_keeps_its_second_moment() -> None:
    for name in ("silu", "gelu", "softplus", "leaky_relu"):
        x = jax.random.normal(KEY, (256, 512))
        make = initializers.variance_preserving(name)
        f = Activation(name)
        moments = []
        for key in jax.random.split(KEY, 8):
            x = f(x) @ make(key, (512, 512), jnp.float32)
            moments.append(float(jnp.mean(x**2)))
        assert 0.5 < moments[-1] < 2, (name, moments)


def test_the_textbook_rule_of_an_activation() -> None:
    leaky = Activation("leaky_relu", negative_slope=0.5)
    expected: dict[Any, float] = {
        "relu": 2, "gelu": 2, "elu": 2, "selu": 1, "linear": 1, leaky: 1.6
    }  # fmt: skip
    for activation, scale in expected.items():
        w = draw(initializers.initializer_for(activation))
        assert abs(w.var() * 400 / scale - 1) < 0.04
    for activation in ("tanh", "sigmoid", "hard_tanh", "softmax"):
        np.testing.assert_array_equal(
            draw(initializers.initializer_for(activation)), draw(initializers.get("glorot_uniform"))
        )


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "name": (lambda: initializers.get("he_norml"), ValueError, "'he_norml'. Did you mean he_norm"),
    "argument": (lambda: initializers.get("he_normal", std=1), TypeError, "he_normal: .*'std'"),
    "made": (
        lambda: initializers.get(jax.nn.initializers.zeros, value=1), TypeError,
        "expected no arguments for an initializer",
    ),
    "type": (lambda: initializers.get(3), TypeError, "expected an initializer: a name"),  # type: ignore[arg-type]
    "ends": (lambda: initializers.random_uniform(1, 0), ValueError, "minval to be at most maxval"),
    "rows": (lambda: initializers.gain("softmax"), TypeError, "gain: expected an elementwise"),
    "parameter": (lambda: initializers.gain("relu", slope=1), TypeError, "parameters of relu"),
    "no slope": (
        lambda: initializers.initializer_for("exponential"), ValueError, "variance_preserving"
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("first, bound", [(True, 1 / 400), (False, math.sqrt(6 / 400) / 30)])
def test_siren_draws_uniformly_within_its_bound(first: bool, bound: float) -> None:
    w = draw(initializers.siren(first=first))
    assert np.abs(w).max() <= bound * (1 + 1e-6)
    assert abs(w.std() * math.sqrt(3) / bound - 1) < 0.02


def test_siren_keeps_standard_normal_input_of_its_sines() -> None:
    h = jax.random.uniform(KEY, (2000, 2), minval=-1.0)
    for i, shape in enumerate([(2, 256), (256, 256), (256, 256)]):
        w = initializers.siren(first=i == 0)(jax.random.key(i), shape, jnp.float32)
        h = advact_jax.sine(h @ w)
    w = initializers.siren()(jax.random.key(9), (256, 256), jnp.float32)
    assert abs(float(jnp.std(30 * h @ w)) - 1) < 0.1


def test_siren_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="siren: expected omega to be positive, got 0"):
        initializers.siren(0)
    with pytest.raises(
        ValueError, match=r"siren: expected a shape of at least two axes, got \(3,\)"
    ):
        initializers.siren()(KEY, (3,), jnp.float32)
