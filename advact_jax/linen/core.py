"""Keras's core layers for ``flax.linen``: dense, dropout, penalties, sequences with masks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import errors
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array, lax
from jax.typing import ArrayLike

from advact_jax import _core, _masks, _modules
from advact_jax.constraints import Constraint
from advact_jax.functions.features import maxout
from advact_jax.linen.learned import _Learned
from advact_jax.linen.losses import add_activity_loss, add_parameter_loss
from advact_jax.regularizers import L1L2


def _label(module: nn.Module) -> str:
    kind = type(module).__name__
    return f"{kind} {module.name!r}" if module.name else kind


def stream(module: nn.Module, collection: str) -> Array:
    """Return a key of a random stream, or raise an error that tells how to pass one."""
    try:
        return module.make_rng(collection)
    except errors.InvalidRngError as error:
        error.args = (
            f"{_label(module)}: expected a key for the random stream {collection!r}, got none. "
            f"Pass rngs={{{collection!r}: key}} to apply, or deterministic=True for no noise.",
        )
        raise


def _rule(activation: Any) -> Callable[..., Any] | None:
    """Return the function by which to choose the initial kernel."""
    if isinstance(activation, _Learned):
        return activation.initial_activation()
    return activation


class _Affine(_core.Layer, nn.Module, kw_only=True):
    """Affine maps of the last axis, with penalties and constraints."""

    use_bias: bool = True
    kernel_init: Any = "glorot_uniform"
    bias_init: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    activity_regularizer: Any = None
    kernel_constraint: Any = None
    bias_constraint: Any = None
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None

    @nn.nowrap
    def _settled(self, activation: Any = None) -> dict[str, Any]:
        """Return the arguments with functions in place of names; the fields stay as given."""
        _modules.check_types(_label(self), self.dtype, self.param_dtype)
        given = {key: getattr(self, key) for key in _core.ARGUMENTS}
        rule = _rule(activation)
        return _core.settled(_label(self), rule=rule, use_bias=self.use_bias, **given)

    @nn.nowrap
    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraint of each parameter that has one."""
        found = self._settled()
        return _core.constrained(found["kernel_constraint"], found["bias_constraint"])

    @nn.nowrap
    def _maps(self, x: Array, columns: int, found: Mapping[str, Any]) -> Array:
        kernel = self.param(
            "kernel", found["kernel_init"], (x.shape[-1], columns), self.param_dtype
        )
        bias = None
        if self.use_bias:
            bias = self.param("bias", found["bias_init"], (columns,), self.param_dtype)
        add_parameter_loss(self, "kernel", found["kernel_regularizer"], kernel)
        add_parameter_loss(self, "bias", found["bias_regularizer"], bias)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=_core.dtype_of(x, self.dtype))
        contracted = (((x.ndim - 1,), (0,)), ((), ()))
        y = lax.dot_general(x, kernel, contracted, precision=self.precision)
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


class Dense(_Affine):
    r"""Affine map of the last axis, then an activation.

    .. math:: y = f(x W + b)

    The parameters are ``kernel``, W, of shape (inputs, features), and ``bias``, b, as in
    `flax.linen.Dense`, which gives the same without an activation and with ``dtype`` set.

    Args:
      features: the number of outputs.
      activation: a name, a function or a linen module, whose parameters then lie under
        "activation"; None for none.
      use_bias: whether to add a bias.
      kernel_init: an initializer: a name of Keras, a config or a function. "auto" is the rule that
        goes with the activation, see `advact_jax.initializers.initializer_for`: for a layer that
        learns it, that of its usual initial values, and LeCun's without an activation.
      bias_init: likewise, for the bias.
      kernel_regularizer: a regularizer, by name, config or function; see
        `advact_jax.linen.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      activity_regularizer: likewise, for the output.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.

    Raises:
      ValueError: if a name is unknown, features is not positive, or the bias has a regularizer or a
        constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.Dense(4, "relu", kernel_init="auto", kernel_constraint="max_norm")
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 3)))
      >>> jax.tree.map(jnp.shape, variables["params"])
      {'bias': (4,), 'kernel': (3, 4)}
      >>> layer.parameter_constraints()
      {'kernel': MaxNorm(max_value=2.0, axis=0)}
    """

    features: int
    activation: Any = None

    def __post_init__(self) -> None:
        _core.positive(_label(self), features=self.features)
        self.activation = _core.activation(_label(self), self.activation, nn.Module)
        self._settled(self.activation)
        super().__post_init__()

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
        x = _core.vector(_label(self), x, self.dtype)
        mask = _masks.checked(_label(self), mask, x.shape)
        found = self._settled(self.activation)
        y = self._maps(x, self.features, found)
        if self.activation is not None:
            y = self.activation(y)
        add_activity_loss(self, "activity", found["activity_regularizer"], y)
        return _masks.beside(y, mask)


class MaxoutDense(_Affine):
    r"""The largest of several affine maps, which learns a convex activation.

    .. math:: y_j = \max_{0 \le i < k} (x W + b)_{jk + i}

    The parameters are ``kernel``, W, of shape (inputs, features * k), and ``bias``, b: the maps of
    an output lie side by side, see `advact_jax.maxout`.

    Args:
      features: the number of outputs.
      k: the number of maps for each of them.
      use_bias: whether to add a bias.
      kernel_init: an initializer: a name of Keras, a config or a function. "auto" is LeCun's.
      bias_init: likewise, for the bias.
      kernel_regularizer: a regularizer, by name, config or function; see
        `advact_jax.linen.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      activity_regularizer: likewise, for the output.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.

    Raises:
      ValueError: if a name is unknown, features or k is not positive, or the bias has a regularizer
        or a constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.MaxoutDense(4, k=3, kernel_constraint="max_norm")
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 5)))
      >>> y.shape, variables["params"]["kernel"].shape
      ((2, 4), (5, 12))

    References:
      Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, Maxout networks, arXiv:1302.4389.
    """

    features: int
    k: int = 4

    def __post_init__(self) -> None:
        _core.positive(_label(self), features=self.features, k=self.k)
        self._settled()
        super().__post_init__()

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
        x = _core.vector(_label(self), x, self.dtype)
        mask = _masks.checked(_label(self), mask, x.shape)
        found = self._settled()
        y = maxout(self._maps(x, self.features * self.k, found), self.k)
        add_activity_loss(self, "activity", found["activity_regularizer"], y)
        return _masks.beside(y, mask)


# -- noise --------------------------------------------------------------------------------------


class _Noise(_core.Layer, nn.Module):
    """Entries dropped at random."""

    rate: float
    noise_shape: Sequence[int | None] | None = None
    deterministic: bool | None = None
    rng_collection: str = "dropout"

    def __post_init__(self) -> None:
        _core.check_rate(_label(self), self.rate)
        self.noise_shape = _core.noise_shape(_label(self), self.noise_shape)
        super().__post_init__()

    @nn.nowrap
    def _drop(self, x: Array, keep: Array) -> Array:
        raise NotImplementedError

    @nn.compact
    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        deterministic: bool | None = None,
        rng: Array | None = None,
    ) -> Any:
        """Apply the layer.

        Args:
          x: an array.
          mask: which steps count; it is passed on.
          deterministic: True to return ``x`` as it is, as when a model is used.
          rng: a key in place of one from the collection.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          ValueError: if ``noise_shape`` or the mask does not fit ``x``.
          TypeError: if ``x`` is no array of floating-point numbers, or the mask not one of bool.
        """
        x = _core.floating(_label(self), x)
        mask = _masks.checked(_label(self), mask, x.shape)
        noise = _core.shape_of_noise(_label(self), self.noise_shape, x.shape)
        deterministic = nn.merge_param("deterministic", self.deterministic, deterministic)
        if deterministic or self.rate == 0:
            return _masks.beside(x, mask)
        if self.rate == 1:
            return _masks.beside(jnp.zeros_like(x), mask)
        key = stream(self, self.rng_collection) if rng is None else rng
        keep = _core.kept(key, self.rate, x.shape, noise)
        return _masks.beside(self._drop(x, keep), mask)


class Dropout(_Noise):
    r"""Entries become 0 at random, the others larger so that the mean stays.

    .. math:: y = \frac{x \, m}{1 - p}, \quad P(m = 1) = 1 - p

    This is `flax.linen.Dropout` with Keras's ``noise_shape``.

    Args:
      rate: p, how many are dropped.
      noise_shape: for each axis of the input, the batch included, 1 if all entries along it are
        dropped together, else None or the size; None for no such axis.
      deterministic: True to return the input as it is; here or in the call.
      rng_collection: name of the random stream.

    Raises:
      ValueError: if the rate is not in [0, 1], or an entry of noise_shape is not positive.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.Dropout(0.5, noise_shape=(None, 1), deterministic=False)
      >>> y = layer.apply({}, jnp.ones((8, 3)), rngs={"dropout": jax.random.key(0)})
      >>> bool(jnp.all(y == y[:, :1]))
      True

    References:
      Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout: a simple way to
      prevent neural networks from overfitting, JMLR 15.
    """

    @nn.nowrap
    def _drop(self, x: Array, keep: Array) -> Array:
        return _core.drop(x, keep, self.rate)


class AlphaDropout(_Noise):
    r"""Dropout for SELU: entries get its lower limit at random, mean and variance stay.

    .. math:: y = a (x m + c (1 - m)) - a c p, \quad c = -1.7581, \quad
      a = \frac{1}{\sqrt{(1 - p)(1 + p c^2)}}

    With a rate of 1 the output is 0, which has the mean alone. 16-bit floats are computed in
    float32.

    Args:
      rate: p, how many are dropped.
      noise_shape: for each axis of the input, the batch included, 1 if all entries along it are
        dropped together, else None or the size; None for no such axis.
      deterministic: True to return the input as it is; here or in the call.
      rng_collection: name of the random stream.

    Raises:
      ValueError: if the rate is not in [0, 1], or an entry of noise_shape is not positive.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.AlphaDropout(0.1, deterministic=False)
      >>> x = jax.random.normal(jax.random.key(0), (10000,))
      >>> y = layer.apply({}, x, rngs={"dropout": jax.random.key(1)})
      >>> bool(abs(jnp.mean(y)) < 0.05), bool(abs(jnp.std(y) - 1) < 0.05)
      (True, True)

    References:
      Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks,
      arXiv:1706.02515.
    """

    @nn.nowrap
    def _drop(self, x: Array, keep: Array) -> Array:
        return _core.alpha_drop(x, keep, self.rate)


class ActivityRegularization(_core.Layer, nn.Module):
    r"""The input as it is, with a penalty :math:`l_1 \sum |x| + l_2 \sum x^2` per example.

    Args:
      l1: factor of the sizes.
      l2: factor of the squares.

    Raises:
      ValueError: if a factor is negative or not finite.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.ActivityRegularization(l1=0.5)
      >>> y, updates = layer.apply({}, jnp.ones((4, 3)), mutable=["losses"])
      >>> linen.regularization_loss(updates)
      Array(1.5, dtype=float32)
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        L1L2(self.l1, self.l2)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Return the input; with a mask, the tuple of both."""
        array = _modules.as_input(_label(self), x, None)
        mask = _masks.checked(_label(self), mask, array.shape)
        add_activity_loss(self, "activity", L1L2(self.l1, self.l2), array)
        return _masks.beside(array, mask)


# -- sequences ----------------------------------------------------------------------------------


class MaskedRNN(_core.Layer, nn.Module):
    """A recurrent cell along a sequence, which skips the steps that a mask leaves out.

    At a skipped step, anywhere in the sequence, the carry stays as it is and the output is the one
    before; it is 0 before the first step that counts. What stands in a skipped step has no effect.
    Without a mask this is `flax.linen.RNN`, whose parameters it has.
    The output has the type of the input, the carry that which the cell gives it.

    Args:
      cell: a cell of Flax, such as `flax.linen.LSTMCell`.
      return_sequences: whether to return the outputs of all steps, or only the last one.
      return_carry: whether to return the last carry too.
      reverse: whether to go backwards. The outputs are in the order in which the steps were taken.
      keep_order: whether to put them into the order of the input again.
      unroll: how many steps are unrolled in the compiled loop.

    Raises:
      TypeError: if the cell is none of Flax.

    Example:
      >>> import flax.linen as nn, jax, jax.numpy as jnp
      >>> from advact_jax import layers, linen
      >>> x = jnp.array([[[1.0], [0.0], [2.0]]])  # the step in the middle is to be skipped
      >>> model = nn.Sequential(
      ...     [
      ...         layers.Masking(),
      ...         linen.MaskedRNN(nn.LSTMCell(4), return_sequences=True),
      ...         linen.MaskedRNN(nn.GRUCell(3)),
      ...         linen.Dense(1),
      ...     ]
      ... )
      >>> y, variables = model.init_with_output(jax.random.key(0), x)
      >>> z = model.apply(variables, jnp.array([[[1.0], [2.0]]]))
      >>> bool(jnp.all(y == z))
      True
    """

    cell: nn.RNNCellBase
    return_sequences: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    unroll: int = 1

    def __post_init__(self) -> None:
        _core.check_cell(_label(self), self.cell, nn.RNNCellBase)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        seq_lengths: ArrayLike | None = None,
        initial_carry: Any = None,
    ) -> Any:
        """Apply the cell to every step.

        Args:
          x: an array of shape (*batch, time, *features).
          mask: which steps count, of shape (*batch, time).
          seq_lengths: in its place, how many steps at the beginning count, of shape (*batch,).
          initial_carry: the first carry; None for that of the cell.

        Returns:
          The output; with ``return_sequences`` and a mask the tuple of both, the mask in the order
          of the outputs; with ``return_carry`` the tuple of the carry and that.

        Raises:
          ValueError: if the mask or the lengths do not fit ``x``, or both are given.
          TypeError: if ``x`` is not an array of real numbers, or the mask not one of bool.
        """
        x, keep, time = _core.sequence(
            _label(self), x, mask, seq_lengths, self.cell.num_feature_axes, self.reverse
        )
        carry = initial_carry
        if carry is None:
            step_shape = x.shape[:time] + x.shape[time + 1 :]
            carry = self.cell.initialize_carry(jax.random.key(0), step_shape)

        alone = self.cell.clone(parent=None, name=None)
        shapes = functools.partial(alone.init_with_output, jax.random.key(0))
        before = _core.zeros(lambda *args: shapes(*args)[0], x, time, carry)

        def step(cell: nn.RNNCellBase, carry: Any, inputs: Any) -> tuple[Any, Array | None]:
            x, keep = inputs
            carry = _core.next_carry(keep, cell(carry[0], x), carry)
            return carry, carry[1] if self.return_sequences else None

        scan = nn.scan(
            step,
            in_axes=time,
            out_axes=time,
            variable_broadcast="params",
            split_rngs={"params": False},
            unroll=self.unroll,
        )
        last, y = scan(self.cell, (carry, before), (x, keep))
        return _core.returned(self, x, last, y, None if mask is None else keep, time)
