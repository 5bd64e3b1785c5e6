"""Sparse maps onto the simplex: sparsemax and entmax."""

from __future__ import annotations

from typing import Any

from jax import Array
from jax.typing import ArrayLike

from advact_jax._declare import row_function
from advact_jax._rows import Axis
from advact_jax._simplex import arguments, sparse_map
from advact_jax._spec import Parameter

_MARTINS = (
    "Martins and Astudillo 2016, From Softmax to Sparsemax: A Sparse Model of Attention and "
    "Multi-Label Classification, arXiv:1602.02068"
)
_PETERS = "Peters, Niculae and Martins 2019, Sparse Sequence-to-Sequence Models, arXiv:1905.05702"
_CORREIA = "Correia, Niculae and Martins 2019, Adaptively Sparse Transformers, arXiv:1909.00015"
_SLOPE_NOTE = (
    "The derivative of a 16-bit output is computed from the rounded output: the output alone is "
    "kept."
)
_POWER_NOTE = (
    "An entry p is off by up to a few ulp divided by p^(alpha - 1): 4 ulp where that is above 1/2. "
    "entmax15 and sparsemax are right to the last digits."
)


def _reference(mp: Any, row: list[Any], alpha: Any = 1.5) -> list[Any]:
    """The threshold is found by bisection."""
    a = mp.mpf(alpha) - 1
    z = [a * (x - max(row)) for x in row]
    near = [v for v in z if v > -1]
    low, high = mp.mpf(-1), mp.mpf(0)
    for _ in range(240):
        middle = (low + high) / 2
        size = mp.fsum((v - middle) ** (1 / a) for v in near if v > middle)
        low, high = (middle, high) if size > 1 else (low, middle)
    return [max(v - high, 0) ** (1 / a) for v in z]


@row_function(
    reference=lambda mp, row: _reference(mp, row, 2),
    tier="stable",
    latex=r"\mathrm{sparsemax}(x) = \arg\min_{p \in \Delta} \|p - x\|^2",
    paper=_MARTINS,
    names={"keras": "sparsemax"},
    notes={"float16, bfloat16": _SLOPE_NOTE},
)
def sparsemax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    r"""Projection onto the simplex: like softmax, but with zeros.

    .. math:: \mathrm{sparsemax}(x)_i = \max(x_i - \tau, 0), \quad \sum_i \max(x_i - \tau, 0) = 1

    An entry at the threshold counts as zero: its derivative is 0. Entries of +inf share the mass
    of their row. A row with nothing allowed (masked, -inf or empty) gives zeros, and its derivative
    is 0. Reverse mode keeps the output alone.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.sparsemax(jnp.array([1.0, 1.0, 0.0])))
      [0.5 0.5 0. ]
      >>> print(advact_jax.sparsemax(jnp.array([0.3, 0.1, -2.0])))
      [0.6 0.4 0. ]

    References:
      Martins and Astudillo, "From softmax to sparsemax: a sparse model of attention and
      multi-label classification", ICML 2016, arXiv:1602.02068.
    """
    x, axes, _, mask = arguments("sparsemax", x, axis, where, None)
    return sparse_map(x, mask, None, axes, 2.0)


@row_function(
    reference=_reference,
    tier="stable",
    latex=r"\mathrm{entmax}_{1.5}(x)_i = \max(x_i / 2 - \tau, 0)^2",
    paper=_PETERS,
    notes={"float16, bfloat16": _SLOPE_NOTE},
)
def entmax15(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    r"""Entmax with alpha = 1.5: halfway between softmax and sparsemax.

    .. math:: \mathrm{entmax}_{1.5}(x)_i = \max(x_i / 2 - \tau, 0)^2

    where tau is such that the row has the sum 1.

    Entries of +inf share the mass of their row. A row with nothing allowed (masked, -inf or empty)
    gives zeros, and its derivative is 0. Reverse mode keeps the output alone.

    Args:
      x: input, real.
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.

    Returns:
      An array of the shape and dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range or ``where`` doesn't broadcast.

    Example:
      >>> print(advact_jax.entmax15(jnp.array([1.0, 1.0, -2.0])))
      [0.5 0.5 0. ]

    References:
      Peters, Niculae and Martins, "Sparse sequence-to-sequence models", ACL 2019, arXiv:1905.05702.
    """
    x, axes, _, mask = arguments("entmax15", x, axis, where, None)
    return sparse_map(x, mask, None, axes, 1.5)


@row_function(
    given=({}, {"alpha": 1.25}),
    reference=_reference,
    counted={"float32": "row", "float64": "row"},
    tier="stable",
    latex=r"\mathrm{entmax}_\alpha(x)_i = \max((\alpha - 1) x_i - \tau, 0)^{1 / (\alpha - 1)}",
    paper=_CORREIA,
    parameters={"alpha": Parameter(domain="at least 1", initial=1.5, learned=True)},
    notes={"float32": _POWER_NOTE, "float64": _POWER_NOTE, "float16, bfloat16": _SLOPE_NOTE},
)
def entmax(
    x: ArrayLike, alpha: ArrayLike = 1.5, axis: Axis = -1, where: ArrayLike | None = None
) -> Array:
    r"""Softmax (alpha = 1) to sparsemax (alpha = 2) and beyond, with an alpha that can be learned.

    .. math:: \mathrm{entmax}_\alpha(x)_i = \max((\alpha - 1) x_i - \tau, 0)^{1 / (\alpha - 1)}

    where tau is such that the row has the sum 1. It is accurate at every alpha from 1 on: at 1 it
    is softmax, and the derivative by alpha is that to the right. Below 1 it is NaN.

    Entries of +inf share the mass of their row. A row with nothing allowed (masked, -inf or empty)
    gives zeros, and its derivatives are 0. Reverse mode keeps the output and alpha. A layer that
    learns one alpha for each head: ``linen.Learnable("entmax", axis=1)``.

    Args:
      x: input, real.
      alpha: at least 1; a number, or an array that broadcasts against ``x`` and has the size 1
        along the axis, such as (heads, 1, 1).
      axis: the axis, the axes, or None for all of them.
      where: which entries count, bool, broadcast against ``x``; the others give 0 and may be NaN.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if ``x`` or ``alpha`` isn't a real array or ``where`` isn't bool.
      ValueError: if an axis is out of range, shapes don't broadcast, or alpha differs within a row.

    Example:
      >>> print(advact_jax.entmax(jnp.array([1.0, 0.0, -1.0]), 2.0))
      [1. 0. 0.]
      >>> print(advact_jax.entmax(jnp.array([1.0, 0.0, -1.0]), 1.25))
      [0.751  0.215 0.034]

    References:
      Correia, Niculae and Martins, "Adaptively sparse transformers", EMNLP 2019, arXiv:1909.00015.
    """
    at_default = isinstance(alpha, float) and alpha == 1.5
    x, axes, order, mask = arguments("entmax", x, axis, where, None if at_default else alpha)
    return sparse_map(x, mask, order, axes, 1.5)
