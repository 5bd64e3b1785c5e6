"""Layers of ``flax.nnx`` whose activation a small network chooses from their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _adaptive, _core, _masks, _modules
from advact_jax._rule import compute_dtype
from advact_jax.functions.conditioned import dynamic_relu, funnel_relu
from advact_jax.nnx.adaptive import _param
from advact_jax.nnx.core import _promote
from advact_jax.nnx.recorded import recorded

_GAUSSIAN = jax.nn.initializers.normal(0.01)
_NORMAL = jax.nn.initializers.normal(1.0)


@recorded
class FReLU(_core.Layer, nnx.Module):
    r"""Funnel rectifier: the larger one of the input and a local condition on it.

    .. math:: f(x) = \max(x, T(x))

    T is a depthwise convolution, of 3 by 3 in the paper, and a batch norm, which are ``conv`` and
    ``norm`` among the parameters. The input is (batch, \*space, channels). The paper starts the
    convolution with a Gaussian; its width of 0.01 here is ours, and the batch norm makes up for it.

    Args:
      features: the number of channels.
      kernel_size: the size of the convolution along each axis of space.
      use_running_average: True for the stored batch statistics, as when a model is used; here,
        in the call, or by ``model.eval()``.
      momentum: how slowly the stored batch statistics move.
      epsilon: what the batch norm adds to the variance.
      axis_name: the mapped axis over which batch statistics are combined.
      kernel_init: initial kernel: an initializer or the name of one.
      dtype: type of the convolution and the output; None is the input's.
      param_dtype: type of the parameters.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if a size is not positive; in the call, if ``x`` has other axes or there is a
        mask.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.FReLU(5, rngs=flax_nnx.Rngs(0))
      >>> layer(jnp.ones((2, 8, 8, 5))).shape, layer.conv.kernel.shape
      ((2, 8, 8, 5), (3, 3, 1, 5))

    References:
      Ma, Zhang & Sun 2020, Funnel activation for visual recognition, arXiv:2007.11824.
    """

    def __init__(
        self,
        features: int,
        *,
        kernel_size: Any = (3, 3),
        use_running_average: bool | None = False,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        axis_name: str | None = None,
        kernel_init: Any = _GAUSSIAN,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        _modules.check_types("FReLU", dtype, param_dtype)
        _core.positive("FReLU", features=features)
        self.features = features
        self.kernel_size = _adaptive.window("FReLU", kernel_size)
        self.dtype = dtype
        self.conv = nnx.Conv(
            features,
            features,
            self.kernel_size,
            feature_group_count=features,
            use_bias=False,
            param_dtype=param_dtype,
            kernel_init=_adaptive.initializer("FReLU", "kernel_init", kernel_init),
            promote_dtype=_promote,
            rngs=rngs,
        )
        self.norm = nnx.BatchNorm(
            features,
            use_running_average=use_running_average,
            momentum=momentum,
            epsilon=epsilon,
            axis_name=axis_name,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        use_running_average: bool | None = None,
    ) -> Array:
        """Apply the activation to an array of shape (batch, *space, channels)."""
        _masks.refuse("FReLU", mask, "its convolution mixes steps")
        x = _adaptive.image("FReLU", x, self.dtype, self.kernel_size, self.features)
        wide = self.conv(x).astype(compute_dtype(x.dtype))
        return funnel_relu(x, self.norm(wide, use_running_average=use_running_average))


class _Squeezed(_core.Layer, nnx.Module):
    """A layer with a network of two affine maps of the mean over space."""

    def __init__(
        self,
        hidden: int,
        outputs: int,
        features: int,
        reduction: int,
        kernel_init: Any,
        dtype: Any,
        param_dtype: Any,
        rngs: nnx.Rngs,
    ) -> None:
        label = type(self).__name__
        _modules.check_types(label, dtype, param_dtype)
        make = _adaptive.initializer(label, "kernel_init", kernel_init)

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, param_dtype=param_dtype, kernel_init=make, rngs=rngs)

        self.features = features
        self.reduction = reduction
        self.dtype = dtype
        self.squeeze = linear(features, hidden)
        self.excite = linear(hidden, outputs)

    def _checked(self, x: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array | None]:
        label = type(self).__name__
        array = _core.vector(label, x, self.dtype, self.features)
        return array, _masks.checked(label, mask, array.shape)

    def _said(self, x: Array, mask: Array | None, between: Callable[[Array], Array]) -> Array:
        return self.excite(between(self.squeeze(_adaptive.pooled(x, mask))))


@recorded
class DynamicReLU(_Squeezed):
    r"""Dynamic rectifier: the largest of several lines, which a small network chooses.

    .. math:: f(x) = \max_k (a_k x + b_k)

    This is the paper's version B: each channel has lines of its own, from a squeeze-and-excitation
    network of the mean over space (or over the steps that a mask keeps). They are around
    a = (1, 0) and b = 0, which is ReLU, and move by at most 1 and 0.5. These numbers, two lines and
    a reduction of 8 are the paper's; how the network starts is Flax's default. It computes in
    float32 at least. Its parameters are ``squeeze`` and ``excite``.

    Args:
      features: the number of channels.
      k: the number of lines.
      reduction: the network is narrower than the channels by this factor.
      slope_range: how far slopes move.
      shift_range: how far values at 0 move.
      kernel_init: initial kernels of the network: an initializer or the name of one.
      dtype: type of the output; None is the input's.
      param_dtype: type of the parameters.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if a number of lines or the reduction is not positive, or a range is not finite.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.DynamicReLU(1, kernel_init="zeros", rngs=flax_nnx.Rngs(0))
      >>> layer(jnp.array([[[-1.0], [2.0]]]))
      Array([[[0.],
              [2.]]], dtype=float32)

    References:
      Chen, Dai, Liu, Chen, Yuan & Liu 2020, Dynamic ReLU, arXiv:2003.10027.
    """

    def __init__(
        self,
        features: int,
        *,
        k: int = 2,
        reduction: int = 8,
        slope_range: float = 1.0,
        shift_range: float = 0.5,
        kernel_init: Any = "lecun_normal",
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        _core.positive("DynamicReLU", features=features, k=k, reduction=reduction)
        _core.finite("DynamicReLU", "slope_range", slope_range)
        _core.finite("DynamicReLU", "shift_range", shift_range)
        hidden = max(features // reduction, 1)
        super().__init__(
            hidden, 2 * k * features, features, reduction, kernel_init, dtype, param_dtype, rngs
        )
        self.k = k
        self.slope_range = slope_range
        self.shift_range = shift_range

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation to an array of shape (batch, *space, channels); pass a mask on."""
        array, mask = self._checked(x, mask)
        theta = self._said(array, mask, nnx.relu)
        a, b = _adaptive.lines(theta, self.k, self.slope_range, self.shift_range)
        return _masks.beside(dynamic_relu(array, a, b), mask)


@recorded
class MetaACON(_Squeezed):
    r"""Activate or not: a smooth maximum of two lines, whose sharpness a small network chooses.

    .. math:: f(x) = (p_1 - p_2) x \, \sigma(\beta (p_1 - p_2) x) + p_2 x, \quad
      \beta = \sigma(W_1 W_2 \bar{x})

    The parameters are ``p1`` and ``p2``, one of each per channel, and those of the network,
    ``squeeze`` and ``excite``. As in the paper there is nothing between its two maps, and its inner
    size is a 16th of the channels, but at least 16 (as in the authors' code, which has batch norms
    there too). p1 and p2 start as normal numbers, as in that code.

    Args:
      features: the number of channels.
      reduction: the network is narrower than the channels by this factor, and at least so wide.
      p1_init: initial p1: a number, an array, an initializer or the name of one.
      p2_init: likewise, for p2.
      kernel_init: initial kernels of the network: an initializer or the name of one.
      dtype: type of the output; None is the input's.
      param_dtype: type of the parameters.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if the reduction is not positive, or a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.MetaACON(
      ...     1, p1_init=1.0, p2_init=0.0, kernel_init="zeros", rngs=flax_nnx.Rngs(0)
      ... )
      >>> layer(jnp.array([[[-1.0], [2.0]]]))
      Array([[[-0.37754068],
              [ 1.4621172 ]]], dtype=float32)

    References:
      Ma, Zhang, Liu & Sun 2021, Activate or not: learning customized activation, arXiv:2009.04759.
    """

    activation_parameters = ("p1", "p2")

    def __init__(
        self,
        features: int,
        *,
        reduction: int = 16,
        p1_init: Any = _NORMAL,
        p2_init: Any = _NORMAL,
        kernel_init: Any = "lecun_normal",
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        _core.positive("MetaACON", features=features, reduction=reduction)
        hidden = max(reduction, features // reduction)
        super().__init__(
            hidden, features, features, reduction, kernel_init, dtype, param_dtype, rngs
        )
        self.p1 = _param("MetaACON", "p1", p1_init, (features,), param_dtype, rngs)
        self.p2 = _param("MetaACON", "p2", p2_init, (features,), param_dtype, rngs)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation to an array of shape (batch, *space, channels); pass a mask on."""
        array, mask = self._checked(x, mask)
        beta = self._said(array, mask, lambda y: y)
        return _masks.beside(_adaptive.acon(array, self.p1[...], self.p2[...], beta), mask)
