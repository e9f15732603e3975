"""A corpus as ids that are read in parts: in memory, or in a file of 4 bytes a token.

Text is read twice, once for the vocabulary and once to encode it, and never again, however many
epochs are trained.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnnlab.text import corpora
from rnnlab.text.corpora import Ids
from rnnlab.text.tokenizers import Tokenizer, Tokens, tokenize
from rnnlab.text.vocabulary import Vocabulary


class Corpus:
    """Tokens of a vocabulary, documents one after the other.

    Args:
        ids: (T,) int32; or the path of a file of them. offsets: (N+1,) of the documents.
    Raises:
        ValueError: no two words, no token, or offsets that do not fit.
    """

    def __init__(
        self, vocabulary: Vocabulary, ids: np.ndarray | str | os.PathLike[str], offsets: np.ndarray
    ) -> None:
        self.vocabulary, self.offsets = vocabulary, np.asarray(offsets, np.int64)
        self.path: Path | None = None
        if isinstance(ids, np.ndarray):
            self._ids, held = np.asarray(ids, np.int32), ids.size
        else:
            self.path = Path(ids)
            held = os.path.getsize(self.path) // 4
        self.tokens = int(self.offsets[-1])
        if len(vocabulary) < 2:
            raise ValueError(f"word vectors need at least 2 words, got {vocabulary.words()}")
        if held != self.tokens or not self.tokens:
            raise ValueError(f"documents of {self.tokens} tokens, but {held} ids")

    def read(self, start: int, stop: int) -> Ids:
        """Tokens start … stop−1; a document that goes on outside is cut."""
        first = int(np.searchsorted(self.offsets, start, "right"))
        last = int(np.searchsorted(self.offsets, stop, "left"))
        offsets = np.concatenate([[start], self.offsets[first:last], [stop]]) - start
        if self.path is None:
            return Ids(self._ids[start:stop], offsets)
        return Ids(np.fromfile(self.path, np.int32, stop - start, offset=4 * start), offsets)

    def __repr__(self) -> str:
        return f"Corpus({self.tokens} tokens of {len(self.vocabulary)} words)"


def of_documents(
    documents: Any,
    tokenizer: Tokenizer | None = None,
    min_count: int = 5,
    max_size: int | None = None,
) -> Corpus:
    """A corpus in memory.

    Args:
        documents: strings, lists of tokens, or Tokens. tokenizer: None: words in lower case.
        min_count, max_size: of the vocabulary.
    Raises:
        ValueError: no two words occur ``min_count`` times.

    >>> of_documents(["a cat, a dog", "a cat"], min_count=2)
    Corpus(5 tokens of 2 words)
    """
    tokens = documents if isinstance(documents, Tokens) else tokenize(documents, tokenizer)
    vocabulary = Vocabulary.build(tokens, min_count, max_size, min_size=2)
    return Corpus(vocabulary, *corpora.encode(tokens, vocabulary))


def of_file(
    path: str,
    tokenizer: Tokenizer | None = None,
    min_count: int = 5,
    max_size: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    column: str = "text",
) -> Corpus:
    """A corpus of any size: only its vocabulary and the documents' bounds are in memory.

    Args:
        path: as :func:`rnnlab.text.corpora.documents`: lines of a text file, rows of a table, or a
            data set's name.
        cache: where the ids are written, 4 bytes a token; None: a temporary file, which goes with
            the corpus.
    Raises:
        FileNotFoundError, ValueError: no such file, not UTF-8, too few words.
    """
    vocabulary = corpora.build_vocabulary(
        corpora.documents(path, column), tokenizer, min_count, max_size, min_size=2
    )
    folder = tempfile.mkdtemp(prefix="rnnlab-") if cache is None else ""
    ids = Path(folder, "ids.int32") if cache is None else Path(cache)
    lengths = []
    with ids.open("wb") as stream:
        for part in corpora.token_ids(corpora.documents(path, column), tokenizer, vocabulary):
            part.ids.tofile(stream)
            lengths.append(np.diff(part.offsets))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    corpus = Corpus(vocabulary, ids, offsets)
    pa.default_memory_pool().release_unused()  # of the text: the tables of vectors come next
    if cache is None:
        weakref.finalize(corpus, shutil.rmtree, folder, ignore_errors=True)
    return corpus
