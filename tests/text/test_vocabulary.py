"""The vocabulary against collections.Counter, the thinning against its formulas."""

import timeit
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from rnnlab.text import vocabulary
from rnnlab.text.tokenizers import Tokens, Words
from rnnlab.text.vocabulary import Vocabulary, keep_probabilities

RNG = np.random.default_rng(0)
WORDS = [f"w{k}" for k in range(200)] + ["é", "中文", "z"]
LISTS = [[WORDS[int(k)] for k in RNG.zipf(1.3, 50) % len(WORDS)] for _ in range(40)]


def expected(min_count, max_size):
    counts = Counter(word for words in LISTS for word in words)
    kept = sorted((-n, word.encode(), word) for word, n in counts.items() if n >= min_count)
    return [(word, -n) for n, _, word in kept][:max_size]


@pytest.mark.parametrize("min_count", [1, 3])
@pytest.mark.parametrize("max_size", [None, 5])
@pytest.mark.parametrize("parts", [1, 40])
def test_equal_a_counter(min_count, max_size, parts):
    size = len(LISTS) // parts
    tokens = (Words()([" ".join(w) for w in LISTS[k : k + size]]) for k in range(0, 40, size))
    built = Vocabulary.build(tokens, min_count, max_size)
    assert list(zip(built.words(), built.counts.tolist(), strict=True)) == expected(
        min_count, max_size
    )
    assert built.total == 40 * 50
    assert len(built) == len(built.words())


def test_merging_as_parts_come(monkeypatch):
    counter, whole = vocabulary.Counter(), Counter()
    merged = []
    monkeypatch.setattr(
        vocabulary.Counter,
        "_merge",
        lambda self, f=vocabulary.Counter._merge: (merged.append(1), f(self)),
    )
    for k in range(30):
        terms = [f"t{k * 2000 + j}" for j in range(6000)]
        counter.add(pa.array(terms), np.full(6000, k + 1))
        whole.update(dict.fromkeys(terms, k + 1))
    assert 1 < len(merged) < 15
    terms, counts = counter.result()
    assert dict(zip(terms.to_pylist(), counts.tolist(), strict=True)) == whole


def test_specials_come_first():
    tokens = Words()(["a b b the", "the the"])
    built = Vocabulary.build(tokens, min_count=2, specials=("<pad>", "the", "<unk>"))
    assert built.words() == ["<pad>", "the", "<unk>", "b"]
    assert built.counts.tolist() == [0, 3, 0, 2]
    assert built.encode(tokens, unknown=2).tolist() == [2, 3, 3, 1, 1, 1]
    assert Vocabulary.build(tokens, max_size=3, specials=("<pad>",)).words() == [
        "<pad>",
        "the",
        "b",
    ]


def test_an_unknown_word_costs_about_what_a_known_one_costs():
    """A search by difflib took 0.2 s in 50,000 words; the most frequent near word is named."""
    words = pa.array([f"w{n}" for n in range(50_000)])
    built = Vocabulary(words, np.ones(50_000, np.int64), 50_000)

    def unknown():
        with pytest.raises(KeyError, match="did you mean 'w4999'"):
            built["w4999x"]

    known = min(timeit.repeat(lambda: built["w49999"], number=5, repeat=3))
    assert min(timeit.repeat(unknown, number=5, repeat=3)) < 100 * known
    with pytest.raises(KeyError, match=r"of 50000 terms$"):
        built["nothing near"]


def test_there_and_back(tmp_path):
    built = Vocabulary.build(Words()([" ".join(words) for words in LISTS]))
    assert built["w1"] == built.words().index("w1")
    assert built.decode(built.encode_words(["w1", "é"])) == ["w1", "é"]
    assert built.encode_words(["w1", "none"]).tolist() == [built["w1"], -1]
    assert built.encode_words([]).tolist() == []
    assert "w1" in built
    assert "none" not in built
    assert 1 not in built
    assert built.get("none") is None
    with pytest.raises(KeyError, match=r"^'w1999' is not in the .*did you mean 'w199'"):
        built["w1999"]
    for wrong in ([-1], [len(built)]):
        with pytest.raises(ValueError, match="ids must be 0 to"):
            built.decode(wrong)
    built.save(tmp_path / "v.tsv")
    again = Vocabulary.load(tmp_path / "v.tsv")
    assert again.words() == built.words()
    assert again.counts.tolist() == built.counts.tolist()
    assert again.total == built.total
    assert "terms of a corpus of 2000 tokens" in repr(again)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a\t1\n",
        "# tokens\t5\na\n",
        "# tokens\t5\na\tx\n",
        "# tokens\t5\n",
        "# tokens\t5\na\t-1",
    ],
)
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "v.tsv").write_text(content)
    with pytest.raises(ValueError, match=r"v\.tsv"):
        Vocabulary.load(tmp_path / "v.tsv")
    (tmp_path / "v.tsv").write_bytes(b"# tokens\t5\n\xff\t5\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        Vocabulary.load(tmp_path / "v.tsv")


def test_what_cannot_be_written(tmp_path):
    built = Vocabulary.from_counts(["a\tb", "c"], [1, 1])
    with pytest.raises(ValueError, match="cannot hold the term"):
        built.save(tmp_path / "v.tsv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_count": 9}, "0 terms are left of 2, at least 1 needed: the most frequent occurs 2"),
        ({"min_size": 3}, "2 terms are left of 2, at least 3 needed"),
        ({"min_count": 0}, "min_count must be a whole number of at least 1, got 0"),
        ({"max_size": 0}, "max_size must be a whole number of at least 1, got 0"),
        ({"specials": ("x", "x")}, "specials must differ"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.build(Words()(["a a b"]), **options)


def test_bad_counts_are_refused():
    with pytest.raises(ValueError, match="no tokens: every document is empty"):
        Vocabulary.build(Words()(["", " "]))
    with pytest.raises(ValueError, match="terms must differ"):
        Vocabulary.from_counts(["a", "a"], [1, 2])
    for counts in ([1], [1, -1]):
        with pytest.raises(ValueError, match="counts must be 2 whole numbers"):
            Vocabulary.from_counts(["a", "b"], counts)


def test_no_tokens_are_encoded_as_int32():
    built = Vocabulary.from_counts(["a"], [1])
    nothing = Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64), pa.array([], pa.string()))
    assert built.encode(nothing).dtype == np.int32


# ---- thinning ----------------------------------------------------------------------------------


def test_subsampling_equals_word2vec_c():
    # word2vec.c: (sqrt(cn / (sample * words)) + 1) * (sample * words) / cn
    counts, t = np.array([1, 50, 4000, 0]), 1e-3
    kept = keep_probabilities(counts, t)
    n = counts.sum()
    for k, c in enumerate(counts[:3].tolist()):
        assert kept[k] == pytest.approx(min(1.0, (np.sqrt(c / (t * n)) + 1) * (t * n) / c))
    assert kept[3] == 1
    assert kept[2] < 0.1


def test_subsampling_equals_the_paper():
    counts, t = np.array([1, 50, 4000]), 1e-3
    kept = keep_probabilities(counts, t, total=10_000, formula="paper")
    for k, c in enumerate(counts.tolist()):
        discard = max(0.0, 1 - np.sqrt(t / (c / 10_000)))
        assert kept[k] == pytest.approx(1 - discard)


def test_bad_subsampling_is_refused():
    assert keep_probabilities([5, 0], sample=0).tolist() == [1, 1]
    for options, message in (
        ({"sample": -1}, "sample"),
        ({"sample": float("nan")}, "sample"),
        ({"formula": "x"}, "formula"),
    ):
        with pytest.raises(ValueError, match=message):
            keep_probabilities([1], **options)
    with pytest.raises(ValueError, match="counts must be at least 0"):
        keep_probabilities([-1])
