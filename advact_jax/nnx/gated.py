"""Gated dense layers for ``flax.nnx``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _core, _masks, _modules
from advact_jax.nnx.core import Dense
from advact_jax.nnx.recorded import recorded


@recorded
class GatedDense(_core.Layer, nnx.Module):
    r"""Two affine maps of the last axis, one of which gates the other.

    .. math:: y = f(x W_g + b_g) \odot (x W_u + b_u)

    With ``fused`` both lie in one `Dense`, "gate_up_proj", whose kernel has the shape
    (inputs, 2 · out_features); else in two, "gate_proj" and "up_proj". For the backward pass both
    projections are kept and nothing else, unless f is a module, whose output is kept too.

    With one projection that is sharded by its columns, the halves lie on different devices; use
    ``interleaved=True`` or ``fused=False`` there.

    Args:
      in_features: the number of inputs.
      out_features: the number of outputs.
      activation: f: a name, a function or a module, whose parameters then lie under "activation";
        a gated unit such as "swiglu_gpt_oss" is used as it is. None is none: a bilinear unit.
      fused: whether one projection gives both, or two of them.
      gate: which half of the one projection is the gate, "first" or "second"; None is the first, or
        as the unit has it.
      interleaved: whether gate and value alternate in it; None is False, or as the unit has it.
      use_bias: whether to add a bias.
      kernel_init: an initializer: a name of Keras, a config or a function; it draws the gate and
        the other each as if it were by itself. "auto" is LeCun's.
      bias_init: likewise, for the bias.
      kernel_sharding: for both axes of the kernel the name of a mesh axis, or None.
      bias_sharding: for the one axis of the bias, likewise.
      kernel_regularizer: a regularizer, by name, config or function; see
        `advact_jax.nnx.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if a name is unknown, a number of features is not positive, a sharding does not
        fit, or the bias has a regularizer or a constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.GatedDense(3, 4, "swiglu_gpt_oss", use_bias=False, rngs=flax_nnx.Rngs(0))
      >>> layer(jnp.ones((2, 3))).shape, layer.gate_up_proj.kernel.shape
      ((2, 4), (3, 8))

    References:
      Shazeer 2020, GLU variants improve transformer, arXiv:2002.05202.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: Any = "silu",
        *,
        fused: bool = True,
        gate: str | None = None,
        interleaved: bool | None = None,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        bias_init: Any = "zeros",
        kernel_sharding: tuple[str | None, ...] | None = None,
        bias_sharding: tuple[str | None, ...] | None = None,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        rngs: nnx.Rngs,
    ) -> None:
        _core.positive("GatedDense", in_features=in_features, out_features=out_features)
        _modules.check_types("GatedDense", dtype, param_dtype)
        unit = _core.Gated.of("GatedDense", activation, gate, interleaved, nnx.Module)
        self.activation, self.gate, self.interleaved = unit
        self.in_features, self.out_features = in_features, out_features
        self.fused, self.use_bias, self.dtype = fused, use_bias, dtype
        self.kernel_sharding, self.bias_sharding = kernel_sharding, bias_sharding
        _core.check_gated("GatedDense", self)
        found = _core.settled(
            "GatedDense", rule=None, use_bias=use_bias, kernel_init=kernel_init,
            bias_init=bias_init, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        found = _core.projection_initializers(self, found, unit, nnx.with_partitioning)

        def projection(columns: int) -> Dense:
            return Dense(
                in_features, columns, use_bias=use_bias, dtype=dtype, param_dtype=param_dtype,
                precision=precision, rngs=rngs, **found,
            )  # fmt: skip

        if fused:
            self.gate_up_proj = projection(2 * out_features)
        else:
            self.gate_proj, self.up_proj = projection(out_features), projection(out_features)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the layer.

        Args:
          x: an array whose last axis has the features.
          mask: which steps count; it is passed on.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          ValueError: if ``x`` is a scalar, or the mask does not fit it.
          TypeError: if ``x`` is not an array of real numbers, or the mask not one of bool.
        """
        array = _core.vector("GatedDense", x, self.dtype, self.in_features)
        mask = _masks.checked("GatedDense", mask, array.shape)
        other: Array | None = None
        if self.fused:
            first = self.gate_up_proj(array)
        else:
            first, other = self.gate_proj(array), self.up_proj(array)
        unit = _core.Gated(self.activation, self.gate, self.interleaved)
        is_module = isinstance(self.activation, nnx.Module)
        return _masks.beside(unit.of_projections(first, other, is_module), mask)
