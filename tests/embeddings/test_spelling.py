"""Spelling repair: the distance against recursion, suggestions, and the command."""

import gzip
from functools import lru_cache

import numpy as np
import pytest

from rnnlab import cli
from rnnlab.embeddings import corpus, fasttext, spelling
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors

WORDS = ["president", "government", "dog", "children"]


@pytest.fixture(scope="module")
def vectors():
    """Sentences of four words; no meaning is asked for, only form."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(WORDS)) for _ in range(100)]
    settings = Settings(size=16, epochs=1, sample=0, buckets=2000, engine="jax")
    return Vectors.of(fasttext.train(corpus.of_documents(texts), settings))


def test_distance_equals_the_recursion():
    @lru_cache(None)
    def d(a, b):
        if not a or not b:
            return len(a) + len(b)
        best = min(d(a[:-1], b) + 1, d(a, b[:-1]) + 1, d(a[:-1], b[:-1]) + (a[-1] != b[-1]))
        if len(a) > 1 and len(b) > 1 and a[-2:] == b[-2:][::-1]:
            best = min(best, d(a[:-2], b[:-2]) + 1)
        return best

    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 7))) for _ in range(2))
        assert spelling.distance(a, b) == d(a, b)


def test_misspelled_words_are_found(vectors):
    for wrong, right in (("presidnet", "president"), ("goverment", "government")):
        best, keystrokes, cosine = spelling.suggestions(vectors, wrong)[0]
        assert (best, keystrokes) == (right, 1)
        assert -1 <= cosine <= 1
    assert spelling.suggestions(vectors, "dog") == [("dog", 0, 1.0)]


def test_repair_keeps_what_it_should(vectors):
    text = "The Presidnet's dog, 3 CHILDERN & xylophones; a goverment!"
    assert spelling.repair(vectors, text, furthest=1) == (
        "The President's dog, 3 CHILDREN & xylophones; a government!"
    )


def test_vectors_without_subwords_are_refused():
    plain = Vectors(["a", "b"], np.eye(2))
    for ask in (spelling.suggestions, spelling.repair):
        with pytest.raises(ValueError, match="needs vectors with sub-words"):
            ask(plain, "ab")


@pytest.mark.parametrize("wrong", [-1, 2.5, "1"])
def test_numbers_are_whole_and_within_bounds(wrong, vectors):
    for name, ask in (
        ("top", lambda: spelling.suggestions(vectors, "goverment", wrong)),
        ("candidates", lambda: spelling.suggestions(vectors, "goverment", candidates=wrong)),
        ("candidates", lambda: spelling.repair(vectors, "a", candidates=wrong)),
        ("furthest", lambda: spelling.repair(vectors, "a", furthest=wrong)),
    ):
        with pytest.raises(ValueError, match=rf"{name} must be a whole number of at least"):
            ask()
    assert len(spelling.suggestions(vectors, "goverment", 10**9)) == len(WORDS)


VECTORS = {  # files of vectors, which are no text to learn words from
    "v.vec": b"3 2\nking 0.1 0.2\nqueen 0.3 0.4\nking 0.5 0.6\n",
    "glove.txt": b"king 0.1 0.2 1 2\nqueen 0.3 0.4 1 2\n",
    "v.vec.gz": gzip.compress(b"2 2\nking 0.1 0.2\nqueen 0.3 0.4\n"),
    "binary": b"2 2\nking " + bytes(8) + b"queen " + bytes(8),
}


@pytest.mark.parametrize("name", VECTORS)
def test_numbers_of_vectors_are_not_learned_as_words(name, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(VECTORS[name])
    assert cli.main(["spell", str(path), "--text=kng"]) == 2
    said = capsys.readouterr().err
    assert f"{path} is a file of word vectors, which has no sub-words" in said
    assert len(said.splitlines()) == 1
    with pytest.raises(ValueError, match="a file of word vectors: a text to learn them from"):
        corpus.of_file(str(path), min_count=1)


def test_texts_that_begin_with_numbers_are_texts(tmp_path):
    path = tmp_path / "text.txt"
    for text in ("1986 12\nthe year and the year\n", "a b c d e\nf g h i j\n", "1 2\n", "a a b b"):
        path.write_text(text)
        assert corpus.of_file(str(path), min_count=1).tokens > 1


def test_command(vectors, tmp_path, capsys):
    pytest.importorskip("safetensors")
    file = str(tmp_path / "v.safetensors")
    vectors.save(file)
    assert cli.main(["spell", file, "--text=the goverment"]) == 0
    assert capsys.readouterr().out == "the government\n"
    assert cli.main(["spell", file, "--text=goverment dog", "--suggest=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["goverment"]
    assert lines[0].split("\t")[1].startswith("government (1)")
    for arguments, message in (
        ([], "spell takes one file of vectors or text"),
        ([file], "spell needs --text=TEXT or --file=FILE"),
        ([str(tmp_path / "none"), "--text=a"], "no file"),
    ):
        assert cli.main(["spell", *arguments]) == 2
        assert message in capsys.readouterr().err
