"""Keras's core layers for ``flax.nnx``: dense, dropout, penalties, sequences with masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _core, _masks, _modules
from advact_jax.constraints import Constraint
from advact_jax.functions.features import maxout
from advact_jax.nnx.learned import _Base
from advact_jax.nnx.losses import activity_penalty, no_loss, parameter_penalty
from advact_jax.nnx.recorded import recorded
from advact_jax.regularizers import L1L2


def _rule(activation: Any) -> Callable[..., Any] | None:
    """Return the function by which to choose the initial kernel."""
    if isinstance(activation, _Base):
        return activation.initial_activation()
    return activation


def _promote(arrays: Any, /, *, dtype: Any = None, inexact: bool = True) -> Any:
    """Convert the arrays to the type of the input, where Flax would take the widest."""
    return promote_dtype(arrays, dtype=_core.dtype_of(arrays[0], dtype), inexact=inexact)


class _Affine(_core.Layer, nnx.Linear):
    """Affine maps of the last axis, with penalties and constraints."""

    kernel_regularizer: Any
    bias_regularizer: Any
    activity_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any

    def __init__(
        self,
        in_features: int,
        columns: int,
        activation: Any,
        dtype: Any,
        param_dtype: Any,
        precision: Any,
        rngs: nnx.Rngs,
        **arguments: Any,
    ) -> None:
        label = type(self).__name__
        _modules.check_types(label, dtype, param_dtype)
        found = _core.settled(label, rule=_rule(activation), **arguments)
        super().__init__(
            in_features,
            columns,
            use_bias=arguments["use_bias"],
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            kernel_init=found.pop("kernel_init"),
            bias_init=found.pop("bias_init"),
            promote_dtype=_promote,
            rngs=rngs,
        )
        for key, value in found.items():
            setattr(self, key, value)
        self.penalty = no_loss(
            self.kernel_regularizer, self.bias_regularizer, self.activity_regularizer
        )

    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraint of each parameter that has one."""
        return _core.constrained(self.kernel_constraint, self.bias_constraint)

    def _checked(self, x: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array | None]:
        label = type(self).__name__
        array = _core.vector(label, x, self.dtype, self.in_features)
        return array, _masks.checked(label, mask, array.shape)

    def _parameter_penalties(self) -> tuple[Array | float, Array | float]:
        bias = None if self.bias is None else self.bias[...]
        # The order of linen, so that sums and gradients have the same bits.
        kernel = parameter_penalty(self, "kernel", self.kernel_regularizer, self.kernel[...])
        return kernel, parameter_penalty(self, "bias", self.bias_regularizer, bias)

    def _leave_loss(self, y: Array, kernel: Array | float, bias: Array | float) -> None:
        if self.penalty is not None:
            activity = activity_penalty(self, "activity", self.activity_regularizer, y)
            self.penalty[...] = jnp.asarray(activity + bias + kernel)


@recorded
class Dense(_Affine):
    r"""Affine map of the last axis, then an activation.

    .. math:: y = f(x W + b)

    The parameters are ``kernel``, W, of shape (inputs, outputs), and ``bias``, b, as in
    `flax.nnx.Linear`, which gives the same without an activation and with ``dtype`` set.

    Args:
      in_features: the number of inputs.
      out_features: the number of outputs.
      activation: a name, a function or an nnx module; None for none.
      use_bias: whether to add a bias.
      kernel_init: an initializer: a name of Keras, a config or a function. "auto" is the rule that
        goes with the activation, see `advact_jax.initializers.initializer_for`: for a layer that
        learns it, that of its usual initial values, and LeCun's without an activation.
      bias_init: likewise, for the bias.
      kernel_regularizer: a regularizer, by name, config or function; see
        `advact_jax.nnx.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      activity_regularizer: likewise, for the output.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if a name is unknown, a number of features is not positive, or the bias has a
        regularizer or a constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.Dense(3, 4, activation="relu", kernel_init="auto", rngs=flax_nnx.Rngs(0))
      >>> layer(jnp.ones((2, 3))).shape, layer.kernel.shape
      ((2, 4), (3, 4))
      >>> nnx.Dense(
      ...     3, 4, kernel_constraint="max_norm", rngs=flax_nnx.Rngs(0)
      ... ).parameter_constraints()
      {'kernel': MaxNorm(max_value=2.0, axis=0)}
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: Any = None,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        bias_init: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        rngs: nnx.Rngs,
    ) -> None:
        _core.positive("Dense", in_features=in_features, out_features=out_features)
        self.activation = _core.activation("Dense", activation, nnx.Module)
        super().__init__(
            in_features,
            out_features,
            self.activation,
            dtype,
            param_dtype,
            precision,
            rngs,
            use_bias=use_bias,
            kernel_init=kernel_init,
            bias_init=bias_init,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )

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
        array, mask = self._checked(x, mask)
        penalties = self._parameter_penalties()
        y = super().__call__(array)
        if self.activation is not None:
            y = self.activation(y)
        self._leave_loss(y, *penalties)
        return _masks.beside(y, mask)


@recorded
class MaxoutDense(_Affine):
    r"""The largest of several affine maps, which learns a convex activation.

    .. math:: y_j = \max_{0 \le i < k} (x W + b)_{jk + i}

    The parameters are ``kernel``, W, of shape (inputs, outputs * k), and ``bias``, b: the maps of
    an output lie side by side, see `advact_jax.maxout`.

    Args:
      in_features: the number of inputs.
      out_features: the number of outputs.
      k: the number of maps for each of them.
      use_bias: whether to add a bias.
      kernel_init: an initializer: a name of Keras, a config or a function. "auto" is LeCun's.
      bias_init: likewise, for the bias.
      kernel_regularizer: a regularizer, by name, config or function; see
        `advact_jax.nnx.regularization_loss`.
      bias_regularizer: likewise, for the bias.
      activity_regularizer: likewise, for the output.
      kernel_constraint: a constraint, by name, config or function, which a training step applies.
      bias_constraint: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.
      precision: precision of the product, see `jax.lax.Precision`.
      rngs: random streams; the parameters take "params".

    Raises:
      ValueError: if a name is unknown, a number of features or k is not positive, or the bias has
        a regularizer or a constraint while there is none.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.MaxoutDense(5, 4, k=3, rngs=flax_nnx.Rngs(0))
      >>> layer(jnp.ones((2, 5))).shape, layer.kernel.shape
      ((2, 4), (5, 12))

    References:
      Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, Maxout networks, arXiv:1302.4389.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        k: int = 4,
        *,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        bias_init: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        rngs: nnx.Rngs,
    ) -> None:
        _core.positive("MaxoutDense", in_features=in_features, out_features=out_features, k=k)
        super().__init__(
            in_features,
            out_features * k,
            None,
            dtype,
            param_dtype,
            precision,
            rngs,
            use_bias=use_bias,
            kernel_init=kernel_init,
            bias_init=bias_init,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )
        self.out_features = out_features
        self.k = k

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
        array, mask = self._checked(x, mask)
        penalties = self._parameter_penalties()
        y = maxout(super().__call__(array), self.k)
        self._leave_loss(y, *penalties)
        return _masks.beside(y, mask)


# -- noise --------------------------------------------------------------------------------------


class _Noise(_core.Layer, nnx.Dropout):
    """Entries dropped at random."""

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        *,
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> None:
        label = type(self).__name__
        _core.check_rate(label, rate)
        self.noise_shape = _core.noise_shape(label, noise_shape)
        super().__init__(
            rate,
            broadcast_dims=_core.shared_axes(self.noise_shape),
            deterministic=deterministic,
            rng_collection=rng_collection,
            rngs=rngs,
        )

    def _drop(self, x: Array, **arguments: Any) -> Array:
        raise NotImplementedError

    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | Array | None = None,
    ) -> Any:
        """Apply the layer.

        Args:
          x: an array.
          mask: which steps count; it is passed on.
          deterministic: True to return ``x`` as it is, as when a model is used.
          rngs: random streams, one of them or a key, in place of the layer's own.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          ValueError: if ``noise_shape`` or the mask does not fit ``x``.
          TypeError: if ``x`` is no array of floating-point numbers, or the mask not one of bool.
        """
        label = type(self).__name__
        array = _core.floating(label, x)
        mask = _masks.checked(label, mask, array.shape)
        _core.shape_of_noise(label, self.noise_shape, array.shape)
        y = self._drop(array, deterministic=deterministic, rngs=rngs)
        return _masks.beside(y, mask)


@recorded
class Dropout(_Noise):
    r"""Entries become 0 at random, the others larger so that the mean stays.

    .. math:: y = \frac{x \, m}{1 - p}, \quad P(m = 1) = 1 - p

    This is `flax.nnx.Dropout` with Keras's ``noise_shape``.

    Args:
      rate: p, how many are dropped.
      noise_shape: for each axis of the input, the batch included, 1 if all entries along it are
        dropped together, else None or the size; None for no such axis.
      deterministic: True to return the input as it is; here, in the call, or by ``model.eval()``.
      rng_collection: name of the random stream.
      rngs: random streams; here or in the call.

    Raises:
      ValueError: if the rate is not in [0, 1], or an entry of noise_shape is not positive.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.Dropout(0.5, (None, 1), rngs=flax_nnx.Rngs(0))
      >>> y = layer(jnp.ones((8, 3)))
      >>> bool(jnp.all(y == y[:, :1]))
      True

    References:
      Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout: a simple way to
      prevent neural networks from overfitting, JMLR 15.
    """

    def _drop(self, x: Array, **arguments: Any) -> Array:
        return nnx.Dropout.__call__(self, x, **arguments)


@recorded
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
      deterministic: True to return the input as it is; here, in the call, or by ``model.eval()``.
      rng_collection: name of the random stream.
      rngs: random streams; here or in the call.

    Raises:
      ValueError: if the rate is not in [0, 1], or an entry of noise_shape is not positive.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.AlphaDropout(0.1, rngs=flax_nnx.Rngs(0))
      >>> y = layer(jax.random.normal(jax.random.key(0), (10000,)))
      >>> bool(abs(jnp.mean(y)) < 0.05), bool(abs(jnp.std(y) - 1) < 0.05)
      (True, True)

    References:
      Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks,
      arXiv:1706.02515.
    """

    def _drop(self, x: Array, **arguments: Any) -> Array:
        # Flax's dropout of ones tells which are kept. It gives them back if nothing is to be done.
        ones = jnp.ones_like(x, jnp.float32)
        dropped = nnx.Dropout.__call__(self, ones, **arguments)
        if dropped is ones:
            return x
        if self.rate == 1:
            return jnp.zeros_like(x)
        return _core.alpha_drop(x, dropped > 0, self.rate)


@recorded
class ActivityRegularization(_core.Layer, nnx.Module):
    r"""The input as it is, with a penalty :math:`l_1 \sum |x| + l_2 \sum x^2` per example.

    Args:
      l1: factor of the sizes.
      l2: factor of the squares.

    Raises:
      ValueError: if a factor is negative or not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> from advact_jax import nnx
      >>> layer = nnx.ActivityRegularization(l1=0.5)
      >>> y = layer(jnp.ones((4, 3)))
      >>> nnx.regularization_loss(layer)
      Array(1.5, dtype=float32)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.regularizer = L1L2(l1, l2)
        self.penalty: Any = no_loss(self.regularizer)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Return the input; with a mask, the tuple of both."""
        label = type(self).__name__
        array = _modules.as_input(label, x, None)
        mask = _masks.checked(label, mask, array.shape)
        penalty = activity_penalty(self, "activity", self.regularizer, array)
        self.penalty[...] = jnp.asarray(penalty)
        return _masks.beside(array, mask)


# -- sequences ----------------------------------------------------------------------------------


@recorded
class MaskedRNN(_core.Layer, nnx.Module):
    """A recurrent cell along a sequence, which skips the steps that a mask leaves out.

    At a skipped step, anywhere in the sequence, the carry stays as it is and the output is the one
    before; it is 0 before the first step that counts. What stands in a skipped step has no effect.
    Without a mask this is `flax.nnx.RNN`.
    The output has the type of the input, the carry that which the cell gives it.

    Args:
      cell: a cell of Flax, such as `flax.nnx.LSTMCell`.
      return_sequences: whether to return the outputs of all steps, or only the last one.
      return_carry: whether to return the last carry too.
      reverse: whether to go backwards. The outputs are in the order in which the steps were taken.
      keep_order: whether to put them into the order of the input again.
      unroll: how many steps are unrolled in the compiled loop.

    Raises:
      TypeError: if the cell is none of Flax.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import layers, nnx
      >>> x = jnp.array([[[1.0], [0.0], [2.0]]])  # the step in the middle is to be skipped
      >>> rngs = flax_nnx.Rngs(0)
      >>> model = flax_nnx.Sequential(
      ...     layers.Masking(),
      ...     nnx.MaskedRNN(flax_nnx.LSTMCell(1, 4, rngs=rngs), return_sequences=True),
      ...     nnx.MaskedRNN(flax_nnx.GRUCell(4, 3, rngs=rngs)),
      ...     nnx.Dense(3, 1, rngs=rngs),
      ... )
      >>> bool(jnp.all(model(x) == model(jnp.array([[[1.0], [2.0]]]))))
      True
    """

    def __init__(
        self,
        cell: nnx.RNNCellBase,
        *,
        return_sequences: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        unroll: int = 1,
    ) -> None:
        _core.check_cell("MaskedRNN", cell, nnx.RNNCellBase)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.unroll = unroll

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
            type(self).__name__, x, mask, seq_lengths, self.cell.num_feature_axes, self.reverse
        )
        carry = initial_carry
        if carry is None:
            step_shape = x.shape[:time] + x.shape[time + 1 :]
            carry = self.cell.initialize_carry(step_shape, nnx.Rngs(0))

        graph, state = nnx.split(self.cell)
        before = _core.zeros(
            lambda *args: nnx.merge(graph, state, copy=True)(*args), x, time, carry
        )
        axes: dict[Any, Any] = {nnx.Param: None, ...: nnx.Carry}

        @nnx.scan(
            in_axes=(nnx.StateAxes(axes), nnx.Carry, time),
            out_axes=(nnx.Carry, time),
            unroll=self.unroll,
        )
        def scan(cell: nnx.RNNCellBase, carry: Any, inputs: Any) -> tuple[Any, Array | None]:
            x, keep = inputs
            carry = _core.next_carry(keep, cell(carry[0], x), carry)
            return carry, carry[1] if self.return_sequences else None

        last, y = scan(self.cell, (carry, before), (x, keep))
        return _core.returned(self, x, last, y, None if mask is None else keep, time)
