"""What the long runs train: a small transformer on text that ships with Python, a CNN on digits.

The activations come as a setting: a dictionary of functions by the names of jax.nn, such as the
module itself. All else is the same code with the same seeds.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import _nets

Function = Callable[..., Any]
Setting = Mapping[str, Function]

# Functions of a setting; swiglu(gate, up) where jax.nn has none.
NAMES = ("gelu", "silu", "softplus", "mish", "elu", "softmax", "log_softmax")


def setting(module: Any) -> dict[str, Function]:
    """Return the setting of jax.nn or of this library."""
    swiglu = getattr(module, "swiglu", lambda gate, up: module.silu(gate) * up)
    return {**{name: getattr(module, name) for name in NAMES}, "swiglu": swiglu}


@dataclasses.dataclass(frozen=True)
class Task:
    """A net and its data.

    Attributes:
      initial: the parameters, from a key.
      loss: of parameters, batch and setting.
      batch: a batch, from a key, as part of the compiled step.
      rate: the learning rate at its height.
      uses: the functions of the setting that it calls.
    """

    initial: Callable[[Any], Any]
    loss: Callable[[Any, Any, Setting], Any]
    batch: Callable[[Any], Any]
    rate: float
    uses: frozenset[str]


def cross_entropy(logits: Any, labels: Any, given: Setting) -> Any:
    """Return the mean over a batch, computed in float32."""
    chosen = jnp.take_along_axis(
        given["log_softmax"](logits.astype(jnp.float32)), labels[..., None], -1
    )
    return -chosen.mean()


def _normal(key: Any, *shape: int, fan_in: int) -> Any:
    return jax.random.normal(key, shape) / math.sqrt(fan_in)


# -- the transformer ----------------------------------------------------------------------------

LAYERS, WIDTH, HEADS, HIDDEN, LENGTH, BATCH = 4, 64, 4, 192, 64, 4


@functools.cache
def text() -> tuple[np.ndarray, int]:
    """Return Python's own reference manual as numbers of characters, and how many there are."""
    from pydoc_data import topics

    joined = "\n".join(topics.topics[key] for key in sorted(topics.topics))
    characters = sorted(set(joined))
    index = {character: i for i, character in enumerate(characters)}
    return np.array([index[character] for character in joined], np.int32), len(characters)


def transformer(activation: str) -> Task:
    """Return a character model in bfloat16: a scan over blocks with one activation."""
    characters, kinds = text()
    data = jnp.asarray(characters)
    unit_is_gated = activation == "swiglu"

    def initial(key: Any) -> Any:
        keys = jax.random.split(key, 7)
        blocks = {
            "qkv": _normal(keys[0], LAYERS, WIDTH, 3 * WIDTH, fan_in=WIDTH),
            "o": _normal(keys[1], LAYERS, WIDTH, WIDTH, fan_in=WIDTH * LAYERS),
            "in": _normal(keys[2], LAYERS, WIDTH, HIDDEN, fan_in=WIDTH),
            "out": _normal(keys[3], LAYERS, HIDDEN, WIDTH, fan_in=HIDDEN * LAYERS),
        }
        if unit_is_gated:
            blocks["up"] = _normal(keys[4], LAYERS, WIDTH, HIDDEN, fan_in=WIDTH)
        return {
            "blocks": blocks,
            "embedding": _normal(keys[5], kinds, WIDTH, fan_in=1),
            "place": 0.1 * _normal(keys[6], LENGTH, WIDTH, fan_in=1),
        }

    def loss(params: Any, batch: Any, given: Setting) -> Any:
        params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
        inputs, labels = batch[:, :-1], batch[:, 1:]
        unit = _nets.Unit(given[activation], gated=unit_is_gated)

        def block(h: Any, w: Any) -> Any:
            h = h + _nets.attention(w, _nets.normalized(h), HEADS, given["softmax"])
            inner = _nets.normalized(h)
            up = inner @ w["up"] if unit_is_gated else None
            return h + unit(w, inner @ w["in"], up) @ w["out"], None

        h = params["embedding"][inputs] + params["place"]
        h, _ = jax.lax.scan(block, h, params["blocks"])
        logits = _nets.normalized(h) @ params["embedding"].T / math.sqrt(WIDTH)
        return cross_entropy(logits, labels, given)

    def batch(key: Any) -> Any:
        starts = jax.random.randint(key, (BATCH,), 0, len(data) - LENGTH - 1)
        return data[starts[:, None] + jnp.arange(LENGTH + 1)]

    used = frozenset({activation, "softmax", "log_softmax"})
    return Task(initial, loss, batch, 3e-3, used)


# -- the CNN ------------------------------------------------------------------------------------


def _convolved(x: Any, kernel: Any) -> Any:
    """Convolve with 3x3 as one product: in a loop XLA's own is many times slower on CPU."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    patches = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(patches, -1) @ kernel


def cnn(activation: str) -> Task:
    """Return a CNN in float32 on the handwritten digits of scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = jnp.asarray(digits.images / 8 - 1, jnp.float32)[..., None]
    labels = jnp.asarray(digits.target)

    def initial(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        return {
            "first": _normal(keys[0], 9, 16, fan_in=9),
            "second": _normal(keys[1], 9 * 16, 32, fan_in=9 * 16),
            "last": _normal(keys[2], 32, 10, fan_in=32),
        }

    def loss(params: Any, batch: Any, given: Setting) -> Any:
        x, y = batch
        function = given[activation]
        h = function(_convolved(x, params["first"]))
        h = h.reshape(-1, 4, 2, 4, 2, 16).mean((2, 4))
        h = function(_convolved(h, params["second"])).mean((1, 2))
        return cross_entropy(h @ params["last"], y, given)

    def batch(key: Any) -> Any:
        chosen = jax.random.randint(key, (64,), 0, len(labels))
        return images[chosen], labels[chosen]

    return Task(initial, loss, batch, 3e-3, frozenset({activation, "log_softmax"}))


TASKS: Mapping[str, Callable[[], Task]] = {
    "transformer, gelu": functools.partial(transformer, "gelu"),
    "transformer, swiglu": functools.partial(transformer, "swiglu"),
    "transformer, softplus": functools.partial(transformer, "softplus"),
    "cnn, mish": functools.partial(cnn, "mish"),
    "cnn, elu": functools.partial(cnn, "elu"),
}


def kept_bytes(task: Task, given: Setting) -> int:
    """Return the bytes that one step keeps for its backward pass, weights included."""
    params, batch = (jax.eval_shape(make, jax.random.key(0)) for make in (task.initial, task.batch))

    def pullback(params: Any, batch: Any) -> Any:
        return jax.vjp(lambda p: task.loss(p, batch, given), params)[1]

    kept = jax.tree.leaves(jax.eval_shape(pullback, params, batch))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


class Run:
    """A training run that goes on by a number of compiled steps at a time."""

    def __init__(self, task: Task, given: Setting, steps: int, chunk: int, seed: int) -> None:
        rate = optax.warmup_cosine_decay_schedule(0, task.rate, min(100, steps // 5), steps)
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
        key, first = jax.random.split(jax.random.key(seed))
        params = task.initial(first)
        self.state = (params, optimizer.init(params), key)

        def step(state: Any, _: Any) -> Any:
            params, moments, key = state
            key, drawn = jax.random.split(key)
            value, gradient = jax.value_and_grad(task.loss)(params, task.batch(drawn), given)
            update, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(params, update), moments, key), value

        def steps_of(state: Any) -> Any:
            return jax.lax.scan(step, state, length=chunk)

        self._advance: Any = jax.jit(steps_of).lower(self.state).compile()
        analysis: Any = self._advance.memory_analysis()
        self.temporary_bytes: int = analysis.temp_size_in_bytes

    def again(self, seed: int, task: Task) -> None:
        """Start anew from another seed, with what is compiled."""
        params, moments, _ = self.state
        key, first = jax.random.split(jax.random.key(seed))
        self.state = (task.initial(first), jax.tree.map(jnp.zeros_like, moments), key)

    def advance(self) -> np.ndarray:
        """Take the steps of a chunk and return their losses."""
        self.state, losses = self._advance(self.state)
        return np.asarray(losses)
