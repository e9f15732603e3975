"""Optimizers by name: optax transforms, their rates and bounds set a member at a time.

What a config can sweep without compiling anew is a number in :class:`Hyper`; the kind of
optimizer, its schedule and its momenta are static.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import optax

from rnnlab.core.errors import unknown

Array = jax.Array


class Hyper(NamedTuple):
    """The numbers that differ from member to member of one compiled program; scalars."""

    learning_rate: Any
    clip_norm: Any  # of the global norm; inf: no clipping
    weight_decay: Any
    omega: Any  # the weight of Pascanu's regularizer, where the program has it


@dataclass(frozen=True)
class Optimizer:
    """W ← W − α · schedule(step) · u, with u the optimizer's direction for the clipped gradient.

    Args:
        name: "sgd", "momentum", "rmsprop", "adam", "adamw" or "lamb". The last two are Adam whose
            weight decay leaves biases and scales (what has fewer than two axes) alone; "lamb"
            gives each block a step as long as ‖W‖ (You et al. 2020, arXiv 1904.00962, alg. 2).
        momentum: of "momentum".
        decay: of the squares in "rmsprop".
        b1, b2: of "adam", "adamw" and "lamb".
        eps: of "rmsprop", under the root (PyTorch has it outside), and of the Adams.
        schedule: "constant", "linear" or "cosine" to zero at ``steps``.
        warmup_steps: of a linear rise from 0 before the schedule.
        steps: in all.
    Raises:
        ValueError: an unknown name or schedule; a number out of its range.
    Source: the notes' W ← W − α ∂L/∂W is "sgd"; weight decay is decoupled (Loshchilov & Hutter
    2019): u + λW.
    """

    name: str = "adam"
    momentum: float = 0.9
    decay: float = 0.9
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    schedule: str = "constant"
    warmup_steps: int = 0
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.name not in _DIRECTIONS:
            raise ValueError(unknown("training.optimizer", self.name, _DIRECTIONS))
        if self.schedule not in _SCHEDULES:
            raise ValueError(unknown("training.schedule", self.schedule, _SCHEDULES))
        for key in ("momentum", "decay", "b1", "b2"):
            if not 0 <= getattr(self, key) < 1:
                raise ValueError(f"training.{key} must lie in [0, 1), got {getattr(self, key)}")
        if self.eps <= 0:
            raise ValueError(f"training.eps must be above 0, got {self.eps}")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ValueError(
                f"training.warmup_steps must lie in 0 … steps={self.steps}, got {self.warmup_steps}"
            )

    def transform(self, hyper: Hyper) -> optax.GradientTransformation:
        """The optax transform for one member; ``hyper`` may hold traced values."""
        chain = optax.chain(
            optax.clip_by_global_norm(hyper.clip_norm),
            _DIRECTIONS[self.name](self),
            optax.add_decayed_weights(
                hyper.weight_decay, mask=_matrices if self.name in ("adamw", "lamb") else None
            ),
            *([optax.scale_by_trust_ratio()] if self.name == "lamb" else []),
            optax.scale_by_learning_rate(self._rate(hyper.learning_rate)),
        )

        def update(updates: Any, state: Any, params: Any = None) -> Any:
            with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
                return chain.update(updates, state, params)

        return optax.GradientTransformation(chain.init, update)

    def _rate(self, learning_rate: Any) -> Callable[[Any], Any]:
        after = _SCHEDULES[self.schedule](self.steps - self.warmup_steps)
        rise = optax.linear_schedule(0.0, 1.0, self.warmup_steps)
        factor = optax.join_schedules([rise, after], [self.warmup_steps])
        if not self.warmup_steps:
            factor = after
        return lambda count: learning_rate * factor(count)


_DIRECTIONS: dict[str, Callable[[Optimizer], optax.GradientTransformation]] = {
    "sgd": lambda o: optax.identity(),
    "momentum": lambda o: optax.trace(decay=o.momentum),
    "rmsprop": lambda o: optax.scale_by_rms(decay=o.decay, eps=o.eps),
    "adam": lambda o: optax.scale_by_adam(b1=o.b1, b2=o.b2, eps=o.eps),
}

_DIRECTIONS |= dict.fromkeys(("adamw", "lamb"), _DIRECTIONS["adam"])


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


_SCHEDULES: dict[str, Callable[[int], Any]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, max(steps, 1)),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, max(steps, 1)),
}
