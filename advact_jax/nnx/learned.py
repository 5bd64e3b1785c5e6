"""Layers of ``flax.nnx`` that learn the parameters of an activation."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar
from typing import Any, ClassVar, TypeVar, dataclass_transform

import jax.numpy as jnp
from flax import nnx
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
from advact_jax.nnx import losses
from advact_jax.nnx.recorded import recorded
from advact_jax.registry import Activation

M = TypeVar("M", bound="_Base")


@dataclass_transform(kw_only_default=True, field_specifiers=(dataclasses.field,))
def _layer(kind: type[M]) -> type[M]:
    """Make the constructor from the fields; equality and repr stay those of nnx."""
    made = dataclasses.dataclass(kw_only=True, eq=False, repr=False)(documented(kind))
    # The metaclass of nnx hides the constructor's arguments from help().
    _, *arguments = inspect.signature(made.__init__).parameters.values()
    made.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return recorded(made)


def _made() -> Any:
    """Return the field of a parameter: the layer makes it, it is no argument."""
    return dataclasses.field(init=False)


def _unbox(value: Any) -> Any:
    return value.raw_value if isinstance(value, nnx.VariableMetadata) else value


@_layer
class _Base(nnx.Module):
    """A layer that learns parameters of a function."""

    axis: Axes | None = -1
    shared_axes: Axes | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32
    sharding: tuple[str | None, ...] | None = None
    penalty: losses.RegularizationLoss | None = _made()
    rngs: InitVar[nnx.Rngs | None] = None

    # Parameters of which there is one for the layer, whatever the axes.
    _single: ClassVar[tuple[str, ...]] = ()

    def _make(
        self,
        learned: _modules.Learned,
        features: int | Sequence[int] | None,
        rngs: nnx.Rngs | None,
    ) -> None:
        """Check the arguments and make the parameters."""
        label = type(self).__name__
        self.axis = _sharing.as_axes(self.axis)
        self.shared_axes = _sharing.as_axes(self.shared_axes)
        _modules.check_types(label, self.dtype, self.param_dtype)
        for name, given in learned.initial.items():
            trailing = _modules.trailing(learned, name)
            sizes = None if name in self._single else features
            shape = self._shared(name).shape_of_features(sizes)
            make = _modules.initializer(label, name, given, learned.function, _unbox)
            make = functools.partial(self._initial, name, make)
            key = _key(label, name, rngs) if _modules.needs_key(given) else None
            if self.sharding is not None and name not in self._single:
                _modules.check_sharding(label, self.sharding, shape)
                make = nnx.with_partitioning(make, (*self.sharding, *(None for _ in trailing)))
            setattr(self, name, nnx.Param(make(key, shape + trailing, self.param_dtype)))
        self.penalty = losses.no_loss(*learned.regularizers.values())
        # Static to nnx: functions, and numbers in tuples.
        self._learned = (
            learned.function,
            tuple(learned.initial),
            tuple(learned.fixed.items()),
            tuple(learned.regularizers.items()),
            tuple(learned.constraints.items()),
            frozenset(learned.entries),
        )

    def _completed(self, label: str, learned: _modules.Learned) -> _modules.Learned:
        """Return what the layer learns, with what follows from fields of its own."""
        return learned

    def _kept(self, key: str, coefficient: Array) -> Array:
        """Return what is kept for a coefficient, which is learned in its place."""
        return coefficient

    def _coefficients(self, kept: dict[str, Array]) -> dict[str, Array]:
        """Return the coefficients from what is kept."""
        return kept

    def _initial(self, name: str, make: _modules.Initializer, *arguments: Any) -> Any:
        return self._kept(name, make(*arguments))

    def _drawn(self) -> dict[str, Any]:
        """Return the arguments of the function that are drawn anew in each call."""
        return {}

    def _shared(self, name: str = "") -> Sharing:
        if name in self._single:
            return Sharing(type(self).__name__, None)
        return Sharing(type(self).__name__, self.axis, self.shared_axes)

    @property
    def activation_parameters(self) -> tuple[str, ...]:
        """The names of the parameters, all of which belong to an activation."""
        return self._learned[1]

    def initial_activation(self) -> Activation:
        """Return the activation at its usual initial values."""
        function, names, fixed, *_ = self._learned
        return _modules.at_initial_values(function, names, dict(fixed))

    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraints of the parameters that have one."""
        return dict(self._learned[4])

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
        label = type(self).__name__
        x = _modules.as_input(label, x, self.dtype)
        function, names, fixed, regularizers, _, tables = self._learned
        parameters = {}
        for name in names:
            value, sharing = getattr(self, name)[...], self._shared(name)
            trailing = value.shape[-1:] if name in tables else ()
            sharing.check(name, value.shape, x.shape, trailing)
            parameters[name] = sharing.spread(value, x.ndim, len(trailing))
        if self.penalty is not None:
            self.penalty[...] = sum(
                losses.parameter_penalty(self, name, regularizer, getattr(self, name)[...])
                for name, regularizer in regularizers
            )
        y = function(x, **{**dict(fixed), **self._coefficients(parameters), **self._drawn()})
        return _masks.beside(y, _masks.checked(label, mask, x.shape))


@_layer
class _Learned(_Base):
    """A layer that learns the parameters of a function that have a field ``<parameter>_init``.

    These fields are arguments of the constructor alone: an array kept beside the parameter would
    count as state.
    """

    features: int | Sequence[int] | None = dataclasses.field(default=None, kw_only=False)

    _function: ClassVar[Callable[..., Array]]

    def __post_init__(self, rngs: nnx.Rngs | None, *given: Any) -> None:
        self.features = _sharing.as_axes(self.features)
        names = _modules.field_names(self._function, type(self))
        values = dict(zip(names, given, strict=True))
        label = type(self).__name__
        learned = _modules.Learned.of_fields(label, self._function, values)
        self._make(self._completed(label, learned), self.features, rngs)


@_layer
class Learnable(_Base):
    r"""Any activation that has parameters, with any of them learned.

    Of the functions along an axis these are `entmax` (alpha) and `softmax_with_sink`; ``axis`` is
    then that of the heads, say, or None, and never the axis along which the function goes.

    Args:
      activation: a name, a function declared with `advact_jax.activation`, or an
        `advact_jax.Activation`, whose other parameters stay as they are.
      <features>
      learn: the names of the parameters to learn; None for those that usually are.
      initial: initial values by parameter: numbers, arrays, initializers, Keras's names of them, or
        the name of a framework ("keras", "torch", ...). Without one, the value that the
        `advact_jax.Activation` has, or the usual one.
      regularizer: penalties by parameter, as in `advact_jax.regularizers`.
      constraint: constraints by parameter, as in `advact_jax.constraints`.
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      ValueError: if a parameter is unknown, has no derivative or no initial value; and as the other
        layers do.
      TypeError: if the activation has no declaration, or an argument is of the wrong type.

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.Learnable("elu", initial={"alpha": 0.5}, axis=None)
      >>> layer.alpha[...]
      Array(0.5, dtype=float32)
    """

    activation: Any = dataclasses.field(kw_only=False)
    features: int | Sequence[int] | None = dataclasses.field(default=None, kw_only=False)
    learn: str | Sequence[str] | None = None
    initial: InitVar[Mapping[str, Initial] | None] = None
    regularizer: InitVar[Mapping[str, Penalised] | None] = None
    constraint: InitVar[Mapping[str, Constrained] | None] = None

    def __post_init__(
        self,
        rngs: nnx.Rngs | None,
        initial: Mapping[str, Initial] | None = None,
        regularizer: Mapping[str, Penalised] | None = None,
        constraint: Mapping[str, Constrained] | None = None,
    ) -> None:
        self.features = _sharing.as_axes(self.features)
        learned = _modules.learnable(
            type(self).__name__, self.activation, self.learn, initial, regularizer, constraint
        )
        self.learn = tuple(learned.initial)
        self._make(learned, self.features, rngs)


def _key(label: str, name: str, rngs: nnx.Rngs | None) -> Array:
    if rngs is None:
        raise TypeError(
            f"{label}: expected rngs, since {name}_init is an initializer, got None. "
            "Pass rngs=nnx.Rngs(seed)."
        )
    return rngs.params()


@_layer
class PReLU(_Learned):
    r"""Parametric rectified linear unit, whose slope for negative input is learned.

    .. math:: f(x) = \begin{cases} x & x \ge 0 \\ \alpha x & x < 0 \end{cases}

    The parameter is ``alpha``: by default one per channel, as in the paper. The paper trains it
    without weight decay, which would pull the slope to that of ReLU.

    Flax's own layer learns one scalar and starts at 0.01 (``axis=None, alpha_init=0.01``), Keras's
    one slope per unit and starts at 0 (``shared_axes=(), alpha_init=0.0``).

    Args:
      <features>
      <alpha: slope>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> import jax.numpy as jnp
      >>> from advact_jax import nnx
      >>> layer = nnx.PReLU(2)
      >>> layer.alpha[...]
      Array([0.25, 0.25], dtype=float32)
      >>> layer(jnp.array([[-2.0, 3.0]]))
      Array([[-0.5,  3. ]], dtype=float32)

    References:
      He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852.
    """

    _function = staticmethod(prelu)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(prelu, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None


@_layer
class ParametricSoftplus(_Learned):
    r"""Softplus whose height and sharpness are learned.

    .. math:: f(x) = \alpha \log(1 + e^{\beta x})

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. Their initial
    values give the slope ``alpha * beta = 1`` for large input, and a start close to ReLU.

    Args:
      <features>
      <alpha: height>
      <beta: sharpness>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.ParametricSoftplus(axis=None)
      >>> layer.alpha[...], layer.beta[...]
      (Array(0.2, dtype=float32), Array(5., dtype=float32))

    References:
      McFarland, Cui & Butts 2013, Inferring nonlinear neuronal computation based on physiologically
      plausible inputs, PLoS Computational Biology 9(7).
    """

    _function = staticmethod(parametric_softplus)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(parametric_softplus, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(parametric_softplus, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None


@_layer
class Swish(_Learned):
    r"""Swish whose sharpness is learned.

    .. math:: f(x) = x \, \sigma(\beta x)

    The parameter is ``beta``, by default one per channel. It starts as SiLU; ``beta = 0`` is half
    the identity, and a large ``beta`` nearly ReLU.

    Args:
      <features>
      <beta: sharpness>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.Swish((28, 28, 3), shared_axes=(1, 2))
      >>> layer.beta.shape
      (1, 1, 3)

    References:
      Ramachandran, Zoph & Le 2017, Searching for activation functions, arXiv:1710.05941.
    """

    _function = staticmethod(silu)
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(silu, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None
