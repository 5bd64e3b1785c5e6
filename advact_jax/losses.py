"""Losses whose link is a sparse map: Fenchel-Young losses of Tsallis' entropies.

A loss is zero where the map gives the targets exactly, which it can: a margin of a label's logit
over all others is enough. Its derivative by the logits is the map less the targets.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _checks, _rows, _simplex, _thresholds
from advact_jax._rows import Axes
from advact_jax._rule import compute_dtype

__all__ = ["entmax15_loss", "entmax_loss", "sparsemax_loss"]


def _divergence(q: Array, p: Array, alpha: Array | float) -> Array:
    """Return the Bregman divergence of q from p, by Tsallis' entropy, entry by entry."""
    if isinstance(alpha, float) and alpha == 2:
        return 0.5 * (p - q) ** 2
    if isinstance(alpha, float):
        a, b = jnp.sqrt(q), jnp.sqrt(p)
        return (2 / 3) * (a - b) ** 2 * (2 * a + b)
    order = _simplex.order_of(alpha)
    both = (q > 0) & (p > 0)
    some, other = jnp.where(q > 0, q, 1), jnp.where(both, p, 1)
    ratio = jnp.where(both, q * jnp.expm1(order * jnp.log(some / other)) / order, 0)
    inside = jnp.exp(order * jnp.log(jnp.where(p > 0, p, 1))) * (ratio + p - q) / alpha
    outside = jnp.where(q > 0, jnp.exp(alpha * jnp.log(some)) / (alpha * order), 0)
    return jnp.where(p > 0, inside, jnp.where(jnp.isnan(p), p, outside))


def _slope_of_negentropy(q: Array, alpha: Array | float) -> Array:
    """Return the derivative of (sum(q^alpha) - 1) / (alpha (alpha - 1)), but for a constant."""
    if isinstance(alpha, float):
        return q if alpha == 2 else 2 * jnp.sqrt(q)
    order = _simplex.order_of(alpha)
    return jnp.expm1(order * jnp.log(q)) / order


def _negentropy_by_alpha(p: Array, alpha: Array, axes: Axes) -> Array:
    """Return the derivative of (sum(p^alpha) - 1) / (alpha (alpha - 1)) by alpha."""
    log, order = jnp.log(jnp.where(p > 0, p, 1)), _simplex.order_of(alpha)
    v = order * log
    terms = log * log * _simplex.bend(v) / alpha - jnp.expm1(v) / (order * alpha * alpha)
    return _thresholds.total(p * terms, axes)


def _probabilities(targets: Array, x: Array, axes: Axes) -> Array:
    """Return the targets as probabilities; a label becomes a row with a single 1."""
    dtype = compute_dtype(x.dtype)
    if jnp.issubdtype(targets.dtype, jnp.floating):
        return targets.astype(dtype)
    places = lax.broadcasted_iota(targets.dtype, x.shape, axes[0])
    known = (targets >= 0) & (targets < x.shape[axes[0]])
    return jnp.where(known, (places == targets).astype(dtype), jnp.nan)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _loss(
    x: Array, mask: Array | None, targets: Array, alpha: Array | None, axes: Axes, fixed: float
) -> tuple[Array, Array]:
    """Return the loss, with the axis kept, and the map.

    The loss is a sum of terms that are not negative: the divergence of the targets from the map,
    and what the logits of targets lack to be above the threshold.
    """
    order = fixed if alpha is None else alpha
    p, end = _simplex.solved(x, mask, order, axes)
    q = _probabilities(targets, x, axes)
    lack = jnp.maximum(end - _thresholds.distances(x, mask, axes).head, 0)
    terms = _divergence(q, p, order) + jnp.where(q == 0, 0, q * lack)
    return _thresholds.total(terms, axes).astype(x.dtype), p.astype(x.dtype)


@functools.partial(_loss.defjvp, symbolic_zeros=True)
def _loss_rule(axes: Axes, fixed: float, primals: Any, tangents: Any) -> tuple[Any, Any]:
    x, _, targets, alpha = primals
    out = loss, y = _loss(*primals, axes, fixed)
    moved = {
        key: tangent
        for key, tangent in zip(("x", "mask", "targets", "alpha"), tangents, strict=True)
        if not _rows.is_zero(tangent) and tangent.dtype != jax.dtypes.float0
    }

    def tangent_map(y: Array, targets: Array, alpha: Any, x: Any, moved: dict[str, Array]) -> Array:
        p, q = y.astype(compute_dtype(y.dtype)), _probabilities(targets, y, axes)
        change = jnp.zeros((), p.dtype)
        if "x" in moved:
            change = change + _thresholds.total((p - q) * moved["x"].astype(p.dtype), axes)
        if "targets" in moved:
            slope = _slope_of_negentropy(q, fixed if alpha is None else alpha) - x.astype(p.dtype)
            change = change + _thresholds.total(slope * moved["targets"].astype(p.dtype), axes)
        if "alpha" in moved:
            by_alpha = [_negentropy_by_alpha(v, alpha, axes) for v in (q, p)]
            change = change + (by_alpha[0] - by_alpha[1]) * moved["alpha"]
        return jnp.broadcast_to(change, loss.shape).astype(loss.dtype)

    kept = x if "targets" in moved else None
    change = jax.checkpoint(tangent_map, prevent_cse=False)(y, targets, alpha, kept, moved)
    return out, (
        change,
        _simplex.map_tangent(y, alpha, moved.get("x"), moved.get("alpha"), axes, fixed),
    )


def _loss_of(
    name: str, x: Any, targets: Any, axis: int, where: Any, alpha: Any, fixed: float
) -> Array:
    """Check the arguments of a loss and return it."""
    targets = _checks.real(name, "targets", targets)
    shape = jnp.shape(x)
    index = _checks.axis_index(name, axis, len(shape))
    if not jnp.issubdtype(targets.dtype, jnp.floating):
        labels = (*shape[:index], *shape[index + 1 :])
        if targets.shape != labels:
            raise ValueError(
                f"{name}: expected labels of shape {labels} for an x of shape {shape} and axis "
                f"{axis}, got {_checks.describe(targets)}. Probabilities are floats."
            )
        targets = jnp.expand_dims(targets.astype(jnp.int32), index)
    elif targets.shape != shape:
        raise ValueError(
            f"{name}: expected probabilities of the shape {shape} of x, got "
            f"{_checks.describe(targets)}. Labels are integers."
        )
    x, axes, alpha, mask = _simplex.arguments(name, x, index, where, alpha)
    return jnp.squeeze(_loss(x, mask, targets, alpha, axes, fixed)[0], axes)


@functools.partial(jax.jit, static_argnames=("axis",))
def sparsemax_loss(
    x: ArrayLike, targets: ArrayLike, axis: int = -1, where: ArrayLike | None = None
) -> Array:
    r"""Loss of `sparsemax`: what cross-entropy is to softmax.

    .. math:: L(x, q) = \tfrac12 \|q - x\|^2 - \tfrac12 \|p - x\|^2, \quad p = \mathrm{sparsemax}(x)

    It is a sum over several classes; optax's loss of this name is the binary one, whose
    ``multiclass_sparsemax_loss`` is this one. Reverse mode keeps sparsemax(x) and the targets.

    Args:
      x: logits, real.
      targets: labels, of an integer type and the shape of ``x`` without the axis; or probabilities,
        floats of the shape of ``x`` that add up to 1. A label that is no class gives NaN.
      axis: the axis of the classes.
      where: which classes count, bool, broadcast against ``x``; a target outside gives inf.

    Returns:
      The loss of each row, in the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or ``targets`` isn't a real array or ``where`` isn't bool.
      ValueError: if the axis is out of range or a shape doesn't fit.

    Example:
      >>> from advact_jax.losses import sparsemax_loss
      >>> print(sparsemax_loss(jnp.array([[2.0, 0.5, 1.0], [0.0, 1.0, 0.0]]), jnp.array([0, 0])))
      [0. 1.]

    References:
      Martins and Astudillo, "From softmax to sparsemax", ICML 2016, arXiv:1602.02068.
      Blondel, Martins and Niculae, "Learning with Fenchel-Young losses", JMLR 2020,
      arXiv:1901.02324.
    """
    return _loss_of("sparsemax_loss", x, targets, axis, where, None, 2.0)


@functools.partial(jax.jit, static_argnames=("axis",))
def entmax15_loss(
    x: ArrayLike, targets: ArrayLike, axis: int = -1, where: ArrayLike | None = None
) -> Array:
    r"""Loss of `entmax15`: `entmax_loss` with alpha = 1.5.

    Args:
      x: logits, real.
      targets: labels, of an integer type and the shape of ``x`` without the axis; or probabilities,
        floats of the shape of ``x`` that add up to 1. A label that is no class gives NaN.
      axis: the axis of the classes.
      where: which classes count, bool, broadcast against ``x``; a target outside gives inf.

    Returns:
      The loss of each row, in the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or ``targets`` isn't a real array or ``where`` isn't bool.
      ValueError: if the axis is out of range or a shape doesn't fit.

    Example:
      >>> from advact_jax.losses import entmax15_loss
      >>> print(entmax15_loss(jnp.array([[3.0, 0.5, 1.0], [0.0, 2.0, 0.0]]), jnp.array([0, 0])))
      [0. 2.]

    References:
      Peters, Niculae and Martins, "Sparse sequence-to-sequence models", ACL 2019, arXiv:1905.05702.
    """
    return _loss_of("entmax15_loss", x, targets, axis, where, None, 1.5)


@functools.partial(jax.jit, static_argnames=("axis",))
def entmax_loss(
    x: ArrayLike,
    targets: ArrayLike,
    alpha: ArrayLike = 1.5,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Array:
    r"""Loss of `entmax`: cross-entropy (alpha = 1), that of sparsemax (alpha = 2), and others.

    .. math:: L(x, q) = \Omega(q) - \Omega(p) - \langle q - p, x \rangle, \quad
        p = \mathrm{entmax}_\alpha(x), \quad
        \Omega(p) = \frac{\sum_i p_i^\alpha - 1}{\alpha (\alpha - 1)}

    It can be differentiated by the logits, by alpha and by probabilities, by these up to a number
    that their sum determines.

    Args:
      x: logits, real.
      targets: labels, of an integer type and the shape of ``x`` without the axis; or probabilities,
        floats of the shape of ``x`` that add up to 1. A label that is no class gives NaN.
      alpha: at least 1; a number, or an array that broadcasts against ``x`` and has the size 1
        along the axis.
      axis: the axis of the classes.
      where: which classes count, bool, broadcast against ``x``; a target outside gives inf.

    Returns:
      The loss of each row, in the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x``, ``targets`` or ``alpha`` isn't a real array or ``where`` isn't bool.
      ValueError: if the axis is out of range or a shape doesn't fit.

    Example:
      >>> from advact_jax.losses import entmax_loss
      >>> print(entmax_loss(jnp.array([2.0, 0.5, 1.0]), 0, 1.0))
      0.464

    References:
      Blondel, Martins and Niculae, "Learning with Fenchel-Young losses", JMLR 2020,
      arXiv:1901.02324.
    """
    at_default = isinstance(alpha, float) and alpha == 1.5
    return _loss_of("entmax_loss", x, targets, axis, where, None if at_default else alpha, 1.5)
