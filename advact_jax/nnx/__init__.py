r"""Layers of ``flax.nnx``: activations that learn their parameters, and Keras's core layers.

`Dense`, `MaxoutDense`, `GatedDense`, `Dropout`, `AlphaDropout`, `ActivityRegularization` and
`MaskedRNN` take ``(x, mask)``, as `advact_jax.layers.Masking` returns them, and hand the mask on.

A layer that learns an activation keeps an `flax.nnx.Param` for each of its parameters, under the
name that the parameter has in the function: `PReLU` keeps ``alpha``. `advact_jax.linen` has the
same layers, with the same values and gradients.

These take the same arguments. As nnx makes its parameters before it sees an input, the first one
tells their sizes:

* ``features``: the number of channels; with several axes, their sizes in that order; with
  ``shared_axes``, the shape of the input without the batch; with ``axis=None``, nothing.
* ``<parameter>_init``: the initial value: a number, an array, an initializer, Keras's name of one
  ("zeros"), or the name of a framework, whose initial value it then is ("keras", "torch", "flax").
* ``<parameter>_regularizer``: a penalty on the parameter, a sum over its entries. A call puts it in
  a `RegularizationLoss`; `regularization_loss` sums those of a model.
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
* ``rngs``: needed only where an initializer is random.

The parameters act in their own type: a float32 slope is not rounded for a bfloat16 input.
"""

from advact_jax.nnx.adaptive import Derf as Derf
from advact_jax.nnx.adaptive import DyT as DyT
from advact_jax.nnx.adaptive import ModReLU as ModReLU
from advact_jax.nnx.adaptive import PolyNorm as PolyNorm
from advact_jax.nnx.adaptive import RReLU as RReLU
from advact_jax.nnx.conditioned import DynamicReLU as DynamicReLU
from advact_jax.nnx.conditioned import FReLU as FReLU
from advact_jax.nnx.conditioned import MetaACON as MetaACON
from advact_jax.nnx.configs import deserialize as deserialize
from advact_jax.nnx.configs import serialize as serialize
from advact_jax.nnx.core import ActivityRegularization as ActivityRegularization
from advact_jax.nnx.core import AlphaDropout as AlphaDropout
from advact_jax.nnx.core import Dense as Dense
from advact_jax.nnx.core import Dropout as Dropout
from advact_jax.nnx.core import MaskedRNN as MaskedRNN
from advact_jax.nnx.core import MaxoutDense as MaxoutDense
from advact_jax.nnx.gated import GatedDense as GatedDense
from advact_jax.nnx.learned import Learnable as Learnable
from advact_jax.nnx.learned import ParametricSoftplus as ParametricSoftplus
from advact_jax.nnx.learned import PReLU as PReLU
from advact_jax.nnx.learned import Swish as Swish
from advact_jax.nnx.losses import RegularizationLoss as RegularizationLoss
from advact_jax.nnx.losses import regularization_loss as regularization_loss
from advact_jax.nnx.parametric import ACON as ACON
from advact_jax.nnx.parametric import PELU as PELU
from advact_jax.nnx.parametric import SMU as SMU
from advact_jax.nnx.parametric import TLU as TLU
from advact_jax.nnx.parametric import XIELU as XIELU
from advact_jax.nnx.parametric import SReLU as SReLU
from advact_jax.nnx.parametric import StarReLU as StarReLU
from advact_jax.nnx.periodic import SinLU as SinLU
from advact_jax.nnx.periodic import Snake as Snake
from advact_jax.nnx.periodic import SnakeBeta as SnakeBeta
from advact_jax.nnx.tables import APL as APL
from advact_jax.nnx.tables import PWLU as PWLU
from advact_jax.nnx.tables import BSpline as BSpline
from advact_jax.nnx.tables import PolyReLU as PolyReLU
from advact_jax.nnx.tables import Rational as Rational
from advact_jax.nnx.trees import activation_mask as activation_mask
from advact_jax.nnx.trees import constraints as constraints
