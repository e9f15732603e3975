"""What a trained member says of new texts: at once, token by token, or going on with them.

A task whose members can be asked is a :class:`rnnlab.tasks.base.Predictable`.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.errors import UserError
from rnnlab.core.run_files import read_members
from rnnlab.nn import generation, models
from rnnlab.tasks.base import Predictable
from rnnlab.training.params import load_params

_AT_ONCE = 64  # texts in one batch


class Predictor(NamedTuple):
    """A trained member that can be asked."""

    member: int  # of its run
    task: Predictable
    model: Any
    params: Any


def load(run_dir: str | os.PathLike[str], member: int | None = None) -> Predictor:
    """A member of a finished run; None: the best by its task's own score.

    Raises:
        UserError: no such run or member, none that has not diverged, or a task that reads none.
    """
    if member is None:
        member = _best(run_dir)
    setup, params = load_params(run_dir, member)
    if not isinstance(setup.task, Predictable):
        raise UserError(f"{run_dir} learned {setup.task}, which reads no text: nothing to predict")
    return Predictor(member, setup.task, setup.model, params)


def _best(run_dir: Any) -> int:
    from ml_collections import ConfigDict

    from rnnlab.training import settings

    scores = {}
    for member in read_members(run_dir):
        config, result = member["config"], member["result"]
        if "name" not in config.get("task", {}) or "status" not in result:
            raise UserError(f"{run_dir} holds no trained members: nothing to predict with")
        goal = settings.task_of(ConfigDict(config)).goal
        if result["status"] != "diverged":
            value = result[goal.metric]
            scores[member["index"]] = value if goal.at_most else -value
    if not scores:
        raise UserError(f"{run_dir} has no finished member that has not diverged")
    return min(scores, key=lambda index: scores[index])


def asked(predictor: Predictor, content: str) -> list[str]:
    """The texts of a file: its lines, those without anything left out."""
    lines = [line for line in content.splitlines() if line.strip()]
    task = predictor.task
    return task.texts(lines)


def answers(predictor: Predictor, texts: Sequence[str]) -> list[str]:
    """What the member says of each text, in words.

    Raises:
        ValueError: a text without a token, or with one that the model does not know.
    """
    found = []
    for first in range(0, len(texts), _AT_ONCE):
        tokens = [_tokens(predictor, text) for text in texts[first : first + _AT_ONCE]]
        ids = [predictor.task.encode(words) for words in tokens]
        lengths = np.array([len(row) for row in ids], np.int32)
        inputs = np.zeros((len(ids), lengths.max(), *ids[0].shape[1:]), ids[0].dtype)
        for row, own in zip(inputs, ids, strict=True):
            row[: len(own)] = own
        outputs, _ = predictor.model.apply(
            predictor.params, jnp.asarray(inputs), lengths=jnp.asarray(lengths)
        )
        for words, row, output in zip(tokens, ids, outputs, strict=True):
            own = output if predictor.task.many_to_one else output[: len(row)]
            found.append(predictor.task.say(words, own))
    return found


def streamed(predictor: Predictor, text: str) -> Iterator[tuple[str, str]]:
    """(token, what the member says having read so far), one by one: in real time.

    Raises:
        ValueError: a model that reads both ways, or whose answer needs the whole text.
    """
    task = predictor.task
    if not task.streams:
        raise ValueError(f"{task} answers for whole texts: it can't run in real time")
    start, step = generation.stream(predictor.model)  # refuses before anything is read
    return _steps(predictor, text, start, jax.jit(step))


def _steps(predictor: Predictor, text: str, start: Any, step: Any) -> Iterator[tuple[str, str]]:
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
    """``steps`` tokens that a language model goes on with after the text, or values of a series.

    A forecast draws nothing: it takes no temperature, seed or top_k.

    Raises:
        ValueError: neither of them; see :func:`rnnlab.nn.generation.generate` and ``rollout``.
    """
    task, model = predictor.task, predictor.model
    if task.feeds_back:
        values = jnp.asarray(task.encode(_tokens(predictor, text)))[None]
        return task.decode(
            np.asarray(generation.rollout(model, predictor.params, values, steps)[0])
        )
    if not isinstance(model, models.LanguageModel):
        raise ValueError(f"{task} is no language model, nor one step ahead: --steps is of those")
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
