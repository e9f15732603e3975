"""subwords.py: n-grams and hashes against a loop over bytes, and gensim's own."""

import numpy as np
import pytest
from gensim.models.fasttext_inner import compute_ngrams_bytes, ft_hash_bytes
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.embeddings import subwords

WORDS = ["her", "a", "café", "词向量", "𝄞x", "where", "ß", "l'été", "", "I.B.M."]
WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


def loop(word, minn, maxn):
    """fastText's Dictionary::computeSubwords, over bytes: [(n-gram, hash)]."""
    data, out = b"<" + word.encode() + b">", []
    for i in range(len(data)):
        if data[i] & 0xC0 == 0x80:
            continue
        j, n, gram = i, 1, b""
        while j < len(data) and n <= maxn:
            gram += data[j : j + 1]
            j += 1
            while j < len(data) and data[j] & 0xC0 == 0x80:
                gram += data[j : j + 1]
                j += 1
            if n >= minn and not (n == 1 and (i == 0 or j == len(data))):
                h = 2166136261
                for byte in gram:
                    signed = byte - 256 if byte > 127 else byte
                    h = ((h ^ (signed % 2**32)) * 16777619) % 2**32
                out.append((gram.decode(), h))
            n += 1
    return out


@pytest.mark.parametrize(("minn", "maxn"), [(3, 6), (1, 3), (2, 2), (1, 1), (0, 2), (5, 5)])
@given(words=st.lists(WORD, min_size=1, max_size=4))
def test_ngrams_and_hashes_are_those_of_the_loop(words, minn, maxn):
    ids, offsets = subwords.bucket_ids(words, minn, maxn, 997)
    assert ids.dtype == np.int32
    for v, word in enumerate(words):
        grams = loop(word, minn, maxn)
        assert subwords.ngrams(word, minn, maxn) == [g for g, _ in grams]
        assert ids[offsets[v] : offsets[v + 1]].tolist() == [h % 997 for _, h in grams]
        assert subwords.buckets(word, minn, maxn, 997).tolist() == [h % 997 for _, h in grams]
        assert [subwords.fnv1a(g) for g, _ in grams] == [h for _, h in grams]


@pytest.mark.parametrize("word", WORDS)
def test_ngrams_and_hashes_are_gensims(word):
    grams = compute_ngrams_bytes(word, 3, 6)
    assert subwords.ngrams(word, 3, 6) == [bytes(g).decode() for g in grams]
    assert [subwords.fnv1a(g) for g in grams] == [ft_hash_bytes(g) for g in grams]


def test_words_that_are_no_utf8_hash_their_own_bytes():
    raw = b"caf\x82"  # cp852
    assert subwords.buckets(raw.decode("utf-8", "surrogateescape"), 2, 3, 101).tolist() == (
        subwords.buckets(raw, 2, 3, 101).tolist()
    )


def test_many_words_are_hashed_in_pieces(monkeypatch):
    whole = subwords.bucket_ids(WORDS, 3, 6, 997)
    monkeypatch.setattr(subwords, "_CHUNK", 3)
    for one, other in zip(whole, subwords.bucket_ids(WORDS, 3, 6, 997), strict=True):
        assert (one == other).all()


def drawn(V, D=5, K=31, minn=3, maxn=6):
    rng = np.random.default_rng(0)
    return subwords.Subwords(
        rng.normal(size=(V, D)).astype(np.float32),
        rng.normal(size=(K, D)).astype(np.float32),
        minn,
        maxn,
    )


@pytest.mark.parametrize(("minn", "maxn"), [(3, 6), (1, 2)])
def test_vectors_are_means_of_rows(minn, maxn):
    words = [*WORDS, "</s>"]
    sub = drawn(len(words), minn=minn, maxn=maxn)
    matrix = subwords.compose(words, sub)
    assert matrix.dtype == np.float32
    for v, word in enumerate(words):
        grams = [] if word == "</s>" else [h % 31 for _, h in loop(word, minn, maxn)]
        mean = np.mean([sub.word_rows[v], *(sub.rows[g] for g in grams)], axis=0)
        np.testing.assert_allclose(matrix[v], mean, rtol=1e-5, atol=1e-6)
        if grams:
            np.testing.assert_allclose(subwords.vector(word, sub, v), mean, rtol=1e-5, atol=1e-6)
    unseen = np.mean([sub.rows[h % 31] for _, h in loop("hers", minn, maxn)], axis=0)
    np.testing.assert_allclose(subwords.vector("hers", sub), unseen, rtol=1e-5, atol=1e-6)


def test_a_short_known_word_keeps_its_row():
    sub = drawn(len(WORDS))
    np.testing.assert_array_equal(subwords.vector("", sub, 8), sub.word_rows[8])


def test_a_table_without_ngrams_leaves_the_rows():
    sub = drawn(len(WORDS), K=0, minn=0, maxn=0)
    np.testing.assert_array_equal(subwords.compose(WORDS, sub), sub.word_rows)
    with pytest.raises(KeyError, match="no vector for 'hers'"):
        subwords.vector("hers", sub)


def test_errors_say_what_was_got():
    with pytest.raises(KeyError, match=r"no vector for '': .* 3 to 6 characters"):
        subwords.vector("", drawn(0))
    with pytest.raises(ValueError, match="minn=4, maxn=3"):
        subwords.ngrams("her", 4, 3)
    with pytest.raises(ValueError, match="minn=-1, maxn=0"):
        subwords.bucket_ids(["her"], -1, 0, 10)
    with pytest.raises(ValueError, match="buckets must be a whole number of at least 1, got 0"):
        subwords.buckets("her", 3, 6, 0)
