"""Records that a member gives: the metrics it logs and the results it returns.

They are checked where they are given, so that a mistake stops the first member that makes it.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from rnnlab.core import json_files, signals, validate
from rnnlab.core.errors import UserError
from rnnlab.lab.load import Functions, Results

if TYPE_CHECKING:
    from rnnlab.training.settings import MemberSpec

Record = dict[str, object]  # as JSON holds it
Log = Callable[..., None]

_HOW = "log takes a step, if there is one, and metrics by name: log(step, loss=0.5)"
_NON_FINITE = ("nan", "inf", "-inf")  # as JSON holds such numbers


def make_log(write: Callable[[Record], None]) -> Log:
    """Return the function by which a member's ``run`` logs: ``log(step, loss=0.5)``.

    The step may be left out, or given as ``step=``. A call is also where a run that was
    interrupted stops.

    Args:
        write: takes each record.
    """

    def log(*step: object, **metrics: object) -> None:
        signals.check()
        write(metrics_record(step, metrics))

    return log


def metrics_record(step: tuple[object, ...], metrics: Mapping[str, object]) -> Record:
    """Return the record of a call of ``log``.

    Args:
        step: the positional arguments of the call, at most one. metrics: the others.
    Raises:
        UserError: more than a step by position, a step that is no whole number, no metrics,
            ``member`` among them, or a value that JSON cannot hold.

    >>> metrics_record((10,), {"loss": float("nan")})
    {'step': 10, 'loss': 'nan'}
    """
    if len(step) > 1 or (step and isinstance(step[0], Mapping | str)):
        raise UserError(f"{_HOW}; got {', '.join(f'{value!r:.80}' for value in step)}")
    if step and "step" in metrics:
        raise UserError(f"log got the step twice: {step[0]!r:.80} and step={metrics['step']!r:.80}")
    if "member" in metrics:
        raise UserError("`member` is set by the run: log it under another name")
    if not set(metrics) - {"step"}:
        raise UserError(f"{_HOW}; got no metrics")
    named = {"step": step[0], **metrics} if step else dict(metrics)
    if "step" in named:
        try:
            named["step"] = validate.whole("the step of log", named["step"], 0)
        except ValueError as error:
            raise UserError(f"{error}; {_HOW}") from None
    return encoded("metric", named)


def results_record(source: str, results: object, taken: Iterable[str] = ()) -> Record:
    """Return a member's results as JSON holds them.

    Args:
        source: the function that returned them, for messages.
        results: its return value.
        taken: names that other results have.
    Raises:
        UserError: no dict, a name that is no string or is taken, or a value that JSON cannot hold.

    >>> results_record("run", {"loss": 0.5})
    {'loss': 0.5}
    """
    if not isinstance(results, Mapping):
        raise UserError(f"{source} must return a dict of results, got {results!r:.80}")
    for name in results:
        if not isinstance(name, str):
            raise UserError(f"{source}: the name of a result must be a string, got {name!r:.80}")
    twice = [name for name in taken if name in results]
    if twice:
        raise UserError(
            f"{source}: result {twice[0]!r} is there already, by the run or by predict: "
            "return it under another name"
        )
    return encoded("result", results)


def measured(functions: Functions, spec: "MemberSpec", params: object) -> Results:
    """Return the experiment's own results of a trained member, checked before they are kept.

    Raises:
        UserError: see :func:`results_record`.
    """
    if functions.measure is None:
        return {}
    results = functions.measure(spec.config, spec.setup, params)
    results_record("measure", results)
    return results


def encoded(kind: str, values: Mapping[str, object]) -> Record:
    """Return named values as JSON holds them.

    Raises:
        UserError: a value that it cannot hold; the message names it.
    """
    record = {}
    for name, value in values.items():
        if _is_traced(value):
            raise UserError(
                f"{kind} {name!r} has no value yet: it is traced by JAX; use it outside of the "
                "function that is compiled"
            )
        if isinstance(value, str) and value in _NON_FINITE:
            raise UserError(f"{kind} {name!r}: the text {value!r} would be read as a number")
        try:
            record[name] = json_files.encode(value)
        except (TypeError, ValueError) as error:
            raise UserError(f"{kind} {name!r}: {str(error).splitlines()[0]}") from error
    return record


def _is_traced(value: object) -> bool:
    if "jax" not in sys.modules:  # then nothing is
        return False
    from jax.core import Tracer

    return isinstance(value, Tracer)
