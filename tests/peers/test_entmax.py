"""The simplex maps and their losses against the package entmax, and sparsemax against others."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from advact_jax import entmax, entmax15, losses, sparsemax

theirs = pytest.importorskip("entmax")
torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
ROWS = [np.concatenate([RNG.normal(0, scale, (5, n)) for scale in (0.1, 1, 10)]) for n in (2, 30)]
ALPHAS = (1.1, 1.5, 2.0, 2.5)


def agree(here, there, x, *others):
    """Compare values, and gradients along the same weights, by x and by alpha if it is given."""
    arguments = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, *others)]
    y = there(*arguments)
    weights = np.linspace(-1, 1, y.numel()).reshape(y.shape)
    y.backward(torch.tensor(weights))
    with jax.enable_x64(True):
        found, pullback = jax.vjp(here, *(jnp.asarray(v) for v in (x, *others)))
        slopes = pullback(jnp.asarray(weights))
    np.testing.assert_allclose(found, y.detach(), rtol=1e-8, atol=1e-10)
    for slope, argument in zip(slopes, arguments, strict=True):
        if argument.grad is not None:
            np.testing.assert_allclose(slope, argument.grad, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("x", ROWS, ids=lambda x: str(x.shape))
def test_maps(x):
    agree(sparsemax, theirs.sparsemax, x)
    agree(entmax15, theirs.entmax15, x)
    here = jax.jit(entmax)
    for alpha in ALPHAS:
        agree(here, lambda x, a: theirs.entmax_bisect(x, a, n_iter=60), x, alpha)


@pytest.mark.parametrize("x", ROWS, ids=lambda x: str(x.shape))
def test_losses(x):
    labels = np.arange(len(x)) % x.shape[1]
    there = torch.tensor(labels)
    agree(lambda x: losses.sparsemax_loss(x, labels), lambda x: theirs.sparsemax_loss(x, there), x)
    agree(lambda x: losses.entmax15_loss(x, labels), lambda x: theirs.entmax15_loss(x, there), x)
    for alpha in ALPHAS:
        agree(
            lambda x, a=alpha: losses.entmax_loss(x, labels, jnp.asarray(a)),
            lambda x, a=alpha: theirs.entmax_bisect_loss(x, there, a, 60),
            x,
        )
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            losses.sparsemax_loss(x, labels),
            optax.losses.multiclass_sparsemax_loss(jnp.asarray(x), jnp.asarray(labels)),
            atol=1e-12,
        )


def test_projection_of_optax():
    for x in ROWS:
        for row in x[::3].astype(np.float32):
            np.testing.assert_allclose(
                sparsemax(row), optax.projections.projection_simplex(jnp.asarray(row)), atol=3e-6
            )


def test_sparsemax_of_keras_is_another():
    keras = pytest.importorskip("keras")
    x = jnp.array([[1.0, 1.0, 0.0], [0.3, 0.1, -2.0]])
    wanted = theirs.sparsemax(torch.tensor(np.asarray(x))).numpy()
    np.testing.assert_allclose(sparsemax(x), wanted, atol=1e-7)
    assert np.abs(np.asarray(keras.activations.sparsemax(x)) - wanted).max() > 0.1
