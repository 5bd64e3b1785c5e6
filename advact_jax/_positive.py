"""What layers of `linen` and `nnx` keep in place of coefficients that must stay positive."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from advact_jax import _checks, _core
from advact_jax._modules import Learned
from advact_jax.functions.softplus import softplus


class LogScale:
    """A layer that keeps logarithms, if told."""

    log_scale: bool

    def _completed(self, label: str, learned: Learned) -> Learned:
        _checks.boolean(label, "log_scale", self.log_scale)
        return learned

    def _kept(self, key: str, coefficient: Array) -> Array:
        return jnp.log(coefficient) if self.log_scale else coefficient

    def _coefficients(self, kept: dict[str, Array]) -> dict[str, Array]:
        return {key: jnp.exp(value) for key, value in kept.items()} if self.log_scale else kept


class XIELU:
    """A layer that keeps the inverse softplus of what the coefficients exceed their least value."""

    beta: float

    def _completed(self, label: str, learned: Learned) -> Learned:
        _core.finite(label, "beta", self.beta)
        if self.beta < 0:
            raise ValueError(f"{label}: expected beta not to be negative, got {self.beta}.")
        return learned._replace(fixed={"beta": float(self.beta)})

    def _least(self, key: str) -> float:
        return self.beta if key == "alpha_n" else 0.0

    def _kept(self, key: str, coefficient: Array) -> Array:
        rest = coefficient - self._least(key)
        return rest + jnp.log(-jnp.expm1(-rest))

    def _coefficients(self, kept: dict[str, Array]) -> dict[str, Array]:
        return {key: self._least(key) + softplus(value) for key, value in kept.items()}
