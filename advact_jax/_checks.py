"""Argument checks. Every message names the function, what was expected and what came."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def describe(value: Any) -> str:
    """Return a short description of an argument for an error message."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{dtype}[{','.join(map(str, shape))}]"
    return f"{type(value).__name__} {value!r}" if len(repr(value)) < 60 else type(value).__name__


def known(given: Iterable[str], names: Sequence[str]) -> str:
    """Return, for a message, the names that may be meant by those that are unknown."""
    unknown = [key for key in given if key not in names]
    near = [n for key in unknown for n in difflib.get_close_matches(key, names, n=1)]
    if near:
        return f" Did you mean {' and '.join(near)}?"
    return f" Known: {', '.join(names)}." if unknown else ""


def is_array_like(value: Any) -> bool:
    """Tell whether JAX takes ``value`` as an array without a conversion by the user."""
    return isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def bind(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return the arguments by name, or raise TypeError with the signature."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}. Call it as {name}{_shown(signature)}.") from None


def _shown(signature: inspect.Signature) -> str:
    """Return a signature without its types, which hide the names."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def entry(
    name: str,
    signature: inspect.Signature,
    static: tuple[str, ...],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raise TypeError for what JAX takes neither as static, for want of a hash, nor as an array."""
    for key, value in bind(name, signature, args, kwargs).arguments.items():
        if key not in static and _is_text(value):
            raise TypeError(
                f"{name}: expected {key} to be an array or a number, got {describe(value)}."
            )
        try:
            hash(value if key in static else None)
        except TypeError:
            raise TypeError(
                f"{name}: expected {key} to be a plain Python value that is known before the "
                f"function is traced, such as an int or a tuple, got {describe(value)}."
            ) from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "OSU"
    )


def real(name: str, key: str, value: Any) -> jax.Array:
    """Return ``value`` as an array, or raise TypeError unless it is one with a real dtype."""
    if not is_array_like(value):
        raise TypeError(
            f"{name}: expected {key} to be an array or a number, got {describe(value)}. "
            "Convert it with jnp.asarray first."
        )
    dtype = jnp.result_type(value)
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
            or dtype == jnp.bool_):  # fmt: skip
        raise TypeError(
            f"{name}: expected {key} to be real (floating point, integer or bool), "
            f"got {describe(value)}."
        )
    return jnp.asarray(value)


def floating(name: str, key: str, value: Any) -> jax.Array:
    """Return ``value`` as a real array, integers promoted to floats as jnp does, or raise."""
    array = real(name, key, value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return array.astype(jax.eval_shape(jnp.exp, array).dtype)


def number(name: str, key: str, value: Any) -> jax.Array:
    """Return ``value`` as a real or complex array in a floating-point type, or raise TypeError."""
    if is_array_like(value) and jnp.issubdtype(jnp.result_type(value), jnp.complexfloating):
        return jnp.asarray(value)
    return floating(name, key, value)


def broadcast_shape(name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the common shape of the arguments, or raise ValueError with all of them."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise ValueError(
            f"{name}: expected shapes that broadcast together, got {listed}. Give a parameter "
            "the shape of the trailing axes of x, with 1 where it is shared."
        ) from None


def boolean(name: str, key: str, value: Any) -> bool:
    """Return ``value`` if it is a bool, else raise TypeError."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{name}: expected {key} to be True or False, got {describe(value)}.")


def integer(name: str, key: str, value: Any) -> int:
    """Return ``value`` if it is an int that is known before tracing, else raise TypeError."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"{name}: expected {key} to be an int, got {describe(value)}.")


def mask(name: str, key: str, value: Any) -> jax.Array:
    """Return ``value`` as an array, or raise TypeError unless it is one of bool."""
    if is_array_like(value) and jnp.result_type(value) == jnp.bool_:
        return jnp.asarray(value)
    raise TypeError(f"{name}: expected {key} to be an array of bool, got {describe(value)}.")


def random_key(name: str, key: Any) -> jax.Array:
    """Return ``key`` if it is one of `jax.random`, old or new, else raise TypeError."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if (typed and shape == ()) or (dtype == jnp.uint32 and shape == (2,)):
        return key
    raise TypeError(
        f"{name}: expected key to be one key of jax.random, got {describe(key)}."
        + (" Pass key=..., another one in each call: jax.random.split." if key is None else "")
    )


def axis_index(name: str, axis: Any, ndim: int) -> int:
    """Return ``axis`` counted from 0, or raise TypeError or ValueError."""
    try:
        index = axis.__index__()
    except AttributeError:
        raise TypeError(f"{name}: expected axis to be an int, got {describe(axis)}.") from None
    if isinstance(axis, bool) or not -ndim <= index < ndim:
        raise ValueError(
            f"{name}: expected axis in [{-ndim}, {ndim}) for an x with {ndim} axes, got {axis}."
        )
    return index % ndim


def axis_indices(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that ``axis`` (an int, a tuple of ints or None for all) stands for."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    found = tuple(axis_index(name, a, ndim) for a in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: expected axes that differ, got axis={axis!r}.")
    return found


def divisible(name: str, what: str, size: int, parts: int) -> None:
    """Raise ValueError unless ``size`` splits into ``parts`` equal parts."""
    if parts < 1 or size % parts:
        raise ValueError(
            f"{name}: expected {what} to split into {parts} equal parts, got size {size}."
        )


def callable_(name: str, key: str, value: Any) -> Callable[..., Any]:
    """Return ``value`` if it can be called, else raise TypeError."""
    if callable(value):
        return value
    raise TypeError(f"{name}: expected {key} to be a function, got {describe(value)}.")


def named(
    kind: str,
    identifier: Any,
    known: Mapping[str, Callable[..., Any]],
    arguments: Mapping[str, Any],
) -> Any:
    """Return what a name, a Keras config, a function or None stands for.

    Args:
      kind: what is meant, with its article, for messages: "a constraint".
      identifier: a snake_case name of ``known``, or the name of its class; a config
        ``{"class_name": ..., "config": {...}}``; a function, which is returned; or None.
      known: what makes each of them, from its arguments.
      arguments: arguments for it.
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        name = identifier.get("class_name")
        given = {k: v for k, v in (identifier.get("config") or {}).items() if k != "seed"}
        return named(kind, str(name), known, {**given, **arguments})
    if isinstance(identifier, str):
        camel = {"".join(part.title() for part in n.split("_")): make for n, make in known.items()}
        makers = {**camel, **known}
        if identifier not in makers:
            near = difflib.get_close_matches(identifier, makers, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" Known: {', '.join(known)}."
            raise ValueError(f"expected the name of {kind}, got {identifier!r}.{hint}")
        try:
            return makers[identifier](**arguments)
        except TypeError as error:
            raise TypeError(f"{identifier}: {error}.") from None
    if arguments:
        raise TypeError(f"expected no arguments for {kind} that is made, got {[*arguments]}.")
    if not callable(identifier):
        raise TypeError(
            f"expected {kind}: a name, a config, a function or None, got {describe(identifier)}."
        )
    return identifier
