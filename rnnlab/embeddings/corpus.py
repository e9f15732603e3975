"""A corpus as ids that are read in parts, from memory or from a file of 4 bytes per token.

Text is read twice, for the vocabulary and to encode it, whatever the number of epochs.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rnnlab.data import hugging_face
from rnnlab.embeddings.vector_files import looks_like_vectors
from rnnlab.text import corpora
from rnnlab.text.corpora import Ids
from rnnlab.text.tokenizers import AnyTokenizer, Tokens, tokenize
from rnnlab.text.vocabulary import Vocabulary


class Corpus:
    """The token ids of documents, one after the other.

    Args:
        ids: (T,) int32, or the path of a file of them. offsets: (N+1,) of the documents.
    Raises:
        ValueError: fewer than two words, no token, or offsets that do not fit.
    """

    def __init__(
        self, vocabulary: Vocabulary, ids: np.ndarray | str | os.PathLike[str], offsets: np.ndarray
    ) -> None:
        self.vocabulary, self.offsets = vocabulary, np.asarray(offsets, np.int64)
        self.path: Path | None = None
        if isinstance(ids, np.ndarray):
            self._ids, size = np.asarray(ids, np.int32), ids.size
        else:
            self.path = Path(ids)
            size = os.path.getsize(self.path) // 4
        self.tokens = int(self.offsets[-1])
        if len(vocabulary) < 2:
            raise ValueError(f"word vectors need at least 2 words, got {vocabulary.words()}")
        if size != self.tokens or not self.tokens:
            raise ValueError(f"documents of {self.tokens} tokens, but {size} ids")

    def read(self, start: int, stop: int) -> Ids:
        """Read tokens start … stop−1; documents that reach beyond are cut."""
        first = int(np.searchsorted(self.offsets, start, "right"))
        last = int(np.searchsorted(self.offsets, stop, "left"))
        offsets = np.concatenate([[start], self.offsets[first:last], [stop]]) - start
        if self.path is None:
            return Ids(self._ids[start:stop], offsets)
        return Ids(np.fromfile(self.path, np.int32, stop - start, offset=4 * start), offsets)

    def __repr__(self) -> str:
        return f"Corpus({self.tokens} tokens of {len(self.vocabulary)} words)"


def of_documents(
    documents: Iterable[str] | Iterable[Sequence[str]] | Tokens,
    tokenizer: AnyTokenizer | None = None,
    min_count: int = 5,
    max_size: int | None = None,
) -> Corpus:
    """Make a corpus in memory.

    Args:
        documents: strings, lists of tokens, or Tokens. tokenizer: None: words in lower case.
        min_count, max_size: of the vocabulary.
    Raises:
        ValueError: fewer than two words occur ``min_count`` times.

    >>> of_documents(["a cat, a dog", "a cat"], min_count=2)
    Corpus(5 tokens of 2 words)
    """
    tokens = documents if isinstance(documents, Tokens) else tokenize(documents, tokenizer)
    vocabulary = Vocabulary.build(tokens, min_count, max_size, min_size=2)
    return Corpus(vocabulary, *corpora.encode(tokens, vocabulary))


def of_file(
    path: str,
    tokenizer: AnyTokenizer | None = None,
    min_count: int = 5,
    max_size: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    column: str = "text",
) -> Corpus:
    """Make a corpus of any size; only its vocabulary and document offsets are in memory.

    Args:
        path: as for :func:`rnnlab.text.corpora.documents`: a text file read line by line, a table
            read row by row, or the name of a data set.
        tokenizer, min_count, max_size: as for :func:`of_documents`.
        cache: file for the ids, 4 bytes per token; None: a temporary one, removed with the corpus.
        column: of a table, the one with the text.
    Raises:
        FileNotFoundError, ValueError: no such file, not UTF-8, too few words, or a file of word
            vectors, whose numbers are no text.
    """
    is_text = os.path.isfile(path) and not hugging_face.is_table(path)
    if is_text and looks_like_vectors(path):
        raise ValueError(f"{path} is a file of word vectors: a text to learn them from expected")
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
    pa.default_memory_pool().release_unused()  # the text's memory, before vectors are allocated
    if cache is None:
        weakref.finalize(corpus, shutil.rmtree, folder, ignore_errors=True)
    return corpus
