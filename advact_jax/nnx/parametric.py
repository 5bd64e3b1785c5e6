"""Layers of ``flax.nnx`` that learn an activation of the literature, one class for each."""

from __future__ import annotations

from dataclasses import InitVar

import jax
from flax import nnx

from advact_jax import _positive
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.gates import acon_c
from advact_jax.functions.gaussian import smu
from advact_jax.functions.integrals import xielu
from advact_jax.functions.parametric import pelu
from advact_jax.functions.piecewise import srelu, tlu
from advact_jax.functions.powers import star_relu
from advact_jax.nnx.learned import _layer, _Learned, _made

_NORMAL = jax.nn.initializers.normal(1.0)


@_layer
class TLU(_Learned):
    r"""Thresholded linear unit whose threshold is learned.

    <definition>

    The parameter is ``tau``, by default one per channel. The paper puts it behind filter response
    normalization, with one threshold per channel.

    Args:
      <features>
      <tau: threshold>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.TLU(4)
      >>> layer.tau.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(tlu)
    tau: nnx.Param = _made()
    tau_init: InitVar[Initial] = _initial(tlu, "tau")
    tau_regularizer: InitVar[Penalised] = None
    tau_constraint: InitVar[Constrained] = None


@_layer
class SReLU(_Learned):
    r"""Line with a learned bend on either side.

    <definition>

    The parameters are ``t_left``, ``a_left``, ``t_right`` and ``a_right``, by default one of each
    per channel. It starts as a leaky rectifier, as in the paper.

    Args:
      <features>
      <t_left: lower bend>
      <a_left: slope below it>
      <t_right: upper bend>
      <a_right: slope above it>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.SReLU(4)
      >>> layer.t_left.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(srelu)
    t_left: nnx.Param = _made()
    t_left_init: InitVar[Initial] = _initial(srelu, "t_left")
    t_left_regularizer: InitVar[Penalised] = None
    t_left_constraint: InitVar[Constrained] = None
    a_left: nnx.Param = _made()
    a_left_init: InitVar[Initial] = _initial(srelu, "a_left")
    a_left_regularizer: InitVar[Penalised] = None
    a_left_constraint: InitVar[Constrained] = None
    t_right: nnx.Param = _made()
    t_right_init: InitVar[Initial] = _initial(srelu, "t_right")
    t_right_regularizer: InitVar[Penalised] = None
    t_right_constraint: InitVar[Constrained] = None
    a_right: nnx.Param = _made()
    a_right_init: InitVar[Initial] = _initial(srelu, "a_right")
    a_right_regularizer: InitVar[Penalised] = None
    a_right_constraint: InitVar[Constrained] = None


@_layer
class StarReLU(_Learned):
    r"""Squared rectifier with a learned scale and bias.

    <definition>

    The parameters are ``scale`` and ``bias``, by default one of each per channel. The paper learns
    one of each per layer: ``axis=None``. They start at 1 and 0, as in the authors' code.

    Args:
      <features>
      <scale: scale>
      <bias: bias>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.StarReLU(4)
      >>> layer.scale.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(star_relu)
    scale: nnx.Param = _made()
    scale_init: InitVar[Initial] = _initial(star_relu, "scale")
    scale_regularizer: InitVar[Penalised] = None
    scale_constraint: InitVar[Constrained] = None
    bias: nnx.Param = _made()
    bias_init: InitVar[Initial] = _initial(star_relu, "bias")
    bias_regularizer: InitVar[Penalised] = None
    bias_constraint: InitVar[Constrained] = None


@_layer
class PELU(_Learned):
    r"""Exponential linear unit whose scale and width are learned.

    <definition>

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. Both are
    positive; the paper keeps them above 0.1: ``alpha_constraint=Interval(0.1, None)``.

    Args:
      <features>
      <alpha: scale>
      <beta: width>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.PELU(4)
      >>> layer.alpha.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(pelu)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(pelu, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(pelu, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None


@_layer
class XIELU(_positive.XIELU, _Learned):
    r"""Square on the right, bend on the left, both learned.

    <definition>

    What is learned are the inverse softplus of ``alpha_p`` and of ``alpha_n - beta``, as in the
    paper, so that both coefficients keep their sign. Their initial values are given as
    coefficients.

    Args:
      <features>
      <alpha_p: coefficient on the right>
      <alpha_n: coefficient on the left>
      beta: slope at 0, which is not learned.
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.XIELU(4)
      >>> layer.alpha_p.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(xielu)
    alpha_p: nnx.Param = _made()
    alpha_p_init: InitVar[Initial] = _initial(xielu, "alpha_p")
    alpha_p_regularizer: InitVar[Penalised] = None
    alpha_p_constraint: InitVar[Constrained] = None
    alpha_n: nnx.Param = _made()
    alpha_n_init: InitVar[Initial] = _initial(xielu, "alpha_n")
    alpha_n_regularizer: InitVar[Penalised] = None
    alpha_n_constraint: InitVar[Constrained] = None
    beta: float = 0.5


@_layer
class ACON(_Learned):
    r"""Smooth maximum of two lines, whose slopes and sharpness are learned.

    <definition>

    The parameters are ``p1``, ``p2`` and ``beta``, by default one of each per channel. As in the
    authors' code p1 and p2 start as normal numbers, which takes ``rngs``, and beta at 1. With
    ``p1_init=1.0, p2_init=0.0`` it starts as SiLU. In `MetaACON` a small network chooses beta.

    Args:
      <features>
      <p1: slope of the upper line>
      <p2: slope of the other line>
      <beta: sharpness of the bend>
      <axes>
      <others>
      rngs: random streams; needed unless ``p1_init`` and ``p2_init`` are values.

    Raises:
      <raises>

    Example:
      >>> from flax import nnx as flax_nnx
      >>> from advact_jax import nnx
      >>> layer = nnx.ACON(4, rngs=flax_nnx.Rngs(0))
      >>> layer.p1.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(acon_c)
    p1: nnx.Param = _made()
    p1_init: InitVar[Initial] = _NORMAL
    p1_regularizer: InitVar[Penalised] = None
    p1_constraint: InitVar[Constrained] = None
    p2: nnx.Param = _made()
    p2_init: InitVar[Initial] = _NORMAL
    p2_regularizer: InitVar[Penalised] = None
    p2_constraint: InitVar[Constrained] = None
    beta: nnx.Param = _made()
    beta_init: InitVar[Initial] = _initial(acon_c, "beta")
    beta_regularizer: InitVar[Penalised] = None
    beta_constraint: InitVar[Constrained] = None


@_layer
class SMU(_Learned):
    r"""Smooth maximum of two lines, with a learned slope and sharpness.

    <definition>

    The parameters are ``alpha`` and ``mu``, by default one of each per channel. Sources conflict on
    their initial values, see `advact_jax.smu`.

    Args:
      <features>
      <alpha: slope on the left>
      <mu: sharpness of the bend>
      <axes>
      <others>
      rngs: random streams, needed only where an initializer is given.

    Raises:
      <raises>

    Example:
      >>> from advact_jax import nnx
      >>> layer = nnx.SMU(4)
      >>> layer.alpha.shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(smu)
    alpha: nnx.Param = _made()
    alpha_init: InitVar[Initial] = _initial(smu, "alpha")
    alpha_regularizer: InitVar[Penalised] = None
    alpha_constraint: InitVar[Constrained] = None
    mu: nnx.Param = _made()
    mu_init: InitVar[Initial] = _initial(smu, "mu")
    mu_regularizer: InitVar[Penalised] = None
    mu_constraint: InitVar[Constrained] = None
