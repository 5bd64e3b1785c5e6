"""Layers of ``flax.linen`` whose activation depends on chance or on a whole row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _adaptive, _core, _masks, _modules
from advact_jax._docstrings import documented
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.complex_valued import modrelu
from advact_jax.functions.normalizing import poly_norm
from advact_jax.functions.randomized import rrelu
from advact_jax.functions.unnormalized import derf, dyt
from advact_jax.linen.core import _label, stream
from advact_jax.linen.learned import _Learned


class RReLU(_core.Layer, nn.Module):
    r"""Randomized leaky rectifier: slopes for negative input are drawn in training.

    .. math:: f(x) = \begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)

    When a model is used, r is the mean slope. See `advact_jax.rrelu`.

    Args:
      lower: smallest slope.
      upper: largest slope.
      deterministic: True for the mean slope; here or in the call.
      rng_collection: name of the random stream.

    Raises:
      ValueError: if a slope is not finite, or the smallest is above the largest.
      TypeError: if a slope is no number.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.RReLU()
      >>> layer.apply({}, jnp.array([-48.0, 3.0]), deterministic=True)
      Array([-11.,   3.], dtype=float32)

    References:
      Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations in convolutional
      network, arXiv:1505.00853.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    deterministic: bool | None = None
    rng_collection: str = "dropout"

    def __post_init__(self) -> None:
        _adaptive.check_slopes(_label(self), lower=self.lower, upper=self.upper)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        deterministic: bool | None = None,
        rng: Array | None = None,
    ) -> Any:
        """Apply the activation.

        Args:
          x: an array.
          mask: which steps count; it is passed on.
          deterministic: True for the mean slope.
          rng: a key in place of one from the collection.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          ValueError: if the mask does not fit ``x``.
          TypeError: if ``x`` is not an array of real numbers, or the mask not one of bool.
        """
        x = _modules.as_input(_label(self), x, None)
        mask = _masks.checked(_label(self), mask, x.shape)
        key = None
        if not nn.merge_param("deterministic", self.deterministic, deterministic):
            key = stream(self, self.rng_collection) if rng is None else rng
        return _masks.beside(rrelu(x, key, self.lower, self.upper), mask)


# -- in place of a normalisation ----------------------------------------------------------------


@documented
class DyT(_Learned, kw_only=True):
    r"""Dynamic tanh, in place of a layer norm or RMS norm.

    .. math:: f(x) = \gamma \tanh(\alpha x) + \beta

    The parameters are ``alpha``, one for the layer, and ``gamma`` and ``beta``, by default one of
    each per channel: as in the paper, with its initial values.

    Args:
      <alpha: steepness>
      <gamma: height>
      <beta: shift>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> variables = linen.DyT().init(jax.random.key(0), jnp.ones((1, 4)))
      >>> jax.tree.map(jnp.shape, variables["params"])
      {'alpha': (), 'beta': (4,), 'gamma': (4,)}

    References:
      Zhu, Chen, He, LeCun & Liu 2025, Transformers without normalization, arXiv:2503.10622.
    """

    _function = staticmethod(dyt)
    _single = ("alpha",)
    alpha_init: Initial = _initial(dyt, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    gamma_init: Initial = _initial(dyt, "gamma")
    gamma_regularizer: Penalised = None
    gamma_constraint: Constrained = None
    beta_init: Initial = _initial(dyt, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None


@documented
class Derf(_Learned, kw_only=True):
    r"""Dynamic error function, in place of a layer norm or RMS norm.

    .. math:: f(x) = \gamma \, \mathrm{erf}(\alpha x + s) + \beta

    The parameters are ``alpha`` and ``shift``, one of each for the layer, and ``gamma`` and
    ``beta``, by default one of each per channel: as in the paper, with its initial values.

    Args:
      <alpha: steepness>
      <shift: shift of the input>
      <gamma: height>
      <beta: shift of the output>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> variables = linen.Derf().init(jax.random.key(0), jnp.ones((1, 4)))
      >>> jax.tree.map(jnp.shape, variables["params"])
      {'alpha': (), 'beta': (4,), 'gamma': (4,), 'shift': ()}

    References:
      Chen, Lu, Zhu, Sun & Liu 2025, Stronger normalization-free transformers, arXiv:2512.10938.
    """

    _function = staticmethod(derf)
    _single = ("alpha", "shift")
    alpha_init: Initial = _initial(derf, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    shift_init: Initial = _initial(derf, "shift")
    shift_regularizer: Penalised = None
    shift_constraint: Constrained = None
    gamma_init: Initial = _initial(derf, "gamma")
    gamma_regularizer: Penalised = None
    gamma_constraint: Constrained = None
    beta_init: Initial = _initial(derf, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None


# -- along a row --------------------------------------------------------------------------------


class _Plain(_core.Layer, nn.Module, kw_only=True):
    """A layer with initial values that are numbers, arrays, names or initializers."""

    dtype: Any = None
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        for key in [name for name in dir(type(self)) if name.endswith("_init")]:
            setattr(self, key, _modules.as_field(getattr(self, key)))
            self._init(key)
        super().__post_init__()
        self._check_types()

    @nn.nowrap
    def _check_types(self) -> None:
        _modules.check_types(_label(self), self.dtype, self.param_dtype)

    @nn.nowrap
    def _init(self, key: str) -> Callable[..., Any]:
        return _adaptive.initializer(_label(self), key, getattr(self, key))


class PolyNorm(_Plain, kw_only=True):
    r"""Polynomial of normalised powers, with learned coefficients.

    .. math:: f(x) = w_0 N(x^3) + w_1 N(x^2) + w_2 N(x) + b

    The parameters are ``weights``, of shape (3,), and ``bias``, a scalar, with the paper's initial
    values. See `advact_jax.poly_norm`.

    Args:
      axis: the axis or axes along which the powers are normalised.
      epsilon: what is added to the mean of squares.
      weights_init: initial weights: a number, an array, an initializer or the name of one.
      bias_init: likewise, for the bias.
      dtype: type of computation and output; None is the input's.
      param_dtype: type of the parameters.

    Raises:
      ValueError: if epsilon is negative, or a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> variables = linen.PolyNorm().init(jax.random.key(0), jnp.ones((1, 4)))
      >>> variables["params"]["weights"]
      Array([0.33333334, 0.33333334, 0.33333334], dtype=float32)

    References:
      Zhuo, Wang, Zeng, Li, Zhou & Ma 2024, Polynomial composition activations, arXiv:2411.03884.
    """

    axis: Any = -1
    epsilon: float = 1e-6
    weights_init: Any = 1 / 3
    bias_init: Any = 0.0

    activation_parameters = ("weights", "bias")

    def __post_init__(self) -> None:
        self.axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        _core.finite(_label(self), "epsilon", self.epsilon)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation; a mask is passed on."""
        x = _modules.as_input(_label(self), x, self.dtype)
        weights = self.param("weights", self._init("weights_init"), (3,), self.param_dtype)
        bias = self.param("bias", self._init("bias_init"), (), self.param_dtype)
        y = poly_norm(x, weights, bias, self.axis, float(self.epsilon))
        return _masks.beside(y, _masks.checked(_label(self), mask, x.shape))


class ModReLU(_Plain, kw_only=True):
    r"""Rectifier of the modulus of complex (or real) numbers, with a learned bias.

    .. math:: f(z) = \max(|z| + b, 0) \frac{z}{|z|}

    The parameter is ``bias``, real, one per channel. It starts at 0, as in the paper: the layer
    then is the identity. See `advact_jax.modrelu`.

    Args:
      bias_init: initial bias: a number, an array, an initializer or the name of one.
      dtype: type of computation and output, may be complex; None is the input's.
      param_dtype: type of the bias.

    Raises:
      ValueError: if a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from advact_jax import linen
      >>> layer = linen.ModReLU(bias_init=-1.0)
      >>> layer.init_with_output(jax.random.key(0), jnp.array([[3.0 + 4.0j]]))[0]
      Array([[2.4+3.2j]], dtype=complex64)

    References:
      Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, arXiv:1511.06464.
    """

    bias_init: Any = 0.0

    activation_parameters = ("bias",)

    @nn.nowrap
    def _check_types(self) -> None:
        _adaptive.check_complex(_label(self), self.dtype, self.param_dtype)

    @nn.compact
    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation; a mask is passed on."""
        z = _adaptive.complex_vector(_label(self), x, self.dtype)
        bias = self.param("bias", self._init("bias_init"), z.shape[-1:], self.param_dtype)
        return _masks.beside(modrelu(z, bias), _masks.checked(_label(self), mask, z.shape))
