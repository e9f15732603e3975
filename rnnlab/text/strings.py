"""Documents as Arrow strings: conversion, checks, and cutting into pieces."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnnlab.core.host import cores

T = TypeVar("T")
U = TypeVar("U")

# texts (str), lists of tokens, an Arrow array of either, or a column of a ``datasets`` data set:
# the input of :func:`as_arrow`, which checks it
Documents = Iterable[object]

PIECE = 1 << 20  # bytes of UTF-8 per piece of work, so that its temporary arrays stay small
_EXPECTED = "documents must be text (str) or all lists of tokens"


class Strings(NamedTuple):
    """N strings as one run of UTF-8 bytes: string i is data[offsets[i]:offsets[i + 1]]."""

    data: np.ndarray  # (bytes,) uint8, read-only
    offsets: np.ndarray  # (N+1,) int64


@runtime_checkable
class _Column(Protocol):
    """A column of a ``datasets`` data set, which is sliced to be read."""

    source: object
    column_name: object

    def __getitem__(self, rows: slice) -> Iterable[object]: ...


def parallel(function: Callable[[T], U], items: list[T], workers: int | None = None) -> list[U]:
    """Map a function over items by threads, in order; Arrow and NumPy release the GIL.

    Args:
        workers: threads; None: as many as there are cores.
    """
    workers = min(cores() if workers is None else workers, len(items))
    if workers <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def compute(name: str, *arrays: Any, **options: Any) -> Any:
    """Call a function of pyarrow.compute, which defines them on import, unseen by type checkers."""
    return getattr(pc, name)(*arrays, **options)


def strings(array: pa.Array) -> Strings:
    """Return the bytes and offsets of an Arrow array of strings without nulls, not copied."""
    wide = pa.types.is_large_string(array.type)
    _, places, content = array.buffers()
    if places is None or not len(array):
        return Strings(np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64))
    offsets = np.frombuffer(places, np.int64 if wide else np.int32)
    offsets = offsets[array.offset : array.offset + len(array) + 1].astype(np.int64)
    whole = np.frombuffer(content, np.uint8) if content else np.zeros(0, np.uint8)
    return Strings(whole[offsets[0] : offsets[-1]], offsets - offsets[0])


def string_array(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Return the Arrow array of strings with these bytes: the inverse of :func:`strings`."""
    places = pa.py_buffer(np.ascontiguousarray(offsets, np.int32))
    return pa.StringArray.from_buffers(
        len(offsets) - 1, places, pa.py_buffer(np.ascontiguousarray(data))
    )


def as_arrow(documents: Documents) -> pa.Array | pa.ChunkedArray:
    """Convert documents to Arrow strings, or lists of tokens to Arrow lists of strings.

    Args:
        documents: a list, tuple or NumPy array of str; an Arrow array, chunked or not; a column
            of a ``datasets`` data set; or lists of tokens.
    Raises:
        TypeError: another kind of collection (one string, a dict), or a document that is neither
            text nor a list of tokens (None, NaN, a number, bytes, or a mixture); the message names
            its place.
        ValueError: characters that are not Unicode text (half a surrogate pair).

    >>> as_arrow(["a cat", "a dog"]).type
    DataType(string)
    >>> as_arrow(["a cat", None])
    Traceback (most recent call last):
    TypeError: documents must be text (str) or all lists of tokens; document 1 is None
    """
    if isinstance(documents, pa.Array | pa.ChunkedArray):
        return _checked(documents)
    documents = as_list(documents)
    kinds = set(map(type, documents))
    if kinds and all(issubclass(kind, list | tuple) for kind in kinds):
        return _token_lists(documents)
    if not all(issubclass(kind, str) for kind in kinds):
        at = next(i for i, text in enumerate(documents) if not isinstance(text, str))
        raise TypeError(_EXPECTED + f"; document {at} is {_kind(documents[at])}")
    return _from_python(documents)


def as_list(documents: Documents) -> list[object] | tuple[object, ...]:
    """Return documents of any kind as a list, for functions that read one at a time.

    Raises:
        TypeError: no collection, or one string, a dict or a set.
    """
    if isinstance(documents, pa.Array | pa.ChunkedArray):
        return cast(Any, documents).to_pylist()
    if isinstance(documents, _Column):
        documents = documents[:]
    if isinstance(documents, str | bytes | dict | set):
        raise TypeError(f"documents must be a list of texts, got one {type(documents).__name__}")
    try:
        return documents if isinstance(documents, list | tuple) else list(documents)
    except TypeError:
        raise TypeError(
            f"documents must be a list of texts, got a {type(documents).__name__}"
        ) from None


def are_tokens(array: pa.Array | pa.ChunkedArray) -> bool:
    """Return whether the documents of :func:`as_arrow` are lists of tokens."""
    return pa.types.is_list(array.type) or pa.types.is_large_list(array.type)


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, float) and np.isnan(value):
        return "NaN"
    return f"{type(value).__name__} {value!r:.40}"


def _from_python(texts: Sequence[object]) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(texts, pa.string())  # chunked past 2 GiB
    except UnicodeEncodeError as error:
        raise ValueError(f"a text is not Unicode: {error.reason} in {error.object!r:.60}") from None


def _token_lists(documents: Sequence[Any]) -> pa.Array:
    tokens = list(itertools.chain.from_iterable(documents))
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if not all(issubclass(kind, str) for kind in set(map(type, tokens))):
        place, wrong = next((i, t) for i, t in enumerate(tokens) if not isinstance(t, str))
        at = int(np.searchsorted(offsets, place, side="right")) - 1
        raise TypeError(f"tokens must be str; document {at} holds {_kind(wrong)}")
    values = _from_python(tokens)
    if isinstance(values, pa.ChunkedArray):
        raise ValueError("lists of tokens larger than 2 GiB: pass them in parts")
    return pa.LargeListArray.from_arrays(pa.array(offsets), values)


def _checked(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
        kind = array.type
    if pa.types.is_string_view(kind):
        array, kind = array.cast(pa.large_string()), pa.large_string()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_list(kind)):
        raise TypeError(f"documents must be text or lists of tokens, got an Arrow array of {kind}")
    inner = [array]
    if _is_list(kind):
        pieces = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        inner += [piece.flatten() for piece in pieces]
    for part in inner:
        if part.null_count:
            at = int(np.flatnonzero(part.is_null().to_numpy(zero_copy_only=False))[0])
            raise TypeError(
                f"{_EXPECTED}; document {at} is None"
                if part is array
                else f"tokens must be str; token {at} is None"
            )
    return array


def _is_list(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
        pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    )


def pieces(array: pa.Array | pa.ChunkedArray, size: int = PIECE) -> Iterator[pa.Array]:
    """Yield slices of whole strings, about ``size`` bytes of UTF-8 each; nothing is copied."""
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        if not len(chunk):
            continue
        ends = strings(chunk).offsets
        cuts = np.searchsorted(ends, np.arange(size, ends[-1] + size, size), side="left")
        cuts = np.unique(np.concatenate([[0], np.minimum(cuts, len(chunk)), [len(chunk)]]))
        for start, stop in itertools.pairwise(cuts.tolist()):
            yield chunk.slice(start, stop - start)
