"""Train on four devices with a PReLU whose slopes are sharded like the features they belong to.

The hidden layer of a net is spread over the devices by its features, and so are the slopes of its
PReLU: each device holds those of its own channels. The activation then needs nothing from another
device, forward or backward, which the compiled program shows: it holds the same collectives with
the PReLU as without an activation. Slopes that are left whole on every device cost three more:
their gradient and both moments of Adam are brought together.

Where the batch is split as well (a mesh of 2 x 2), gradients are summed over its parts; those of
the slopes go with those of the weights, in the same all-reduce.

The devices are virtual ones on the CPU; on four accelerators the same script runs as it is.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# Before JAX is imported, since it looks for devices once.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import linen as nn  # noqa: E402
from jax import Array  # noqa: E402
from jax.sharding import AxisType, Mesh, NamedSharding  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from advact_jax import linen  # noqa: E402

HIDDEN, BATCH, CLASSES = 256, 64, 10
COLLECTIVE = re.compile(
    r"= .*? (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)(?:-start)?\("
)

ACTIVATIONS: dict[str, Callable[[], Callable[[Array], Array]]] = {
    "none": lambda: lambda x: x,
    "PReLU, slopes sharded": lambda: linen.PReLU(sharding=("model",)),
    "PReLU, slopes whole": lambda: linen.PReLU(sharding=(None,)),
}


# -- the net ------------------------------------------------------------------------------------


class Net(nn.Module):
    """Two dense layers: the first is split by its outputs, the second by its inputs."""

    activation: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        make = nn.with_partitioning
        columns = make(nn.initializers.he_normal(), (None, "model"))
        rows = make(nn.initializers.lecun_normal(), ("model", None))
        bias = make(nn.initializers.zeros, ("model",))
        x = nn.Dense(HIDDEN, kernel_init=columns, bias_init=bias, name="first")(x)
        x = ACTIVATIONS[self.activation]()(x)
        return nn.Dense(CLASSES, kernel_init=rows, name="last")(x)


class Training:
    """The parameters of a net on a mesh, and its compiled training step."""

    def __init__(self, activation: str, mesh: Mesh):
        model, optimizer = Net(activation), optax.adam(3e-3)
        self.data = NamedSharding(mesh, jax.P("data"))
        shapes = (jax.ShapeDtypeStruct((BATCH, 64), jnp.float32, sharding=self.data),
                  jax.ShapeDtypeStruct((BATCH,), jnp.int32, sharding=self.data))  # fmt: skip

        def start(key: Array) -> Any:
            params = model.init(key, jnp.zeros((1, 64)))["params"]
            return params, optimizer.init(params)

        key = jax.random.key(0)
        places = nn.get_sharding(jax.eval_shape(start, key), mesh)
        self.params, self.state = jax.jit(lambda key: nn.unbox(start(key)), out_shardings=places)(
            key
        )

        def step(params: Any, state: Any, images: Array, labels: Array) -> tuple[Any, Any, Array]:
            def loss_of(params: Any) -> Array:
                logits = jnp.asarray(model.apply({"params": params}, images))
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

            loss, gradient = jax.value_and_grad(loss_of)(params)
            updates, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, updates), state, loss

        compiled = jax.jit(step, out_shardings=(*places, None))
        self.step = compiled.lower(self.params, self.state, *shapes).compile()

    def collectives(self) -> dict[str, int]:
        """Return how often each collective stands in the compiled step."""
        return dict(collections.Counter(COLLECTIVE.findall(self.step.as_text() or "")))

    def train(self, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> list[float]:
        """Return the loss of each step."""
        losses = []
        for batch in batches:
            images, labels = jax.device_put(batch, self.data)
            self.params, self.state, loss = self.step(self.params, self.state, images, labels)
            losses.append(float(loss))
        return losses


def batches(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of scikit-learn's digits, the same in every training."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    for _ in range(steps):
        chosen = random.integers(0, len(labels), BATCH)
        yield (images[chosen] / 8 - 1).astype(np.float32), labels[chosen].astype(np.int32)


# -- the command --------------------------------------------------------------------------------


def said(collectives: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(collectives.items())) or "none"


def main(argv: Sequence[str] | None = None) -> int:
    """Compile, count the collectives, and train; return 1 if the activation causes one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a short run, to see that it works")
    short = parser.parse_args(argv).short
    steps, meshes = (60, [(1, 4)]) if short else (1000, [(1, 4), (2, 2)])
    console = Console(highlight=False, soft_wrap=True, width=100)
    table = Table(title="The compiled training step")
    for heading in ("mesh", "activation", "collectives", "slopes on a device", "loss"):
        table.add_column(heading)
    caused = {}
    for data, model in meshes:
        mesh = jax.make_mesh((data, model), ("data", "model"), (AxisType.Auto,) * 2)
        found = {}
        for name in ACTIVATIONS:
            training = Training(name, mesh)
            found[name] = training.collectives()
            losses = training.train(batches(steps))
            slopes = training.params.get("PReLU_0", {}).get("alpha")
            held = "-" if slopes is None else str(slopes.addressable_shards[0].data.size)
            falls = f"{losses[0]:.2f} to {np.mean(losses[-10:]):.3f}"
            table.add_row(f"{data} x {model}", name, said(found[name]), held, falls)
        totals = [sum(collectives.values()) for collectives in found.values()]
        caused[f"{data} x {model}"] = [total - totals[0] for total in totals[1:]]
    console.print(table)
    for mesh_name, (sharded, whole) in caused.items():
        print(f"Caused by PReLU on {mesh_name} devices: {sharded} collectives; {whole} if whole.")
    return 1 if any(sharded for sharded, _ in caused.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
