"""Time each function against jax.nn's in one interleaved run: `python benchmarks/speed.py`.

Prints ours / jax.nn, from the minimum over shuffled rounds: an eager call on 8 elements, and
forward and forward + backward of a large array; beside it jax.nn's own time over the copy x + 1.
The large array is run through in a compiled loop that writes to the same memory again, as a
training step does: a fresh output costs the system more to provide than most functions to compute.
"""

from __future__ import annotations

import argparse
import functools
import random
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from advact_jax import catalog


def best(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the minimum time of each call over shuffled rounds."""
    times = dict.fromkeys(calls, float("inf"))
    order = list(calls)
    for call in calls.values():
        jax.block_until_ready(call())
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            jax.block_until_ready(calls[name]())
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def eager(function: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    """Return a call that dispatches the function 200 times."""

    def call() -> Any:
        for _ in range(200):
            y = function(x)
        return y

    return call


def gradient(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Return value and gradient for a given cotangent, jitted."""

    @jax.jit
    def both(x: Any, g: Any) -> Any:
        y, pullback = jax.vjp(function, x)
        return y, pullback(g)[0]

    return both


def repeated(function: Callable[..., Any], times: int = 4) -> Callable[..., Any]:
    """Return the function applied several times in a loop, each time to an input that is not known
    to be the same.
    """  # noqa: D205

    @jax.jit
    def run(zero: Any, x: Any, *others: Any) -> Any:
        def again(_: Any, carry: Any) -> Any:
            y = function(x + carry[0], *others)
            return zero * jnp.ravel(jax.tree.leaves(y)[0])[0], y

        shapes = jax.eval_shape(function, x, *others)
        start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.lax.fori_loop(0, times, again, (zero, start))[1]

    return run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--size", type=int, default=1 << 24, help="elements of the large array")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = jnp.asarray(3 * rng.normal(size=options.size), options.dtype)
    small = x[:8]
    known = {**catalog.elementwise(), **catalog.along_axis()}
    pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
    for name in options.names or known:
        peer = catalog.name_in(known[name], "jax")
        if peer is not None:
            pairs[name] = (known[name], getattr(jax.nn, peer))
    if "gelu" in pairs:
        ours, theirs = pairs["gelu"]
        exact = functools.partial(functools.partial, approximate=False)
        pairs["gelu exact"] = (exact(ours), exact(theirs))
    print(f"jax {jax.__version__}, {options.size} of {options.dtype}, ours / jax.nn")
    print(f"{'function':<16}{'eager':>8}{'forward':>9}{'gradient':>9}{'jax.nn / copy':>15}")
    logs = []
    for name, (ours, theirs) in pairs.items():
        large = x.reshape(-1, 1024) if name in catalog.along_axis() else x
        tiny = best({"ours": eager(ours, small), "theirs": eager(theirs, small)}, options.rounds)
        calls = {"ours": ours, "theirs": theirs, "copy": lambda v: v + 1}
        zero, g = jnp.zeros((), x.dtype), jnp.ones_like(ours(large))
        forward = best(
            {key: functools.partial(repeated(f), zero, large) for key, f in calls.items()},
            options.rounds,
        )
        pulled = {key: repeated(gradient(calls[key])) for key in ("ours", "theirs")}
        both = best(
            {key: functools.partial(f, zero, large, g) for key, f in pulled.items()},
            options.rounds,
        )
        ratios = [t["ours"] / t["theirs"] for t in (tiny, forward, both)]
        logs.append(np.log(ratios))
        copy = forward["theirs"] / forward["copy"]
        print(f"{name:<16}{ratios[0]:8.2f}{ratios[1]:9.2f}{ratios[2]:9.2f}{copy:15.2f}", flush=True)
    means = np.exp(np.mean(logs, axis=0))
    print(f"{'geometric mean':<16}{means[0]:8.2f}{means[1]:9.2f}{means[2]:9.2f}")


if __name__ == "__main__":
    main()
