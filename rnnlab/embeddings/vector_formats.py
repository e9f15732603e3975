"""Vectors from a file of any format: rnnlab's own, fastText's, word2vec's or GloVe's.

The format follows from the first bytes, not from the name of the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnnlab.core.read_only import sealed
from rnnlab.embeddings import fasttext_format, word2vec_format
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.vector_files import are_numbers, is_header, opened, safetensors_package
from rnnlab.embeddings.vectors import FORMAT, Vectors

_FIRST = 2**16  # bytes of a line that are looked at
_PICKLE = b"\x80"  # first byte of protocols 2 and up


def load(
    path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Read the vectors of a file, whose format is found by its content.

    Formats: :meth:`rnnlab.embeddings.vectors.Vectors.save` (safetensors), fastText's .bin and
    .vec, word2vec's text and binary files, GloVe's text files (no header); all but the first may be
    compressed (.gz). gensim writes word2vec's: ``model.wv.save_word2vec_format(path)``.

    Args:
        limit: read the first ``limit`` words only, of word2vec's and GloVe's files; None: all.
        errors: handling of words that are not UTF-8, as for ``bytes.decode``.
    Raises:
        FileNotFoundError: no such file. ValueError: a file of another kind, such as a pickle of
            gensim's ``save``; a broken one; limit for a format that is read whole.

    >>> import tempfile
    >>> from rnnlab.embeddings.word2vec_format import write_text
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     write_text(Vectors(["a", "b"], np.array([[1.0, 2.0], [3.0, 4.0]])), file.name)
    ...     load(file.name)["b"].tolist()
    [3.0, 4.0]
    """
    kind = _format(path)
    if kind in ("safetensors", "fasttext"):
        if limit is not None:
            raise ValueError(f"{path} is a {kind} file, which is read whole: leave out limit=")
        return (
            read_saved(path)
            if kind == "safetensors"
            else fasttext_format.read_bin(path, errors=errors)
        )
    if kind == "binary":
        return word2vec_format.read_binary(path, limit=limit, errors=errors)
    header = kind == "text"
    return word2vec_format.read_text(path, header=header, limit=limit, errors=errors)


def _format(path: str | os.PathLike[str]) -> str:
    """Return "safetensors", "fasttext", "binary", "text" or "glove"."""
    with opened(path) as file:
        begin = file.stream.tell()
        head = file.stream.read(9)  # of safetensors: a length, which may have a newline's byte
        file.stream.seek(begin)
        start = file.stream.readline(_FIRST)
        second = file.stream.readline(_FIRST)
    if int.from_bytes(start[:4], "little") == fasttext_format.MAGIC:
        return "fasttext"
    if head[4:] == b"\0\0\0\0{":  # a length below 4 GiB, and JSON
        return "safetensors"
    if start[:1] == _PICKLE:
        raise ValueError(
            f"{path} is a pickle, which could run any code: write its vectors with gensim's "
            "wv.save_word2vec_format(path)"
        )
    if not is_header(start):
        return "glove"
    return "text" if are_numbers(second.split()[-int(start.split()[1]) :]) else "binary"


def read_saved(path: str | os.PathLike[str]) -> Vectors:
    """Read vectors that :meth:`rnnlab.embeddings.vectors.Vectors.save` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: a file of another kind, or a truncated one.
        ImportError: safetensors is not installed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    safetensors = safetensors_package()
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: sealed(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format {FORMAT!r} expected, got {metadata.get('format')!r} "
            f"with the tensors {sorted(tensors)}"
        )
    try:
        return _of_tensors(tensors, metadata)
    except KeyError as error:
        raise ValueError(f"{path} is malformed: it lacks {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is malformed: {error}") from None


def _of_tensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Vectors:
    blob, ends = tensors["words"].tobytes(), tensors["word_ends"].tolist()
    words = [
        blob[start:end].decode("utf-8", "surrogateescape")
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
    subwords = None
    if "subword_rows" in tensors:
        subwords = Subwords(
            tensors["word_rows"],
            tensors["subword_rows"],
            int(metadata["minn"]),
            int(metadata["maxn"]),
        )
    return Vectors(words, tensors["matrix"], tensors.get("counts"), subwords)
