"""N-grams against loops over tokens and characters."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.sparse.ngram import ngrams, word_parts
from rnnlab.text.tokenizers import Characters, Tokens, Whitespace, tokenize

LISTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "ab", "é", "a b", " "]), max_size=7), max_size=4
)
RANGES = [(1, 1), (1, 2), (2, 2), (2, 4), (1, 6)]


def loop(words, low, high, separator):
    return [
        separator.join(words[i : i + n])
        for n in range(low, high + 1)
        for i in range(len(words) - n + 1)
    ]


@pytest.mark.parametrize(("low", "high"), RANGES)
@given(lists=LISTS)
def test_equal_a_loop(low, high, lists):
    got = ngrams(tokenize(lists), low, high)
    assert got.lists() == [loop(words, low, high, " ") for words in lists]
    assert len(set(got.terms.to_pylist())) == len(got.terms)


@pytest.mark.parametrize(("low", "high"), RANGES)
@given(texts=st.lists(st.text("ab é中", max_size=9), max_size=4))
def test_characters_equal_a_loop(low, high, texts):
    got = ngrams(Characters()(texts), low, high, "")
    assert got.lists() == [loop(list(text), low, high, "") for text in texts]


def test_numbers_that_do_not_fit_in_64_bits_are_made_small():
    # 2,000,001³ is below 2⁶³, its square is not
    rng = np.random.default_rng(0)
    terms = pa.array([f"t{k}" for k in range(2_000_000)])
    codes = rng.integers(1_999_990, 2_000_000, 300).astype(np.int32)
    tokens = Tokens(codes, np.array([0, 100, 300]), terms)
    got = ngrams(tokens, 5, 6)
    assert got.lists() == [loop(words, 5, 6, " ") for words in tokens.lists()]


@pytest.mark.parametrize(("low", "high"), RANGES)
@given(words=st.lists(st.text("aé中", min_size=1, max_size=6), max_size=5, unique=True))
def test_parts_of_words_equal_a_loop(low, high, words):
    got = word_parts(pa.array(words, pa.string()), low, high).lists()
    for word, parts in zip(words, got, strict=True):
        padded = f" {word} "
        expected = loop(list(padded), low, high, "")
        assert parts == (expected or [padded])


def test_dimension_grows_steeply_with_n():
    # claim 5, on as many words as there are different ones
    rng = np.random.default_rng(0)
    text = " ".join(f"w{k}" for k in rng.zipf(1.5, 20_000) % 1000)
    sizes = [len(ngrams(Whitespace()([text]), n, n).terms) for n in (1, 2, 3)]
    assert sizes[1] > 3 * sizes[0]
    assert sizes[2] > 1.5 * sizes[1]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (2, 1), (-1, 0)])
def test_bad_ranges_are_refused(low, high):
    with pytest.raises(ValueError, match=f"1 ≤ low ≤ high, got {low} to {high}"):
        ngrams(Whitespace()(["a"]), low, high)
    with pytest.raises(ValueError, match=f"1 ≤ low ≤ high, got {low} to {high}"):
        word_parts(pa.array(["a"]), low, high)
    with pytest.raises(ValueError, match=r"high must be a whole number, got 1\.5"):
        ngrams(Whitespace()(["a"]), 1, 1.5)
