"""What the contracts do not cover: errors, jax.nn's own values and kinks, imports, hypothesis."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

import advact_jax
import advact_jax.diagnostics.nnx
from advact_jax import catalog, testing
from tests.site import tools

ELEMENTWISE = catalog.elementwise()
SHARED = {n: f for n, f in ELEMENTWISE.items() if "jax" in f.spec.names}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SHARED)
def test_is_a_drop_in_for_jax_nn(name: str) -> None:
    ours, theirs = SHARED[name], getattr(jax.nn, name)
    x = jnp.linspace(-8, 8, 101)
    # log1mexp is NaN left of 0 in jax.nn, which leaves it undefined.
    x = x[x >= 0] if name == "log1mexp" else x
    np.testing.assert_allclose(ours(x), theirs(x), rtol=2e-5, atol=1e-6)
    # sparse_sigmoid takes half of its slope at its kinks in jax.nn: the one that is not consistent.
    points = jnp.asarray([-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0])
    if name == "sparse_sigmoid":
        points = points[jnp.abs(points) != 1]
    if name == "log1mexp":
        points = points[points > 0]
    np.testing.assert_allclose(
        jax.vmap(jax.grad(ours))(points), jax.vmap(jax.grad(theirs))(points), rtol=2e-5, atol=1e-6
    )
    expected = list(inspect.signature(theirs).parameters)
    assert list(inspect.signature(ours).parameters)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("function", "point", "slope"),
    [
        (advact_jax.relu, 0.0, 0.0),
        (advact_jax.relu6, 0.0, 0.0),
        (advact_jax.relu6, 6.0, 0.0),
        (advact_jax.leaky_relu, 0.0, 1.0),
        (advact_jax.leaky_relu, -0.0, 1.0),
        (advact_jax.hard_tanh, 1.0, 1.0),
        (advact_jax.hard_tanh, -1.0, 1.0),
        (lambda x: advact_jax.elu(x, 2.0), 0.0, 2.0),
        (advact_jax.hard_silu, 3.0, 1.0),
        (advact_jax.hard_silu, -3.0, 0.0),
        (advact_jax.hard_sigmoid, 3.0, 0.0),
        (lambda x: advact_jax.prelu(x, 0.25), 0.0, 1.0),
        (lambda x: advact_jax.relu(x, max_value=3.0), 3.0, 0.0),
        (lambda x: advact_jax.relu(x, threshold=1.0), 1.0, 0.0),
        (lambda x: advact_jax.squareplus(x, 0.0), 0.0, 0.0),
    ],
)
def test_derivative_at_a_kink(function: Callable[[Any], Any], point: float, slope: float) -> None:
    for dtype in (jnp.float32, jnp.bfloat16):
        assert jax.grad(function)(jnp.asarray(point, dtype)) == slope


def test_keras_relu_with_all_three_extensions() -> None:
    x = jnp.asarray([-2.0, 0.5, 1.0, 1.5, 4.0])
    found = advact_jax.relu(x, negative_slope=0.1, max_value=3.0, threshold=1.0)
    np.testing.assert_allclose(found, [-0.3, -0.05, 0.0, 1.5, 3.0], rtol=1e-6)


def test_aliases_are_the_same_function() -> None:
    assert advact_jax.swish is advact_jax.silu
    assert advact_jax.hard_swish is advact_jax.hard_silu
    assert advact_jax.softsign is advact_jax.soft_sign
    assert advact_jax.linear is advact_jax.identity


@pytest.mark.parametrize("name", [*ELEMENTWISE, *catalog.along_axis()])
def test_can_be_pickled(name: str) -> None:
    function = catalog.lookup(name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


@pytest.mark.parametrize("name", ["tanh", "gelu", "sine", "softplus"])
def test_constants_that_are_hidden_from_the_compiler_stay_hidden(name: str) -> None:
    x = jnp.linspace(-3, 3, 64)
    wanted = catalog.lookup(name)(x)
    jax.clear_caches()
    with jax.ensure_compile_time_eval():
        np.testing.assert_array_equal(catalog.lookup(name)(x), wanted)
    jax.clear_caches()


# Wrong on purpose: a type checker would not let these pass.
UNTYPED: Any = advact_jax

BAD = {
    "complex": (lambda: UNTYPED.relu(1j), TypeError, "relu: expected x to be real"),
    "list": (lambda: UNTYPED.mish([1.0]), TypeError, "mish: expected x to be an array or a"),
    "string": (
        lambda: UNTYPED.tanh("a"), TypeError, "function tanh .* as an abstract array.* at path x"
    ),
    "none": (lambda: UNTYPED.elu(None), TypeError, "elu: expected x to be an array"),
    "shapes": (
        lambda: UNTYPED.prelu(jnp.ones((2, 3)), jnp.ones(2)),
        ValueError,
        r"prelu: expected shapes that broadcast together, got x \(2, 3\), alpha \(2,\)",
    ),
    "flag": (
        lambda: UNTYPED.gelu(1.0, approximate="tanh"),
        TypeError,
        "gelu: expected approximate to be True or False, got str 'tanh'",
    ),
    "array flag": (
        lambda: UNTYPED.gelu(1.0, approximate=jnp.ones(2)),
        TypeError,
        "gelu: expected approximate to be a plain Python value",
    ),
    "list for an axis": (
        lambda: UNTYPED.softmax(1.0, [0]),
        TypeError,
        "softmax: expected axis to be a plain Python value",
    ),
    "missing": (lambda: UNTYPED.prelu(1.0), TypeError, "prelu: missing a required argument"),
    "unknown": (
        lambda: UNTYPED.elu(1.0, slope=2.0), TypeError, "elu: got an unexpected keyword argument"
    ),
    "too many": (lambda: UNTYPED.sigmoid(1.0, 2.0), TypeError, "sigmoid: too many positional"),
    "complex parameter": (
        lambda: UNTYPED.elu(1.0, 1j), TypeError, "elu: expected alpha to be real"
    ),
    "name": (lambda: catalog.lookup("geluu"), ValueError, "Did you mean gelu"),
}  # fmt: skip


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD)
def test_a_bad_argument_is_named(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_declaration_must_name_its_arguments() -> None:
    with pytest.raises(TypeError, match="expected a Parameter or a flag for each argument"):

        @advact_jax.activation()
        def scaled(x: Any, alpha: float = 1.0) -> Any:
            return alpha * x


# -- hypothesis ---------------------------------------------------------------------------------

shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
dtypes = st.sampled_from(["bfloat16", "float16", "float32"])


@pytest.mark.parametrize("name", ["leaky_relu", "softplus", "silu", "celu", "soft_shrink"])
@given(shape=shapes, dtype=dtypes, value=st.floats(0.125, 4.0, width=16), data=st.data())
def test_parameters_of_any_shape(
    name: str, shape: tuple[int, ...], dtype: str, value: float, data: st.DataObject
) -> None:
    function = ELEMENTWISE[name]
    (key,) = function.spec.parameters  # type: ignore[attr-defined]
    ones = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    start = data.draw(st.integers(0, len(shape)))
    parameter_shape = tuple(1 if one else n for n, one in zip(shape, ones, strict=True))[start:]
    x = jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))

    def both(x: Any, parameter: Any) -> Any:
        y, pullback = jax.vjp(lambda x, p: function(x, **{key: p}), x, parameter)
        return y, *pullback(jnp.ones_like(y))

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        y, slope, by = jax.eval_shape(both, x, jnp.full(parameter_shape, value, jnp.float32))
    assert y.shape == slope.shape == shape and y.dtype == slope.dtype == x.dtype
    assert by.shape == parameter_shape and by.dtype == jnp.float32


@given(x=st.floats(width=32), name=st.sampled_from(sorted(ELEMENTWISE)))
def test_nan_only_from_nan(x: float, name: str) -> None:
    case = testing.cases(ELEMENTWISE[name])[0]
    y = float(case(jnp.float32(x)))
    assert np.isnan(y) == np.isnan(x)


# -- the package --------------------------------------------------------------------------------


def test_importing_the_package_imports_neither_flax_nor_optax_and_changes_nothing() -> None:
    code = """
import sys
import jax
before = {k: v for k, v in jax.config.values.items()}
import advact_jax
for name in ("flax", "optax", "matplotlib", "mpmath", "click", "rich"):
    assert name not in sys.modules, name
assert before == {k: v for k, v in jax.config.values.items()}
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


TESTING = ("compiled", "precision", "reference", "rows", "rule", "transformations")
GATED = ("gated", "clamped", "capped")
LAYERS = [
    {"_checks", "_coefficients", "_published"},
    {"constraints", "regularizers", "_masks"},
    {"_numerics", "_spec"},
    {"_rule", "_angles", "_extended"},
    {"_logistic", "_gaussian"},
    {"_declare", "_rows", "_tables"},
    {"_gates", "_statistics", "_thresholds"},
    {"_simplex", "_shares"},
    {f"functions.{name}" for name in catalog.FAMILIES if name not in GATED},
    # Gated units are made of activations.
    {"functions.units"},
    {f"functions.{name}" for name in GATED},
    {"catalog", "accuracy", "losses"},
    {"registry", "testing.cases"},
    {f"testing.{name}" for name in TESTING},
    {"gating", "residuals"},
    {"layers.activations", "layers.shapes", "initializers", "_trees", "optim"},
    {"diagnostics.arrays", "diagnostics.traces", "diagnostics.meanfield"},
    {"diagnostics.measures", "diagnostics.verdict"},
    {"diagnostics.capture", "diagnostics.depth"},
    {"diagnostics.history", "diagnostics.nnx"},
    {"_sharing", "_docstrings", "_modules"},
    {"_core"},
    {
        "_curves",
        "_positive",
        "_configs",
        "convert",
        "linen.losses",
        "nnx.losses",
        "linen.trees",
        "nnx.trees",
    },
    {"nnx.recorded", "_adaptive"},
    {"linen.learned", "nnx.learned"},
    {"linen.core", "nnx.core", "linen.tables", "nnx.tables"},
    {"linen.parametric", "nnx.parametric", "linen.periodic", "nnx.periodic"},
    {"linen.gated", "nnx.gated", "linen.adaptive", "nnx.adaptive"},
    {"linen.conditioned", "nnx.conditioned"},
    {"linen.configs", "nnx.configs"},
    {"_samples", "dialects"},
    {"properties"},
    {"plots._style"},
    {"plots.activations", "plots.diagnostics"},
    {"cli.output", "cli.arguments"},
    {"cli.accuracy", "cli.charts", "cli.compare", "cli.convert", "cli.gain", "cli.listing"},
    {"cli.names", "cli.plot", "cli.show"},
    {"cli.main"},
    {"__main__"},
]


PACKAGES = ("cli", "diagnostics", "functions", "layers", "linen", "nnx", "plots", "testing")


def test_imports_go_downward_only() -> None:
    from pathlib import Path

    root = Path(advact_jax.__file__).parent
    seen: set[str] = set()
    for layer in LAYERS:
        for name in layer:
            text = (root / (name.replace(".", "/") + ".py")).read_text()
            tree = ast.parse(text)
            for node in ast.walk(tree):
                if not isinstance(node, ast.ImportFrom) or not node.module:
                    continue
                if not node.module.startswith("advact_jax"):
                    continue
                below = node.module.removeprefix("advact_jax").strip(".")
                wanted = (
                    [below]
                    if below not in ("", *PACKAGES)
                    else [f"{below}.{a.name}".strip(".") for a in node.names]
                )
                for module in wanted:
                    assert module in seen, f"{name} imports {module}, which is not below it"
        seen |= layer
        # A package is there when all of its files are.
        seen |= {
            p for p in PACKAGES if {f"{p}.{f.stem}" for f in (root / p).glob("[a-z]*.py")} <= seen
        }
    files = {str(p.relative_to(root).with_suffix("")).replace("/", ".") for p in root.rglob("*.py")}
    assert files - seen == {"__init__", *(f"{package}.__init__" for package in PACKAGES)}


@pytest.mark.sampled
@pytest.mark.parametrize("family", catalog.FAMILIES)
def test_no_tracer_leaks(family: str) -> None:
    # In a process of its own: the check walks all objects there are.
    code = f"""
import jax, jax.numpy as jnp
from advact_jax import catalog, testing
family = {{id(value) for value in vars(catalog.FAMILIES[{family!r}]).values()}}
for function in catalog.elementwise().values():
    if id(function) in family:
        testing.check_leaks(testing.cases(function)[0])
with jax.checking_leaks():
    for function in catalog.along_axis().values():
        if id(function) in family:
            case = testing.row_cases(function)[0]
            total = lambda x: jnp.sum(case(x))
            jax.eval_shape(jax.grad(total), jax.ShapeDtypeStruct((4, 8), jnp.float32))
print("none")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "none\n", ran.stderr


def test_every_public_function_says_what_it_takes_and_gives() -> None:
    for function in {**ELEMENTWISE, **catalog.along_axis()}.values():
        text = inspect.getdoc(function) or ""
        for section in ("Args:", "Returns:", "Example:"):
            assert section in text, (function.__name__, section)
        assert getattr(advact_jax, function.__name__) is function


# Public names that need no example, and why.
WITHOUT_EXAMPLE = {"advact_jax.testing.Spec": "is only imported there, and public nowhere"}


def test_every_public_name_has_an_example() -> None:
    public = tools.module("public")
    listed = [advact_jax, *public.modules().values(), advact_jax.diagnostics.nnx]
    docstrings = {
        f"{module.__name__}.{name}": getattr(module, name).__doc__ or ""
        for module in listed
        for name in public.names(module)
    }
    assert "advact_jax.testing.check_jit" in docstrings
    missing = {
        name
        for name, text in docstrings.items()
        if not re.search(r"^Example:\n +>>> ", inspect.cleandoc(text), re.MULTILINE)
    }
    assert missing == {*WITHOUT_EXAMPLE}


def test_coefficients_are_what_the_fit_prints() -> None:
    pytest.importorskip("mpmath")
    from pathlib import Path

    from tests.numerics import fit

    path = Path(advact_jax.__file__).with_name("_coefficients.py")
    assert path.read_text() == fit.render()


@pytest.mark.parametrize("slope", [1e-6, 0.2, 0.25, 3e4])
def test_hard_sigmoid_with_a_fixed_slope_is_that_with_a_traced_one(slope: float) -> None:
    # The fixed one takes a shorter way where its ends are short numbers.
    x = jnp.linspace(-6, 6, 97)
    fixed = advact_jax.Activation("hard_sigmoid", slope=slope)(x)
    np.testing.assert_allclose(fixed, advact_jax.hard_sigmoid(x, slope=slope), rtol=5e-7)


def test_every_declaration_has_a_definition_a_source_and_a_tier() -> None:
    for name, function in {**catalog.elementwise(), **catalog.along_axis()}.items():
        spec = function.spec  # type: ignore[attr-defined]
        assert spec.latex and spec.paper, name
        assert spec.tier in ("stable", "experimental"), name


def test_snake_of_frequency_0_is_the_identity() -> None:
    x = jnp.linspace(-6, 6, 25)
    np.testing.assert_array_equal(advact_jax.snake(x, 0.0), x)
    np.testing.assert_array_equal(advact_jax.snake(x, jnp.zeros(25)), x)


def test_a_small_gate_of_a_huge_input_does_not_overflow() -> None:
    x, beta = jnp.float32(-1e38), jnp.float32(2.0**-125)
    gate = 1 / (1 + np.exp(1e38 * 2.0**-125))
    np.testing.assert_allclose(advact_jax.silu(x, beta), -1e38 * gate, rtol=1e-6)
    by_beta = jax.grad(advact_jax.silu, argnums=1)(jnp.float32(-1e17), jnp.float32(2.0**-56))
    gate = 1 / (1 + np.exp(1e17 * 2.0**-56))
    np.testing.assert_allclose(by_beta, 1e34 * gate * (1 - gate), rtol=1e-6)
