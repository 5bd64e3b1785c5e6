"""Layers that hold nothing to learn and need no framework, with Keras's names and arguments.

They are immutable, hashable and comparable, so that they go into ``flax.linen.Sequential``,
``flax.nnx.Sequential`` and the static arguments of ``jax.jit``. The layers that learn are in
`advact_jax.linen` and `advact_jax.nnx`.

Flax hands no masks from layer to layer. Here `Masking` returns ``(x, mask)``, and both of Flax's
``Sequential`` pass these two to the next layer. A layer that works step by step then returns
``(y, mask)``; one that cannot says so.
"""

from advact_jax.layers.activations import ELU as ELU
from advact_jax.layers.activations import Activation as Activation
from advact_jax.layers.activations import Antirectifier as Antirectifier
from advact_jax.layers.activations import GroupSort as GroupSort
from advact_jax.layers.activations import LeakyReLU as LeakyReLU
from advact_jax.layers.activations import Maxout as Maxout
from advact_jax.layers.activations import ReLU as ReLU
from advact_jax.layers.activations import Softmax as Softmax
from advact_jax.layers.activations import ThresholdedLinear as ThresholdedLinear
from advact_jax.layers.activations import ThresholdedReLU as ThresholdedReLU
from advact_jax.layers.shapes import Flatten as Flatten
from advact_jax.layers.shapes import Lambda as Lambda
from advact_jax.layers.shapes import Masking as Masking
from advact_jax.layers.shapes import Permute as Permute
from advact_jax.layers.shapes import RepeatVector as RepeatVector
from advact_jax.layers.shapes import Reshape as Reshape
