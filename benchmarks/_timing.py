"""How a figure is measured: every library in one run, in shuffled rounds, on memory that is warm.

A fresh output costs the system more to provide than most activations to compute. What JAX compiles
therefore runs in a compiled loop that writes to the same memory again, as a training step does, and
the memory that torch frees is kept for its next call.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Call = Callable[[], Any]

# Of a figure: enough for the minimum to settle on a quiet machine.
ROUNDS = 12


class Timing(NamedTuple):
    """Seconds that something took, over the rounds."""

    min: float
    median: float


def interleaved(
    calls: Mapping[str, Call], rounds: int = ROUNDS, *, repeats: int = 1
) -> dict[str, Timing]:
    """Return the time of each call over rounds in which all of them run, in shuffled order.

    Args:
      calls: what to time, by library; each returns what it computes.
      rounds: how often each one runs.
      repeats: by what to divide, for calls that do the same several times.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffled = list(calls), random.Random(0)
    for call in calls.values():
        jax.block_until_ready(call())
    for _ in range(rounds):
        shuffled.shuffle(order)
        for name in order:
            call = calls[name]
            if isinstance(call, Looped):
                call.move(shuffled)
            start = time.perf_counter()
            jax.block_until_ready(call())
            found[name].append((time.perf_counter() - start) / repeats)
    return {name: spread(times) for name, times in found.items()}


def spread(times: list[float]) -> Timing:
    """Return minimum and median."""
    return Timing(min(times), statistics.median(times))


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the value and the gradients by all arguments; the second one is the cotangent."""

    def both(x: Any, g: Any, *others: Any) -> Any:
        y, pullback = jax.vjp(function, x, *others)
        return y, pullback(g)

    return both


class Looped:
    """A call that applies a function several times, in a compiled loop.

    The arguments have a zero added that comes from the output before: XLA then computes each turn,
    moves no part of it out of the loop, and fuses the sums with the function. The memory of the
    output is that of the call before.
    """

    def __init__(self, function: Callable[..., Any], times: int, arguments: tuple[Any, ...]):
        dtypes = [v.dtype for v in arguments]

        @functools.partial(jax.jit, donate_argnums=0)
        def run(start: Any, zero: Any, *held: Any) -> Any:
            def again(_: Any, carry: Any) -> Any:
                summed = (v + carry[0].astype(v.dtype) for v in held)
                y = function(*map(jax.lax.bitcast_convert_type, summed, dtypes))
                return zero * jnp.ravel(jax.tree.leaves(y)[0])[0].astype(zero.dtype), y

            return jax.lax.fori_loop(0, times, again, (zero, start))[1]

        self._run = run
        # Of 16 bits the integers are summed: a sum of floats is rounded, which takes longer than
        # many functions, and XLA would keep the floats themselves as float32.
        self._held = [
            v if v.dtype.itemsize > 2 else jax.lax.bitcast_convert_type(v, jnp.int16)
            for v in arguments
        ]
        self._last = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, *arguments)
        )
        self._between: list[Any] = []

    def __call__(self) -> Any:
        self._last = self._run(self._last, jnp.float32(0), *self._held)
        return self._last

    def move(self, random_numbers: random.Random) -> None:
        """Copy small arrays to other places in memory.

        Where they lie makes some loops, of any library, take twice as long: that is luck, and no
        property of a function.
        """
        leaves = jax.tree.leaves((self._held, self._last))
        if sum(leaf.nbytes for leaf in leaves) > 1 << 22:
            return
        self._between = []

        def moved(leaf: Any) -> Any:
            self._between.append(jnp.zeros(random_numbers.randrange(1 << 18)))
            return jax.block_until_ready(jnp.copy(leaf))

        self._held, self._last = jax.tree.map(moved, (self._held, self._last))


def looped(function: Callable[..., Any], times: int, *arguments: Any) -> Call:
    """Return a call that applies a function several times, in a compiled loop."""
    return Looped(function, times, arguments)


def eager(function: Callable[..., Any], times: int, *arguments: Any) -> Call:
    """Return a call that dispatches a function several times from Python."""

    def run() -> Any:
        for _ in range(times):
            y = function(*arguments)
        return y

    return run


# -- torch --------------------------------------------------------------------------------------


@functools.cache
def keep_freed_memory() -> None:
    """Tell the C library to keep what is freed, where it is glibc.

    By default it returns large blocks to the system, and torch waits for new ones at each call:
    `x + 1` on 64 MiB then takes 8 times as long.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        most_mapped, least_trimmed = -4, -1
        library.mallopt(most_mapped, 0)
        library.mallopt(least_trimmed, 2**31 - 1)


def to_torch(array: Any) -> Any:
    """Return a JAX array as a tensor of the same type."""
    torch = importlib.import_module("torch")
    made = torch.tensor(jax.device_get(array.astype(jnp.float32)))
    return made.to(getattr(torch, array.dtype.name))


def looped_torch(function: Callable[..., Any], times: int, *tensors: Any) -> Call:
    """Return a call that applies a function of tensors several times, without gradients."""
    torch = importlib.import_module("torch")
    keep_freed_memory()

    def run() -> None:
        with torch.no_grad():
            for _ in range(times):
                function(*tensors)

    return run


def looped_torch_gradient(
    function: Callable[..., Any], times: int, x: Any, g: Any, *others: Any
) -> Call:
    """Return a call that computes value and gradients several times; `g` is the cotangent."""
    torch = importlib.import_module("torch")
    keep_freed_memory()
    inputs = [tensor.detach().requires_grad_() for tensor in (x, *others)]

    def run() -> None:
        for _ in range(times):
            torch.autograd.grad(function(*inputs), inputs, g)

    return run
