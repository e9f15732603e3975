"""The first weights of a BERT: those of an earlier training, or of a published checkpoint."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from rnnlab.bert import heads, huggingface, wordpiece
from rnnlab.bert.encoder import Config, ConfigGroup, Value
from rnnlab.core import validate
from rnnlab.core.errors import UserError, unknown
from rnnlab.core.file_cache import read_once
from rnnlab.core.run_files import MEMBERS
from rnnlab.training.params import load_params

PyTree = Any

# fields that must agree for two encoders to be the same function of their weights
_SAME = (
    "vocab_size",
    "hidden_size",
    "layers",
    "heads",
    "feed_forward_size",
    "segments",
    "activation",
    "norm_eps",
)
_OPTIONAL = ("pooler",)  # drawn if a checkpoint has none


@runtime_checkable
class HasTokenizer(Protocol):
    """A task whose texts are read in pieces of words."""

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces."""
        ...


@dataclass(frozen=True)
class Start:
    """The source of the first weights of an encoder and its pooler.

    Args:
        path: a run directory whose members are BERTs (of bert_pretraining.py, for instance), or a
            folder or file that :func:`rnnlab.bert.huggingface.load` reads; empty: weights are
            drawn by the config's ``init``.
        member: the member of the run directory.
    Raises:
        ValueError: a member that is not a whole number of at least 0.
    """

    path: str = ""
    member: int = 0

    def __post_init__(self) -> None:
        member = validate.whole("start.member", self.member, least=0)
        object.__setattr__(self, "member", member)

    @staticmethod
    def config(**changes: Value) -> dict[str, Value]:
        """Return the ``start`` group of a config, every key present; see :class:`Start`.

        >>> Start.config(path="runs/pretraining")
        {'path': 'runs/pretraining', 'member': 0}
        """
        return {f.name: f.default for f in fields(Start)} | changes

    @classmethod
    def from_config(cls, group: ConfigGroup) -> "Start | None":
        """Read a config's ``start`` group; None if weights are drawn.

        Raises:
            ValueError: an unknown key.
        """
        known = [f.name for f in fields(cls)]
        for key in group:
            if key not in known:
                raise ValueError(unknown("start key", key, known))
        start = cls(**{key: group[key] for key in group})
        return start if start.path else None

    def check(self, config: Config) -> None:
        """Refuse missing weights, and weights of another encoder than ``config``.

        Raises:
            UserError: no such run, member or files. ValueError: sizes that differ, each by name,
                or too few positions.
        """
        source = _read(self.path, self.member)[0]
        wrong = [
            f"{name} is {getattr(source, name)!r} there, {getattr(config, name)!r} here"
            for name in _SAME
            if getattr(source, name) != getattr(config, name)
        ]
        if source.max_length < config.max_length:
            wrong.append(f"it has {source.max_length} positions, {config.max_length} are needed")
        if wrong:
            raise ValueError(f"start.path={self.path!r} does not fit: {'; '.join(wrong)}")

    def parts(self, config: Config) -> dict[str, PyTree]:
        """Return {"encoder": EncoderParams, "pooler": Dense, if there is one} for ``config``.

        The first ``max_length`` positions are taken.

        Raises:
            UserError, ValueError: as :meth:`check`.
        """
        self.check(config)
        parts = dict(_read(self.path, self.member)[1])
        embeddings = parts["encoder"].embeddings
        position = embeddings.position[: config.max_length]
        parts["encoder"] = parts["encoder"]._replace(
            embeddings=embeddings._replace(position=position)
        )
        return parts


@read_once(4)  # the members of a sweep share their start
def _read(path: str, member: int) -> tuple[Config, dict[str, PyTree]]:
    """Read the encoder's sizes, and its parts as NumPy arrays."""
    with jax.ensure_compile_time_eval():  # also called while tracing: the arrays must be concrete
        if is_run(path):
            setup, params = load_params(path, member)
            if not isinstance(setup.model, heads.Bert):
                raise UserError(f"start.path={path!r} learned {setup.task}: it holds no BERT")
            config = setup.model.config
        else:
            config, params = _checkpoint(path)
        parts = {
            part: params["params"][part]
            for part in ("encoder", *_OPTIONAL)
            if part in params["params"]
        }
        return config, jax.tree.map(np.asarray, parts)


def _checkpoint(path: str) -> huggingface.Checkpoint:
    try:
        return huggingface.load(path, ("encoder",), optional=_OPTIONAL)
    except UserError as error:
        if not Path(path).expanduser().exists():
            raise UserError(
                f"start.path={path!r}: there is no such run directory, folder or file; "
                "bert_pretraining.py makes a run"
            ) from None
        raise UserError(f"start.path={path!r}: {error}") from None
    except ValueError as error:
        raise ValueError(f"start.path={path!r}: {error}") from None


def is_run(path: str) -> bool:
    """Whether a path is a run directory, rather than a checkpoint."""
    return (Path(path).expanduser() / MEMBERS).is_file()


@read_once(4)
def tokenizer(path: str) -> wordpiece.Tokenizer:
    """Return the pieces that a BERT was trained on.

    Args:
        path: of a :class:`Start`. The tokenizer is that of a run's first member, or a folder's
            tokenizer.json or vocab.txt.
    Raises:
        UserError: there is none.
    """
    if not is_run(path):
        return huggingface.load_tokenizer(path)
    task = load_params(path, 0)[0].task
    if not isinstance(task, HasTokenizer):
        raise UserError(f"{path} learned {task}, which has no pieces of words")
    return task.tokenizer
