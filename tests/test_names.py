"""Every name of the peers gives a function: their lists, written down as they publish them.

Left out is what is no activation: attention, one_hot, scaled_matmul, embeddings and losses, and of
ONNX the plain arithmetic (Abs, Affine, Clip, Sin), of which there is a name only where an
activation here is the same.
"""

from __future__ import annotations

import inspect
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import pytest

import advact_jax

# The versions whose lists these are: jax 0.10, flax 0.12, Keras 3.15, torch 2.13, transformers 5.23
# (ACT2FN), ONNX 1.23 (opset 28).
NAMES: dict[str, str] = {
    "jax": """
        identity relu relu6 leaky_relu elu celu selu gelu silu swish hard_silu hard_swish mish
        sigmoid hard_sigmoid sparse_sigmoid log_sigmoid softplus sparse_plus squareplus soft_sign
        tanh hard_tanh glu softmax log_softmax logsumexp logmeanexp log1mexp standardize""",
    "flax": """
        identity celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
        log_sigmoid log_softmax logsumexp normalize relu relu6 selu sigmoid silu soft_sign softmax
        softplus standardize swish tanh PReLU""",
    "keras": """
        celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
        leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu swish
        soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh
        tanh_shrink threshold logsumexp ELU LeakyReLU PReLU ReLU Softmax ThresholdedReLU""",
    "torch": """
        Threshold ReLU RReLU Hardtanh ReLU6 Sigmoid Hardsigmoid Tanh SiLU Mish Hardswish ELU CELU
        SELU GLU GELU Hardshrink LeakyReLU LogSigmoid Softplus Softshrink PReLU Softsign Tanhshrink
        Softmin Softmax Softmax2d LogSoftmax Identity
        threshold relu hardtanh hardswish relu6 elu selu celu leaky_relu prelu rrelu glu gelu
        logsigmoid hardshrink tanhshrink softsign softplus softmin softmax softshrink
        gumbel_softmax log_softmax tanh sigmoid hardsigmoid silu mish logsumexp
        threshold_ relu_ hardtanh_ elu_ selu_ celu_ leaky_relu_ rrelu_""",
    "huggingface": """
        gelu gelu_10 gelu_accurate gelu_fast gelu_new gelu_python gelu_pytorch_tanh gelu_python_tanh
        hardswish laplace leaky_relu linear mish prelu quick_gelu relu relu2 relu6 sigmoid silu
        sqrtsoftplus swish tanh xielu""",
    "onnx": """
        Elu Celu Selu Relu LeakyRelu PRelu ThresholdedRelu HardSigmoid HardSwish Shrink Softplus
        Softsign Mish Gelu Swish SwiGLU Sigmoid Tanh Softmax LogSoftmax Hardmax Identity Erf
        Exp ReduceLogSumExp ScaledTanh""",
}
# What has no default there either: a slope that is learned, and both numbers of a threshold.
GIVEN: dict[tuple[str, str], dict[str, Any]] = {
    ("flax", "PReLU"): {"alpha": 0.01},
    ("keras", "PReLU"): {"alpha": 0.0},
    ("keras", "threshold"): {"threshold": 1.0, "default_value": 0.0},
    ("torch", "PReLU"): {"alpha": 0.25},
    ("torch", "prelu"): {"weight": 0.25},
    ("torch", "Threshold"): {"threshold": 1.0, "value": 0.0},
    ("torch", "threshold"): {"threshold": 1.0, "value": 0.0},
    ("torch", "threshold_"): {"threshold": 1.0, "value": 0.0},
    ("huggingface", "prelu"): {"alpha": 0.25},
    ("onnx", "PRelu"): {"slope": 0.25},
}
# TF-Addons, timm and x-transformers, which are no dialects: ours are called as theirs or as here.
OTHERS = {
    "hardshrink": "hard_shrink", "softshrink": "soft_shrink", "tanhshrink": "tanh_shrink",
    "lisht": "lisht", "rrelu": "rrelu", "snake": "snake", "sparsemax": "sparsemax",
    "maxout": "maxout", "tlu": "tlu", "hard_mish": "hard_mish", "quick_gelu": "quick_gelu",
    "star_relu": "star_relu", "relu_squared": "squared_relu", "solu": "solu",
    "softclamp": "softcap", "softclamp_gelu": "softclamp_gelu", "softclamp_silu": "softclamp_silu",
    "dynamic_tanh": "dyt", "derf": "derf", "entmax": "entmax", "entmax15": "entmax15",
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "name"), [(d, name) for d, names in NAMES.items() for name in names.split()]
)
def test_every_name_of_a_peer_gives_a_function(dialect: str, name: str) -> None:
    function: Any = advact_jax.get(name, dialect=dialect, **GIVEN.get((dialect, name), {}))
    x = jnp.linspace(0.5, 2.0, 24).reshape(2, 3, 4)
    drawn = {"key": jax.random.key(0)} if name == "gumbel_softmax" else {}
    y = function(x, **drawn)
    assert y.dtype == x.dtype and jnp.isfinite(y).all()


def test_no_name_that_is_known_is_left_out_here() -> None:
    ours = {"keras": {"Antirectifier", "ParametricSoftplus"}}  # Layers of Keras's examples.
    for dialect, names in NAMES.items():
        known = {there for d, there, *_ in advact_jax.registry.table() if d == dialect}
        assert known - ours.get(dialect, set()) <= set(names.split())


@pytest.mark.parametrize("name", OTHERS)
def test_what_other_libraries_have_is_here(name: str) -> None:
    assert callable(getattr(advact_jax, OTHERS[name]))


@pytest.mark.parametrize("module", [jax.nn, flax.linen], ids=lambda m: m.__name__)
def test_calls_written_for_jax_run(module: Any) -> None:
    """Ours take the arguments of theirs in their order, with their defaults; more may follow."""
    shared = [n for n in dir(module) if n.islower() and n[0] != "_" and hasattr(advact_jax, n)]
    assert len(shared) > 20
    for name in shared:
        theirs, ours = getattr(module, name), getattr(advact_jax, name)
        if inspect.ismodule(theirs):
            continue
        wanted = inspect.signature(theirs).parameters.values()
        found = list(inspect.signature(ours).parameters.values())[: len(wanted)]
        assert [(p.name, p.kind == p.KEYWORD_ONLY) for p in found] == [
            (p.name, p.kind == p.KEYWORD_ONLY) for p in wanted
        ], name
        # The exact variance is the default here; both names stand for it.
        defaults = {p.name: p.default for p in wanted if p.name != "algorithm"}
        assert {p.name: p.default for p in found if p.name != "algorithm"} == defaults, name
