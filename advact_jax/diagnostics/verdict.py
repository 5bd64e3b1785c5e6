"""What the numbers mean: thresholds, each with its source, and advice in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from advact_jax import catalog

NOTHING = "No threshold is passed."

# A source that only names the problem leaves the number to us; the text then says "our threshold".
DEAD_SHARE = 0.1
SATURATED_SHARE = 0.5
GRADIENT_RATIO = 1e3
COSINE = 0.99
# Pascanu et al.: a clipping threshold of up to ten times the average norm still converges.
SPIKE = 10.0
# Klambauer et al., theorem 1: the domain that self-normalization maps into itself.
SELU_MEAN, SELU_VARIANCE = (-0.1, 0.1), (0.8, 1.5)

LU = "Lu, Shin, Su & Karniadakis 2019, Dying ReLU and initialization, arXiv:1903.06733"
GLOROT = (
    "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural "
    "networks, AISTATS"
)
HE = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, arXiv:1502.01852"
SCHOENHOLZ = (
    "Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation, "
    "arXiv:1611.01232"
)
DONG = "Dong, Cordonnier & Loukas 2021, Attention is not all you need, arXiv:2103.03404"
PASCANU = (
    "Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks, "
    "arXiv:1211.5063"
)
KLAMBAUER = (
    "Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks, "
    "arXiv:1706.02515"
)
HAYOU = (
    "Hayou, Doucet & Rousseau 2019, On the impact of the activation function on deep neural "
    "networks training, arXiv:1902.06853"
)


class Finding(NamedTuple):
    """A threshold that is passed.

    Attributes:
      problem: "dead layer", "dead units", "saturation", "vanishing gradient",
        "exploding gradient", "gradient spike", "rank collapse", "self-normalization" or
        "not finite".
      layers: the layers it is about, as in the table.
      text: what was measured, and the threshold.
      advice: what to try.
      source: where the problem, or the threshold itself, is described.

    Example:
      >>> from advact_jax import diagnostics
      >>> watched = diagnostics.observe(advact_jax.relu, most=0)
      >>> y, seen = watched(jnp.array([[-1.0, 2.0], [-3.0, 4.0]]))
      >>> history = diagnostics.History()
      >>> history.add(0, seen)
      >>> finding = history.findings()[0]
      >>> finding.problem, finding.layers
      ('dead units', ('relu',))
      >>> print(finding.text)
      units never active in what was seen: relu (50%); our threshold is 10%, ...
    """

    problem: str
    layers: tuple[str, ...]
    text: str
    advice: str
    source: str

    def __str__(self) -> str:
        return f"{self.problem.upper()}: {self.text} {self.advice} [{self.source}]"


def judge(
    rows: Mapping[str, Mapping[str, float]],
    gradients: Mapping[str, float] | None = None,
    earlier: Sequence[float] = (),
) -> list[Finding]:
    """Return the thresholds that are passed.

    Args:
      rows: what was measured, by layer in the order of the forward pass, and by quantity.
      gradients: the norm of the gradient of the parameters by layer.
      earlier: the norm of the gradient of all parameters at earlier steps.

    Returns:
      The findings, the gravest first; none if all is well as far as this can tell.

    Example:
      >>> from advact_jax import diagnostics
      >>> watched = diagnostics.observe(advact_jax.sigmoid, most=0)
      >>> y, seen = watched(jnp.array([[-9.0, 2.0], [0.0, 8.0]]))
      >>> rows = {layer: diagnostics.values(measures) for layer, measures in seen.layers.items()}
      >>> diagnostics.judge(rows, {"dense": 2.0})
      []
      >>> for finding in diagnostics.judge(rows, {"dense": 2.0}, earlier=[0.1, 0.1, 0.1]):
      ...     print(finding)
      GRADIENT SPIKE: the gradient is 20.0 times its average so far; the threshold is 10, ...
    """
    norms = gradients or {}
    found = [
        _not_finite(rows, norms),
        _dead(rows),
        _saturated(rows),
        _through_depth(rows),
        _spike(norms, earlier),
        _collapsed(rows),
        _self_normalizing(rows),
    ]
    return [finding for finding in found if finding is not None]


def _listed(rows: Mapping[str, float], written: str = "{:.0%}") -> str:
    parts = [f"{layer} ({written.format(value)})" for layer, value in rows.items()]
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


def _column(rows: Mapping[str, Mapping[str, float]], quantity: str) -> dict[str, float]:
    return {layer: row[quantity] for layer, row in rows.items()}


def _function(layer: str) -> str:
    """Return the name of the activation at the end of a path."""
    return re.sub(r"(_\d+)?(\[\d+\])*$", "", layer.rpartition("/")[2])


def _not_finite(
    rows: Mapping[str, Mapping[str, float]], norms: Mapping[str, float]
) -> Finding | None:
    # A gradient that was not taken is NaN; an output is always there.
    wrong = [layer for layer, row in rows.items() if not math.isfinite(row["std"])]
    wrong += [layer for layer, norm in norms.items() if not math.isfinite(norm)]
    if not wrong:
        return None
    return Finding(
        "not finite",
        tuple(wrong),
        f"infinite or NaN output or gradient, first in {wrong[0]}.",
        "The first such layer is where the numbers grew too large: lower the learning rate, choose "
        "initial weights that keep the variance (advact_jax.initializers.variance_preserving), or "
        "clip gradients (optax.clip_by_global_norm).",
        HE,
    )


def _dead(rows: Mapping[str, Mapping[str, float]]) -> Finding | None:
    dead = _column(rows, "dead")
    whole = {layer: value for layer, value in dead.items() if value == 1}
    if whole:
        return Finding(
            "dead layer",
            tuple(whole),
            f"no unit of {', '.join(whole)} was active: what lies before learns nothing more, and "
            "the net is a constant there.",
            "Make the net anew: initial weights for this activation (kernel_init='auto'), a "
            "smaller learning rate, a net less deep or wider, or an activation with a slope on "
            "both sides (leaky_relu, elu, gelu).",
            LU,
        )
    some = {layer: value for layer, value in dead.items() if value > DEAD_SHARE}
    if not some:
        return None
    return Finding(
        "dead units",
        tuple(some),
        f"units never active in what was seen: {_listed(some)}; our threshold is "
        f"{DEAD_SHARE:.0%}, over one batch or those merged.",
        "Look at more data first (merge). If they stay dead: lower the learning rate, check the "
        "initial weights and biases, or take leaky_relu, PReLU or elu.",
        LU,
    )


def _is_bounded(layer: str) -> bool:
    known = catalog.elementwise().get(_function(layer))
    if known is None:
        return False
    spec = known.spec  # type: ignore[attr-defined]
    missing = set(spec.parameters) - set(spec.defaults)
    limits = None if missing and callable(spec.limits) else spec.at("limits")
    return limits is not None and all(math.isfinite(v) for v in limits)


def _saturated(rows: Mapping[str, Mapping[str, float]]) -> Finding | None:
    # A rectifier is flat on half of its input by design: its dead units count, not its flat part.
    flat = {
        layer: value
        for layer, value in _column(rows, "saturation").items()
        if value > SATURATED_SHARE and _is_bounded(layer)
    }
    if not flat:
        return None
    return Finding(
        "saturation",
        tuple(flat),
        f"nearly flat at most of their input: {_listed(flat)}; our threshold is "
        f"{SATURATED_SHARE:.0%} of the entries.",
        "Take smaller initial weights (glorot_uniform) or normalise the input of the layer, and "
        "tanh or soft_sign in place of sigmoid between layers.",
        GLOROT,
    )


def _through_depth(rows: Mapping[str, Mapping[str, float]]) -> Finding | None:
    norms = {k: v for k, v in _column(rows, "gradient_norm").items() if math.isfinite(v)}
    if len(norms) < 2:
        return None
    (first, before), (last, after) = [*norms.items()][0], [*norms.items()][-1]
    ratio = before / after if after else (math.inf if before else 1.0)
    each = ratio ** (1 / (len(norms) - 1)) if 0 < ratio < math.inf else ratio
    told = f"the gradient at {first} is {ratio:.1e} of that at {last}, a factor of {each:.2f} for "
    told += f"each layer; our threshold is {GRADIENT_RATIO:.0e} either way."
    if ratio < 1 / GRADIENT_RATIO:
        return Finding(
            "vanishing gradient",
            (first,),
            told,
            "Take initial weights that go with the activation (kernel_init='auto'), an activation "
            "with a slope near 1 (relu, elu, gelu) in place of a saturating one, residual "
            "connections or normalisation; depth_report shows which choice keeps the gradient.",
            f"{GLOROT}; {SCHOENHOLZ}",
        )
    if ratio > GRADIENT_RATIO:
        return Finding(
            "exploding gradient",
            (first,),
            told,
            "Take smaller initial weights (depth_report shows the gain at the edge of chaos), "
            "normalise, or clip gradients (optax.clip_by_global_norm).",
            f"{SCHOENHOLZ}; {HE}",
        )
    return None


def _spike(norms: Mapping[str, float], earlier: Sequence[float]) -> Finding | None:
    before = [value for value in earlier if math.isfinite(value)]
    if len(before) < 3 or not norms:
        return None
    total, average = math.hypot(*norms.values()), sum(before) / len(before)
    if not total > SPIKE * average > 0:
        return None
    return Finding(
        "gradient spike",
        (max(norms, key=lambda layer: norms[layer]),),
        f"the gradient is {total / average:.1f} times its average so far; the threshold is "
        f"{SPIKE:.0f}, the largest factor of the average at which the source clips.",
        "Clip gradients (optax.clip_by_global_norm), or lower the learning rate.",
        PASCANU,
    )


def _collapsed(rows: Mapping[str, Mapping[str, float]]) -> Finding | None:
    alike = {layer: v for layer, v in _column(rows, "cosine").items() if v > COSINE}
    if not alike:
        return None
    return Finding(
        "rank collapse",
        tuple(alike),
        f"different inputs look the same, by their mean cosine: {_listed(alike, '{:.3f}')}; our "
        f"threshold is {COSINE}.",
        "Initial weights nearer to the edge of chaos (depth_report), residual connections, "
        "normalisation, or a net less deep. A large common offset alone does this too: centre the "
        "input.",
        f"{DONG}; {HAYOU}",
    )


def _self_normalizing(rows: Mapping[str, Mapping[str, float]]) -> Finding | None:
    left = {
        layer: row
        for layer, row in rows.items()
        if _function(layer) == "selu"
        and math.isfinite(row["std"])
        and not (
            SELU_MEAN[0] <= row["mean"] <= SELU_MEAN[1]
            and SELU_VARIANCE[0] <= row["std"] ** 2 <= SELU_VARIANCE[1]
        )
    }
    if not left:
        return None
    layer, row = next(iter(left.items()))
    return Finding(
        "self-normalization",
        tuple(left),
        f"{len(left)} of the selu layers left the domain of theorem 1 of the source, means in "
        f"{list(SELU_MEAN)} and variances in {list(SELU_VARIANCE)}: {layer} has mean "
        f"{row['mean']:.2g} and variance {row['std'] ** 2:.2g}.",
        "Initial weights of lecun_normal, inputs of mean 0 and variance 1, and AlphaDropout in "
        "place of dropout. The theorem is about weights as they start; after training it is no "
        "defect in itself.",
        KLAMBAUER,
    )
