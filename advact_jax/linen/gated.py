"""Gated dense layers for ``flax.linen``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _core, _masks, _modules
from advact_jax.linen.core import Dense, _label


class GatedDense(_core.Layer, nn.Module):
    r"""Two affine maps of the last axis, one of which gates the other.

    .. math:: y = f(x W_g + b_g) \odot (x W_u + b_u)

    With ``fused`` both lie in one `Dense`, "gate_up_proj", whose kernel has the shape
    (inputs, 2 · features); else in two, "gate_proj" and "up_proj". For the backward pass both
    projections are kept and nothing else, unless f is a module, whose output is kept too.

    With one projection that is sharded by its columns, the halves lie on different devices; use
    ``interleaved=True`` or ``fused=False`` there.

    Args:
      features: the number of outputs.
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
        `advact_jax.linen.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.

    Raises:
      ValueError: if a name is unknown, features is not positive, a sharding does not fit, or the
        bias has a regularizer or a constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.GatedDense(4, "swiglu_gpt_oss", use_bias=False)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 3)))
      >>> y.shape, jax.tree.map(jnp.shape, variables["params"])
      ((2, 4), {'gate_up_proj': {'kernel': (3, 8)}})

    References:
      Shazeer 2020, GLU variants improve transformer, arXiv:2002.05202.
    """

    features: int
    activation: Any = "silu"
    fused: bool = True
    gate: str | None = None
    interleaved: bool | None = None
    use_bias: bool = True
    kernel_init: Any = "glorot_uniform"
    bias_init: Any = "zeros"
    kernel_sharding: tuple[str | None, ...] | None = None
    bias_sharding: tuple[str | None, ...] | None = None
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    kernel_constraint: Any = None
    bias_constraint: Any = None
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None

    def __post_init__(self) -> None:
        label = _label(self)
        _core.positive(label, features=self.features)
        if not isinstance(self.activation, nn.Module):
            self.activation = _core.activation(label, self.activation, nn.Module)
        self._unit()
        self._settled()
        _core.check_gated(label, self)
        super().__post_init__()

    @nn.nowrap
    def _unit(self) -> _core.Gated:
        arguments = (self.activation, self.gate, self.interleaved)
        return _core.Gated.of(_label(self), *arguments, nn.Module)

    @nn.nowrap
    def _settled(self) -> dict[str, Any]:
        _modules.check_types(_label(self), self.dtype, self.param_dtype)
        given = {key: getattr(self, key) for key in _core.GATED_ARGUMENTS}
        return _core.settled(_label(self), rule=None, use_bias=self.use_bias, **given)

    @nn.nowrap
    def _projection(self, name: str, columns: int) -> Dense:
        found = _core.projection_initializers(self, self._settled(), self._unit(), _partitioned)
        return Dense(
            columns, use_bias=self.use_bias, dtype=self.dtype, param_dtype=self.param_dtype,
            precision=self.precision, name=name, **found,
        )  # fmt: skip

    @nn.compact
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
        array = _core.vector(_label(self), x, self.dtype)
        mask = _masks.checked(_label(self), mask, array.shape)
        other: Array | None = None
        if self.fused:
            first = self._projection("gate_up_proj", 2 * self.features)(array)
        else:
            first = self._projection("gate_proj", self.features)(array)
            other = self._projection("up_proj", self.features)(array)
        is_module = isinstance(self.activation, nn.Module)
        return _masks.beside(self._unit().of_projections(first, other, is_module), mask)


def _partitioned(make: Any, sharding: tuple[str | None, ...]) -> Any:
    return nn.with_partitioning(make, sharding)
