"""Pictures, drawn with matplotlib, which the extra ``plots`` installs.

Each function returns a `matplotlib.figure.Figure`, which a notebook shows and ``savefig`` writes.
Colours are those of Okabe and Ito, which colour-blind eyes tell apart, and each curve has a line
style of its own, for prints without colour.
"""

from advact_jax.plots.activations import compare as compare
from advact_jax.plots.activations import curves as curves
from advact_jax.plots.diagnostics import depth as depth
from advact_jax.plots.diagnostics import layers_by_steps as layers_by_steps
from advact_jax.plots.diagnostics import learned_parameters as learned_parameters
