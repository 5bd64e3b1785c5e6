"""Layers of ``flax.nnx`` that learn an activation with a sine in it."""

from __future__ import annotations

from dataclasses import InitVar

from flax import nnx

from advact_jax import _positive
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.periodic import sinlu, snake, snake_beta
from advact_jax.nnx.learned import _layer, _Learned, _made


@_layer
class Snake(_positive.LogScale, _Learned):
    r"""Line with a learned periodic part.

    <definition>

    The parameter is ``alpha``, by default one per channel. DAC and BigVGAN learn one frequency per
    channel, from 1. With ``log_scale`` logarithms are learned, which keeps the coefficients
    positive; initial values are given as coefficients all the same.

    Args:
      <features>
      <alpha: frequency>
      log_scale: whether logarithms are learned.
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.Snake(4)
      >>> layer.alpha.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(snake)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(snake, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    log_scale: bool = False


@_layer
class SnakeBeta(_positive.LogScale, _Learned):
    r"""Line with a periodic part whose frequency and height are learned.

    <definition>

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. As in BigVGAN and
    the vocoders that follow it there is one of each per channel. With ``log_scale`` logarithms are
    learned, which keeps the coefficients positive; initial values are given as coefficients all the
    same.

    Args:
      <features>
      <alpha: frequency>
      <beta: inverse of the height>
      log_scale: whether logarithms are learned.
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.SnakeBeta(4)
      >>> layer.alpha.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(snake_beta)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(snake_beta, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(snake_beta, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None
    log_scale: bool = False


@_layer
class SinLU(_Learned):
    r"""SiLU with a sine of learned height and frequency added to its line.

    <definition>

    The parameters are ``a`` and ``b``, by default one of each per channel. They start at 1, as in
    the authors' code.

    Args:
      <features>
      <a: height of the sine>
      <b: frequency of the sine>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.SinLU(4)
      >>> layer.a.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(sinlu)
    a: nnx.Param = _made()
    a_init: InitVar[Initial] = _initial(sinlu, "a")
    a_regularizer: InitVar[Penalised] = None
    a_constraint: InitVar[Constrained] = None
    b: nnx.Param = _made()
    b_init: InitVar[Initial] = _initial(sinlu, "b")
    b_regularizer: InitVar[Penalised] = None
    b_constraint: InitVar[Constrained] = None
