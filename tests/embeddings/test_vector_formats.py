"""vector_formats.py: the format of a file is found, compared with gensim's reading."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.models.fasttext import load_facebook_vectors

from rnnlab.embeddings import word2vec_format
from rnnlab.embeddings.vectors import Vectors

MODELS = Path(__file__).with_name("fasttext_models")


@pytest.fixture
def some():
    matrix = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    return Vectors([f"词{n}" for n in range(40)], matrix)


def same(found, expected):
    assert found.words == expected.words
    np.testing.assert_array_equal(found.matrix, expected.matrix)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["text", "binary", "glove"])
def test_word2vecs_and_gloves_files_are_told_apart(kind, packed, some, tmp_path):
    path = tmp_path / "vectors"  # its name says nothing
    if kind == "glove":
        word2vec_format.write_text(some, path, header=False)
    else:
        theirs = KeyedVectors(7)
        theirs.add_vectors(list(some.words), some.matrix)
        theirs.save_word2vec_format(str(path), binary=kind == "binary")
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = Vectors.load(path)
    assert found.words == some.words
    np.testing.assert_allclose(found.matrix, some.matrix, rtol=1e-6)
    assert Vectors.load(path, limit=3).words == some.words[:3]


def test_own_and_fasttexts_files_are_found(some, tmp_path):
    some.save(tmp_path / "a.txt")
    same(Vectors.load(tmp_path / "a.txt"), some)
    with pytest.raises(ValueError, match="is a safetensors file, which is read whole"):
        Vectors.load(tmp_path / "a.txt", limit=2)
    model = min(MODELS.glob("*.bin"), key=lambda path: path.stat().st_size)
    (tmp_path / "model").write_bytes(model.read_bytes())
    found, theirs = Vectors.load(tmp_path / "model"), load_facebook_vectors(str(model))
    assert list(found.words) == theirs.index_to_key
    np.testing.assert_allclose(found.matrix, theirs.vectors, atol=1e-6)
    if found.subwords is not None:
        np.testing.assert_allclose(found["unseenword"], theirs["unseenword"], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"a": 1}), "is a pickle.*save_word2vec_format"),
        (b"", "line 1: a word and numbers expected"),
        (b"A text of words\nand more.\n", "line 1: a word and 3 numbers expected"),
        (b"PK\x03\x04....", "is a .zip archive"),
    ],
)
def test_other_files_are_refused(content, words, tmp_path):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        Vectors.load(tmp_path / "v")


def test_a_header_whose_length_has_the_byte_of_a_newline(some, tmp_path):
    some.save(tmp_path / "own")
    content = (tmp_path / "own").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    for length in (0x0A00, 0x0A10):  # filled up with spaces, as the format allows
        header = content[8:end].ljust(length)
        packed = length.to_bytes(8, "little") + header + content[end:]
        (tmp_path / "longer").write_bytes(packed)
        same(Vectors.load(tmp_path / "longer"), some)


@pytest.mark.parametrize("first", ["2 2", "abcdefgh{ 1 2"])
def test_a_brace_makes_no_text_another_file(first, tmp_path):
    lines = [first, "ab{ 1 2", "{c 3 4"]
    (tmp_path / "v").write_text("\n".join(lines) + "\n")
    assert Vectors.load(tmp_path / "v").words[-2:] == ("ab{", "{c")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="no file 'nowhere"):
        Vectors.load("nowhere.vec")
