"""What a newcomer gets wrong is told in words that say what to write instead."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import errors
from flax import nnx as flax_nnx

import advact_jax
from advact_jax import initializers, layers, linen, nnx

X = jnp.ones((2, 3))
KEY = jax.random.key(0)
in_linen: Any = linen
in_nnx: Any = nnx


def given(name: str, *arguments: Any, **others: Any) -> Any:
    """Call a function in a way that a type checker would not let through."""
    return getattr(advact_jax, name)(*arguments, **others)


def on_another_width() -> None:
    layer = linen.PReLU()
    layer.apply(layer.init(KEY, X), jnp.ones((2, 4)))


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "name": (lambda: advact_jax.get("rellu"), ValueError, "got 'rellu'. Did you mean relu"),
    "name in capitals": (lambda: advact_jax.get("MISHH"), ValueError, "Did you mean mish"),
    "name of another library": (
        lambda: advact_jax.get("LeakyReLU"), ValueError,
        "It is a name in the dialect keras or torch",
    ),
    "our name in a dialect": (
        lambda: advact_jax.get("snake", dialect="keras"), ValueError, "without a dialect",
    ),
    "dialect": (
        lambda: advact_jax.get("relu", dialect="pytorch"), ValueError, "one of jax, flax, keras",
    ),
    "name of a layer's activation": (
        lambda: linen.Dense(4, activation="rellu").init(KEY, X), ValueError, "Did you mean relu",
    ),
    "axis": (lambda: advact_jax.softmax(X, axis=2), ValueError, r"axis in \[-2, 2\)"),
    "axis of a word": (lambda: given("softmax", X, axis="last"), TypeError, "axis to be an int"),
    "odd features": (lambda: advact_jax.glu(X), ValueError, "split into 2 equal parts, got size 3"),
    "mask of floats": (
        lambda: advact_jax.softmax(X, where=X), TypeError, "where to be an array of bool",
    ),
    "list": (lambda: given("elu", [1.0, 2.0]), TypeError, "Convert it with jnp.asarray first"),
    "text": (lambda: given("gelu", "1.0"), TypeError, "expected x to be an array .*'1.0'"),
    "array of text": (
        lambda: given("softmax", np.array(["a"])), TypeError, "x to be an array or a number",
    ),
    # Nothing stands around this function that could say it in our words.
    "text for jax": (lambda: given("elu", "1.0"), TypeError, "function elu .*'str'>.*path x"),
    "no argument": (
        lambda: given("threshold", X), TypeError,
        r"threshold: missing .* Call it as threshold\(x, threshold, value\)\.",
    ),
    "argument": (
        lambda: given("leaky_relu", X, slope=0.1), TypeError,
        r"Call it as leaky_relu\(x, negative_slope=0\.01\)\.",
    ),
    "negative slope": (
        lambda: layers.LeakyReLU(-0.3), ValueError, "negative_slope to be 0 or more, got -0.3",
    ),
    "gain of rows": (
        lambda: initializers.gain("softmax"), TypeError, "softmax, which works along an axis",
    ),
    "another width": (on_another_width, ValueError, r"fits alpha of shape \(3,\)"),
    "another width in nnx": (
        lambda: nnx.PReLU(16)(X), ValueError, r"fits alpha of shape \(16,\)",
    ),
    "size in linen": (
        lambda: in_linen.PReLU(16), TypeError,
        "arguments by name, got int 16. In linen the sizes follow from the input",
    ),
    "argument in linen": (
        lambda: in_linen.PReLU(alpha=0.1), TypeError, "Did you mean alpha_init",
    ),
    "no size in nnx": (lambda: nnx.PReLU(), ValueError, r"For 16 channels write PReLU\(16\)"),
    "argument in nnx": (
        lambda: in_nnx.PReLU(3, slope=0.1), TypeError, "Known: features, axis",
    ),
    "no rngs": (
        lambda: in_nnx.Dense(3, 4), TypeError,
        r"missing .*'rngs'\. Pass rngs=flax.nnx.Rngs\(0\)",
    ),
    "a key for rngs": (
        lambda: in_nnx.Dense(3, 4, rngs=KEY), TypeError, r"Pass rngs=flax.nnx.Rngs\(0\)",
    ),
    "no key for dropout": (
        lambda: linen.Dropout(0.5).apply({}, X, deterministic=False), errors.InvalidRngError,
        "Pass rngs={'dropout': key} to apply",
    ),
    "parentheses": (
        lambda: advact_jax.activation(jnp.sin), TypeError, "with parentheses",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong, kind, message", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_tells_what_to_do(
    wrong: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_integers_are_taken() -> None:
    x = jnp.arange(-2, 3)
    assert advact_jax.gelu(x).dtype == jnp.float32
    assert advact_jax.relu(x).dtype == x.dtype  # as in jax.nn
    assert nnx.PReLU(5)(x).dtype == jnp.float32


def test_layers_take_rngs_that_they_do_not_need() -> None:
    assert nnx.PReLU(3, rngs=flax_nnx.Rngs(0))(X).shape == X.shape


@pytest.mark.parametrize(
    "missing, code, told",
    [
        ("matplotlib", "from advact_jax import plots; plots.curves('gelu')", "advact-jax[plots]"),
        (
            "mpmath",
            "import advact_jax; from advact_jax.testing import check_activation;"
            "check_activation(advact_jax.identity)",
            "mpmath>=1.3",
        ),
    ],
)
def test_a_missing_extra_tells_what_to_install(missing: str, code: str, told: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\n{code}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = ran.stderr.strip().splitlines()[-1]
    assert re.fullmatch(rf"ImportError: .*Run: pip install \"{re.escape(told)}\"", last), last


def test_a_misspelt_attribute_has_a_suggestion() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "import advact_jax; advact_jax.glue"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Did you mean: 'glu'" in ran.stderr
