r"""Layers of ``flax.linen``: activations that learn their parameters, and Keras's core layers.

`Dense`, `MaxoutDense`, `GatedDense`, `Dropout`, `AlphaDropout`, `ActivityRegularization` and
`MaskedRNN` take ``(x, mask)``, as `advact_jax.layers.Masking` returns them, and hand the mask on.

A layer that learns an activation keeps an array for each of its parameters, under the name that the
parameter has in the function: `PReLU` keeps ``alpha``. `advact_jax.nnx` has the same layers, with
the same values and gradients.

These take the same arguments:

* ``<parameter>_init``: the initial value: a number, an array, an initializer, Keras's name of one
  ("zeros"), or the name of a framework, whose initial value it then is ("keras", "torch", "flax").
* ``<parameter>_regularizer``: a penalty on the parameter, a sum over its entries. It goes to the
  collection "losses" of ``model.apply(..., mutable=["losses"])``, which `regularization_loss` sums.
* ``<parameter>_constraint``: what the parameter must fulfil, such as "non_neg".
  `advact_jax.optim.project` sees to it after each step.
* ``axis``: the axis or axes with a parameter for each entry. The default, the last axis, gives one
  parameter per channel, so the number of parameters does not depend on the spatial size.
  ``axis=None`` gives one for the whole layer.
* ``shared_axes``, in place of ``axis``, is Keras's argument: all axes but the batch have parameters
  of their own, except these. ``shared_axes=(1, 2)`` on (batch, height, width, channels) gives a
  parameter of shape (1, 1, channels), ``shared_axes=()`` one parameter per unit.
* ``dtype``: the type of computation and of the output; None is the input's.
* ``param_dtype``: the type of the parameters.
* ``sharding``: for each axis of a parameter the name of a mesh axis, or None.

The parameters act in their own type: a float32 slope is not rounded for a bfloat16 input.
"""

from advact_jax.linen.adaptive import Derf as Derf
from advact_jax.linen.adaptive import DyT as DyT
from advact_jax.linen.adaptive import ModReLU as ModReLU
from advact_jax.linen.adaptive import PolyNorm as PolyNorm
from advact_jax.linen.adaptive import RReLU as RReLU
from advact_jax.linen.conditioned import DynamicReLU as DynamicReLU
from advact_jax.linen.conditioned import FReLU as FReLU
from advact_jax.linen.conditioned import MetaACON as MetaACON
from advact_jax.linen.configs import deserialize as deserialize
from advact_jax.linen.configs import serialize as serialize
from advact_jax.linen.core import ActivityRegularization as ActivityRegularization
from advact_jax.linen.core import AlphaDropout as AlphaDropout
from advact_jax.linen.core import Dense as Dense
from advact_jax.linen.core import Dropout as Dropout
from advact_jax.linen.core import MaskedRNN as MaskedRNN
from advact_jax.linen.core import MaxoutDense as MaxoutDense
from advact_jax.linen.gated import GatedDense as GatedDense
from advact_jax.linen.learned import Learnable as Learnable
from advact_jax.linen.learned import ParametricSoftplus as ParametricSoftplus
from advact_jax.linen.learned import PReLU as PReLU
from advact_jax.linen.learned import Swish as Swish
from advact_jax.linen.losses import regularization_loss as regularization_loss
from advact_jax.linen.parametric import ACON as ACON
from advact_jax.linen.parametric import PELU as PELU
from advact_jax.linen.parametric import SMU as SMU
from advact_jax.linen.parametric import TLU as TLU
from advact_jax.linen.parametric import XIELU as XIELU
from advact_jax.linen.parametric import SReLU as SReLU
from advact_jax.linen.parametric import StarReLU as StarReLU
from advact_jax.linen.periodic import SinLU as SinLU
from advact_jax.linen.periodic import Snake as Snake
from advact_jax.linen.periodic import SnakeBeta as SnakeBeta
from advact_jax.linen.tables import APL as APL
from advact_jax.linen.tables import PWLU as PWLU
from advact_jax.linen.tables import BSpline as BSpline
from advact_jax.linen.tables import PolyReLU as PolyReLU
from advact_jax.linen.tables import Rational as Rational
from advact_jax.linen.trees import activation_mask as activation_mask
from advact_jax.linen.trees import constraints as constraints
