"""Settings of every test: four virtual CPU devices, the backends, the names in examples."""

from __future__ import annotations

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import pytest  # noqa: E402

hypothesis.settings.register_profile("default", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("default")


@pytest.fixture(params=["cpu", "gpu", "tpu"], scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test on each backend that JAX finds."""
    try:
        device = jax.devices(request.param)[0]
    except RuntimeError:
        pytest.skip(f"JAX finds no {request.param}")
    with jax.default_device(device):
        yield request.param


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, object]) -> None:
    """Give the examples of docstrings what a reader has imported."""
    import advact_jax

    doctest_namespace.update(jax=jax, jnp=jnp, advact_jax=advact_jax)
