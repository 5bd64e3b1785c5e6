"""What happens to activations and gradients in a net: dead units, saturation, moments, rank.

Pure functions (`saturation`, `active_units`, `moments`, `gradient_norms`, `gradient_lost`,
`rank_collapse`) measure arrays. `observe` and `value_and_grad` find the activations of a model and
measure all of these on its way.
"""

from advact_jax.diagnostics.arrays import DEAD as DEAD
from advact_jax.diagnostics.arrays import SATURATED as SATURATED
from advact_jax.diagnostics.arrays import Moments as Moments
from advact_jax.diagnostics.arrays import Rank as Rank
from advact_jax.diagnostics.arrays import active_units as active_units
from advact_jax.diagnostics.arrays import gradient_lost as gradient_lost
from advact_jax.diagnostics.arrays import gradient_norms as gradient_norms
from advact_jax.diagnostics.arrays import merge_moments as merge_moments
from advact_jax.diagnostics.arrays import moments as moments
from advact_jax.diagnostics.arrays import rank_collapse as rank_collapse
from advact_jax.diagnostics.arrays import saturation as saturation
from advact_jax.diagnostics.arrays import slope as slope
from advact_jax.diagnostics.capture import Found as Found
from advact_jax.diagnostics.capture import Observation as Observation
from advact_jax.diagnostics.capture import found as found
from advact_jax.diagnostics.capture import observe as observe
from advact_jax.diagnostics.capture import value_and_grad as value_and_grad
from advact_jax.diagnostics.depth import DepthReport as DepthReport
from advact_jax.diagnostics.depth import depth_report as depth_report
from advact_jax.diagnostics.history import History as History
from advact_jax.diagnostics.history import learned as learned
from advact_jax.diagnostics.meanfield import FixedPoint as FixedPoint
from advact_jax.diagnostics.meanfield import edge_of_chaos as edge_of_chaos
from advact_jax.diagnostics.measures import QUANTITIES as QUANTITIES
from advact_jax.diagnostics.measures import Measures as Measures
from advact_jax.diagnostics.measures import measure as measure
from advact_jax.diagnostics.measures import merge as merge
from advact_jax.diagnostics.measures import values as values
from advact_jax.diagnostics.verdict import Finding as Finding
from advact_jax.diagnostics.verdict import judge as judge
