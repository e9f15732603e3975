"""word2vec_format.py: files go to gensim and back, and bad ones are refused by name."""

import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from rnnlab.embeddings import word2vec_format
from rnnlab.embeddings.vectors import Vectors

WORDS = ["the", "café", "词", "New_York", "</s>", "𝄞"]
WRITE = {"text": word2vec_format.write_text, "binary": word2vec_format.write_binary}
READ = {"text": word2vec_format.read_text, "binary": word2vec_format.read_binary}
KINDS = pytest.mark.parametrize("kind", ["text", "binary"])


def drawn(V, D):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(V, D)) * 10.0 ** rng.integers(-9, 9, (V, D))).astype(np.float32)


@pytest.fixture
def some():
    return Vectors(WORDS, drawn(len(WORDS), 5))


def keyed(v):
    out = KeyedVectors(v.dimension)
    out.add_vectors(list(v.words), v.matrix)
    return out


# ---- there and back ----------------------------------------------------------------------------


@KINDS
def test_files_written_here_load_here_and_in_gensim(kind, some, tmp_path):
    path = tmp_path / "v"
    WRITE[kind](some, path)
    back = READ[kind](path)
    theirs = KeyedVectors.load_word2vec_format(str(path), binary=kind == "binary")
    assert back.words == some.words == tuple(theirs.index_to_key)
    np.testing.assert_array_equal(back.matrix, some.matrix)
    np.testing.assert_array_equal(theirs.vectors, some.matrix)
    assert [p.name for p in tmp_path.iterdir()] == ["v"]


@KINDS
def test_files_of_gensim_load_here(kind, some, tmp_path):
    path = tmp_path / "v"
    keyed(some).save_word2vec_format(str(path), binary=kind == "binary")
    back = READ[kind](path)
    assert back.words == some.words
    np.testing.assert_array_equal(back.matrix, some.matrix)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # gensim leaves the file open
def test_without_a_header_as_glove_has_it(some, tmp_path):
    path = tmp_path / "glove.txt"
    word2vec_format.write_text(some, path, header=False)
    theirs = KeyedVectors.load_word2vec_format(str(path), binary=False, no_header=True)
    np.testing.assert_array_equal(theirs.vectors, some.matrix)
    assert path.read_text(encoding="utf-8").startswith("the ")
    back = word2vec_format.read_text(path, header=False)
    assert back.words == some.words
    np.testing.assert_array_equal(back.matrix, some.matrix)
    many = Vectors([f"w{n}" for n in range(3000)], drawn(3000, 2))  # more than a first guess
    word2vec_format.write_text(many, path, header=False)
    np.testing.assert_array_equal(word2vec_format.read_text(path, header=False).matrix, many.matrix)
    assert len(word2vec_format.read_text(path, header=False, limit=1500)) == 1500


@pytest.mark.parametrize("file", ["crime-and-punishment.vec", "lee_fasttext.vec", "toy-model.vec"])
def test_files_of_fasttext(file):
    ours = word2vec_format.read_text(datapath(file))
    theirs = KeyedVectors.load_word2vec_format(datapath(file))
    assert list(ours.words) == theirs.index_to_key
    np.testing.assert_allclose(ours.matrix, theirs.vectors, rtol=1e-6)


@KINDS
def test_a_limit_reads_the_first_words(kind, some, tmp_path):
    WRITE[kind](some, tmp_path / "v")
    back = READ[kind](tmp_path / "v", limit=2)
    assert back.words == ("the", "café")
    np.testing.assert_array_equal(back.matrix, some.matrix[:2])
    assert len(READ[kind](tmp_path / "v", limit=99)) == 6


def test_other_ways_to_write_the_same(tmp_path):
    path = tmp_path / "v"
    path.write_bytes(
        b"2 3\r\nof the 1 2 3 \r\n\xc2\xa0 4 5e-1 -6\r\n"
    )  # spaces in a word; fastText
    v = word2vec_format.read_text(path)
    assert v.words == ("of the", "\xa0")
    assert v.matrix.tolist() == [[1, 2, 3], [4, 0.5, -6]]
    row = np.array([1, 2], "<f4").tobytes()
    path.write_bytes(b"2 2\na " + row + b"\nb " + row)  # newlines between
    assert word2vec_format.read_binary(path).words == ("a", "b")
    path.write_bytes(b"2 2\na " + row + b"b " + row)  # none, as gensim
    assert word2vec_format.read_binary(path).words == ("a", "b")


def test_a_mark_tabs_and_blank_lines_at_the_end(tmp_path):
    path = tmp_path / "v"
    path.write_bytes("\ufeff1 2\na\t1\t2\n\n \n".encode())
    assert word2vec_format.read_text(path)["a"].tolist() == [1, 2]
    path.write_bytes(b"a\t1\t2\nb\t3\t4\n\n")
    assert word2vec_format.read_text(path, header=False)["b"].tolist() == [3, 4]


@KINDS
@pytest.mark.parametrize("name", ["v.gz", "v"])
def test_compressed_files_are_read_and_written(kind, name, some, tmp_path):
    """gensim writes and reads them by their name; here their first bytes tell."""
    path = tmp_path / "theirs.gz"
    keyed(some).save_word2vec_format(str(path), binary=kind == "binary")
    path.rename(tmp_path / name)
    back = READ[kind](tmp_path / name)
    assert back.words == some.words
    np.testing.assert_array_equal(back.matrix, some.matrix)
    assert len(READ[kind](tmp_path / name, limit=2)) == 2
    WRITE[kind](some, path)
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    theirs = KeyedVectors.load_word2vec_format(str(path), binary=kind == "binary")
    np.testing.assert_array_equal(theirs.vectors, some.matrix)


def test_binary_files_longer_than_a_block(some, tmp_path, monkeypatch):
    monkeypatch.setattr(word2vec_format, "_AT_ONCE", 7)
    for name in ("v", "v.gz"):
        WRITE["binary"](some, tmp_path / name)
        np.testing.assert_array_equal(READ["binary"](tmp_path / name).matrix, some.matrix)


@KINDS
@pytest.mark.parametrize("packed", [False, True])
def test_the_first_vector_of_a_word_that_occurs_again_is_kept(kind, packed, tmp_path):
    path = tmp_path / "v"
    rows = [("king", [1, 2]), ("queen", [3, 4]), ("king", [5, 6]), ("queen", [7, 8])]
    if kind == "text":
        body = "".join(f"{word} {a} {b}\n" for word, (a, b) in rows).encode()
    else:
        body = b"".join(w.encode() + b" " + np.array(r, "<f4").tobytes() for w, r in rows)
    path.write_bytes((gzip.compress if packed else bytes)(b"4 2\n" + body))
    place = "line 4" if kind == "text" else "word 3"
    said = rf"{path}, {place}: the word 'king' occurs again, .* 2 of 4 vectors are left out"
    with pytest.warns(UserWarning, match=said) as warned:
        v = READ[kind](path)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert v.words == ("king", "queen")
    assert v.matrix.tolist() == [[1, 2], [3, 4]]


# ---- what is refused ---------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("limit", [-1, 0, 1.5])
def test_a_limit_is_whole_and_at_least_1(kind, limit, some, tmp_path):
    WRITE[kind](some, tmp_path / "v")
    with pytest.raises(ValueError, match="limit must be a whole number of at least 1"):
        READ[kind](tmp_path / "v", limit=limit)


@KINDS
def test_a_compressed_file_that_is_cut_off_or_damaged(kind, some, tmp_path):
    path = tmp_path / "v.gz"
    WRITE[kind](some, path)
    whole = path.read_bytes()
    for cut in (12, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=rf"{path} is cut off"):
            READ[kind](path)
    damaged = bytearray(whole)
    damaged[-6] ^= 1  # of the check sum
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"{path} is damaged: CRC"):
        READ[kind](path)
    path.write_bytes(gzip.compress(b"1000000000 300\na 1 2\n"))
    with pytest.raises(ValueError, match="1000000000 words of 300 dimensions need more than"):
        READ[kind](path)
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(ValueError, match=r"is a .zip archive: unpack it first"):
        READ[kind](path)


@KINDS
@pytest.mark.parametrize("head", [b"", b"2\n", b"x y\n", b"2 0\n", b"-1 5\n", b"the 0.1 0.2\n"])
def test_another_header(kind, head, tmp_path):
    path = tmp_path / "v"
    path.write_bytes(head + b"a 1 2\n")
    with pytest.raises(ValueError, match=r"a first line 'V D' \(words, dimensions\) expected, got"):
        READ[kind](path)


@KINDS
def test_sizes_that_the_file_cannot_hold(kind, tmp_path):
    path = tmp_path / "v"
    path.write_bytes(b"1000000000 300\na 1 2\n")
    with pytest.raises(ValueError, match="1000000000 words of 300 dimensions need more than its"):
        READ[kind](path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        READ[kind]("nowhere")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("a 1 2\nb 1\nc 1 2", "line 3: a word and 2 numbers expected, got b'b 1"),
        ("a 1 2\nb 1 2 3 x", "line 3: a word and 2 numbers expected, got b'b 1 2 3 x'"),
        ("a 1 2\nb 1 two", "line 3: a word and 2 numbers expected"),
        ("a 1 2\n\nb 1 2", "line 3: a word and 2 numbers expected, got b''"),
        ("a 1 2\nb 1 nan", r"v: the vector of 'b' \(row 1\) is not finite"),
        ("a 1.000 2.000", "is cut off: 2 words expected, got 1"),
        ("a 1 2\nb 1 2\nc 1 2", "line 4: 2 words expected, got more: b'c 1 2'"),
        ("a 1 2\nb 1 2\n\nc 1 2", "line 4: a word and 2 numbers expected, got b''"),
    ],
)
def test_lines_of_another_form(lines, words, tmp_path):
    path = tmp_path / "v"
    path.write_text("2 2\n" + lines)
    with pytest.raises(ValueError, match=words):
        word2vec_format.read_text(path)


def test_a_binary_file_cut_off_anywhere(some, tmp_path):
    path = tmp_path / "v"
    word2vec_format.write_binary(some, path)
    whole = path.read_bytes()
    for cut in range(4, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"is cut off"):
            word2vec_format.read_binary(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(ValueError, match="bytes are left after 6 words"):
        word2vec_format.read_binary(path)


@KINDS
def test_words_that_are_not_utf8(kind, tmp_path):
    path = tmp_path / "v"
    v = Vectors(["caf\udce9", "b"], drawn(2, 3))
    WRITE[kind](v, path)
    with pytest.raises(ValueError, match=r"b'caf\\xe9' is not UTF-8 \(errors='surrogateescape'"):
        READ[kind](path)
    back = READ[kind](path, errors="surrogateescape")
    assert back.words == v.words


@KINDS
@pytest.mark.parametrize("word", ["", "New York", "a\n", "\xa0"])
def test_words_that_the_format_has_no_place_for(kind, word, tmp_path):
    with pytest.raises(ValueError, match="cannot represent the word"):
        WRITE[kind](Vectors(["a", word], drawn(2, 3)), tmp_path / "v")
    assert not list(tmp_path.iterdir())
