"""Gated linear units: one half of the features opens and closes for the other."""

from __future__ import annotations

from typing import Any

from jax import Array
from jax.typing import ArrayLike

from advact_jax import _gates
from advact_jax._declare import row_function
from advact_jax.functions import units
from advact_jax.functions.linear import identity
from advact_jax.functions.rectifiers import relu
from advact_jax.functions.self_gated import gelu

_UNITS = {
    "glu": units.sigmoid_unit,
    "swiglu": units.silu_unit,
    "reglu": _gates.unit_of(relu),
    "geglu": _gates.unit_of(gelu),
    "bilinear": _gates.unit_of(identity),
    "dreglu": units.relu_relu_unit,
}


def _apply(
    name: str,
    x: ArrayLike,
    up: ArrayLike | None,
    layout: tuple[int, str, bool],
    **parameters: Any,
) -> Array:
    unit, arrays = _gates.declared(name, _UNITS[name], parameters)
    return _gates.apply(name, unit, x, up, *layout, *arrays)


# -- the functions ------------------------------------------------------------------------------

_STATIC = ("axis", "gate", "interleaved")
_SHAZEER = "Shazeer 2020, GLU variants improve transformer, arXiv:2002.05202"


@row_function(
    static=_STATIC,
    direct=True,
    reference=_gates.of_row(lambda mp, up, gate: up - up / (1 + mp.exp(gate))),
    tier="stable",
    latex=r"\mathrm{glu}(x) = x_{:n/2} \cdot \sigma(x_{n/2:})",
    paper="Dauphin, Fan, Auli and Grangier, Language modeling with gated convolutional networks, "
    "ICML 2017, arXiv:1612.08083",
    names={
        "jax": "glu",
        "flax": "glu",
        "keras": "glu",
        "torch": (("glu", "GLU"), {}, {"dim": "axis"}),
    },
    notes={
        "tail": "Where the sigmoid of the gate is below the smallest normal number (-87.3 in "
        "float32) the result is 0, however large the value is.",
    },
)
def glu(
    x: ArrayLike,
    axis: int = -1,
    *,
    up: ArrayLike | None = None,
    gate: str = "second",
    interleaved: bool = False,
) -> Array:
    r"""Gated linear unit: the first half of the features, gated by the second.

    .. math:: \mathrm{glu}(x) = x_{:n/2} \cdot \sigma(x_{n/2:})

    Where the gate is 0 the result is 0, also for an infinite value. Reverse mode keeps the input
    alone. In jax.nn, Keras and torch the gate is the second half; in the other functions of this
    family it is the first.

    Args:
      x: input, real, of even size along the axis; the gate, if ``up`` is given.
      axis: the axis of the features.
      up: what the gate lets through, of a shape that broadcasts against ``x``.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float), half the size along the axis.

    Raises:
      TypeError: if ``x`` isn't a real array or the axis isn't an int.
      ValueError: if the axis is out of range or its size is odd.

    Example:
      >>> print(advact_jax.glu(jnp.array([1.0, 2.0, 0.0, jnp.inf])))
      [0.5 2. ]

    References:
      Dauphin, Fan, Auli and Grangier, "Language modeling with gated convolutional networks",
      ICML 2017, arXiv:1612.08083.
    """
    return _apply("glu", x, up, (axis, gate, interleaved))


@row_function(
    static=_STATIC,
    reference=_gates.of_row(lambda mp, gate, up: max(gate, mp.mpf(0)) * up),
    tier="stable",
    latex=r"\max(g, 0)\,u",
    paper=_SHAZEER,
)
def reglu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""Unit gated by a rectifier: :math:`\max(g, 0) \, u`.

    A closed gate gives 0, also for an infinite ``u``. The derivative by a gate of 0 is 0. Reverse
    mode keeps the input alone.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.reglu(jnp.array([-1.0, 2.0, 5.0, 5.0]))
      Array([ 0., 10.], dtype=float32)

    References:
      Shazeer 2020, "GLU variants improve transformer", arXiv:2002.05202.
    """
    return _apply("reglu", x, up, (axis, gate, interleaved))


def _geglu_reference(mp: Any, gate: Any, up: Any, approximate: bool = True) -> Any:
    return up * gelu.spec.reference(mp, gate, approximate=approximate)  # type: ignore[attr-defined]


@row_function(
    static=(*_STATIC, "approximate"),
    reference=_gates.of_row(_geglu_reference),
    tier="stable",
    latex=r"g\,\Phi(g)\,u",
    paper=_SHAZEER,
    notes={
        "float32": "The product is rounded on top of gelu's own error: up to 4.5 ulp. Where the "
        "slope of the tanh form is near 0, errors of the derivative by g are counted in ulps of "
        "|u| / 64 if |u| is above 1.",
        "tail": "Where gelu(g) is below the smallest normal number (g < -10.5 in the tanh form, "
        "-13.1 in the exact one) the result is 0, however large u is.",
    },
)
def geglu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    approximate: bool = True,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""Unit gated by a GELU: :math:`g \, \Phi(g) \, u`.

    The default is the tanh form of `advact_jax.gelu`, as in jax.nn and in Gemma; torch's gelu, and
    with it most other models, has the exact one. Reverse mode keeps the input alone.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      approximate: whether to use the tanh form.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real, the axis isn't an int, or approximate isn't a bool.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.geglu(jnp.array([1.0, 2.0]), jnp.array([1.0, 0.5]))
      Array([0.8412  , 0.9773], dtype=float32)

    References:
      Shazeer 2020, "GLU variants improve transformer", arXiv:2002.05202.
    """
    return _apply("geglu", x, up, (axis, gate, interleaved), approximate=approximate)


@row_function(
    static=_STATIC,
    reference=_gates.of_row(lambda mp, gate, up, beta=1: up * gate / (1 + mp.exp(-beta * gate))),
    tier="stable",
    latex=r"g\,\sigma(\beta g)\,u",
    paper=_SHAZEER,
    names={"onnx": ("SwiGLU", {}, {"alpha": "beta"})},
    notes={
        "tail": "Where silu(g) is below the smallest normal number (g < -91.8 in float32) the "
        "result is 0, however large u is.",
    },
)
def swiglu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    beta: ArrayLike = 1.0,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""Unit gated by a SiLU: :math:`g \, \sigma(\beta g) \, u`.

    This is ONNX's SwiGLU(A, B) with ``beta`` for its alpha. The gate is the first half, as in
    Hugging Face's fused projections, vLLM and timm's SwiGLUPacked. Reverse mode keeps the input
    alone.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      beta: sharpness of the gate; broadcasts against the result.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> advact_jax.swiglu(jnp.array([1.0, -jnp.inf]), jnp.array([2.0, jnp.inf]))
      Array([1.4621, 0.    ], dtype=float32)

    References:
      Shazeer 2020, "GLU variants improve transformer", arXiv:2002.05202.
    """
    return _apply("swiglu", x, up, (axis, gate, interleaved), beta=beta)


@row_function(
    static=_STATIC,
    reference=_gates.of_row(lambda mp, gate, up: gate * up),
    tier="stable",
    latex=r"g\,u",
    paper=_SHAZEER,
)
def bilinear(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""Unit without an activation: :math:`g \, u`, where 0 times an infinity is 0.

    Args:
      x: an array with both factors along the axis; one of them, if ``up`` is given.
      up: the other, of a shape that broadcasts against ``x``.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> print(advact_jax.bilinear(jnp.array([2.0, 3.0, 4.0, 5.0]), interleaved=True))
      [ 6. 20.]

    References:
      Shazeer 2020, "GLU variants improve transformer", arXiv:2002.05202; Mnih and Hinton 2007,
      "Three new graphical models for statistical language modelling".
    """
    return _apply("bilinear", x, up, (axis, gate, interleaved))


@row_function(
    static=_STATIC,
    reference=_gates.of_row(lambda mp, gate, up: max(gate, mp.mpf(0)) * max(up, mp.mpf(0))),
    latex=r"\max(g, 0)\,\max(u, 0)",
    paper="Song et al. 2024, Turbo Sparse: achieving LLM SOTA performance with minimal activated "
    "parameters, arXiv:2406.05955",
)
def dreglu(
    x: ArrayLike,
    up: ArrayLike | None = None,
    *,
    axis: int = -1,
    gate: str = "first",
    interleaved: bool = False,
) -> Array:
    r"""Unit with two rectifiers: :math:`\max(g, 0) \, \max(u, 0)`, sparser than `reglu`.

    The derivatives at a gate of 0 and at a ``u`` of 0 are 0. Reverse mode keeps the input alone.

    Args:
      x: an array with gates and values along the axis; the gates, if ``up`` is given.
      up: the values, of a shape that broadcasts against ``x``.
      axis: the axis of the features, of even size.
      gate: which half is the gate, "first" or "second".
      interleaved: whether gate and value alternate along the axis.

    Returns:
      An array of the dtype of ``x`` (of both, promoted), half the size along the axis.

    Raises:
      TypeError: if an array isn't real or the axis isn't an int.
      ValueError: if the axis is out of range, its size is odd, or the shapes don't fit.

    Example:
      >>> print(advact_jax.dreglu(jnp.array([2.0, 3.0]), jnp.array([4.0, -5.0])))
      [8. 0.]

    References:
      Song et al. 2024, "Turbo Sparse: achieving LLM SOTA performance with minimal activated
      parameters", arXiv:2406.05955.
    """
    return _apply("dreglu", x, up, (axis, gate, interleaved))
