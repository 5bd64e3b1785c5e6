"""Mean-field theory against closed forms, and random nets against the theory."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from advact_jax import diagnostics, initializers
from advact_jax.diagnostics import meanfield


def elementwise(name: Any) -> meanfield.Elementwise:
    return meanfield.Elementwise.of("test", name)


def arccosine(c: float) -> float:
    """E[relu(u) relu(v)] / (q / 2) for correlation c: Cho & Saul 2009."""
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


def arcsine(q: float, c: float) -> float:
    """E[erf(u) erf(v)]: Williams 1997."""
    return 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))


CORRELATIONS = (-0.9, -0.2, 0.0, 1e-4, 0.3, 0.99, 1 - 1e-6, 1.0)


def test_pairs_have_the_moments_of_closed_forms() -> None:
    relu, erf, jump = elementwise("relu"), elementwise("erf"), elementwise("hard_shrink")

    def pairs(f: meanfield.Elementwise, q: Any) -> Any:
        mean = jax.jit(lambda c: meanfield.pair_expectation(f.function, q, c, f.kinks))
        return [float(mean(jnp.float64(c))) for c in CORRELATIONS]

    with jax.enable_x64(True):
        q = jnp.float64(1.7)
        np.testing.assert_allclose(
            pairs(relu, q), [0.85 * arccosine(c) for c in CORRELATIONS], atol=1e-14
        )
        np.testing.assert_allclose(
            pairs(erf, q), [arcsine(1.7, c) for c in CORRELATIONS], atol=1e-14
        )
        # The same number twice is a square, jumps included.
        square = meanfield.expectation(lambda x: jump.function(x) ** 2, q, jump.kinks)
        np.testing.assert_allclose(pairs(jump, q)[-1], square, rtol=1e-12)


def test_relu_with_he_weights_keeps_variance_and_gradients() -> None:
    path = meanfield.travel(elementwise("relu"), 40, weight_variance=2.0, correlation=0.0)
    np.testing.assert_allclose(path["variance"], 1, rtol=1e-13)
    np.testing.assert_allclose(path["chi"], 1, rtol=1e-13)
    c = [0.0]
    for _ in range(39):
        c.append(arccosine(c[-1]))
    np.testing.assert_allclose(path["correlation"], c, atol=1e-13)
    point = meanfield.fixed_point(elementwise("relu"), weight_variance=2.0)
    assert (point.phase, point.variance, point.correlation) == ("edge", 1.0, 1.0)
    assert point.correlation_depth == math.inf


def test_selu_with_lecun_weights_has_its_fixed_point_at_mean_0_and_variance_1() -> None:
    selu = elementwise("selu")
    point = meanfield.fixed_point(selu, weight_variance=1.0, variance=2.5)
    assert point.variance == pytest.approx(1, abs=1e-7)
    path = meanfield.travel(selu, 60, weight_variance=1.0, variance=2.5)
    assert path["mean"][-1] == pytest.approx(0, abs=1e-6)
    assert path["second_moment"][-1] == pytest.approx(1, abs=1e-5)
    # Klambauer et al. 2017: variances are attracted; gradients nearly kept.
    assert 1 < point.chi < 1.08 and point.phase == "chaotic"


def test_tanh_has_its_edge_of_chaos_at_gain_1_without_biases() -> None:
    assert diagnostics.edge_of_chaos("tanh") == pytest.approx(1, abs=1e-9)
    tanh = elementwise("tanh")
    phases = {w: meanfield.fixed_point(tanh, weight_variance=w**2).phase for w in (0.9, 1.0, 1.2)}
    assert phases == {0.9: "ordered", 1.0: "edge", 1.2: "chaotic"}
    # With biases the edge is at a larger gain; chi is 1 at the fixed point there.
    gain = diagnostics.edge_of_chaos("tanh", bias_std=0.3)
    point = meanfield.fixed_point(tanh, weight_variance=gain**2, bias_variance=0.09)
    assert gain > 1.3 and point.chi == pytest.approx(1, abs=1e-6) and point.phase == "edge"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "gain"), [("relu", 2**0.5), ("erf", math.pi**0.5 / 2), ("elu", 1.0), ("hard_tanh", 1)]
)
def test_edges_of_chaos(name: str, gain: float) -> None:
    assert diagnostics.edge_of_chaos(name) == pytest.approx(gain, rel=1e-6)


@pytest.mark.sampled(3)
def test_an_activation_without_an_edge_is_told() -> None:
    with pytest.raises(ValueError, match="edge_of_chaos: expected an activation with chi_1 = 1"):
        diagnostics.edge_of_chaos("gelu")


def test_gradients_vanish_in_a_sigmoid_net() -> None:
    report = diagnostics.depth_report("sigmoid", "glorot_uniform", 20, width=64, seeds=2, batch=4)
    assert report.fixed_point.phase == "ordered" and report.fixed_point.chi < 1 / 16
    assert report.theory["gradient"][0] < 1e-20
    assert np.all(report.measured["gradient"][:, 0] < 1e-18)
    assert "ORDERED: chi_1 = 0.0557, so gradients vanish" in report.report()


NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh in chaos": ("tanh", {"weight_gain": 1.6, "bias_std": 0.3}),
    "relu": ("relu", {"initializer": "he_uniform"}),
    "selu": ("selu", {"initializer": "auto"}),
    "leaky_relu": ("leaky_relu", {"initializer": "lecun_uniform"}),
}


@pytest.mark.parametrize(
    "name", [[*NETS][0], *(pytest.param(n, marks=pytest.mark.sampled(3)) for n in [*NETS][1:])]
)
def test_random_nets_do_what_the_theory_says(name: str) -> None:
    activation, options = NETS[name]
    depth, width, seeds = 12, 192, 24
    report = diagnostics.depth_report(
        activation, depth=depth, width=width, seeds=seeds, batch=6, **options
    )
    # The standard error of the mean, and the bias of a net that is not infinitely wide, which grows
    # with depth over width.
    bias = 3 * np.arange(1, depth + 1) / width
    for key in ("variance", "gradient"):
        logs = np.log(report.measured[key])
        error = logs.std(0, ddof=1) / math.sqrt(seeds)
        away = np.abs(logs.mean(0) - np.log(report.theory[key]))
        reach = bias[::-1] if key == "gradient" else bias
        assert np.all(away < 4.5 * error + reach), (key, away, error)
    c = report.measured["correlation"]
    error = c.std(0, ddof=1) / math.sqrt(seeds)
    assert np.all(np.abs(c.mean(0) - report.theory["correlation"]) < 4.5 * error + bias)
    np.testing.assert_allclose(
        report.measured["output_variance"].mean(0), report.theory["output_variance"], rtol=0.25
    )


@pytest.mark.sampled(3)
def test_the_measure_would_show_a_wrong_theory() -> None:
    # The tolerance of the test above is far smaller than what one percent of the gain does.
    f = elementwise("tanh")
    right, wrong = (
        meanfield.travel(f, 12, weight_variance=w**2, bias_variance=0.09)["chi"] for w in (1.6, 1.7)
    )
    assert abs(np.log(right).sum() - np.log(wrong).sum()) > 0.5


@pytest.mark.sampled(3)
def test_weights_by_a_function_are_sampled() -> None:
    options: dict[str, Any] = {"depth": 4, "width": 128, "seeds": 3, "batch": 2}
    report = diagnostics.depth_report("relu", initializers.get("he_normal"), **options)
    assert report.weight_gain == pytest.approx(math.sqrt(2), rel=0.01)
    assert report.weight_gain != math.sqrt(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1}, "expected depth to be an int of 2 or more, got 1"),
        ({"correlation": 1.0}, "a correlation in \\[0, 1\\)"),
        ({"weight_gain": -1.0}, "expected weight_gain to be positive"),
        ({"initializer": "zeros", "depth": 3, "width": 8}, "expected random weights, got zeros"),
        ({"initializer": "he_norml"}, "Did you mean he_normal"),
        ({"activation": "reluu"}, "Did you mean relu"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    given = {"activation": "relu", "seeds": 1, "batch": 2, **arguments}
    with pytest.raises(ValueError, match=message):
        diagnostics.depth_report(**given)
