"""What was measured over a training run: a table, plain numbers for a logger, and a verdict."""

from __future__ import annotations

import textwrap
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from advact_jax.diagnostics import arrays, verdict
from advact_jax.diagnostics import measures as measuring
from advact_jax.diagnostics.capture import Observation
from advact_jax.diagnostics.verdict import Finding

_COLUMNS = {
    "mean": "mean",
    "std": "std",
    "saturation": "saturated",
    "dead": "dead",
    "gradient_norm": "gradient",
    "gradient_lost": "lost",
    "cosine": "cosine",
    "effective_rank": "eff. rank",
}
_PERCENT = ("saturation", "dead", "gradient_lost")


class History:
    """The observations of a training run, one for each step at which they were taken.

    Example:
      >>> from advact_jax import diagnostics
      >>> loss = lambda w, x: jnp.sum(advact_jax.relu(x @ w))
      >>> watched = jax.jit(diagnostics.value_and_grad(loss))
      >>> history = diagnostics.History()
      >>> w, x = jnp.array([[1.0, -1.0]]), jnp.array([[1.0], [2.0]])
      >>> for step in range(2):
      ...     (value, gradient), seen = watched(w, x)
      ...     history.add(step, seen)
      >>> history.layers, history.scalars()["relu/dead"]
      (('relu',), 0.5)
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self._observations: list[Any] = []
        self._parameters: list[Any] = []
        self._read: list[dict[str, dict[str, float]]] = []

    def add(self, step: int, observation: Observation, parameters: Any = None) -> None:
        """Keep what was measured at a step. Nothing waits for the device until it is asked for.

        Args:
          step: the number of the step, larger than those before.
          observation: what `observe` or `value_and_grad` gave.
          parameters: what the activations learned so far: a tree of arrays, as `learned` picks it.

        Raises:
          TypeError: if it is no `Observation`.
          ValueError: if the step is not larger than the last one.
        """
        if not isinstance(observation, Observation):
            raise TypeError(
                "History.add: expected the Observation that observe or value_and_grad returns "
                f"beside its result, got {type(observation).__name__}."
            )
        if self.steps and not step > self.steps[-1]:
            raise ValueError(
                f"History.add: expected a step after {self.steps[-1]}, the last one, got {step}."
            )
        # Of a plain dictionary JAX would sort the keys, relu_10 before relu_2.
        values = OrderedDict((k, measuring.values(m)) for k, m in observation.layers.items())
        self.steps.append(int(step))
        self._observations.append((values, OrderedDict(observation.gradients)))
        # A copy, since a training step may give the memory of its parameters to the next.
        self._parameters.append(jax.tree.map(lambda leaf: leaf + 0, parameters))

    # -- numbers --------------------------------------------------------------------------------

    @property
    def layers(self) -> tuple[str, ...]:
        """The paths of the activations, in the order of the forward pass."""
        return tuple(self.at(0)) if self.steps else ()

    def at(self, index: int = -1) -> dict[str, dict[str, float]]:
        """Return the numbers of each activation, by layer and quantity.

        Args:
          index: which observation; the last one by default.

        Returns:
          A dictionary by layer of dictionaries by the names of ``QUANTITIES``. A layer in a scan
          has an entry for each step of it, ``blocks/silu[0]`` and so on.
        """
        while len(self._read) < len(self._observations):
            values, _ = jax.device_get(self._observations[len(self._read)])
            self._read.append(_expanded(values))
        return self._read[index]

    def gradients(self, index: int = -1) -> dict[str, float]:
        """Return the norm of the gradient of the parameters by layer."""
        norms = jax.device_get(self._observations[index][1])
        return {name: float(value) for name, value in norms.items()}

    def array(self, quantity: str) -> np.ndarray:
        """Return one quantity as an array of layers by steps.

        Args:
          quantity: one of ``QUANTITIES``.

        Returns:
          An array with a row for each of ``layers`` and a column for each of ``steps``.

        Raises:
          ValueError: if there is no such quantity.
        """
        if quantity not in measuring.QUANTITIES:
            raise ValueError(
                f"History.array: expected one of {', '.join(measuring.QUANTITIES)}, "
                f"got {quantity!r}."
            )
        rows = [self.at(i) for i in range(len(self.steps))]
        return np.array([[row[layer][quantity] for row in rows] for layer in self.layers])

    def parameters(self) -> dict[str, np.ndarray]:
        """Return the learned parameters by path, each as an array of steps by entries."""
        kept = [p for p in self._parameters if p is not None]
        if not kept:
            return {}
        held = [_by_path(tree) for tree in jax.device_get(kept)]
        return {name: np.stack([np.ravel(tree[name]) for tree in held]) for name in held[0]}

    @property
    def parameter_steps(self) -> list[int]:
        """The steps at which parameters were kept."""
        pairs = zip(self.steps, self._parameters, strict=True)
        return [step for step, kept in pairs if kept is not None]

    def scalars(self, index: int = -1) -> dict[str, float]:
        """Return all numbers of a step as one plain dictionary, as any logger takes it.

        Args:
          index: which observation; the last one by default.

        Returns:
          Floats by ``layer/quantity``, and ``layer/parameter_gradient_norm`` for the gradients of
          parameters. Those that were not measured are left out.
        """
        found = {
            f"{layer}/{quantity}": value
            for layer, row in self.at(index).items()
            for quantity, value in row.items()
        }
        for layer, value in self.gradients(index).items():
            found[f"{layer}/parameter_gradient_norm"] = value
        # What was not measured is NaN for every layer; a NaN of one layer is news.
        missing = {
            quantity
            for quantity in measuring.QUANTITIES
            if all(np.isnan(row[quantity]) for row in self.at(index).values())
        }
        return {k: v for k, v in found.items() if k.rpartition("/")[2] not in missing}

    # -- words ----------------------------------------------------------------------------------

    def table(self, index: int = -1) -> str:
        """Return the numbers of a step as a table in plain text."""
        rows = self.at(index)
        columns = [key for key in _COLUMNS if not all(np.isnan(row[key]) for row in rows.values())]
        cells = [["layer", *(_COLUMNS[key] for key in columns)]]
        cells += [
            [layer, *(_written(key, row[key]) for key in columns)] for layer, row in rows.items()
        ]
        return _aligned(cells)

    def findings(self, index: int = -1) -> list[Finding]:
        """Return which thresholds are passed at a step, with advice; see `judge`."""
        index = range(len(self.steps))[index]
        earlier = [_total(self.gradients(i)) for i in range(index)]
        return verdict.judge(self.at(index), self.gradients(index), earlier)

    def report(self, index: int = -1) -> str:
        """Return the table and the verdict of a step as plain text."""
        found = self.findings(index)
        wrapped = (textwrap.fill(str(f), 100, subsequent_indent="  ") for f in found)
        words = "\n".join(wrapped) if found else verdict.NOTHING
        return f"step {self.steps[index]}\n{self.table(index)}\n\n{words}"


def _expanded(values: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return one row for each activation, those of a scan by number."""
    rows: dict[str, dict[str, float]] = {}
    for layer, of_layer in values.items():
        shape = np.shape(of_layer["mean"])
        for place in np.ndindex(shape):
            label = layer + "".join(f"[{i}]" for i in place)
            full = {key: np.broadcast_to(v, shape) for key, v in of_layer.items()}
            rows[label] = {key: float(array[place]) for key, array in full.items()}
    return rows


def _by_path(tree: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(arrays.path_names(path)): np.asarray(leaf) for path, leaf in leaves}


def learned(parameters: Any, mask: Any) -> dict[str, Any]:
    """Pick what activations learn out of the parameters of a model.

    Args:
      parameters: the parameters: a tree of linen, or ``nnx.state(model, nnx.Param)``.
      mask: what `advact_jax.linen.activation_mask` or `advact_jax.nnx.activation_mask` tells of it.

    Returns:
      The arrays by path, for `History.add`.

    Example:
      >>> from advact_jax import diagnostics
      >>> params = {"dense": {"bias": jnp.zeros(2)}, "act": {"alpha": jnp.ones(2)}}
      >>> mask = {"dense": {"bias": False}, "act": {"alpha": True}}
      >>> diagnostics.learned(params, mask)
      {'act/alpha': Array([1., 1.], dtype=float32)}
    """
    is_ours = jax.tree.leaves(mask)
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    return {
        "/".join(arrays.path_names(path)): leaf
        for (path, leaf), ours in zip(leaves, is_ours, strict=True)
        if ours
    }


def _total(norms: Mapping[str, float]) -> float:
    return float(np.sqrt(np.sum(np.square([*norms.values()])))) if norms else float("nan")


def _written(quantity: str, value: float) -> str:
    if np.isnan(value):
        return "-"
    if quantity in _PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:.3g}" if quantity not in ("cosine", "effective_rank") else f"{value:.2f}"


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *others = row
        padded = [first.ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
