"""The sides of a benchmark: calls to time, and how each is set up in its process."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnlab.core import validate

Output = Any  # of a call


def waited(output: Output) -> Output:
    """Return a call's output once its JAX arrays are computed."""
    if "jax" in sys.modules:
        sys.modules["jax"].block_until_ready(output)
    return output


@dataclass(frozen=True)
class Timed:
    """A call that is timed, with the work around it that is not.

    The time includes waiting for the JAX arrays that the call returns; a side of another library
    that computes asynchronously waits within its call.

    Args:
        call: without arguments, or of the result of ``before``.
        before: called before every call, such as to make a new model; None: nothing is.
        outputs: takes what the call returned and returns nested dicts, tuples and lists of arrays,
            which are compared with those of the other sides; None: the call returns such.
        compared: first calls of a process whose outputs are compared, such as 2 updates.
    """

    call: Callable[..., Output]
    before: Callable[[], object] | None = None
    outputs: Callable[[Output], object] | None = None
    compared: int = 1

    def __post_init__(self) -> None:
        validate.whole("compared", self.compared)

    def once(self) -> Output:
        """Make one call, not timed, and wait for its JAX arrays."""
        return waited(self.call() if self.before is None else self.call(self.before()))

    def compare(self) -> object:
        """Return the outputs of the first calls."""
        found = []
        for _ in range(self.compared):
            output = self.once()
            found.append(output if self.outputs is None else self.outputs(output))
        return found[0] if self.compared == 1 else found


Call = Callable[[], Output] | Timed
Made = Call | Mapping[str, Call]  # one pass, or several by name
Factory = Callable[[], Made]
ONLY = "call"  # the name of the pass of a side that has one


@dataclass(frozen=True)
class Side:
    """One side of a benchmark.

    Args:
        make: called in the side's own process, returns the call to time, or several by name:
            ``{"forward": ..., "both": ...}``. Several factories, as many single-thread workers of a
            sweep, have a process each; they work at the same time, and a call ends when all have
            ended. Their outputs are put together.
        env: environment variables of the process, such as ``{"OMP_NUM_THREADS": "1"}``.
        packages: packages that it uses, beside JAX and NumPy. A side that lacks one is left out,
            and the results say so; the versions of all are recorded.
        programs: programs that it runs, such as "g++"; without them it is left out, too.
        tolerance: max|a − b| / max|b| that its outputs may be off the first side's; None: they are
            not compared but reported, as the quality of vectors is.
        way_of: the tool that this is one of several ways to use, such as "PyTorch"; ways that lose
            by far in the first round are not measured again.
    """

    make: Factory | Sequence[Factory]
    env: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    tolerance: float | None = 1e-5
    way_of: str | None = None

    def __post_init__(self) -> None:
        for name in ("packages", "programs"):
            if isinstance(given := getattr(self, name), str):
                raise ValueError(f'{name} is a tuple, such as ("torch",), got {given!r}')
        if not callable(self.make) and not self.make:
            raise ValueError("make is a function, or a list of one or more, got none")


def passes(made: Made) -> dict[str, Timed]:
    """Return what a side's factory made, by the names of its passes.

    Raises:
        ValueError: no call.

    >>> list(passes(lambda: 1.0))
    ['call']
    """
    calls = made if isinstance(made, Mapping) else {ONLY: made}
    for name, call in calls.items():
        if not isinstance(call, Timed) and not callable(call):
            raise ValueError(
                "a side's make returns a function, a Timed, or a dict of them by name, "
                f"got {call!r:.80} for {name!r}"
            )
    if not calls:
        raise ValueError("a side's make returned no call")
    return {name: c if isinstance(c, Timed) else Timed(c) for name, c in calls.items()}
