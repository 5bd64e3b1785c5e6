"""What diagnostics cost in a training run: `python benchmarks/diagnostics.py`.

Trains the CNN of examples/digits_cnn.py on its digits, in turns of `--every` steps: with all
activations measured at the last step of the turn, and without. Prints the best times of a turn and
of a single step of either kind, over several, and by how much a run that measures is longer: by the
single steps, and by the turns, where the noise of a shared machine is larger than the difference.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from advact_jax import diagnostics

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits_cnn.py"


def example() -> Any:
    """Return the module of the example."""
    spec = importlib.util.spec_from_file_location("digits_cnn", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Run:
    """A training run whose steps may be measured."""

    def __init__(self, activation: str, batch: int, most: int) -> None:
        self.digits_cnn = example()
        self.digits, self.batch = self.digits_cnn.load(), batch
        self.model: nn.Module = self.digits_cnn.DigitsCNN(self.digits_cnn.ACTIVATIONS[activation])
        self.optimizer = optax.adam(1e-3)
        params = self.model.init(jax.random.key(0), self.digits.images[:1])["params"]
        self.state = (params, self.optimizer.init(params))
        self.history = diagnostics.History()
        self.count = 0
        self.rng = np.random.default_rng(0)
        self.step = jax.jit(self._step(jax.value_and_grad(self.loss)))
        self.watched = jax.jit(
            self._step(diagnostics.value_and_grad(self.loss, most=most), observed=True)
        )

    def loss(self, params: Any, images: Any, labels: Any) -> Any:
        logits = self.model.apply({"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def _step(self, differentiate: Callable[..., Any], observed: bool = False) -> Any:
        def step(state: Any, batch: Any, key: Any) -> Any:
            params, moments = state
            images = self.digits_cnn.shifted(key, self.digits.images[batch])
            given = differentiate(params, images, self.digits.labels[batch])
            (_, gradient), seen = given if observed else (given, None)
            updates, moments = self.optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, updates), moments), seen

        return step

    def turn(self, steps: int, measured: bool) -> np.ndarray:
        """Train for some steps, the last of them measured or not; return wall and CPU seconds."""
        batches = self.rng.integers(0, len(self.digits.labels), (steps, self.batch))
        keys = jax.random.split(jax.random.key(self.count), steps)
        began = np.array([time.perf_counter(), time.process_time()])
        for i in range(steps):
            self.count += 1
            if measured and i == steps - 1:
                self.state, seen = self.watched(self.state, batches[i], keys[i])
                self.history.add(self.count, seen)
            else:
                self.state, _ = self.step(self.state, batches[i], keys[i])
        jax.block_until_ready(self.state)
        return np.array([time.perf_counter(), time.process_time()]) - began


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=50, help="steps from one measure to the next")
    parser.add_argument("--rounds", type=int, default=8, help="turns of either kind")
    parser.add_argument("--activation", default="relu", help="one of the example")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--most", type=int, default=32, help="samples compared for the rank")
    options = parser.parse_args()
    run = Run(options.activation, options.batch, options.most)
    for measured in (False, True):
        run.turn(2, measured)  # compiles
    turns: dict[bool, list[Any]] = {False: [], True: []}
    steps: dict[bool, list[Any]] = {False: [], True: []}
    for _ in range(options.rounds):
        for measured in turns:
            turns[measured].append(run.turn(options.every, measured))
            steps[measured] += [run.turn(1, measured) for _ in range(4)]
    turn, step = ({k: np.min(v, axis=0) for k, v in of.items()} for of in (turns, steps))
    print(f"jax {jax.__version__} on {jax.default_backend()}; digits CNN, {options.activation}")
    print(f"{'best of ' + str(options.rounds):32} {'wall':>9} {'CPU':>9}")
    for label, of, measured in (
        ("a step", step, False),
        ("a measured step", step, True),
        (f"{options.every} steps", turn, False),
        (f"{options.every} steps, the last measured", turn, True),
    ):
        print(f"{label:32} {1e3 * of[measured][0]:6.1f} ms {1e3 * of[measured][1]:6.1f} ms")
    longer = 100 * (step[True] - step[False]) / (options.every * step[False])
    print(f"{'longer, by single steps':32} {longer[0]:7.2f} % {longer[1]:7.2f} %")
    longer = 100 * (turn[True] / turn[False] - 1)
    print(f"{'longer, by turns':32} {longer[0]:7.2f} % {longer[1]:7.2f} %")
    print()
    print(run.history.report())


if __name__ == "__main__":
    main()
