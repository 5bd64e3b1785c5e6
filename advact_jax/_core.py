"""What the core layers of `linen` and `nnx` share, free of either framework."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from advact_jax import (
    _checks,
    _gates,
    _modules,
    constraints,
    gating,
    initializers,
    registry,
    regularizers,
)
from advact_jax._rule import compute_dtype
from advact_jax.constraints import Constraint
from advact_jax.functions.exponentials import _SELU_ALPHA, _SELU_SCALE
from advact_jax.functions.linear import identity


class Layer:
    """What others ask every layer about its parameters."""

    activation_parameters: tuple[str, ...] = ()

    def parameter_constraints(self) -> dict[str, Constraint]:
        """Return the constraint of each parameter that has one."""
        return {}


# -- arguments ----------------------------------------------------------------------------------


def positive(label: str, **sizes: Any) -> None:
    """Raise TypeError or ValueError unless these are positive ints."""
    for key, value in sizes.items():
        if _checks.integer(label, key, value) < 1:
            raise ValueError(f"{label}: expected {key} to be 1 or more, got {value!r}.")


def floating(label: str, x: Any) -> Array:
    """Return ``x`` as an array, or raise TypeError unless its dtype is a floating-point one."""
    x = _checks.real(label, "x", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{label}: expected an x of floating-point dtype, got {_checks.describe(x)}."
        )
    return x


def activation(label: str, given: Any, module: type) -> Any:
    """Return a function for a name, a config or a function; None and modules stay as they are."""
    if given is None or isinstance(given, module):
        return given
    return _modules.named(registry.get, label, "activation", given)


def settled(
    label: str, *, rule: Callable[..., Any] | None, use_bias: bool, **given: Any
) -> dict[str, Any]:
    """Return the arguments of an affine layer with functions in place of names.

    Args:
      label: the layer's name, for messages.
      rule: the activation that ``kernel_init="auto"`` goes by.
      use_bias: whether there is a bias; without one it can have no regularizer and no constraint.
      **given: those of `ARGUMENTS`.
    """
    found = {}
    for key, value in given.items():
        if key in ("bias_regularizer", "bias_constraint") and value is not None and not use_bias:
            raise ValueError(
                f"{label}: expected no {key} for a layer with use_bias=False, got {value!r}."
            )
        if key == "kernel_init" and isinstance(value, str) and value == "auto":
            found[key] = _modules.named(_initializer_rule, label, key, rule)
        else:
            found[key] = _modules.named(_GET[key.rsplit("_")[-1]], label, key, value)
    return found


def _initializer(given: Any) -> Any:
    return _initializer_by_name(given) if isinstance(given, str) else initializers.get(given)


@functools.lru_cache(maxsize=64)
def _initializer_by_name(name: str) -> Any:
    # One function for each name, so that layers with equal arguments are equal.
    return initializers.get(name)


def _initializer_rule(rule: Callable[..., Any] | None) -> Any:
    """Return the textbook rule for an activation; LeCun's without one, Glorot's for any module."""
    if rule is None:
        return _initializer_by_name("lecun_normal")
    function, fixed = registry.resolve("kernel_init", rule)
    if not hasattr(function, "spec"):
        return _initializer_by_name("glorot_uniform")
    return _initializer_for(function, tuple(sorted(fixed.items())))


@functools.lru_cache(maxsize=64)
def _initializer_for(function: Callable[..., Any], fixed: tuple[tuple[str, Any], ...]) -> Any:
    return initializers.initializer_for(function, **dict(fixed))


def finite(label: str, key: str, value: Any) -> None:
    """Raise TypeError or ValueError unless this is a finite Python number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{label}: expected {key} to be a number, got {_checks.describe(value)}.")
    if not np.isfinite(value):
        raise ValueError(f"{label}: expected {key} to be finite, got {value!r}.")


def joined(make: Callable[..., Any], interleaved: bool) -> Callable[..., Any]:
    """Return an initializer for two maps in one array, each drawn as if it were by itself."""

    def join(a: Array, b: Array) -> Array:
        if interleaved:
            return jnp.stack([a, b], -1).reshape(*a.shape[:-1], -1)
        return jnp.concatenate([a, b], -1)

    def init(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        half = (*shape[:-1], shape[-1] // 2)
        halves = [make(part, half, dtype) for part in jax.random.split(key)]
        return jax.tree.map(join, *halves)

    return init


class Gated(NamedTuple):
    """What a gated layer computes: its unit, and where the gate is in its projection."""

    activation: Any
    gate: str
    interleaved: bool

    @classmethod
    def of(cls, label: str, given: Any, gate: Any, interleaved: Any, module: type) -> Gated:
        """Read the arguments, None being the layout that the unit has by itself."""
        found = activation(label, given, module)
        if found is None:
            found = identity
        layout = ("first", False) if isinstance(found, module) else gating.layout_of(found)
        first, mixed = layout
        gate = first if gate is None else gate
        interleaved = mixed if interleaved is None else interleaved
        _gates.check_layout(label, gate, interleaved)
        return cls(found, gate, bool(interleaved))

    def of_projections(self, first: Array, second: Array | None, is_module: bool) -> Array:
        """Apply the unit to one projection that holds both, or to the gate and the other."""
        gate, interleaved = self.gate, self.interleaved
        if not is_module:
            return gating.gated_unit(
                first, second, activation=self.activation, gate=gate, interleaved=interleaved
            )
        if second is None:
            axis = first.ndim - 1
            first, second = _gates.halves("GatedDense", first, axis, gate, interleaved)
        return _gates.times(self.activation(first), second)

    def fused(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return an initializer for the projection that holds both."""
        return joined(make, self.interleaved)


ARGUMENTS = (
    "kernel_init",
    "bias_init",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
)
GATED_ARGUMENTS = tuple(key for key in ARGUMENTS if key != "activity_regularizer")
_GET: dict[str, Callable[[Any], Any]] = {
    "init": _initializer,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}


def check_gated(label: str, layer: Any) -> None:
    """Raise TypeError or ValueError unless a gated layer's flags and shardings are right."""
    for key in ("fused", "use_bias"):
        _checks.boolean(label, key, getattr(layer, key))
    for key, axes in {"kernel": 2, "bias": 1}.items():
        given = getattr(layer, f"{key}_sharding")
        if given is not None and (not isinstance(given, tuple) or len(given) != axes):
            raise ValueError(
                f"{label}: expected {key}_sharding to be a tuple with the name of a mesh axis, or "
                f"None, for each of {axes} axes, got {given!r}."
            )


def projection_initializers(
    layer: Any, found: Mapping[str, Any], unit: Gated, partitioned: Callable[..., Any]
) -> dict[str, Any]:
    """Return the settled arguments of a gated layer as those of its projections."""
    made = dict(found)
    for key in ("kernel", "bias"):
        make = made[f"{key}_init"]
        make = unit.fused(make) if layer.fused else make
        sharding = getattr(layer, f"{key}_sharding")
        made[f"{key}_init"] = make if sharding is None else partitioned(make, sharding)
    return made


def constrained(kernel: Constraint | None, bias: Constraint | None) -> dict[str, Constraint]:
    """Return the constraints by parameter, of those that have one."""
    given = {"kernel": kernel, "bias": bias}
    return {key: constraint for key, constraint in given.items() if constraint is not None}


def dtype_of(x: Array, dtype: Any) -> Any:
    """Return the type of computation; None, for Flax's own choice, if ``x`` is of integers."""
    if dtype is not None:
        return dtype
    return x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else None


def vector(label: str, x: Any, dtype: Any, features: int | None = None) -> Array:
    """Return an input whose last axis has features, that many if their number is known."""
    x = _modules.as_input(label, x, dtype)
    if x.ndim == 0 or (features is not None and x.shape[-1] != features):
        expected = "features" if features is None else f"{features} features"
        raise ValueError(
            f"{label}: expected {expected} along the last axis of x, got one of shape {x.shape}."
        )
    return x


# -- noise --------------------------------------------------------------------------------------


def check_rate(label: str, rate: Any) -> None:
    """Raise TypeError or ValueError unless the rate is a number in [0, 1]."""
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number):
        raise TypeError(f"{label}: expected rate to be a number, got {_checks.describe(rate)}.")
    if not 0 <= rate <= 1:
        raise ValueError(f"{label}: expected rate in [0, 1], got {rate!r}.")


def noise_shape(label: str, given: Any) -> tuple[int | None, ...] | None:
    """Return the shape as a tuple of positive ints and None, or raise."""
    if given is None:
        return None
    if not isinstance(given, list | tuple):
        raise TypeError(
            f"{label}: expected noise_shape to be a sequence or None, "
            f"got {_checks.describe(given)}."
        )
    for size in given:
        if size is not None:
            positive(label, **{"each entry of noise_shape": size})
    return tuple(given)


def shape_of_noise(
    label: str, noise: Sequence[int | None] | None, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape in which to draw for an input of a shape, or raise ValueError."""
    if noise is None:
        return shape
    fits = len(noise) == len(shape) and all(
        n in (None, 1, size) for n, size in zip(noise, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{label}: expected noise_shape to have None, 1 or the size of x for each axis, got "
            f"noise_shape={tuple(noise)} for an x of shape {shape}."
        )
    return tuple(1 if n == 1 else size for n, size in zip(noise, shape, strict=True))


def shared_axes(noise: Sequence[int | None] | None) -> tuple[int, ...]:
    """Return the axes along which noise is shared."""
    return tuple(i for i, n in enumerate(noise or ()) if n == 1)


def kept(key: Array, rate: float, shape: tuple[int, ...], noise: tuple[int, ...]) -> Array:
    """Draw which entries are kept."""
    return jnp.broadcast_to(jax.random.bernoulli(key, 1.0 - rate, noise), shape)


def drop(x: Array, keep: Array, rate: float) -> Array:
    """Return what is kept, scaled so that the mean stays, and zeros."""
    return lax.select(keep, x / (1.0 - rate), jnp.zeros_like(x))


def alpha_drop(x: Array, keep: Array, rate: float) -> Array:
    """Return x with SELU's lower limit where dropped, then mean and variance restored."""
    low = -_SELU_ALPHA * _SELU_SCALE
    scale = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    wide = x.astype(compute_dtype(x.dtype))
    return (scale * jnp.where(keep, wide, low) - scale * low * rate).astype(x.dtype)


# -- sequences ----------------------------------------------------------------------------------


def mask_of_lengths(
    label: str, mask: Any, seq_lengths: Any, shape: tuple[int, ...]
) -> Array | None:
    """Return the mask of steps, of shape (*batch, time), from the one of two that is given."""
    if shape[-1] == 0:
        raise ValueError(f"{label}: expected at least one step, got none.")
    if seq_lengths is None:
        if mask is None:
            return None
        mask = _checks.mask(label, "mask", mask)
        if mask.shape != shape:
            raise ValueError(
                f"{label}: expected a mask of shape {shape}, for each step, got {mask.shape}."
            )
        return mask
    if mask is not None:
        raise ValueError(f"{label}: expected either mask or seq_lengths, got both.")
    lengths = _checks.real(label, "seq_lengths", seq_lengths)
    if lengths.shape != shape[:-1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"{label}: expected seq_lengths to be integers of shape {shape[:-1]}, "
            f"got {_checks.describe(lengths)}."
        )
    return jnp.arange(shape[-1], dtype="int32") < lengths[..., None].astype("int32")


def _beside(mask: Array, x: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def without_skipped(x: Array, mask: Array | None) -> Array:
    """Put zeros into skipped steps: a NaN there would reach the gradients of the parameters."""
    return x if mask is None else jnp.where(_beside(mask, x), x, jnp.zeros_like(x))


def next_carry(keep: Array | None, new: Any, old: Any) -> Any:
    """Return the new carry where a step is kept, the old one elsewhere; in the type of the old."""

    def choose(new: Array, old: Array) -> Array:
        new = new.astype(old.dtype)
        return new if keep is None else jnp.where(_beside(keep, new), new, old)

    return jax.tree.map(choose, new, old)


def sequence(
    label: str, x: Any, mask: Any, seq_lengths: Any, feature_axes: int, reverse: bool
) -> tuple[Array, Array | None, int]:
    """Return the steps in the order in which to take them, their mask, and the axis of time."""
    x = _modules.as_input(label, x, None)
    time = x.ndim - feature_axes - 1
    if time < 0:
        raise ValueError(
            f"{label}: expected an x of shape (*batch, time, *features) with {feature_axes} axes "
            f"of features, got {x.shape}."
        )
    keep = mask_of_lengths(label, mask, seq_lengths, x.shape[: time + 1])
    if reverse:
        x, keep = jnp.flip(x, time), None if keep is None else jnp.flip(keep, time)
    return without_skipped(x, keep), keep, time


def zeros(cell: Callable[..., Any], x: Array, time: int, carry: Any) -> Array:
    """Return the output before the first step that counts, in the shape that the cell gives it."""
    step = jax.ShapeDtypeStruct(x.shape[:time] + x.shape[time + 1 :], x.dtype)
    _, y = jax.eval_shape(cell, carry, step)
    return jnp.zeros(y.shape, y.dtype)


def returned(
    layer: Any, x: Array, last: tuple[Any, Array], y: Array | None, keep: Array | None, time: int
) -> Any:
    """Return what a recurrent layer returns.

    Args:
      layer: the layer, for what it is to return.
      x: its input.
      last: the carry and the output after the last step.
      y: the outputs of all steps; None if only the last is to be returned.
      keep: the mask to return beside them, if one was given.
      time: the axis of time.
    """
    carry, final = last
    found = final if y is None else y
    found = found.astype(dtype_of(x, None) or found.dtype)
    if y is not None and layer.reverse and layer.keep_order:
        found, keep = jnp.flip(found, time), None if keep is None else jnp.flip(keep, time)
    result = found if y is None or keep is None else (found, keep)
    return (carry, result) if layer.return_carry else result


def check_cell(label: str, cell: Any, kind: type) -> None:
    """Raise TypeError unless the cell is one of the framework."""
    if not isinstance(cell, kind):
        raise TypeError(
            f"{label}: expected a recurrent cell ({kind.__module__.split('.')[1]}.RNNCellBase), "
            f"got {_checks.describe(cell)}."
        )
