"""Layers of ``flax.linen`` that learn an activation with a sine in it."""

from __future__ import annotations

from advact_jax import _positive
from advact_jax._docstrings import documented
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.periodic import sinlu, snake, snake_beta
from advact_jax.linen.learned import _Learned


@documented
class Snake(_positive.LogScale, _Learned, kw_only=True):
    r"""Line with a learned periodic part.

    <definition>

    The parameter is ``alpha``, by default one per channel. DAC and BigVGAN learn one frequency per
    channel, from 1. With ``log_scale`` logarithms are learned, which keeps the coefficients
    positive; initial values are given as coefficients all the same.

    Args:
      <alpha: frequency>
      log_scale: whether logarithms are learned.
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.Snake()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["alpha"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(snake)
    alpha_init: Initial = _initial(snake, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    log_scale: bool = False


@documented
class SnakeBeta(_positive.LogScale, _Learned, kw_only=True):
    r"""Line with a periodic part whose frequency and height are learned.

    <definition>

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. As in BigVGAN and
    the vocoders that follow it there is one of each per channel. With ``log_scale`` logarithms are
    learned, which keeps the coefficients positive; initial values are given as coefficients all the
    same.

    Args:
      <alpha: frequency>
      <beta: inverse of the height>
      log_scale: whether logarithms are learned.
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.SnakeBeta()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["alpha"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(snake_beta)
    alpha_init: Initial = _initial(snake_beta, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    beta_init: Initial = _initial(snake_beta, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None
    log_scale: bool = False


@documented
class SinLU(_Learned, kw_only=True):
    r"""SiLU with a sine of learned height and frequency added to its line.

    <definition>

    The parameters are ``a`` and ``b``, by default one of each per channel. They start at 1, as in
    the authors' code.

    Args:
      <a: height of the sine>
      <b: frequency of the sine>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.SinLU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["a"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(sinlu)
    a_init: Initial = _initial(sinlu, "a")
    a_regularizer: Penalised = None
    a_constraint: Constrained = None
    b_init: Initial = _initial(sinlu, "b")
    b_regularizer: Penalised = None
    b_constraint: Constrained = None
