"""Matrices on disk: what was written is read, and what is broken is refused."""

import numpy as np
import pytest
import scipy.sparse as sp

from rnnlab.sparse import storage
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.storage import read_csr, write_csr
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import corpora


def test_a_streamed_corpus_equals_the_whole(tmp_path):
    texts = corpora.movie_reviews().texts[-600:]
    file = tmp_path / "texts.txt"
    file.write_text("".join(text.replace("\n", " ") + "\n" for text in texts))
    bag = BagOfWords(min_df=2).fit_chunks(corpora.lines(file, 5000))
    shape = write_csr(tmp_path / "matrix", bag.transform_chunks(corpora.lines(file, 5000)))
    got = read_csr(tmp_path / "matrix")
    expected = BagOfWords(min_df=2).fit_transform(texts)
    assert shape == got.shape == expected.shape
    assert (got != expected).nnz == 0
    assert all(mapped(array) for array in (got.data, got.indices, got.indptr))
    weights = TfIdf().fit_transform(got)
    assert np.abs(weights - TfIdf().fit_transform(expected)).max() == 0


def mapped(array):
    """Whether an array is a view of a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_numbers_past_32_bits_get_64(tmp_path):
    file = tmp_path / "indices.bin"
    np.arange(10, dtype=np.int32).tofile(file)
    storage._rewrite(file, np.int32, np.int64)
    assert np.fromfile(file, np.int64).tolist() == list(range(10))
    assert [path.name for path in tmp_path.iterdir()] == ["indices.bin"]


def test_a_matrix_without_entries_is_read(tmp_path):
    write_csr(tmp_path, [sp.csr_array((2, 3))])
    assert read_csr(tmp_path).toarray().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_bad_folders_and_parts_are_refused(tmp_path):
    one = sp.csr_array(np.eye(2))
    with pytest.raises(FileNotFoundError, match="holds no matrix"):
        read_csr(tmp_path)
    with pytest.raises(ValueError, match="no parts"):
        write_csr(tmp_path / "none", [])
    with pytest.raises(FileNotFoundError, match="holds no matrix"):
        read_csr(tmp_path / "none")
    with pytest.raises(ValueError, match="a part has 3 columns"):
        write_csr(tmp_path / "wide", [one, sp.csr_array(np.eye(3))])
    with pytest.raises(ValueError, match="of int64, the first 2 of <f8"):
        write_csr(tmp_path / "kind", [one, one.astype(np.int64)])
    write_csr(tmp_path / "good", [one])
    with pytest.raises(FileExistsError, match="not empty"):
        write_csr(tmp_path / "good", [one])
    (tmp_path / "good" / "data.bin").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"data\.bin has 4 bytes, expected 16"):
        read_csr(tmp_path / "good")
