"""Initial parameters that depend on sequences, as the ``init`` group of a config asks for them.

Gains that are 'critical' are searched (:mod:`rnnlab.gradients.criticality`), then the exponents are
flossed (:mod:`rnnlab.gradients.flossing`), for one member: its own draw, on its own sequences.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.notices import say
from rnnlab.gradients import criticality, flossing
from rnnlab.gradients.driven import state_sizes
from rnnlab.nn.initializers import FLOSS, InitScheme
from rnnlab.nn.layers import Layer

Array = jax.Array
PyTree = Any
Config = Any  # a ConfigDict, whose keys a type checker does not know


class Prepared(NamedTuple):
    """The parameters of a layer, and the results of preparing them."""

    init: InitScheme  # without a number that is 'critical'
    params: PyTree
    record: dict[str, Any]  # of the member's row


@dataclass(frozen=True)
class Preparation:
    """The options of a config's ``init`` group that need sequences.

    Args:
        init: the schemes.
        floss: steps of :func:`rnnlab.gradients.floss`; 0: none.
        floss_exponents: k, exponents of every cell.
        floss_learning_rate: of the steps.
        floss_sequences: of those that are given, how many are read, from the first; 0: all.
    Raises:
        ValueError: a number out of its range.
    """

    init: InitScheme
    floss: int = 0
    floss_exponents: int = 8
    floss_learning_rate: float = 1e-3
    floss_sequences: int = 0

    def __post_init__(self) -> None:
        validate.whole("init.floss", self.floss, 0)
        validate.whole("init.floss_exponents", self.floss_exponents)
        validate.number("init.floss_learning_rate", self.floss_learning_rate, above=0)
        validate.whole("init.floss_sequences", self.floss_sequences, 0)

    @classmethod
    def from_config(cls, group: Mapping[str, Any]) -> "Preparation":
        """Return the options of an ``init`` group, as :meth:`InitScheme.config` makes it."""
        return cls(InitScheme.from_config(group), **{k: group[k] for k in FLOSS if k in group})

    @property
    def needed(self) -> bool:
        """Whether the parameters depend on sequences."""
        return self.init.is_searched or self.floss > 0

    def check(self, layer: Layer, input_size: int, sequences: int) -> None:
        """Check that a layer can be prepared, before there are sequences.

        Args:
            sequences: how many there will be.
        Raises:
            ValueError: a number to search that the draws are not proportional to, a cell with fewer
                exponents than are flossed, or fewer sequences than are to be read.
        """
        if self.init.is_searched:
            criticality.check(layer, self.init, input_size)
        if self.floss:
            validate.whole("init.floss_sequences", self.floss_sequences, 0, sequences)
            check_exponents("init.floss_exponents", self.floss_exponents, layer, input_size)

    def run(
        self,
        draw: Callable[[InitScheme], PyTree],
        layer: Layer,
        xs: Array,
        lengths: ArrayLike | None = None,
    ) -> Prepared:
        """Draw the parameters of a layer, with its critical number, and floss them.

        Args:
            draw: schemes ↦ parameters of the layer, always from the same key.
            layer: the layer, for its step; its own schemes are not used.
            xs: (B, T, D). lengths: (B,) real steps of each sequence; None: all T.
        Returns:
            A :class:`Prepared`. Its record has, each where it was asked for: critical_number,
            critical_exponent (λ_1 there), critical_error (over the sequences) and
            critical_converged; floss_before and floss_after (Σ λ_i², the loss of
            :mod:`rnnlab.gradients.flossing`) and floss_skipped.
        """
        init, record = self.init, {}
        if init.is_searched:

            def with_number(number: float) -> PyTree:
                return draw(self.init.with_number(number))

            found = criticality.search([with_number], init, layer, xs, lengths=lengths)
            init = found.init
            record |= {
                "critical_number": found.gain,
                "critical_exponent": found.exponent,
                "critical_error": found.error,
                "critical_converged": found.converged,
            }
            if not found.converged:
                say(
                    f"no number from {found.searched[0]:.3g} to {found.searched[1]:.3g} brings the "
                    f"top Lyapunov exponent to 0: {found.gain:.4g}, with {found.exponent:.3g}, is "
                    "the closest"
                )
        params = draw(init)
        if self.floss:
            count = self.floss_sequences or None  # checked: no more than there are
            read, steps = jax.tree.map(lambda leaf: leaf[:count], (xs, lengths))
            flossed = flossing.floss(
                layer,
                params,
                read,
                self.floss,
                self.floss_exponents,
                self.floss_learning_rate,
                lengths=steps,
            )
            params = flossed.params
            record |= {
                "floss_before": float(flossed.loss[0]),
                "floss_after": float(flossed.loss[-1]),
                "floss_skipped": flossed.skipped,
            }
        return Prepared(init, params, record)


def check_exponents(name: str, k: int, layer: Layer, input_size: int) -> None:
    """Check that every cell of a layer has k Lyapunov exponents.

    Args:
        name: of k, for the message.
    Raises:
        ValueError: a cell with fewer. TypeError: a layer whose cells are not known.
    """
    fewest = min(state_sizes(layer, input_size))
    if validate.whole(name, k) > fewest:
        raise ValueError(f"{name} must be at most {fewest}, the features of a state, got {k}")
