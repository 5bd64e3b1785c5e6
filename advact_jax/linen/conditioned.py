"""Layers of ``flax.linen`` whose activation a small network chooses from their input."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _adaptive, _core, _masks
from advact_jax._rule import compute_dtype
from advact_jax.functions.conditioned import dynamic_relu, funnel_relu
from advact_jax.linen.adaptive import _Plain
from advact_jax.linen.core import _label

_GAUSSIAN = jax.nn.initializers.normal(0.01)
_NORMAL = jax.nn.initializers.normal(1.0)


class FReLU(_Plain, kw_only=True):
    r"""Funnel rectifier: the larger one of the input and a local condition on it.

    .. math:: f(x) = \max(x, T(x))

    T is a depthwise convolution, of 3 by 3 in the paper, and a batch norm, which are ``conv`` and
    ``norm`` among the parameters. The input is (batch, \*space, channels). The paper starts the
    convolution with a Gaussian; its width of 0.01 here is ours, and the batch norm makes up for it.

    Args:
      kernel_size: the size of the convolution along each axis of space.
      use_running_average: True for the stored batch statistics, as when a model is used; here or in
        the call.
      momentum: how slowly the stored batch statistics move.
      epsilon: what the batch norm adds to the variance.
      axis_name: the mapped axis over which batch statistics are combined.
      kernel_init: initial kernel: an initializer or the name of one.
      dtype: type of the convolution and the output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if a size is not positive; in the call, if ``x`` has other axes or there is a
        mask.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.FReLU(use_running_average=False)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 8, 8, 5)))
      >>> variables["params"]["conv"]["kernel"].shape
      (3, 3, 1, 5)

    References:
      Ma, Zhang & Sun 2020, Funnel activation for visual recognition, arXiv:2007.11824.
    """

    kernel_size: Any = (3, 3)
    use_running_average: bool | None = None
    momentum: float = 0.99
    epsilon: float = 1e-5
    axis_name: str | None = None
    kernel_init: Any = _GAUSSIAN

    def __post_init__(self) -> None:
        self.kernel_size = _adaptive.window(_label(self), self.kernel_size)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        use_running_average: bool | None = None,
    ) -> Array:
        """Apply the activation to an array of shape (batch, *space, channels)."""
        _masks.refuse(_label(self), mask, "its convolution mixes steps")
        x = _adaptive.image(_label(self), x, self.dtype, self.kernel_size, None)
        conv = nn.Conv(
            x.shape[-1],
            self.kernel_size,
            feature_group_count=x.shape[-1],
            use_bias=False,
            dtype=x.dtype,
            param_dtype=self.param_dtype,
            kernel_init=self._init("kernel_init"),
            name="conv",
        )
        norm = nn.BatchNorm(
            momentum=self.momentum,
            epsilon=self.epsilon,
            axis_name=self.axis_name,
            param_dtype=self.param_dtype,
            name="norm",
        )
        stored = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        condition = norm(conv(x).astype(compute_dtype(x.dtype)), use_running_average=stored)
        return funnel_relu(x, condition)


class _Squeezed(_Plain, kw_only=True):
    """A layer with a network of two affine maps of the mean over space."""

    reduction: int = 8
    kernel_init: Any = "lecun_normal"

    def __post_init__(self) -> None:
        _core.positive(_label(self), reduction=self.reduction)
        super().__post_init__()

    @nn.nowrap
    def _said(self, x: Array, mask: Array | None, hidden: int, outputs: int, between: Any) -> Array:
        def dense(features: int, name: str) -> nn.Dense:
            return nn.Dense(
                features,
                param_dtype=self.param_dtype,
                kernel_init=self._init("kernel_init"),
                name=name,
            )

        y = between(dense(hidden, "squeeze")(_adaptive.pooled(x, mask)))
        return dense(outputs, "excite")(y)


class DynamicReLU(_Squeezed, kw_only=True):
    r"""Dynamic rectifier: the largest of several lines, which a small network chooses.

    .. math:: f(x) = \max_k (a_k x + b_k)

    This is the paper's version B: each channel has lines of its own, from a squeeze-and-excitation
    network of the mean over space (or over the steps that a mask keeps). They are around
    a = (1, 0) and b = 0, which is ReLU, and move by at most 1 and 0.5. These numbers, two lines and
    a reduction of 8 are the paper's; how the network starts is Flax's default. It computes in
    float32 at least. Its parameters are ``squeeze`` and ``excite``.

    Args:
      k: the number of lines.
      reduction: the network is narrower than the channels by this factor.
      slope_range: how far slopes move.
      shift_range: how far values at 0 move.
      kernel_init: initial kernels of the network: an initializer or the name of one.
      dtype: type of the output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if a number of lines or the reduction is not positive, or a range is not finite.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.DynamicReLU(kernel_init="zeros")
      >>> layer.init_with_output(jax.random.key(0), jnp.array([[[-1.0], [2.0]]]))[0]
      Array([[[0.],
              [2.]]], dtype=float32)

    References:
      Chen, Dai, Liu, Chen, Yuan & Liu 2020, Dynamic ReLU, arXiv:2003.10027.
    """

    k: int = 2
    slope_range: float = 1.0
    shift_range: float = 0.5

    def __post_init__(self) -> None:
        _core.positive(_label(self), k=self.k)
        _core.finite(_label(self), "slope_range", self.slope_range)
        _core.finite(_label(self), "shift_range", self.shift_range)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation to an array of shape (batch, *space, channels); pass a mask on."""
        x = _core.vector(_label(self), x, self.dtype)
        mask = _masks.checked(_label(self), mask, x.shape)
        hidden = max(x.shape[-1] // self.reduction, 1)
        theta = self._said(x, mask, hidden, 2 * self.k * x.shape[-1], nn.relu)
        a, b = _adaptive.lines(theta, self.k, self.slope_range, self.shift_range)
        return _masks.beside(dynamic_relu(x, a, b), mask)


class MetaACON(_Squeezed, kw_only=True):
    r"""Activate or not: a smooth maximum of two lines, whose sharpness a small network chooses.

    .. math:: f(x) = (p_1 - p_2) x \, \sigma(\beta (p_1 - p_2) x) + p_2 x, \quad
      \beta = \sigma(W_1 W_2 \bar{x})

    The parameters are ``p1`` and ``p2``, one of each per channel, and those of the network,
    ``squeeze`` and ``excite``. As in the paper there is nothing between its two maps, and its inner
    size is a 16th of the channels, but at least 16 (as in the authors' code, which has batch norms
    there too). p1 and p2 start as normal numbers, as in that code.

    Args:
      reduction: the network is narrower than the channels by this factor, and at least so wide.
      p1_init: initial p1: a number, an array, an initializer or the name of one.
      p2_init: likewise, for p2.
      kernel_init: initial kernels of the network: an initializer or the name of one.
      dtype: type of the output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if the reduction is not positive, or a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.MetaACON(p1_init=1.0, p2_init=0.0, kernel_init="zeros")
      >>> layer.init_with_output(jax.random.key(0), jnp.array([[[-1.0], [2.0]]]))[0]
      Array([[[-0.37754068],
              [ 1.4621172 ]]], dtype=float32)

    References:
      Ma, Zhang, Liu & Sun 2021, Activate or not: learning customized activation, arXiv:2009.04759.
    """

    reduction: int = 16
    p1_init: Any = _NORMAL
    p2_init: Any = _NORMAL

    activation_parameters = ("p1", "p2")

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation to an array of shape (batch, *space, channels); pass a mask on."""
        x = _core.vector(_label(self), x, self.dtype)
        mask = _masks.checked(_label(self), mask, x.shape)
        p1 = self.param("p1", self._init("p1_init"), x.shape[-1:], self.param_dtype)
        p2 = self.param("p2", self._init("p2_init"), x.shape[-1:], self.param_dtype)
        hidden = max(self.reduction, x.shape[-1] // self.reduction)
        beta = self._said(x, mask, hidden, x.shape[-1], lambda y: y)
        return _masks.beside(_adaptive.acon(x, p1, p2, beta), mask)
