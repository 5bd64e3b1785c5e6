"""What can be measured of an activation: pure functions of arrays, which can be jitted.

State goes in and state comes out, so that they work in a training loop, in a scan and under vmap.
Sums are kept in float32, or in float64 for float64, whatever the type of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from advact_jax import _checks
from advact_jax._rule import compute_dtype

# Conventions of this library: a slope below SATURATED lets less than a twentieth of a gradient
# through; a unit is dead if it never lets through a thousandth.
SATURATED = 0.05
DEAD = 1e-3

Function = Callable[..., Any]


def wide(x: Any) -> Array:
    """Return an array in float32 at least."""
    x = jnp.asarray(x)
    return x.astype(compute_dtype(x.dtype))


def slope(function: Function, x: Any) -> Array:
    """Return the derivative of any elementwise function at each entry of an array.

    Args:
      function: an elementwise function of one array.
      x: where to take it.

    Returns:
      An array of the shape and dtype of ``x``.

    Raises:
      ValueError: if the function does not keep the shape, and so is not elementwise.

    Example:
      >>> from advact_jax import diagnostics
      >>> diagnostics.slope(advact_jax.relu, jnp.array([-1.0, 2.0]))
      Array([0., 1.], dtype=float32)
    """
    x = jnp.asarray(x)
    y, tangent = jax.jvp(function, (x,), (jnp.ones_like(x),))
    if y.shape != x.shape:
        raise ValueError(
            f"slope: expected an elementwise function, got one that makes {_checks.describe(y)} "
            f"of {_checks.describe(x)}."
        )
    return tangent


# -- moments ------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of numbers, which `merge_moments` joins.

    Example:
      >>> from advact_jax import diagnostics
      >>> found = diagnostics.moments(jnp.array([[1.0, 2.0], [3.0, 6.0]]))
      >>> found.mean, found.variance
      (Array(3., dtype=float32), Array(3.5, dtype=float32))
    """

    number: Array
    mean: Array
    deviations: Array

    @property
    def variance(self) -> Array:
        """The variance; NaN of nothing."""
        return self.deviations / self.number


def moments(x: Any) -> Moments:
    """Return the moments of all entries of an array.

    Args:
      x: an array.

    Returns:
      `Moments`, of scalars.

    Example:
      >>> from advact_jax import diagnostics
      >>> diagnostics.moments(jnp.array([1.0, 3.0])).variance
      Array(1., dtype=float32)
    """
    x = wide(x)
    mean = jnp.mean(x)
    return Moments(jnp.full((), x.size, x.dtype), mean, jnp.sum((x - mean) ** 2))


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Return the moments of two sets of numbers together.

    Args:
      first: the moments of one.
      second: the moments of the other.

    Returns:
      The `Moments` of both.

    Example:
      >>> from advact_jax import diagnostics
      >>> one, two = diagnostics.moments(jnp.arange(3.0)), diagnostics.moments(jnp.arange(3.0, 8.0))
      >>> diagnostics.merge_moments(one, two).mean
      Array(3.5, dtype=float32)

    References:
      Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance, The American
      Statistician 37.
    """
    number = first.number + second.number
    apart = second.mean - first.mean
    share = second.number / jnp.maximum(number, 1)
    return Moments(
        number,
        first.mean + apart * share,
        first.deviations + second.deviations + apart * apart * first.number * share,
    )


# -- slopes -------------------------------------------------------------------------------------


def saturation(function: Function, x: Any, bound: float = SATURATED) -> Array:
    """Return the share of entries at which the absolute derivative lies below a bound.

    Args:
      function: an elementwise function, of this library or any other.
      x: its input.
      bound: the bound.

    Returns:
      A scalar from 0 to 1. For a rectifier it is the share of inactive entries.

    Example:
      >>> from advact_jax import diagnostics
      >>> diagnostics.saturation(jnp.tanh, jnp.array([0.0, 1.0, 3.0, -9.0]))
      Array(0.5, dtype=float32)
    """
    return jnp.mean(jnp.abs(wide(slope(function, x))) < bound)


def active_units(
    function: Function, x: Any, before: Array | None = None, *, axis: int = -1, bound: float = DEAD
) -> Array:
    """Tell which units were ever active: state in, state out, over the batches of a data set.

    A unit is active for an input if the absolute derivative there is above the bound, so that a
    gradient reaches the weights below. Where this never happens the unit is dead.

    Args:
      function: an elementwise function.
      x: a batch of its input.
      before: what this function returned for the batches before; None for the first.
      axis: the axis of the units; a unit of a convolution is a channel.
      bound: the bound.

    Returns:
      A bool for each unit; ``1 - jnp.mean(active)`` is the share of dead ones.

    Example:
      >>> from advact_jax import diagnostics
      >>> active = diagnostics.active_units(advact_jax.relu, jnp.array([[-1.0, -2.0, 1.0]]))
      >>> diagnostics.active_units(advact_jax.relu, jnp.array([[3.0, -1.0, -1.0]]), active)
      Array([ True, False,  True], dtype=bool)
    """
    found = active(slope(function, x), axis, bound)
    return found if before is None else found | before


def active(slopes: Array, axis: int, bound: float) -> Array:
    """Tell along an axis where a slope is above a bound anywhere."""
    others = tuple(i for i in range(slopes.ndim) if i != axis % max(slopes.ndim, 1))
    return jnp.any(jnp.abs(wide(slopes)) > bound, axis=others)


# -- gradients ----------------------------------------------------------------------------------


def gradient_lost(function: Function, x: Any, gradient: Any) -> Array:
    r"""Return the share of a gradient's norm that an activation takes away on its way back.

    .. math:: 1 - \frac{\lVert g \, f'(x) \rVert}{\lVert g \rVert}

    Args:
      function: an elementwise function.
      x: its input.
      gradient: g, the gradient of the loss by its output.

    Returns:
      A scalar, at most 1; below 0 where the gradient grows. It is 1 - sqrt(1/2) for a rectifier
      half of whose units are active, and 3/4 or more for a sigmoid.

    Example:
      >>> from advact_jax import diagnostics
      >>> x = jnp.array([-1.0, 1.0])
      >>> diagnostics.gradient_lost(advact_jax.relu, x, jnp.array([4.0, 3.0]))
      Array(0.4, dtype=float32)
    """
    gradient = wide(gradient)
    return 1 - norm(gradient * wide(slope(function, x))) / norm(gradient)


def norm(x: Any) -> Array:
    """Return the Euclidean norm, also where the squares overflow or vanish."""
    x = wide(x)
    largest = jnp.max(jnp.abs(x), initial=0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return scale * jnp.sqrt(jnp.sum(jnp.square(x / scale)))


def gradient_norms(gradients: Any) -> dict[str, Array]:
    """Return the norm of a gradient by layer.

    Args:
      gradients: a tree of arrays, such as that of linen's parameters or the state of an nnx model.

    Returns:
      The norm over all parameters that lie in one place of the tree, by the path to there.

    Example:
      >>> from advact_jax import diagnostics
      >>> tree = {"dense": {"kernel": jnp.array([[3.0]]), "bias": jnp.array([4.0])}}
      >>> diagnostics.gradient_norms(tree)
      {'dense': Array(5., dtype=float32)}
    """
    found: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        layer = "/".join(path_names(path)[:-1])
        found.setdefault(layer, []).append(norm(leaf))
    return {layer: norm(jnp.stack(parts)) for layer, parts in found.items()}


def path_names(path: tuple[Any, ...]) -> list[str]:
    """Return a path in a tree as names, without what a framework puts around the parameters."""
    keys = [getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path]
    names = [str(key) for key in keys]
    if names and names[-1] in ("value", "raw_value") and len(names) > 1:
        names.pop()
    return names[1:] if names and names[0] == "params" else names


# -- rank ---------------------------------------------------------------------------------------


class Rank(NamedTuple):
    """How many directions the rows of a matrix span.

    Attributes:
      cosine: mean cosine of the angle between two of the rows.
      effective_rank: the exponential of the entropy of the singular values.
      stable_rank: the squared Frobenius norm over the squared largest singular value.

    Example:
      >>> from advact_jax import diagnostics
      >>> apart = diagnostics.rank_collapse(jnp.eye(4, 3))
      >>> apart.cosine, apart.effective_rank
      (Array(0., dtype=float32), Array(3.00, dtype=float32))
      >>> alike = diagnostics.rank_collapse(jnp.eye(4, 3) + 10)
      >>> alike.cosine, alike.effective_rank
      (Array(0.998, dtype=float32), Array(1.28, dtype=float32))
    """

    cosine: Array
    effective_rank: Array
    stable_rank: Array


def rank_collapse(
    y: Any, *, rows: Literal["samples", "tokens"] = "samples", most: int = 32
) -> Rank:
    """Measure whether a layer still tells its inputs apart.

    Args:
      y: the output of a layer, with the samples of the batch along its first axis.
      rows: "samples" to compare samples, with all else flattened; "tokens" to compare the positions
        of each sequence, of an array of shape (..., positions, features).
      most: how many samples, or sequences, are compared: the first ones. The cost is that of a
        product and of the eigenvalues of a square matrix with a row for each.

    Returns:
      A `Rank`; NaN where there is no pair of rows that are not 0.

    Raises:
      ValueError: if ``rows`` is something else.

    Example:
      >>> from advact_jax import diagnostics
      >>> same = diagnostics.rank_collapse(jnp.ones((4, 3)))
      >>> bool(abs(same.cosine - 1) < 1e-6), bool(abs(same.stable_rank - 1) < 1e-6)
      (True, True)

    References:
      Dong, Cordonnier & Loukas 2021, Attention is not all you need: pure attention loses rank
      doubly exponentially with depth, arXiv:2103.03404; Roy & Vetterli 2007, The effective rank: a
      measure of effective dimensionality, EUSIPCO.
    """
    if rows not in ("samples", "tokens"):
        raise ValueError(f"rank_collapse: expected rows to be 'samples' or 'tokens', got {rows!r}.")
    y = wide(y)
    if rows == "tokens" and y.ndim >= 3:
        each = jax.vmap(_rank)(y.reshape(-1, *y.shape[-2:])[:most])
        return Rank(*map(jnp.mean, each))
    return _rank(y.reshape(y.shape[0] if y.ndim else 1, -1)[:most])


def _rank(matrix: Array) -> Rank:
    # Scaled, so that squares neither overflow nor vanish.
    largest = jnp.max(jnp.abs(matrix))
    matrix = matrix / jnp.where(largest > 0, largest, 1)
    products = matrix @ matrix.T
    norms = jnp.sqrt(jnp.diagonal(products))
    pairs = norms[:, None] * norms[None, :] * (1 - jnp.eye(len(norms)))
    some = pairs > 0
    cosines = jnp.where(some, products / jnp.where(some, pairs, 1), 0)
    smaller = products if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    # A gradient through eigenvalues is never wanted; below rounding they are noise.
    squares = jnp.linalg.eigvalsh(jax.lax.stop_gradient(smaller))
    least = len(smaller) * jnp.finfo(matrix.dtype).eps * jnp.max(squares)
    squares = jnp.where(squares > least, squares, 0)
    values = jnp.sqrt(squares)
    shares = values / jnp.sum(values)
    entropy = -jnp.sum(jnp.where(shares > 0, shares * jnp.log(jnp.where(shares > 0, shares, 1)), 0))
    return Rank(
        jnp.sum(cosines) / jnp.sum(some),
        jnp.exp(entropy) + 0 * jnp.sum(shares),  # NaN of a matrix of zeros
        jnp.sum(squares) / jnp.max(squares),
    )
