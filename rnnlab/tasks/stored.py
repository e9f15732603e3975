"""The part that tasks of data sets share to be restored without their data."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
import pyarrow as pa

from rnnlab.core import json_files
from rnnlab.text.vocabulary import Vocabulary

Record = dict[str, Any]  # of JSON


@dataclass(frozen=True)
class Stored:
    """Base of a :class:`rnnlab.tasks.base.Restorable` data class.

    A subclass defines ``stored()``, reads :attr:`memory` in place of its data where :attr:`kept`
    is not empty, and calls :meth:`check_same` before it reads its data.

    Args:
        kept: JSON of what a run stored; empty: all is learned from the data. No option of a
            config: :meth:`restored` sets it.
    """

    kept: str = field(default="", init=False, repr=False)

    def stored(self) -> Record:
        """Return what is learned from the data besides parameters, as JSON holds it."""
        raise NotImplementedError(f"{type(self).__name__} lacks stored()")

    def restored(self, stored: Mapping[str, Any]) -> Self:
        """Return the task with what :meth:`stored` returned; two of the same are equal."""
        task = copy.copy(self)
        object.__setattr__(task, "kept", _text(stored))  # frozen, as a static argument must be
        return task

    @property
    def memory(self) -> Record:
        """The record that the run stored; not to be changed."""
        return _parsed(self.kept)

    def check_same(self) -> None:
        """Refuse data that have changed since a run stored what it learned from them.

        Raises:
            ValueError: they have. FileNotFoundError: they are gone.
        """
        if self.kept and _text(replace(self).stored()) != self.kept:
            raise ValueError(
                f"the data of {self} have changed since the run began: a trained member would "
                "read them with another vocabulary, other labels or another scale"
            )


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(json_files.encode(record), ensure_ascii=False, allow_nan=False)


@lru_cache(maxsize=16)  # sizes are asked for often
def _parsed(kept: str) -> Record:
    return json.loads(kept)


def vocabulary_record(vocabulary: Vocabulary) -> Record:
    """Return a vocabulary as JSON holds it.

    >>> given = Vocabulary.from_counts(["a", "nan"], [1, 2])
    >>> vocabulary_of(vocabulary_record(given)).words()
    ['nan', 'a']
    """
    return {
        "terms": vocabulary.words(),
        "counts": vocabulary.counts.tolist(),
        "total": vocabulary.total,
    }


def vocabulary_of(record: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary of a record that :func:`vocabulary_record` made."""
    return Vocabulary(
        pa.array(record["terms"], pa.string()),
        np.array(record["counts"], np.int64),
        record["total"],
    )


def missing(vocabulary: Vocabulary, tokens: list[str]) -> list[str]:
    """Return the tokens that are not in a vocabulary.

    >>> missing(Vocabulary.from_counts(["a"], [1]), ["b", "a", "c"])
    ['b', 'c']
    """
    ids = vocabulary.encode_words(tokens)
    return [token for token, number in zip(tokens, ids.tolist(), strict=True) if number < 0]
