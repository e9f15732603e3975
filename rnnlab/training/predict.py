"""Predictions of trained members for new texts: at once, token by token, or as a continuation.

The member's task must be a :class:`rnnlab.tasks.base.Predictable`.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rnnlab.core.errors import UserError
from rnnlab.core.metrics import VALIDATION
from rnnlab.core.run_files import read_members
from rnnlab.data import files
from rnnlab.nn import generation, models
from rnnlab.tasks.base import Predictable
from rnnlab.training.params import load_params
from rnnlab.training.settings import task_of

PyTree = Any  # parameters and states

_BATCH_SIZE = 64  # texts


class Predictor(NamedTuple):
    """A trained member whose task reads texts."""

    member: int  # its index in the run
    task: Predictable
    model: models.Model
    params: PyTree


def load(run_dir: str | os.PathLike[str], member: int | None = None) -> Predictor:
    """Load a member of a run.

    Args:
        run_dir: the run directory.
        member: its index; None: the best of those that have not diverged, by its task's score.
    Raises:
        UserError: no such run or member, only diverged members, or a task that reads no text.
    """
    if member is None:
        member = best_member(run_dir)
    setup, params = load_params(run_dir, member)
    if not isinstance(setup.task, Predictable):
        raise UserError(f"{run_dir} learned {setup.task}, which reads no text: nothing to predict")
    return Predictor(member, setup.task, setup.model, params)


def best_member(run_dir: str | os.PathLike[str]) -> int:
    """Return the index of the best member that has not diverged, by its task's score.

    The score is of the validation part where all members have one, else of the test part.

    Raises:
        UserError: no such run, no trained members, or only diverged ones.
    """
    scores, validated = {}, {}
    for member in read_members(run_dir):
        config, result = member["config"], member["result"]
        if "name" not in config.get("task", {}) or "status" not in result:
            raise UserError(f"{run_dir} holds no trained members")
        goal = task_of(ConfigDict(config)).goal
        if result["status"] != "diverged":
            value = result[goal.metric]
            sign = 1 if goal.at_most else -1
            scores[member["index"]] = sign * value
            if (value := result.get(f"{VALIDATION}{goal.metric}")) is not None:
                validated[member["index"]] = sign * value
    if not scores:
        raise UserError(f"{run_dir} has no finished member that has not diverged")
    scores = validated if len(validated) == len(scores) else scores
    return min(scores, key=lambda index: scores[index])


def asked(predictor: Predictor, content: str) -> list[str]:
    """Return the texts of a file: by default its lines, one by one, blank ones included."""
    return predictor.task.texts(files.split_lines(content))


def is_blank(predictor: Predictor, text: str) -> bool:
    """Whether a text is white space without a token: its answer is an empty line."""
    if text.strip():
        return False
    try:
        return not predictor.task.tokens(text)
    except ValueError:
        return True


def unknown(predictor: Predictor, texts: Sequence[str]) -> list[str]:
    """Return the tokens of texts that the member reads as unknown, each as often as it occurs."""
    task = predictor.task
    read = [task.tokens(text) for text in texts if not is_blank(predictor, text)]
    return [token for tokens in read for token in task.unknown(tokens)]


def answers(predictor: Predictor, texts: Sequence[str]) -> list[str]:
    """Return the member's answer for each text, in words; "" for a blank one.

    Raises:
        ValueError: a text without a token that is not blank, or with a token that the model does
            not know.
    """
    tokens, passes = [], []
    for number, text in enumerate(texts, 1):
        try:
            words = [] if is_blank(predictor, text) else _tokens(predictor, text)
            passes.append(predictor.task.passes(words) if words else [])
        except ValueError as error:
            raise ValueError(f"text {number}: {error}" if len(texts) > 1 else str(error)) from None
        tokens.append(words)
    outputs = _outputs(predictor, list(itertools.chain.from_iterable(passes)))
    return [
        predictor.task.answer(words, list(itertools.islice(outputs, len(parts)))) if words else ""
        for words, parts in zip(tokens, passes, strict=True)
    ]


def _outputs(predictor: Predictor, inputs: Sequence[np.ndarray]) -> Iterator[jax.Array]:
    """Yield the model's outputs of each array of inputs, without padding."""
    for first in range(0, len(inputs), _BATCH_SIZE):
        rows = inputs[first : first + _BATCH_SIZE]
        lengths = np.array([len(row) for row in rows], np.int32)
        batch = np.zeros((len(rows), lengths.max(), *rows[0].shape[1:]), rows[0].dtype)
        for padded, row in zip(batch, rows, strict=True):
            padded[: len(row)] = row
        outputs, _ = predictor.model.apply(
            predictor.params, jnp.asarray(batch), lengths=jnp.asarray(lengths)
        )
        # cut by NumPy: JAX would compile a program for every length
        for row, output in zip(rows, np.asarray(outputs), strict=True):
            yield jnp.asarray(output if predictor.task.many_to_one else output[: len(row)])


def streamed(predictor: Predictor, text: str) -> Iterator[tuple[str, str]]:
    """Yield (token, the member's answer after it), token by token: in real time.

    Raises:
        ValueError: a bidirectional model, or a task whose answer needs the whole text.
    """
    task = predictor.task
    if not task.streams:
        raise ValueError(f"{task} answers for whole texts: it can't run in real time")
    model: Any = predictor.model
    start, step = generation.stream(model)  # raises before anything is read
    return _steps(predictor, text, start, jax.jit(step))


def _steps(
    predictor: Predictor, text: str, start: Callable[..., PyTree], step: Callable[..., Any]
) -> Iterator[tuple[str, str]]:
    state = start(predictor.params, batch_size=1)
    tokens = _tokens(predictor, text)
    for token, symbol in zip(tokens, predictor.task.encode(tokens), strict=True):
        output, state = step(predictor.params, state, jnp.asarray(symbol)[None])
        yield token, predictor.task.label(output[0])


def written(
    predictor: Predictor,
    text: str,
    steps: int,
    temperature: float = 1.0,
    seed: int = 0,
    top_k: int = 0,
) -> str:
    """Continue a text by ``steps`` tokens, or a series by ``steps`` values.

    A forecast draws nothing: it uses no temperature, seed or top_k.

    Args:
        temperature, seed, top_k: see :func:`rnnlab.nn.generation.generate`.
    Raises:
        ValueError: a member that is neither a language model nor a forecast one step ahead.
    """
    task: Predictable = predictor.task
    model: Any = predictor.model
    if task.feeds_back:
        values = jnp.asarray(task.encode(_tokens(predictor, text)))[None]
        return task.decode(
            np.asarray(generation.rollout(model, predictor.params, values, steps)[0])
        )
    if not isinstance(model, models.LanguageModel):
        raise ValueError(
            f"--steps needs a language model or a forecast one step ahead, and {task} is neither"
        )
    symbols = task.encode(_tokens(predictor, text))
    key = jax.random.key(seed) if temperature else None
    drawn = generation.generate(
        model,
        predictor.params,
        jnp.asarray(symbols)[None],
        steps,
        key,
        temperature=temperature,
        top_k=top_k,
    )
    return task.decode(np.asarray(drawn[0]))


def _tokens(predictor: Predictor, text: str) -> list[str]:
    tokens = predictor.task.tokens(text)
    if not tokens:
        raise ValueError(f"{text!r} has no token to read")
    return tokens
