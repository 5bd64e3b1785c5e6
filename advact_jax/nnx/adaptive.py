"""Layers of ``flax.nnx`` whose activation depends on chance or on a whole row."""

from __future__ import annotations

from dataclasses import InitVar
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _adaptive, _core, _masks, _modules
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.complex_valued import modrelu
from advact_jax.functions.normalizing import poly_norm
from advact_jax.functions.randomized import rrelu
from advact_jax.functions.unnormalized import derf, dyt
from advact_jax.nnx.learned import _layer, _Learned, _made
from advact_jax.nnx.recorded import recorded


@recorded
class RReLU(_core.Layer, nnx.Module):
    r"""Randomized leaky rectifier: slopes for negative input are drawn in training.

    .. math:: f(x) = \begin{cases} x & x > 0 \\ r x & x \le 0 \end{cases}, \quad r \sim U(l, u)

    When a model is used, r is the mean slope. See `advact_jax.rrelu`.

    Args:
      lower: smallest slope.
      upper: largest slope.
      deterministic: True for the mean slope; here, in the call, or by ``model.eval()``.
      rng_collection: name of the random stream.
      rngs: random streams; here or in the call.

    Raises:
      ValueError: if a slope is not finite, or the smallest is above the largest.
      TypeError: if a slope is no number.

    Example:
      >>> import jax.numpy as jnp
      >>> from advact_jax import nnx
      >>> layer = nnx.RReLU(deterministic=True)
      >>> layer(jnp.array([-48.0, 3.0]))
      Array([-11.,   3.], dtype=float32)

    References:
      Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations in convolutional
      network, arXiv:1505.00853.
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        *,
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> None:
        _adaptive.check_slopes("RReLU", lower=lower, upper=upper)
        self.lower = lower
        self.upper = upper
        self.deterministic = deterministic
        self.rng_collection = rng_collection
        stream = rngs[rng_collection] if isinstance(rngs, nnx.Rngs) else rngs
        self.rngs: Any = nnx.data(None) if stream is None else stream.fork()

    def __call__(
        self,
        x: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | Array | None = None,
    ) -> Any:
        """Apply the activation.

        Args:
          x: an array.
          mask: which steps count; it is passed on.
          deterministic: True for the mean slope.
          rngs: random streams, one of them or a key, in place of the layer's own.

        Returns:
          The output; with a mask, the tuple of both.

        Raises:
          ValueError: if the mask does not fit ``x``, or it is not told what is deterministic.
          TypeError: if ``x`` is not an array of real numbers, the mask not one of bool, or there is
            no random stream to draw from.
        """
        x = _modules.as_input("RReLU", x, None)
        mask = _masks.checked("RReLU", mask, x.shape)
        still = self.deterministic if deterministic is None else deterministic
        if still is None:
            raise ValueError("RReLU: expected deterministic, here or in the constructor, got None.")
        key = None if still else self._key(self.rngs if rngs is None else rngs)
        return _masks.beside(rrelu(x, key, self.lower, self.upper), mask)

    def _key(self, rngs: Any) -> Array:
        if rngs is None:
            raise TypeError(
                "RReLU: expected rngs, here or in the constructor, to draw slopes from, got None. "
                "deterministic=True takes the mean slope."
            )
        rngs = rngs[self.rng_collection] if isinstance(rngs, nnx.Rngs) else rngs
        return rngs() if isinstance(rngs, nnx.RngStream) else rngs

    def set_view(self, deterministic: bool | None = None) -> None:
        """Change what ``nnx.view`` of a model changes.

        Args:
          deterministic: True for the mean slope.
        """
        if deterministic is not None:
            self.deterministic = deterministic


# -- in place of a normalisation ----------------------------------------------------------------


@_layer
class DyT(_Learned):
    r"""Dynamic tanh, in place of a layer norm or RMS norm.

    .. math:: f(x) = \gamma \tanh(\alpha x) + \beta

    The parameters are ``alpha``, one for the layer, and ``gamma`` and ``beta``, by default one of
    each per channel: as in the paper, with its initial values.

    Args:
      <features>
      <alpha: steepness>
      <gamma: height>
      <beta: shift>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.DyT(4)
      >>> layer.alpha.shape, layer.gamma.shape
      ((), (4,))

    References:
      Zhu, Chen, He, LeCun & Liu 2025, Transformers without normalization, arXiv:2503.10622.
    """

    _function = staticmethod(dyt)
    _single = ("alpha",)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(dyt, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    gamma: nnx.Param = _made()
    gamma_init: InitVar[Initial] = _initial(dyt, "gamma")
    gamma_regularizer: InitVar[Penalised] = None
    gamma_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(dyt, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None


@_layer
class Derf(_Learned):
    r"""Dynamic error function, in place of a layer norm or RMS norm.

    .. math:: f(x) = \gamma \, \mathrm{erf}(\alpha x + s) + \beta

    The parameters are ``alpha`` and ``shift``, one of each for the layer, and ``gamma`` and
    ``beta``, by default one of each per channel: as in the paper, with its initial values.

    Args:
      <features>
      <alpha: steepness>
      <shift: shift of the input>
      <gamma: height>
      <beta: shift of the output>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.Derf(4)
      >>> layer.alpha.shape, layer.shift.shape, layer.gamma.shape
      ((), (), (4,))

    References:
      Chen, Lu, Zhu, Sun & Liu 2025, Stronger normalization-free transformers, arXiv:2512.10938.
    """

    _function = staticmethod(derf)
    _single = ("alpha", "shift")
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(derf, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    shift: nnx.Param = _made()
    shift_init: InitVar[Initial] = _initial(derf, "shift")
    shift_regularizer: InitVar[Penalised] = None
    shift_constraint: InitVar[Constrained] = None
    gamma: nnx.Param = _made()
    gamma_init: InitVar[Initial] = _initial(derf, "gamma")
    gamma_regularizer: InitVar[Penalised] = None
    gamma_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(derf, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None


# -- along a row --------------------------------------------------------------------------------


def _param(label: str, name: str, given: Any, shape: Any, dtype: Any, rngs: Any) -> nnx.Param:
    """Return a parameter; a key is drawn only where the initializer may be random."""
    make = _adaptive.initializer(label, f"{name}_init", given)
    key = None
    if callable(given) or _modules.needs_key(given):
        if rngs is None:
            raise TypeError(
                f"{label}: expected rngs, since {name}_init is an initializer, got None. "
                "Pass rngs=nnx.Rngs(seed)."
            )
        key = rngs.params()
    return nnx.Param(make(key, shape, dtype))


@recorded
class PolyNorm(_core.Layer, nnx.Module):
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
      rngs: random streams, needed only where an initializer is random.

    Raises:
      ValueError: if epsilon is negative, or a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> from advact_jax import nnx
      >>> nnx.PolyNorm().weights[...]
      Array([0.33333334, 0.33333334, 0.33333334], dtype=float32)

    References:
      Zhuo, Wang, Zeng, Li, Zhou & Ma 2024, Polynomial composition activations, arXiv:2411.03884.
    """

    activation_parameters = ("weights", "bias")

    def __init__(
        self,
        *,
        axis: Any = -1,
        epsilon: float = 1e-6,
        weights_init: Any = 1 / 3,
        bias_init: Any = 0.0,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        _modules.check_types("PolyNorm", dtype, param_dtype)
        _core.finite("PolyNorm", "epsilon", epsilon)
        self.axis = tuple(axis) if isinstance(axis, list) else axis
        self.epsilon = epsilon
        self.dtype = dtype
        self.weights = _param("PolyNorm", "weights", weights_init, (3,), param_dtype, rngs)
        self.bias = _param("PolyNorm", "bias", bias_init, (), param_dtype, rngs)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation; a mask is passed on."""
        x = _modules.as_input("PolyNorm", x, self.dtype)
        y = poly_norm(x, self.weights[...], self.bias[...], self.axis, float(self.epsilon))
        return _masks.beside(y, _masks.checked("PolyNorm", mask, x.shape))


@recorded
class ModReLU(_core.Layer, nnx.Module):
    r"""Rectifier of the modulus of complex (or real) numbers, with a learned bias.

    .. math:: f(z) = \max(|z| + b, 0) \frac{z}{|z|}

    The parameter is ``bias``, real, one per channel. It starts at 0, as in the paper: the layer
    then is the identity. See `advact_jax.modrelu`.

    Args:
      features: the number of channels.
      bias_init: initial bias: a number, an array, an initializer or the name of one.
      dtype: type of computation and output, may be complex; None is the input's.
      param_dtype: type of the bias.
      rngs: random streams, needed only where the initializer is random.

    Raises:
      ValueError: if a name is unknown.
      TypeError: if an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from advact_jax import nnx
      >>> nnx.ModReLU(1, bias_init=-1.0)(jnp.array([[3.0 + 4.0j]]))
      Array([[2.4+3.2j]], dtype=complex64)

    References:
      Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, arXiv:1511.06464.
    """

    activation_parameters = ("bias",)

    def __init__(
        self,
        features: int,
        *,
        bias_init: Any = 0.0,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        _adaptive.check_complex("ModReLU", dtype, param_dtype)
        _core.positive("ModReLU", features=features)
        self.features = features
        self.dtype = dtype
        self.bias = _param("ModReLU", "bias", bias_init, (features,), param_dtype, rngs)

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Any:
        """Apply the activation; a mask is passed on."""
        z = _adaptive.complex_vector("ModReLU", x, self.dtype, self.features)
        y = modrelu(z, self.bias[...])
        return _masks.beside(y, _masks.checked("ModReLU", mask, z.shape))
