"""Memory of a training step, with jax.nn's function and with ours: `python benchmarks/memory.py`.

Prints the bytes kept per hidden element in a scan over MLP blocks (from the traced residuals), and
the compiled peak of a training step, scanned and unrolled, as ours / jax.nn. The last two columns
are ours with `prevent_cse` as chosen and the other way round, unrolled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from advact_jax import _rule, catalog, testing

LAYERS, BATCH, WIDTH, HIDDEN = 12, 512, 128, 512


def peak(function: Callable[[Any], Any], scanned: bool) -> int:
    """Return the temporary memory in bytes of the compiled gradient of an MLP."""

    def block(h: Any, w: Any) -> Any:
        return h + function(h @ w[0]) @ w[1]

    def loss(weights: Any, x: Any) -> Any:
        if scanned:
            return jax.lax.scan(lambda h, w: (block(h, w), None), x, weights)[0].sum()
        for i in range(LAYERS):
            x = block(x, jax.tree.map(lambda w, i=i: w[i], weights))
        return x.sum()

    weights = (
        jax.ShapeDtypeStruct((LAYERS, WIDTH, HIDDEN), jnp.float32),
        jax.ShapeDtypeStruct((LAYERS, HIDDEN, WIDTH), jnp.float32),
    )
    x = jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.float32)
    compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = catalog.elementwise()
    print(
        f"jax {jax.__version__} on {jax.default_backend()}; bytes per element, peak ours / jax.nn"
    )
    heads = ("jax.nn", "ours", "scanned", "unrolled", "other cse")
    print(f"{'function':<16}" + "".join(f"{head:>11}" for head in heads))
    for name in options.names or known:
        peer = catalog.name_in(known[name], "jax")
        if peer is None:
            continue
        ours, theirs = known[name], getattr(jax.nn, peer)
        kept = testing.residual_bytes(theirs), testing.residual_bytes(ours)
        scanned = peak(ours, True) / peak(theirs, True)
        unrolled, plain = peak(ours, False), peak(theirs, False)
        _rule._PREVENT_CSE = not _rule._PREVENT_CSE
        jax.clear_caches()
        other = peak(ours, False)
        _rule._PREVENT_CSE = not _rule._PREVENT_CSE
        jax.clear_caches()
        print(
            f"{name:<16}{kept[0]:>11.0f}{kept[1]:>11.0f}{scanned:>11.2f}{unrolled / plain:>11.2f}"
            f"{other / plain:>11.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
