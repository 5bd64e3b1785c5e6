"""Quotients of two learned polynomials: Padé activation units."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from advact_jax import _checks, _tables
from advact_jax import _coefficients as fits
from advact_jax import _numerics as num
from advact_jax._declare import row_function
from advact_jax._published import PUBLISHED
from advact_jax._spec import Parameter

Version = Literal["A", "B", "C", "D"]
VERSIONS: tuple[Version, ...] = ("A", "B", "C", "D")


# -- evaluation ---------------------------------------------------------------------------------


class _Polynomial(NamedTuple):
    """A polynomial and its two derivatives."""

    value: Array
    first: Array
    second: Array

    @classmethod
    def of(cls, x: Array, coefficients: list[Array]) -> _Polynomial:
        """Evaluate by Horner's rule, constant term first."""
        zero = jnp.zeros_like(x)
        value, first, half = zero + coefficients[-1], zero, zero
        for c in coefficients[-2::-1]:
            half = half * x + first
            first = first * x + value
            value = value * x + c
        return cls(value, first, 2 * half)


def _sign(x: Array) -> Array:
    """Return the slope of abs(x): 1 from 0 on."""
    return jnp.where(x >= 0, 1, -1).astype(x.dtype)


def _degree(table: Array) -> Array:
    """Return the power of the leading coefficient that is not 0."""
    found = jnp.zeros(table.shape[1:], jnp.int32)
    for k in range(1, len(table)):
        found = jnp.where(table[k] != 0, jnp.int32(k), found)
    return found


class _Quotient(NamedTuple):
    """P / Q at an input that is cut at a size where the powers do not overflow yet.

    Beyond it, where all terms but the leading ones are too small to be seen, the result grows with
    a power of ``stretch``.

    Attributes:
      x: the input, cut.
      stretch: how much larger the input is, at least 1.
      shrink: its inverse; a quotient divided again would have XLA multiply the denominators.
      p: the numerator, scaled by a power of two.
      q: the denominator and its derivatives, scaled by the same.
      unit: that power of two.
      z: what has the powers in the denominator: x, or its size in version A.
      by_terms: the derivative of Q by b_k z^k, 1 or -1.
      degrees: the degrees of P and Q.
      m: the largest degree that P can have.
      n: the largest degree that Q can have.
    """

    x: Array
    stretch: Array
    shrink: Array
    p: _Polynomial
    q: _Polynomial
    unit: float
    z: Array
    by_terms: list[Array]
    degrees: tuple[Array, Array]
    m: int
    n: int

    @classmethod
    def of(cls, x: Array, numerator: Array, denominator: Array, version: Version) -> _Quotient:
        first = 0 if version == "C" else 1
        m, n = len(numerator) - 1, len(denominator) - 1 + first
        bits = (864 if num.is_double(x) else 118) // max(n, 1)
        bits = min(bits, 216 if num.is_double(x) else 29)
        unit = 2.0 ** -max(bits * m - (800 if num.is_double(x) else 100), 0)
        largest = 2.0**bits
        cut = jnp.clip(x, -largest, largest)
        size = jnp.abs(x)
        stretch, shrink = jnp.maximum(size * (1 / largest), 1), jnp.minimum(largest / size, 1)
        a = _tables.settled(numerator * unit)
        terms = jnp.abs(denominator) if version == "A" else denominator
        b = _tables.settled(terms * unit)
        start = [] if version == "C" else [jnp.zeros_like(b[0])]
        z = jnp.abs(cut) if version == "A" else cut
        s = _Polynomial.of(z, [*start, *b])
        if version == "A":
            turn, by_terms = _sign(cut), list(_sign(denominator))
            q = _Polynomial(unit + s.value, turn * s.first, s.second)
        else:
            turn = _sign(s.value)
            by_terms = [turn] * len(denominator)
            least = 0.1 if version == "C" else 1.0
            q = _Polynomial(least * unit + jnp.abs(s.value), turn * s.first, turn * s.second)
        padded = denominator if version == "C" else jnp.concatenate([denominator[:1], denominator])
        degrees = _tables.settled(_degree(numerator)), _tables.settled(_degree(padded))
        return cls(
            cut, stretch, shrink, _Polynomial.of(cut, list(a)), q, unit, z, by_terms, degrees, m, n
        )

    def grown(self, value: Array, power: Array, least: int, most: int) -> Array:
        """Return value · stretch^power for a power from ``least`` to ``most``."""
        for k in range(1, most + 1):
            value = jnp.where(power >= k, value * self.stretch, value)
        for k in range(1, 1 - least):
            value = jnp.where(power <= -k, value * self.shrink, value)
        return value

    def shares(self, z: Array, powers: range) -> list[Array]:
        """Return z^k / Q for each power k."""
        share = self.unit / self.q.value
        for _ in range(powers.start):
            share = share * z
        found = [share]
        for _ in powers[1:]:
            found.append(found[-1] * z)
        return found


def _rational(x: Array, numerator: Array, denominator: Array, version: Version) -> Array:
    r = _Quotient.of(x, numerator, denominator, version)
    top, bottom = r.degrees
    return r.grown(r.p.value / r.q.value, top - bottom, -r.n, r.m)


def _slope(x: Array, numerator: Array, denominator: Array, version: Version) -> Array:
    r = _Quotient.of(x, numerator, denominator, version)
    top, bottom = r.degrees
    slope = (r.p.first - r.p.value / r.q.value * r.q.first) / r.q.value
    return r.grown(slope, top - bottom - 1, -1 - r.n, r.m - 1)


def _curvature(x: Array, numerator: Array, denominator: Array, version: Version) -> Array:
    r = _Quotient.of(x, numerator, denominator, version)
    top, bottom = r.degrees
    value = r.p.value / r.q.value
    slope = (r.p.first - value * r.q.first) / r.q.value
    curvature = (r.p.second - 2 * slope * r.q.first - value * r.q.second) / r.q.value
    return r.grown(curvature, top - bottom - 2, -2 - r.n, r.m - 2)


def _by_numerator(x: Array, numerator: Array, denominator: Array, version: Version) -> list[Array]:
    r = _Quotient.of(x, numerator, denominator, version)
    shares = r.shares(r.x, range(len(numerator)))
    return [r.grown(share, k - r.degrees[1], k - r.n, k) for k, share in enumerate(shares)]


def _by_denominator(
    x: Array, numerator: Array, denominator: Array, version: Version
) -> list[Array]:
    r = _Quotient.of(x, numerator, denominator, version)
    top, bottom = r.degrees
    value = -r.p.value / r.q.value
    start = 0 if version == "C" else 1
    powers = range(start, start + len(denominator))
    return [
        r.grown(value * sign * share, top - 2 * bottom + k, k - 2 * r.n, r.m)
        for k, sign, share in zip(powers, r.by_terms, r.shares(r.z, powers), strict=True)
    ]


_PARAMETERS = {
    "numerator": Parameter(is_table=True, learned=True, partial=_by_numerator),
    "denominator": Parameter(is_table=True, learned=True, partial=_by_denominator),
}
_RATIONAL = _tables.rule("rational", _rational, _slope, _curvature, _PARAMETERS)

# -- coefficients to start from -----------------------------------------------------------------

_IDENTITY = ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
QUOTIENTS: Mapping[str, Any] = MappingProxyType(
    {"identity": _IDENTITY, **fits.QUOTIENTS, "swish": fits.QUOTIENTS["silu"]}
)


def rational_coefficients(
    name: str, version: Version = "A", *, published: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients with which `rational` is close to a known activation on [-3, 3].

    Beyond [-3, 3] the quotient leaves the activation. The degrees are 5 and 4. The published ones
    are those of the package of the paper's authors, which differ from version to version; D has
    those of B. Their largest errors on [-3, 3]: 0.034 for the two rectifiers, whose kink at 0 no
    quotient has, 0.0042 for "gelu" in version A and 0.001 in the others, 5e-5 for the rest.

    The others are our own least-squares fits. Their denominators are even with positive
    coefficients, so that all versions start from the same function, and "identity" is exact.

    Args:
      name: "identity", "leaky_relu" (slope 0.01), "relu", "tanh", "sigmoid", "gelu", "silu" or
        "swish".
      version: version of the denominator; "C" has a constant term.
      published: whether to return the published coefficients; else our fits.

    Returns:
      The coefficients of the numerator and of the denominator, float64.

    Raises:
      ValueError: if the name or the version is unknown.

    Example:
      >>> numerator, denominator = advact_jax.rational_coefficients("tanh", "B")
      >>> print(advact_jax.rational(jnp.array([0.5, 1.0]), numerator, denominator, "B").round(4))
      [0.4621 0.7616]

    References:
      Delfosse et al. 2020, Rational activation functions,
      https://github.com/ml-research/rational_activations.
    """
    _check_version("rational_coefficients", version)
    if name not in QUOTIENTS:
        raise ValueError(
            f"rational_coefficients: expected name to be one of {', '.join(QUOTIENTS)}, "
            f"got {name!r}."
        )
    if published:
        a, b = PUBLISHED["swish" if name == "silu" else name, "B" if version == "D" else version]
        return np.asarray(a), np.asarray(b)
    numerator, denominator = QUOTIENTS[name]
    start = (0.9,) if version == "C" else ()
    return np.asarray(numerator), np.asarray((*start, *denominator))


# -- the function -------------------------------------------------------------------------------


def _check_version(name: str, version: Any) -> None:
    if version not in VERSIONS:
        raise ValueError(
            f"{name}: expected version to be one of {', '.join(VERSIONS)}, got {version!r}."
        )


def _reference(mp: Any, row: Any, numerator: Any, denominator: Any, version: str = "A") -> Any:
    a, b = ([mp.convert(v) for v in table] for table in (numerator, denominator))

    def one(x: Any) -> Any:
        p = mp.fsum(c * x**k for k, c in enumerate(a))
        if version == "A":
            return p / (1 + mp.fsum(abs(c * x**k) for k, c in enumerate(b, 1)))
        least, start = (mp.mpf(1) / 10, 0) if version == "C" else (1, 1)
        return p / (least + abs(mp.fsum(c * x**k for k, c in enumerate(b, start))))

    return [one(x) for x in row]


_LEAKY = QUOTIENTS["leaky_relu"]


@row_function(
    static=("version",),
    counted=dict.fromkeys(("float32", "float64"), "input"),
    parameters=_PARAMETERS,
    given=(
        {
            "numerator": np.array(QUOTIENTS["leaky_relu"][0], "float32"),
            "denominator": np.array(QUOTIENTS["leaky_relu"][1], "float32"),
        },
        {
            "numerator": np.array((0.5, -1.0, 0.25), "float32"),
            "denominator": np.array((-0.5, 2.0), "float32"),
            "version": "A",
        },
        {
            "numerator": np.array((0.5, -1.0, 0.25, 1.0), "float32"),
            "denominator": np.array((-0.5, 2.0), "float32"),
            "version": "B",
        },
        {
            "numerator": np.array((0.5, 0.25), "float32"),
            "denominator": np.array((0.9, 0.5, 2.0), "float32"),
            "version": "C",
        },
    ),
    reference=_reference,
    tier="experimental",
    latex=r"\frac{\sum_{k=0}^m a_k x^k}{1 + \sum_{k=1}^n |b_k x^k|}",
    paper="Molina, Schramowski and Kersting 2020, Padé activation units: end-to-end learning of "
    "flexible activation functions in deep networks, arXiv:1907.06732",
    notes={
        "float32": "The error of the value is a few ulp of sum |a_k x^k| / Q, that of a derivative "
        "is relative to its terms in the same way: where terms cancel, it is more ulps of the "
        "result. Beyond 2^29 only the leading terms count."
    },
)
def rational(
    x: ArrayLike,
    numerator: ArrayLike,
    denominator: ArrayLike,
    version: Version = "A",
    key: Array | None = None,
) -> Array:
    r"""Padé activation unit: a quotient of two polynomials whose denominator has no zero.

    .. math:: f(x) = \frac{a_0 + a_1 x + \dots + a_m x^m}{Q(x)}

    * Version A: :math:`Q(x) = 1 + |b_1 x| + |b_2 x^2| + \dots + |b_n x^n|`.
    * Version B: :math:`Q(x) = 1 + |b_1 x + b_2 x^2 + \dots + b_n x^n|`.
    * Version C: :math:`Q(x) = 0.1 + |b_0 + b_1 x + \dots + b_n x^n|`.
    * Version D: as B, and with a key each coefficient is first multiplied by a number drawn evenly
      from [0.9, 1.1], for the whole call; the authors' package draws anew for each element, as
      `jax.vmap` over elements and keys does. Without a key it is B.

    At a kink of an absolute value the derivative is that of the side where its argument is
    positive: in version A that on the right of x = 0, and that towards larger b where b is 0, so
    that a denominator of 1 can be learned from. Large input gives the limit, not inf / inf.
    Reverse mode keeps ``x`` alone.

    Args:
      x: input, real.
      numerator: the coefficients a, constant first, along the last axis; the other axes, if any,
        broadcast against ``x``.
      denominator: the coefficients b in the same way, from b_1 on, in version C from b_0.
      version: "A", "B", "C" or "D".
      key: a random key, for training in version D.

    Returns:
      An array of the dtype of ``x`` (integers are promoted to float).

    Raises:
      TypeError: if an argument isn't a real array.
      ValueError: if the version is unknown, a key is given for another one than D, a table is
        empty, or shapes don't broadcast.

    Example:
      >>> numerator, denominator = jnp.array([0.0, 1.0, 1.0]), jnp.array([0.0, 1.0])
      >>> print(advact_jax.rational(jnp.array([-1.0, 1.0, jnp.inf]), numerator, denominator))
      [0. 1. 1.]

    References:
      Molina, Schramowski and Kersting, "Padé activation units: end-to-end learning of flexible
      activation functions in deep networks", ICLR 2020, arXiv:1907.06732.
    """
    _check_version("rational", version)
    tables = {"numerator": numerator, "denominator": denominator}
    _tables.sizes("rational", tables)
    if key is not None:
        if version != "D":
            raise ValueError(f"rational: expected a key for version D only, got one for {version}.")
        for k, (name, value) in zip(jax.random.split(key), tables.items(), strict=True):
            wide = _checks.real("rational", name, value)
            wide = wide.astype(jnp.promote_types(wide.dtype, jnp.float32))
            tables[name] = wide * jax.random.uniform(k, wide.shape, wide.dtype, 0.9, 1.1)
    fixed = {"version": "B" if version == "D" else version}
    return _tables.evaluate(_RATIONAL, x, fixed, **tables)
