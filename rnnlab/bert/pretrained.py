"""What a BERT starts from: weights of an earlier training, or of a published checkpoint."""

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.bert import huggingface, wordpiece
from rnnlab.bert.encoder import Config
from rnnlab.core.errors import UserError, unknown
from rnnlab.core.run_files import MEMBERS
from rnnlab.training.params import load_params

# what makes two encoders the same function of the same weights
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
_DRAWN = ("pooler",)  # drawn where a checkpoint has none


@dataclass(frozen=True)
class Start:
    """Where the first weights of an encoder, and of its pooler, come from.

    Args:
        path: a run directory whose members are BERTs (of bert_pretraining.py, for instance), or a
            folder or file that :func:`rnnlab.bert.huggingface.load` reads; empty: they are
            drawn by the config's ``init``.
        member: of the run directory.
    Raises:
        ValueError: a member that is no whole number.
    """

    path: str = ""
    member: int = 0

    def __post_init__(self) -> None:
        if type(self.member) is not int or self.member < 0:
            raise ValueError(f"start.member must be 0 or more, got {self.member!r}")

    @staticmethod
    def config(**changes: Any) -> dict[str, Any]:
        """The ``start`` group of a config, every key present.

        >>> Start.config(path="runs/pretraining")
        {'path': 'runs/pretraining', 'member': 0}
        """
        return {f.name: f.default for f in fields(Start)} | changes

    @classmethod
    def from_config(cls, group: Any) -> "Start | None":
        """From a config's ``start`` group; None where weights are drawn.

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
        """Refuse weights that are not there, or of another encoder than ``config``.

        Raises:
            UserError: no such run, member or files. ValueError: every size that differs, and
                positions that are too few.
        """
        there = _read(self.path, self.member)[0]
        wrong = [
            f"{name} is {getattr(there, name)!r} there, {getattr(config, name)!r} here"
            for name in _SAME
            if getattr(there, name) != getattr(config, name)
        ]
        if there.max_length < config.max_length:
            wrong.append(f"it has {there.max_length} positions, {config.max_length} are needed")
        if wrong:
            raise ValueError(f"start.path={self.path!r} does not fit: {'; '.join(wrong)}")

    def parts(self, config: Config) -> dict[str, Any]:
        """{"encoder": EncoderParams, "pooler": Dense, where there is one}, for ``config``.

        Of the positions the first ``max_length`` are taken.

        Raises:
            As :meth:`check`.
        """
        self.check(config)
        found = dict(_read(self.path, self.member)[1])
        embeddings = found["encoder"].embeddings
        position = embeddings.position[: config.max_length]
        found["encoder"] = found["encoder"]._replace(
            embeddings=embeddings._replace(position=position)
        )
        return found


@lru_cache(maxsize=4)  # a sweep's members start from the same
def _read(path: str, member: int) -> tuple[Config, dict[str, Any]]:
    """(the encoder's sizes, its parts as NumPy arrays)."""
    with jax.ensure_compile_time_eval():  # whatever is being traced: these are kept
        if _is_run(path):
            setup, params = load_params(path, member)
            config: Any = getattr(setup.model, "config", None)
            if not isinstance(config, Config):
                raise UserError(f"start.path={path!r} learned {setup.task}: it holds no BERT")
        else:
            config, params = _checkpoint(path)
        found = {
            part: params["params"][part]
            for part in ("encoder", *_DRAWN)
            if part in params["params"]
        }
        return config, jax.tree.map(np.asarray, found)


def _checkpoint(path: str) -> huggingface.Checkpoint:
    try:
        return huggingface.load(path, ("encoder", *_DRAWN))
    except UserError as error:
        if not Path(path).expanduser().exists():
            raise UserError(
                f"start.path={path!r}: there is no such run directory, folder or file; "
                "bert_pretraining.py makes a run"
            ) from None
        raise UserError(f"start.path={path!r}: {error}") from None
    except ValueError as error:
        wrong = [line for line in str(error).split("\n")[1:] if "missing: bert.pooler" not in line]
        if wrong:
            raise ValueError(f"start.path={path!r}: {error}") from None
        return huggingface.load(path, ("encoder",))


def _is_run(path: str) -> bool:
    return (Path(path).expanduser() / MEMBERS).is_file()


@lru_cache(maxsize=4)
def tokenizer(path: str) -> wordpiece.Tokenizer:
    """The pieces that a BERT was trained on.

    Args:
        path: as of :class:`Start`: of a run directory its first member's, of a folder its
            tokenizer.json or vocab.txt.
    Raises:
        UserError: there is none.
    """
    if not _is_run(path):
        return huggingface.load_tokenizer(path)
    task: Any = load_params(path, 0)[0].task
    if not hasattr(task, "tokenizer"):
        raise UserError(f"{path} learned {task}, which has no pieces of words")
    return task.tokenizer
