"""Modules of torch.nn against our activations by torch's names.

torch computes in float64 what ours are compared with, then in float32 and bfloat16 for a look at
what it gives a user. A NaN in the input is left to the contracts: the slope of many of torch's is 1
there.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import advact_jax
from advact_jax import linen, nnx, registry
from tests.peers import agreement
from tests.peers.agreement import ROWS, Case

torch = pytest.importorskip("torch")

inf, nan = math.inf, math.nan

# torch's formulas give inf - inf, inf / inf or 0 * inf where ours give the limits.
GATED = {inf: ((inf, 1.0), (inf, nan)), -inf: ((0.0, 0.0), (nan, nan))}
ALONG_AXIS = [{"dim": -1}, {"dim": 0}, {"dim": 1}]

# The arguments of each module, several values each; {} is torch's default.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "CELU": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "ELU": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "GELU": [{}, {"approximate": "none"}, {"approximate": "tanh"}],
    "GLU": [{}, {"dim": 1}, {"dim": -2}],
    "Hardshrink": [{}, {"lambd": 0.0}, {"lambd": 1.25}],
    "Hardsigmoid": [{}],
    "Hardswish": [{}],
    "Hardtanh": [{}, {"min_val": -2.0, "max_val": 0.5}, {"max_val": 3.0}],
    "Identity": [{}],
    "LeakyReLU": [{}, {"negative_slope": 0.25}, {"negative_slope": 0.0}, {"negative_slope": 2.0}],
    "LogSigmoid": [{}],
    "LogSoftmax": ALONG_AXIS,
    "Mish": [{}],
    "ReLU": [{}],
    "ReLU6": [{}],
    "SELU": [{}],
    "SiLU": [{}],
    "Sigmoid": [{}],
    "Softmax": ALONG_AXIS,
    "Softmin": ALONG_AXIS,
    "Softplus": [{}, {"beta": 0.5}, {"beta": 2.0}, {"beta": 2.0, "threshold": 30.0}],
    "Softshrink": [{}, {"lambd": 0.0}, {"lambd": 1.25}],
    "Softsign": [{}],
    "Tanh": [{}],
    "Tanhshrink": [{}],
    "Threshold": [{"threshold": 1.0, "value": -2.0}, {"threshold": -0.5, "value": 0.0}],
}
MODULES = [
    there for dialect, there, *_ in registry.table() if dialect == "torch" and there[0].isupper()
]
CASES = [(name, given) for name in ARGUMENTS for given in ARGUMENTS[name]]

# Of torch in float64, relative to the size of the input: the sums 1 + erf and 1 + tanh cancel in
# the tail of gelu, and x - tanh(x) near 0.
NOISE = {"GELU": 2.0**-51, "Tanhshrink": 2.0**-52}


def differs(name: str, given: dict[str, Any]) -> agreement.Differs:
    """Return where ours differ from torch's on purpose."""
    if name in ("GELU", "Mish", "SiLU"):
        return GATED
    if name == "Hardswish":
        return {-inf: ((0.0, 0.0), (nan, 0.0))}
    if name == "Softsign":
        return {inf: ((1.0, 0.0), (nan, nan)), -inf: ((-1.0, 0.0), (nan, nan))}
    # The linear piece owns the kink, as in jax.nn; in torch the other does.
    if name == "Hardtanh":
        low, high = given.get("min_val", -1.0), given.get("max_val", 1.0)
        return {end: ((end, 1.0), (end, 0.0)) for end in (low, high)}
    if name == "LeakyReLU":
        slope = given.get("negative_slope", 0.01)
        at_kink: agreement.Differs = {0.0: ((0.0, 1.0), (0.0, slope))}
        if slope == 0:  # 0 * inf
            return {**at_kink, -inf: ((0.0, 0.0), (nan, 0.0))}
        return at_kink
    return {}


def in_torch(module: Any, x: np.ndarray, dtype: Any = None) -> agreement.Result:
    given = torch.tensor(np.array(x, np.float64), dtype=dtype or torch.float64, requires_grad=True)
    y = module(given)
    y.backward(torch.tensor(agreement.weights(tuple(y.shape)), dtype=y.dtype))
    return agreement.Result(y.detach().double().numpy(), given.grad.double().numpy())


def title(value: Any) -> str:
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value


def test_all_modules_of_torch_are_known_and_all_known_modules_are_tested():
    # Those that are named have a test of their own. Attention is no activation.
    assert {*ARGUMENTS, "PReLU", "RReLU", "Softmax2d"} == set(MODULES)
    theirs = {*torch.nn.modules.activation.__all__, "Identity"}
    assert theirs - set(MODULES) == {"MultiheadAttention"}


@pytest.mark.parametrize("given", [{}, {"lower": 0.1, "upper": 0.2}], ids=title)
def test_rrelu_of_a_model_in_use(given):
    here = advact_jax.get("RReLU", dialect="torch", **given)
    x = agreement.GRID
    there = in_torch(torch.nn.RReLU(**given).eval(), x)
    agreement.check(Case(here, there, {}, 0.0, x), there)


def test_rrelu_in_training_has_slopes_in_the_same_range():
    x = jnp.full(2000, -1.0)
    here = -advact_jax.get("RReLU", dialect="torch")(x, key=jax.random.key(0))
    there = -torch.nn.RReLU()(torch.full((2000,), -1.0)).numpy()
    for slopes in (np.asarray(here), there):
        assert slopes.min() >= 1 / 8 and slopes.max() <= 1 / 3
        np.testing.assert_allclose(slopes.mean(), 11 / 48, atol=0.01)


def test_softmax2d():
    x = np.linspace(-3, 3, 48).reshape(2, 3, 4, 2) ** 3
    there = torch.nn.Softmax2d()(torch.tensor(x)).numpy()
    here = advact_jax.get("Softmax2d", dialect="torch")(jnp.asarray(x, "float32"))
    np.testing.assert_allclose(here, there, rtol=2e-6, atol=1e-7)


def test_gumbel_softmax_has_the_frequencies_of_torch_s():
    x = np.tile([0.5, -0.5, 1.0], (4000, 1))
    there = torch.nn.functional.gumbel_softmax(torch.tensor(x), tau=0.5, hard=True).mean(0)
    function = advact_jax.get("gumbel_softmax", dialect="torch", tau=0.5, hard=True)
    here = function(jnp.asarray(x, "float32"), key=jax.random.key(0))
    np.testing.assert_allclose(here.mean(0), there, atol=0.05)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_all_arguments_are_tested(name):
    # inplace is about memory; min_value and max_value are the old names of min_val and max_val.
    left_out = {"self", "args", "kwargs", "inplace", "min_value", "max_value"}
    known = {*inspect.signature(getattr(torch.nn, name).__init__).parameters} - left_out
    assert known == {key for given in ARGUMENTS[name] for key in given}


@pytest.mark.parametrize(("name", "given"), CASES, ids=title)
def test_module(name, given):
    is_along_axis = name in ("GLU", "LogSoftmax", "Softmax", "Softmin")
    x = ROWS if is_along_axis else agreement.POINTS
    here = advact_jax.get(name, dialect="torch", **given)
    there = getattr(torch.nn, name)(**given)
    case = Case(here, there, differs(name, given), NOISE.get(name, 0.0), x)
    agreement.check(case, in_torch(there, x))
    # What a user of torch sees: near, but with the errors of its own float32.
    finite = np.isfinite(x).all() or np.isfinite(x) & ~np.isin(x, list(case.differs))
    single, double = in_torch(there, x, torch.float32), in_torch(there, x)
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a[finite], b[finite], rtol=1e-4, atol=1e-6)


FUNCTIONS: dict[str, dict[str, Any]] = {
    "gelu": {"approximate": "tanh"},
    "hardtanh": {"min_val": -2.0, "max_val": 0.5},
    "leaky_relu": {"negative_slope": 0.25},
    "prelu": {"weight": 0.25},
    "softmax": {"dim": 0},
    "softplus": {"beta": 2.0, "threshold": 20.0},
    "threshold": {"threshold": 1.0, "value": 2.0},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_takes_the_arguments_of_the_function_of_torch(name):
    theirs, given = getattr(torch.nn.functional, name), FUNCTIONS[name]
    x = ROWS if name == "softmax" else agreement.GRID
    tensors = {**given, "weight": torch.tensor([0.25])} if name == "prelu" else given
    expected = theirs(torch.tensor(x, dtype=torch.float32), **tensors)
    here = advact_jax.get(name, dialect="torch", **given)(jnp.asarray(x, "float32"))
    np.testing.assert_allclose(here, expected, rtol=2e-6, atol=1e-7)


def test_softplus_is_softplus_above_the_threshold_too():
    # torch's threshold is a step to x, for the speed; the truth has none.
    x = agreement.GRID
    here = agreement.in_jax(advact_jax.get("Softplus", dialect="torch", threshold=1.0), x)
    exact = agreement.Result(np.logaddexp(x, 0), 1 / (1 + np.exp(-x)))
    agreement.assert_close(here, exact, x)
    there = in_torch(torch.nn.Softplus(threshold=1.0), x)
    above = x > 1
    np.testing.assert_array_equal(there.value[above], x[above])
    np.testing.assert_allclose(there.value[~above], exact.value[~above], rtol=1e-12)
    assert np.max(exact.value - there.value) > 0.2


# -- PReLU --------------------------------------------------------------------------------------

CHANNELS_FIRST = (2 * np.random.default_rng(3).normal(size=(2, 3, 4, 5))).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "num_parameters", "axis"),
    [
        (CHANNELS_FIRST, 1, None), (CHANNELS_FIRST, 3, 1), (CHANNELS_FIRST[..., 0], 3, 1),
        (CHANNELS_FIRST[..., 0, 0], 3, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("init", [0.25, -0.5])
def test_prelu(x, num_parameters, axis, init):
    there = torch.nn.PReLU(num_parameters, init=init, dtype=torch.float64)
    features = None if axis is None else num_parameters
    module = linen.PReLU(axis=axis, alpha_init=init)
    params = module.init(jax.random.key(0), x)["params"]
    twin = nnx.PReLU(features, axis=axis, alpha_init=init)
    for alpha in (params["alpha"], twin.alpha[...]):
        np.testing.assert_array_equal(jnp.ravel(alpha), there.weight.detach())
    expected = in_torch(there, x)
    here = agreement.in_jax(twin, x)
    agreement.assert_close(here, expected, x)
    seed = jnp.asarray(agreement.weights(x.shape), "float32")
    _, pullback = jax.vjp(lambda p: module.apply({"params": p}, x), params)
    np.testing.assert_allclose(
        jnp.ravel(pullback(seed)[0]["alpha"]), there.weight.grad, rtol=5e-6, atol=1e-5
    )


def test_prelu_at_the_kink():
    # x >= 0 owns 0, as in our definition and in Flax; in torch it is x <= 0.
    x = agreement.POINTS
    here = advact_jax.get("PReLU", dialect="torch", alpha=0.25)
    there = torch.nn.PReLU(dtype=torch.float64)
    agreement.check(Case(here, there, {0.0: ((0.0, 1.0), (0.0, 0.25))}), in_torch(there, x))


# -- 16 bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ELU", "SiLU", "LogSigmoid"])
def test_bfloat16_is_the_rounded_truth_and_torch_is_near(name):
    x = np.asarray(jnp.asarray(agreement.GRID, "bfloat16"))
    there = getattr(torch.nn, name)()
    here = agreement.in_jax(advact_jax.get(name, dialect="torch"), x, "bfloat16")
    exact = in_torch(there, x)
    for a, b, truth in zip(here, in_torch(there, x, torch.bfloat16), exact, strict=True):
        assert np.max(agreement.ulps(a, truth, 2.0**-6)) <= 0.51
        # torch rounds once as well, but for the gradients that it computes from the rounded output.
        np.testing.assert_allclose(b, truth, rtol=2.0**-6, atol=2.0**-8)
