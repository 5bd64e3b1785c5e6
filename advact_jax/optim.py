"""What optax needs to treat the parameters of activations by themselves.

The trees come from a model: ``activation_mask`` and ``constraints`` of `advact_jax.linen` and of
`advact_jax.nnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from advact_jax import _checks
from advact_jax import constraints as _constraints
from advact_jax.constraints import Constraint


def labels(mask: Any, activation: str = "activation", rest: str = "rest") -> Any:
    """Return the tree of labels that `optax.partition` (``multi_transform``) takes.

    Args:
      mask: a tree of bools, from ``activation_mask``.
      activation: the label of the activations' parameters.
      rest: the label of all others.

    Returns:
      A tree as ``mask``, with a label for each parameter.

    Example:
      >>> import optax
      >>> from advact_jax import optim
      >>> mask = {"kernel": False, "alpha": True}
      >>> optim.labels(mask)
      {'alpha': 'activation', 'kernel': 'rest'}
      >>> each = {"activation": optax.sgd(0.01, momentum=0.9), "rest": optax.adamw(1e-3)}
      >>> tx = optax.multi_transform(each, optim.labels(mask))
    """
    return jax.tree.map(lambda ours: activation if ours else rest, mask)


def no_decay(mask: Any) -> Any:
    r"""Return the mask for weight decay that leaves out the activations' parameters.

    Weight decay :math:`\alpha \leftarrow (1 - \eta \lambda) \alpha` pulls the slope of PReLU to 0,
    and so PReLU to ReLU, whatever the loss says.

    Args:
      mask: a tree of bools, from ``activation_mask``.

    Returns:
      A tree as ``mask``: False for the activations' parameters, True for all others.

    Example:
      >>> import optax
      >>> from advact_jax import optim
      >>> mask = {"kernel": False, "alpha": True}
      >>> optim.no_decay(mask)
      {'alpha': False, 'kernel': True}
      >>> tx = optax.adamw(1e-3, weight_decay=1e-2, mask=optim.no_decay(mask))

    References:
      He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852, section 2.1.
    """
    return jax.tree.map(lambda ours: not ours, mask)


def project(constraints: Any, *, mask: Any = None) -> optax.GradientTransformation:
    r"""Make updates lead to parameters that hold their constraints.

    .. math:: u \leftarrow C(w + u) - w

    This belongs at the end of an `optax.chain`, after the learning rate.

    The updates are rounded such that each entry of ``optax.apply_updates(params, updates)`` lies
    between that of ``params`` and of :math:`C(w + u)`, which it is up to rounding. So `NonNeg` and
    `Interval` hold exactly at every step if the initial parameters hold them. If not, the first
    step leads there up to a rounding of the initial parameters, and the next ones take the rest.
    Constraints on norms hold up to rounding.

    Args:
      constraints: a tree with a constraint or None for each parameter, from ``constraints`` of
        `advact_jax.linen` or `advact_jax.nnx`, or a prefix of it; or a function that makes one from
        the parameters; or, with ``mask``, one constraint or its name.
      mask: a tree of bools, a prefix of one or a function that makes one from the parameters: which
        of them ``constraints`` is for. True stands for all.

    Returns:
      A gradient transformation without state, whose ``update`` needs ``params``.

    Raises:
      ValueError: in the update, if ``params`` is None, if the tree does not have the structure of
        the parameters, or if a constraint changes the shape.
      TypeError: if a constraint is none; here, if there is one without a mask.

    Example:
      >>> import optax
      >>> from advact_jax import constraints, optim
      >>> params = {"kernel": jnp.array([0.5]), "alpha": jnp.array([0.25, 0.9])}
      >>> slopes = {"kernel": None, "alpha": constraints.Interval(0.0, 1.0)}
      >>> tx = optax.chain(optax.sgd(1.0), optim.project(slopes))
      >>> gradients = {"kernel": jnp.array([1.0]), "alpha": jnp.array([0.75, -0.75])}
      >>> updates, _ = tx.update(gradients, tx.init(params), params)
      >>> optax.apply_updates(params, updates)
      {'alpha': Array([0., 1.], dtype=float32), 'kernel': Array([-0.5], dtype=float32)}
    """
    one = None if mask is None else _constraints.get(constraints)
    if mask is None and isinstance(constraints, (str, *_KINDS)):
        raise TypeError(
            f"project: expected mask beside one constraint, got {constraints!r} alone. "
            "For all parameters, pass mask=True."
        )

    def tree(params: Any) -> Any:
        if one is None:
            return constraints(params) if callable(constraints) else constraints
        chosen = mask(params) if callable(mask) else mask
        return jax.tree.map(lambda wanted: one if wanted else None, chosen)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError(
                "project: expected params, got None. Call update(updates, state, params)."
            )
        wanted = tree(params)
        entries, _ = jax.tree_util.tree_flatten_with_path(wanted, is_leaf=_is_none)
        structure: Any = jax.tree.structure(wanted, is_leaf=_is_none)
        try:
            # A masked subtree or a box of metadata may be in the place of a leaf.
            held, given = structure.flatten_up_to(params), structure.flatten_up_to(updates)
        except ValueError:
            raise ValueError(_mismatch(entries, params)) from None
        projected = [
            u if constraint is None else jax.tree.map(_step(path, constraint), w, u)
            for (path, constraint), w, u in zip(entries, held, given, strict=True)
        ]
        return jax.tree.unflatten(structure, projected), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


_KINDS: Any = tuple(_constraints.KINDS.values())


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _mismatch(entries: list[tuple[Any, Any]], params: Any) -> str:
    """Say where the tree of constraints, flattened, differs from that of the parameters."""
    there = [path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    without = [p for p, c in entries if c is not None and not any(q[: len(p)] == p for q in there)]
    alone = [q for q in there if not any(q[: len(p)] == p for p, _ in entries)]
    if without:
        got = f"a constraint without parameters at {_listed(without)}"
    elif alone:
        got = f"no constraint or None for the parameters at {_listed(alone)}"
    else:
        got = f"another structure, in a {type(params).__name__} of parameters"
    return f"project: expected constraints with the structure of the parameters, got {got}."


def _listed(paths: list[Any]) -> str:
    return ", ".join(map(_path, paths))


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path) or "the root"


def _step(path: Any, constraint: Constraint) -> Callable[[Array, Array], Array]:
    """Return the function of a parameter and its update that gives the projected update."""
    if not callable(constraint):
        raise TypeError(
            f"project: expected a constraint (a function of an array) or None at {_path(path)}, "
            f"got {_checks.describe(constraint)}."
        )

    def step(w: Array, update: Array) -> Array:
        w, update = jnp.asarray(w), jnp.asarray(update)
        target = jnp.asarray(constraint(_moved(w, update))).astype(w.dtype)
        if target.shape != w.shape:
            raise ValueError(
                f"project: expected {constraint!r} to give an array of shape {w.shape} at "
                f"{_path(path)}, got shape {target.shape}."
            )
        return _update_towards(target, w, update.dtype)

    return step


def _moved(w: Array, update: Array) -> Array:
    """Return what `optax.apply_updates` gives, without an implicit promotion."""
    wide = jnp.promote_types(w.dtype, update.dtype)
    return (w.astype(wide) + update.astype(wide)).astype(w.dtype)


def _update_towards(target: Array, w: Array, dtype: Any) -> Array:
    """Return the largest update from ``w`` that does not lead past ``target``.

    It is made of ``target`` and ``w`` alone, also where the constraint changes nothing: XLA fuses
    the product with the learning rate into the sum, so the sum that is constrained here may differ
    in its last bit from the sum of the rounded update, which the caller takes.
    """
    wide = jnp.promote_types(w.dtype, dtype)
    nearest = _rounded((target.astype(wide) - w.astype(wide)).astype(dtype))
    reached = _rounded(_moved(w, nearest))
    past = (reached != target) & ((reached > target) == (target > w))
    return jnp.where(past, jnp.nextafter(nearest, jnp.zeros_like(nearest)), nearest)


def _rounded(x: Array) -> Array:
    """Round to the array's own type, where XLA may keep 16-bit numbers in float32."""
    info = jnp.finfo(x.dtype)
    return jax.lax.reduce_precision(x, info.nexp, info.nmant)
