"""Layers of ``flax.linen`` that learn an activation of the literature, one class for each."""

from __future__ import annotations

import jax

from advact_jax import _positive
from advact_jax._docstrings import documented
from advact_jax._modules import Constrained, Initial, Penalised
from advact_jax._modules import initial as _initial
from advact_jax.functions.gates import acon_c
from advact_jax.functions.gaussian import smu
from advact_jax.functions.integrals import xielu
from advact_jax.functions.parametric import pelu
from advact_jax.functions.piecewise import srelu, tlu
from advact_jax.functions.powers import star_relu
from advact_jax.linen.learned import _Learned

_NORMAL = jax.nn.initializers.normal(1.0)


@documented
class TLU(_Learned, kw_only=True):
    r"""Thresholded linear unit whose threshold is learned.

    <definition>

    The parameter is ``tau``, by default one per channel. The paper puts it behind filter response
    normalization, with one threshold per channel.

    Args:
      <tau: threshold>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.TLU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["tau"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(tlu)
    tau_init: Initial = _initial(tlu, "tau")
    tau_regularizer: Penalised = None
    tau_constraint: Constrained = None


@documented
class SReLU(_Learned, kw_only=True):
    r"""Line with a learned bend on either side.

    <definition>

    The parameters are ``t_left``, ``a_left``, ``t_right`` and ``a_right``, by default one of each
    per channel. It starts as a leaky rectifier, as in the paper.

    Args:
      <t_left: lower bend>
      <a_left: slope below it>
      <t_right: upper bend>
      <a_right: slope above it>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.SReLU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["t_left"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(srelu)
    t_left_init: Initial = _initial(srelu, "t_left")
    t_left_regularizer: Penalised = None
    t_left_constraint: Constrained = None
    a_left_init: Initial = _initial(srelu, "a_left")
    a_left_regularizer: Penalised = None
    a_left_constraint: Constrained = None
    t_right_init: Initial = _initial(srelu, "t_right")
    t_right_regularizer: Penalised = None
    t_right_constraint: Constrained = None
    a_right_init: Initial = _initial(srelu, "a_right")
    a_right_regularizer: Penalised = None
    a_right_constraint: Constrained = None


@documented
class StarReLU(_Learned, kw_only=True):
    r"""Squared rectifier with a learned scale and bias.

    <definition>

    The parameters are ``scale`` and ``bias``, by default one of each per channel. The paper learns
    one of each per layer: ``axis=None``. They start at 1 and 0, as in the authors' code.

    Args:
      <scale: scale>
      <bias: bias>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.StarReLU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["scale"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(star_relu)
    scale_init: Initial = _initial(star_relu, "scale")
    scale_regularizer: Penalised = None
    scale_constraint: Constrained = None
    bias_init: Initial = _initial(star_relu, "bias")
    bias_regularizer: Penalised = None
    bias_constraint: Constrained = None


@documented
class PELU(_Learned, kw_only=True):
    r"""Exponential linear unit whose scale and width are learned.

    <definition>

    The parameters are ``alpha`` and ``beta``, by default one of each per channel. Both are
    positive; the paper keeps them above 0.1: ``alpha_constraint=Interval(0.1, None)``.

    Args:
      <alpha: scale>
      <beta: width>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.PELU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["alpha"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(pelu)
    alpha_init: Initial = _initial(pelu, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    beta_init: Initial = _initial(pelu, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None


@documented
class XIELU(_positive.XIELU, _Learned, kw_only=True):
    r"""Square on the right, bend on the left, both learned.

    <definition>

    What is learned are the inverse softplus of ``alpha_p`` and of ``alpha_n - beta``, as in the
    paper, so that both coefficients keep their sign. Their initial values are given as
    coefficients.

    Args:
      <alpha_p: coefficient on the right>
      <alpha_n: coefficient on the left>
      beta: slope at 0, which is not learned.
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.XIELU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["alpha_p"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(xielu)
    alpha_p_init: Initial = _initial(xielu, "alpha_p")
    alpha_p_regularizer: Penalised = None
    alpha_p_constraint: Constrained = None
    alpha_n_init: Initial = _initial(xielu, "alpha_n")
    alpha_n_regularizer: Penalised = None
    alpha_n_constraint: Constrained = None
    beta: float = 0.5


@documented
class ACON(_Learned, kw_only=True):
    r"""Smooth maximum of two lines, whose slopes and sharpness are learned.

    <definition>

    The parameters are ``p1``, ``p2`` and ``beta``, by default one of each per channel. As in the
    authors' code p1 and p2 start as normal numbers, which takes a key, and beta at 1. With
    ``p1_init=1.0, p2_init=0.0`` it starts as SiLU. In `MetaACON` a small network chooses beta.

    Args:
      <p1: slope of the upper line>
      <p2: slope of the other line>
      <beta: sharpness of the bend>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.ACON()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["p1"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(acon_c)
    p1_init: Initial = _NORMAL
    p1_regularizer: Penalised = None
    p1_constraint: Constrained = None
    p2_init: Initial = _NORMAL
    p2_regularizer: Penalised = None
    p2_constraint: Constrained = None
    beta_init: Initial = _initial(acon_c, "beta")
    beta_regularizer: Penalised = None
    beta_constraint: Constrained = None


@documented
class SMU(_Learned, kw_only=True):
    r"""Smooth maximum of two lines, with a learned slope and sharpness.

    <definition>

    The parameters are ``alpha`` and ``mu``, by default one of each per channel. Sources conflict on
    their initial values, see `advact_jax.smu`.

    Args:
      <alpha: slope on the left>
      <mu: sharpness of the bend>
      <axes>
      <others>

    Raises:
      <raises>

    Example:
      >>> from advact_jax import linen
      >>> layer = linen.SMU()
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
      >>> variables["params"]["alpha"].shape
      (4,)

    References:
      <source>.
    """

    _function = staticmethod(smu)
    alpha_init: Initial = _initial(smu, "alpha")
    alpha_regularizer: Penalised = None
    alpha_constraint: Constrained = None
    mu_init: Initial = _initial(smu, "mu")
    mu_regularizer: Penalised = None
    mu_constraint: Constrained = None
