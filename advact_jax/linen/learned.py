"""Layers of ``flax.linen`` that learn the parameters of an activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _modules
from advact_jax._modules import Axes, Initial
from advact_jax._modules import initial as _initial
from advact_jax.functions.rectifiers import prelu
from advact_jax.functions.self_gated import silu
from advact_jax.functions.softplus import parametric_softplus


class _Learned(nn.Module, kw_only=True):
    """A layer that learns the parameters of a function that have a field ``<parameter>_init``."""

    axis: Axes | None = -1
    shared_axes: Axes | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32

    _function: ClassVar[Callable[..., Array]]

    def __post_init__(self) -> None:
        self.axis = _modules.as_axes(self.axis)
        self.shared_axes = _modules.as_axes(self.shared_axes)
        self._prepare()
        super().__post_init__()
        _modules.Sharing(self._label(), self.axis, self.shared_axes)
        _modules.check_types(self._label(), self.dtype, self.param_dtype)
        self._initializers()

    @nn.nowrap
    def _prepare(self) -> None:
        for key, value in self._learned().initial.items():
            setattr(self, f"{key}_init", _modules.as_field(value))

    @nn.nowrap
    def _learned(self) -> _modules.Learned:
        values = _modules.initial_values(self, self._function)
        return _modules.Learned(self._function, values, {})

    @nn.nowrap
    def _label(self) -> str:
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    @nn.nowrap
    def _initializers(self) -> dict[str, _modules.Initializer]:
        function, given, _ = self._learned()
        return {
            key: _modules.initializer(self._label(), key, value, function, nn.meta.unbox)
            for key, value in given.items()
        }

    @nn.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Apply the activation, with the parameters that the layer keeps.

        Args:
          x: an array; its dtype, or ``dtype``, is that of the output.

        Returns:
          An array of the shape of ``x``.

        Raises:
          ValueError: if ``x`` has no such axes, or does not fit the parameters.
          TypeError: if ``x`` is not an array of real numbers.
        """
        label = self._label()
        sharing = _modules.Sharing(label, self.axis, self.shared_axes)
        x = _modules.as_input(label, x, self.dtype)
        parameters = {}
        for key, make in self._initializers().items():
            if self.has_variable("params", key):
                held = nn.meta.unbox(self.get_variable("params", key))
                sharing.check(key, jnp.shape(held), x.shape)
            value = self.param(key, make, sharing.shape(x.shape), self.param_dtype)
            parameters[key] = sharing.spread(value, x.ndim)
        function, _, fixed = self._learned()
        return function(x, **fixed, **parameters)


class Learnable(_Learned):
    r"""Any elementwise activation, with any of its parameters learned.

    Args:
      activation: a name, a function declared with `advact_jax.activation`, or an
        `advact_jax.Activation`, whose other parameters stay as they are.
      learn: the names of the parameters to learn; None for those that usually are.
      initial: initial values by parameter: a number, an array or an initializer. Without one, the
        value that the `advact_jax.Activation` has, or the usual one.
      axis: the axis or axes with a parameter for each entry; None for one scalar. The last axis by
        default, the channels: the spatial size does not matter.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if a parameter is unknown, has no derivative or no initial value; and as the other
        layers do.
      TypeError: if the activation has no declaration, or an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.Learnable("elu", initial={"alpha": 0.5}, axis=None)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 4)))
      >>> variables["params"]
      {'alpha': Array(0.5, dtype=float32)}
    """

    activation: str | Callable[..., Any]
    learn: str | Sequence[str] | None = None
    initial: Mapping[str, Initial] | None = None

    @nn.nowrap
    def _prepare(self) -> None:
        self.learn = tuple(self.learn) if isinstance(self.learn, list) else self.learn
        if self.initial is not None:
            fields = {key: _modules.as_field(value) for key, value in self.initial.items()}
            self.initial = fields

    @nn.nowrap
    def _learned(self) -> _modules.Learned:
        return _modules.learnable(self._label(), self.activation, self.learn, self.initial)


class PReLU(_Learned, kw_only=True):
    r"""Parametric rectified linear unit, whose slope for negative input is learned.

    .. math:: f(x) = \begin{cases} x & x \ge 0 \\ \alpha x & x < 0 \end{cases}

    The parameter is ``alpha``: by default one per channel, as in the paper. The paper trains it
    without weight decay, which would pull the slope to that of ReLU.

    Flax's own layer learns one scalar and starts at 0.01 (``axis=None, alpha_init=0.01``), Keras's
    one slope per unit and starts at 0 (``shared_axes=(), alpha_init=0.0``).

    Args:
      alpha_init: initial slope: a number, an array or an initializer. 0.25 as in the paper.
      axis: the axis or axes with a parameter for each entry; None for one scalar. The last axis by
        default, the channels: the spatial size does not matter.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameter.

    Raises:
      ValueError: if the axes are wrong or repeated, are the batch axis, or both kinds are given; if
        an initial value has the wrong shape; if the input does not fit the parameter.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.PReLU()
      >>> x = jnp.array([[-2.0, 3.0]])
      >>> variables = layer.init(jax.random.key(0), x)
      >>> variables["params"]["alpha"]
      Array([0.25, 0.25], dtype=float32)
      >>> layer.apply(variables, x)
      Array([[-0.5,  3. ]], dtype=float32)

    References:
      He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852.
    """

    _function = staticmethod(prelu)
    alpha_init: Initial = _initial(prelu, "alpha")


class ParametricSoftplus(_Learned, kw_only=True):
    r"""Softplus whose height and sharpness are learned.

    .. math:: f(x) = \alpha \log(1 + e^{\beta x})

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. Their initial
    values give the slope ``alpha * beta = 1`` for large input, and a start close to ReLU.

    Args:
      alpha_init: initial height: a number, an array or an initializer.
      beta_init: initial sharpness: a number, an array or an initializer.
      axis: the axis or axes with a parameter for each entry; None for one scalar. The last axis by
        default, the channels: the spatial size does not matter.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if the axes are wrong or repeated, are the batch axis, or both kinds are given; if
        an initial value has the wrong shape; if the input does not fit the parameters.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.ParametricSoftplus(axis=None)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 4)))
      >>> variables["params"]["alpha"], variables["params"]["beta"]
      (Array(0.2, dtype=float32), Array(5., dtype=float32))

    References:
      McFarland, Cui & Butts 2013, Inferring nonlinear neuronal computation based on physiologically
      plausible inputs, PLoS Computational Biology 9(7).
    """

    _function = staticmethod(parametric_softplus)
    alpha_init: Initial = _initial(parametric_softplus, "alpha")
    beta_init: Initial = _initial(parametric_softplus, "beta")


class Swish(_Learned, kw_only=True):
    r"""Swish whose sharpness is learned.

    .. math:: f(x) = x \, \sigma(\beta x)

    The parameter is ``beta``, by default one per channel. It starts as SiLU; ``beta = 0`` is half
    the identity, and a large ``beta`` nearly ReLU.

    Args:
      beta_init: initial sharpness: a number, an array or an initializer.
      axis: the axis or axes with a parameter for each entry; None for one scalar. The last axis by
        default, the channels: the spatial size does not matter.
      shared_axes: Keras's argument in place of ``axis``: the axes, counted with the batch as 0,
        that share parameters; all others have their own. () gives one per unit.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameter.

    Raises:
      ValueError: if the axes are wrong or repeated, are the batch axis, or both kinds are given; if
        an initial value has the wrong shape; if the input does not fit the parameter.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.Swish(shared_axes=(1, 2))
      >>> variables = layer.init(jax.random.key(0), jnp.ones((8, 28, 28, 3)))
      >>> variables["params"]["beta"].shape
      (1, 1, 3)

    References:
      Ramachandran, Zoph & Le 2017, Searching for activation functions, arXiv:1710.05941.
    """

    _function = staticmethod(silu)
    beta_init: Initial = _initial(silu, "beta")
