"""What `lean` saves and what it costs: `python benchmarks/lean.py`.

Prints, for each activation and each way of keeping less: the bytes kept per hidden element of a
scan over MLP blocks (float32, the output included), the compiled peak of its gradient against the
activation itself, and the worst error of the derivative over [-12, 12], in float32 and in bfloat16.
The last rows keep what a policy of `jax.checkpoint` names: the same derivatives, computed again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import advact_jax
from advact_jax.testing import residual_bytes

WAYS = {
    "gelu": ("side", "slope"),
    "silu": ("side", "slope"),
    "mish": ("side", "slope"),
    "softplus": ("output", "slope"),
    "log_sigmoid": ("output", "slope"),
    "squareplus": ("output", "slope"),
    "sigmoid": ("output", "slope"),
    "tanh": ("output", "slope"),
    "sparse_plus": ("output", "slope"),
    "soft_sign": ("output", "slope"),
    "elu": ("output", "slope"),
    "selu": ("output", "slope"),
}
LAYERS, BATCH, WIDTH, HIDDEN = 12, 512, 128, 512


def peak(function: Callable[[Any], Any], policy: Any = None) -> int:
    """Return the bytes that the compiled gradient of a scan over MLP blocks needs."""
    weights = [
        jax.ShapeDtypeStruct((LAYERS, *shape), jnp.float32)
        for shape in ((WIDTH, HIDDEN), (HIDDEN, WIDTH))
    ]

    def block(h: Any, w: Any) -> Any:
        return function(h @ w[0]) @ w[1], None

    if policy is not None:
        block = jax.checkpoint(block, policy=policy, prevent_cse=False)

    def loss(weights: Any, x: Any) -> Any:
        return jnp.sum(jax.lax.scan(block, x, weights)[0] ** 2)

    x = jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.float32)
    analysis: Any = jax.jit(jax.grad(loss)).lower(weights, x).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def error(less: Callable[[Any], Any], whole: Callable[[Any], Any], dtype: Any) -> float:
    """Return the worst error of the derivative."""
    x = jnp.linspace(-12, 12, 200_001).astype(dtype)

    def slopes(function: Callable[[Any], Any], x: Any) -> Any:
        total = jax.grad(lambda v: jnp.sum(function(v).astype(jnp.float32)))
        return np.asarray(total(x).astype(jnp.float32))

    wanted = slopes(whole, x.astype(jnp.float32))
    return float(np.abs(slopes(less, x) - wanted).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="activations; all without any")
    options = parser.parse_args()
    print(f"{'activation':<13}{'keep':<9}{'bytes':>6}{'peak':>7}{'float32':>10}{'bfloat16':>10}")
    for name in options.names or WAYS:
        whole = advact_jax.get(name)
        most = peak(whole)
        less: Any = advact_jax.lean
        ways = [("usual", whole), *((way, less(name, way)) for way in WAYS[name])]
        for way, function in ways:
            errors = "".join(f"{error(function, whole, t):10.1e}" for t in ("float32", "bfloat16"))
            kept = f"{residual_bytes(function):g}"
            print(f"{name:<13}{way:<9}{kept:>6}{peak(function) / most:7.2f}{errors}", flush=True)
    whole = advact_jax.get("gelu")
    for policy in ("dots_saveable", "nothing_saveable"):
        ratio = peak(whole, getattr(jax.checkpoint_policies, policy)) / peak(whole)
        print(f"gelu under jax.checkpoint with {policy}: peak {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
