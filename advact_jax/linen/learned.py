"""Layers of ``flax.linen`` that learn the parameters of an activation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _masks, _modules, _sharing
from advact_jax._docstrings import documented
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax._sharing import Axes, Sharing
from advact_jax.constraints import Constraint
from advact_jax.functions.rectifiers import prelu
from advact_jax.functions.self_gated import silu
from advact_jax.functions.softplus import parametric_softplus
from advact_jax.linen import losses
from advact_jax.registry import Activation


class _Learned(nn.Module, kw_only=True):
    """A layer that learns the parameters of a function that have a field ``<parameter>_init``."""

    axis: Axes | None = -1
    shared_axes: Axes | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32
    sharding: tuple[str | None, ...] | None = None

    _function: ClassVar[Callable[..., Array]]
    # Parameters of which there is one for the layer, whatever the axes.
    _single: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *arguments: Any, **fields: Any) -> _Learned:
        """Tell what to write in place of arguments that the constructor does not take."""
        _modules.check_fields(cls, arguments, fields)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self.axis = _sharing.as_axes(self.axis)
        self.shared_axes = _sharing.as_axes(self.shared_axes)
        self._prepare()
        super().__post_init__()
        self._shared()
        _modules.check_types(self._label(), self.dtype, self.param_dtype)
        self._initializers(self._learned())

    @nn.nowrap
    def _prepare(self) -> None:
        for key in _modules.field_names(self._function, type(self)):
            setattr(self, key, _modules.as_field(getattr(self, key)))

    @nn.nowrap
    def _learned(self) -> _modules.Learned:
        names = _modules.field_names(self._function, type(self))
        values = {name: getattr(self, name) for name in names}
        label = self._label()
        return self._completed(label, _modules.Learned.of_fields(label, self._function, values))

    @nn.nowrap
    def _completed(self, label: str, learned: _modules.Learned) -> _modules.Learned:
        """Return what the layer learns, with what follows from fields of its own."""
        return learned

    @nn.nowrap
    def _kept(self, key: str, coefficient: Array) -> Array:
        """Return what is kept for a coefficient, which is learned in its place."""
        return coefficient

    @nn.nowrap
    def _coefficients(self, kept: dict[str, Array]) -> dict[str, Array]:
        """Return the coefficients from what is kept."""
        return kept

    @nn.nowrap
    def _initial(self, key: str, make: _modules.Initializer, *arguments: Any) -> Any:
        return self._kept(key, make(*arguments))

    @nn.nowrap
    def _drawn(self) -> dict[str, Any]:
        """Return the arguments of the function that are drawn anew in each call."""
        return {}

    @nn.nowrap
    def _label(self) -> str:
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    @nn.nowrap
    def _shared(self, key: str = "") -> Sharing:
        if key in self._single:
            return Sharing(self._label(), None)
        return Sharing(self._label(), self.axis, self.shared_axes)

    @nn.nowrap
    def _initializers(self, learned: _modules.Learned) -> dict[str, _modules.Initializer]:
        return {
            key: _modules.initializer(self._label(), key, value, learned.function, nn.meta.unbox)
            for key, value in learned.initial.items()
        }

    @property
    def activation_parameters(self) -> tuple[str, ...]:
        """The names of the parameters, all of which belong to an activation."""
        return tuple(self._learned().initial)

    @nn.nowrap
    def initial_activation(self) -> Activation:
        """Return the activation at its usual initial values."""
        learned = self._learned()
        return _modules.at_initial_values(learned.function, learned.initial, learned.fixed)

    @nn.nowrap
    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraints of the parameters that have one."""
        return dict(self._learned().constraints)

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation, with the parameters that the layer keeps.

        Args:
          x: an array; its dtype, or ``dtype``, is that of the output.
          mask: which steps of a sequence count; it is passed on.

        Returns:
          An array of the shape of ``x``; with a mask, the tuple of both.

        Raises:
          ValueError: if ``x`` has no such axes, or does not fit the parameters.
          TypeError: if ``x`` is not an array of real numbers.
        """
        label, learned = self._label(), self._learned()
        x = _modules.as_input(label, x, self.dtype)
        parameters = {}
        for key, make in self._initializers(learned).items():
            sharing, trailing = self._shared(key), _modules.trailing(learned, key)
            make = functools.partial(self._initial, key, make)
            shape = sharing.shape(x.shape)
            if self.has_variable("params", key):
                held = nn.meta.unbox(self.get_variable("params", key))
                sharing.check(key, jnp.shape(held), x.shape, trailing)
            if self.sharding is not None and key not in self._single:
                _modules.check_sharding(label, self.sharding, shape)
                make = nn.with_partitioning(make, (*self.sharding, *(None for _ in trailing)))
            value = self.param(key, make, shape + trailing, self.param_dtype)
            losses.add_parameter_loss(self, key, learned.regularizers.get(key), value)
            parameters[key] = sharing.spread(value, x.ndim, len(trailing))
        given = {**learned.fixed, **self._coefficients(parameters), **self._drawn()}
        y = learned.function(x, **given)
        return _masks.beside(y, _masks.checked(label, mask, x.shape))


@documented
class Learnable(_Learned):
    r"""Any activation that has parameters, with any of them learned.

    Of the functions along an axis these are `entmax` (alpha) and `softmax_with_sink`; ``axis`` is
    then that of the heads, say, or None, and never the axis along which the function goes.

    Args:
      activation: a name, a function declared with `advact_jax.activation`, or an
        `advact_jax.Activation`, whose other parameters stay as they are.
      learn: the names of the parameters to learn; None for those that usually are.
      initial: initial values by parameter: numbers, arrays, initializers, Keras's names of them, or
        the name of a framework ("keras", "torch", ...). Without one, the value that the
        `advact_jax.Activation` has, or the usual one.
      regularizer: penalties by parameter, as in `advact_jax.regularizers`.
      constraint: constraints by parameter, as in `advact_jax.constraints`.
      <axes>
      <others>

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
    regularizer: Mapping[str, Penalised] | None = None
    constraint: Mapping[str, Constrained] | None = None

    @nn.nowrap
    def _prepare(self) -> None:
        self.learn = tuple(self.learn) if isinstance(self.learn, list) else self.learn
        if isinstance(self.initial, Mapping):
            fields = {key: _modules.as_field(value) for key, value in self.initial.items()}
            self.initial = fields

    @nn.nowrap
    def _learned(self) -> _modules.Learned:
        return _modules.learnable(
            self._label(),
            self.activation,
            self.learn,
            self.initial,
            self.regularizer,
            self.constraint,
        )


@documented
class PReLU(_Learned, kw_only=True):
    r"""Parametric rectified linear unit, whose slope for negative input is learned.

    .. math:: f(x) = \begin{cases} x & x \ge 0 \\ \alpha x & x < 0 \end{cases}

    The parameter is ``alpha``: by default one per channel, as in the paper. The paper trains it
    without weight decay, which would pull the slope to that of ReLU.

    Flax's own layer learns one scalar and starts at 0.01 (``axis=None, alpha_init=0.01``), Keras's
    one slope per unit and starts at 0 (``shared_axes=(), alpha_init=0.0``).

    Args:
      <alpha: slope>
      <axes>
      <others>

    Raises:
      <raises>

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
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None


@documented
class ParametricSoftplus(_Learned, kw_only=True):
    r"""Softplus whose height and sharpness are learned.

    .. math:: f(x) = \alpha \log(1 + e^{\beta x})

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. Their initial
    values give the slope ``alpha * beta = 1`` for large input, and a start close to ReLU.

    Args:
      <alpha: height>
      <beta: sharpness>
      <axes>
      <others>

    Raises:
      <raises>

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
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    beta_init: Initial = _initial(parametric_softplus, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None


@documented
class Swish(_Learned, kw_only=True):
    r"""Swish whose sharpness is learned.

    .. math:: f(x) = x \, \sigma(\beta x)

    The parameter is ``beta``, by default one per channel. It starts as SiLU; ``beta = 0`` is half
    the identity, and a large ``beta`` nearly ReLU.

    Args:
      <beta: sharpness>
      <axes>
      <others>

    Raises:
      <raises>

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
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None
