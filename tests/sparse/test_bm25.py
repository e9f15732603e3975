"""BM25 against the equations in Python loops and against bm25s; ranking against a full sort."""

import itertools
import math
from collections import Counter

import bm25s
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from rnnlab.sparse import bm25, top_k
from rnnlab.sparse.bm25 import BM25, VARIANTS
from rnnlab.sparse.inverted_index import InvertedIndex
from rnnlab.text.tokenizers import tokenize

N = 300
THEIRS = {
    "robertson_floored": "robertson",
    "lucene": "lucene",
    "atire": "atire",
    "bm25+": "bm25+",
    "bm25l": "bm25l",
}


def texts(count, longest, seed, words=120):
    """Lists of words, common and rare ones; some are empty, some stand twice."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, words + 1)
    return [
        [f"w{code}" for code in rng.choice(words, rng.integers(0, longest), p=p / p.sum())]
        for _ in range(count)
    ]


DOCUMENTS = texts(N, 50, 0)
DF = Counter(word for document in DOCUMENTS for word in set(document))
QUERIES = [*texts(60, 7, 1, words=150), ["w0", "w3", "w0", "w0"], ["never"], []]


def by_hand(query, document, k1, b, variant, delta):
    """The notes' formula and the variants', one word of the query after the other."""
    average = sum(map(len, DOCUMENTS)) / N
    norm = 1 - b + b * len(document) / average
    total = 0.0
    for word in query:
        if word in DF:
            f = document.count(word)
            ratio = f / (f + k1 * norm) if f else 0.0
            total += one_word(variant, DF[word], ratio, f / norm if f else 0.0, k1, delta)
    return total


def one_word(variant, df, ratio, c, k1, delta):
    odds = (N - df + 0.5) / (df + 0.5)
    match variant:
        case "robertson":
            return math.log(odds) * (k1 + 1) * ratio
        case "robertson_floored":
            return max(0.0, math.log(odds)) * ratio
        case "lucene":
            return math.log(1 + odds) * ratio
        case "atire":
            return math.log(N / df) * (k1 + 1) * ratio
        case "bm25+":
            return math.log((N + 1) / df) * ((k1 + 1) * ratio + delta)
    return math.log((N + 1) / (df + 0.5)) * (k1 + 1) * (c + delta) / (k1 + c + delta)


@pytest.fixture(scope="module")
def fitted():
    return BM25().fit(DOCUMENTS)


# ---- scores ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "b", "delta"), [(1.5, 0.75, 0.5), (0.9, 0.4, 1.0), (2.0, 1.0, 0.3)])
def test_scores_are_the_formula(fitted, variant, k1, b, delta):
    fitted.set_params(variant=variant, k1=k1, b=b, delta=delta)
    for query in QUERIES[-8:]:
        own = fitted.scores(query)
        for place in range(0, N, 23):
            expected = by_hand(query, DOCUMENTS[place], k1, b, variant, delta)
            assert own[place] == pytest.approx(expected, rel=1e-5, abs=1e-5)
            assert fitted.score(query, place) == pytest.approx(own[place], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("variant", THEIRS)
def test_scores_are_bm25s(variant):
    for k1, b in ((1.5, 0.75), (0.9, 0.4)):
        theirs = bm25s.BM25(method=THEIRS[variant], k1=k1, b=b, delta=0.7, backend="numpy")
        theirs.index(DOCUMENTS, show_progress=False)
        ours = BM25(variant, k1=k1, b=b, delta=0.7).fit(DOCUMENTS)
        ranked = ours.search(QUERIES, k=10)
        for query, best in zip(QUERIES, ranked.documents, strict=True):
            expected = theirs.get_scores(query) if query else np.zeros(N)
            np.testing.assert_allclose(ours.scores(query), expected, rtol=1e-5, atol=1e-5)
            # the same ten, up to ties
            tenth = np.sort(expected)[-10]
            assert (expected[best] >= tenth - 1e-5).all()


def test_a_word_that_the_query_repeats_counts_twice(fitted):
    fitted.set_params(variant="lucene", k1=1.2, b=0.5)
    once, twice = fitted.scores(["w5"]), fitted.scores(["w5", "w5"])
    assert once.max() > 0
    np.testing.assert_allclose(twice, 2 * once)


def test_parameters_change_without_the_documents(fitted):
    fitted.set_params(variant="lucene", k1=1.5, b=0.75)
    before, index = fitted.scores(QUERIES[0]), fitted.index_
    fitted.set_params(k1=0.3, b=0.1)
    assert fitted.index_ is index
    fresh = BM25("lucene", k1=0.3, b=0.1).fit(DOCUMENTS).scores(QUERIES[0])
    np.testing.assert_array_equal(fitted.scores(QUERIES[0]), fresh)
    assert np.abs(before - fresh).max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_idf_is_finite_at_the_extremes(variant):
    for count in (1, 2, 1000):
        values = bm25.idf(np.arange(count + 1), count, variant)
        assert np.isfinite(values).all()
        assert (np.diff(values[1:]) <= 0).all()
    # df = N, and words that no document has, in scores
    model = BM25(variant).fit([["all", "a"], ["all", "b"], ["all", "a"]])
    assert np.isfinite(model.scores(["all", "never"])).all()


def test_k1_saturates_and_b_normalizes_length():
    tf = np.arange(1, 200)
    part = bm25.frequency_part(tf, 10, 10, k1=1.2, b=0.75, variant="robertson")
    assert (np.diff(part) > 0).all()
    assert (np.diff(part, 2) < 0).all()  # each occurrence adds less
    assert part[-1] < 1.2 + 1
    assert (bm25.frequency_part(tf, 10, 10, k1=0.0) == 1).all()
    lengths = np.array([1.0, 10, 100])
    assert np.ptp(bm25.frequency_part(3, lengths, 10, b=0.0)) == 0
    assert (np.diff(bm25.frequency_part(3, lengths, 10, b=0.75)) < 0).all()
    full = bm25.frequency_part([2, 20, 200], [10, 100, 1000], 10, b=1.0)
    np.testing.assert_allclose(full, full[0])  # b = 1: only the share of the document counts


def test_by_default_a_word_of_most_documents_counts_for_those_that_have_it():
    documents = ["the cat", "the dog", "the end", "a bird"]
    assert BM25().fit(documents).search(["the"], k=4).documents.tolist() == [[0, 1, 2, 3]]
    assert BM25("robertson").fit(documents).search(["the"], k=1).documents.tolist() == [[3]]


# ---- ranking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("k", [1, 10, 120, N, N + 5])
def test_search_is_a_full_stable_sort(fitted, variant, k, compiled):
    fitted.set_params(variant=variant, k1=1.5, b=0.0, delta=0.5)  # b = 0: many ties
    ranked = fitted.search(QUERIES, k=k, threads=2, compiled=compiled)
    assert ranked.documents.shape == (len(QUERIES), min(k, N))
    for query, documents, values in zip(QUERIES, *ranked, strict=True):
        own = fitted.scores(query)
        expected = np.lexsort((np.arange(N), -own))[:k]
        np.testing.assert_array_equal(documents, expected)
        np.testing.assert_array_equal(values, own[expected])


def test_both_ways_of_the_compiled_search_find_the_same():
    """Queries of rare words, where most postings are not read, and of common ones."""
    top_k_compiled = pytest.importorskip("rnnlab.sparse.top_k_compiled")
    documents = texts(4000, 30, 3, words=2000)
    model = BM25("lucene").fit(documents)
    weighted, prepared = model._prepare(texts(150, 12, 4, words=2000))
    ways = {
        top_k_compiled.whole_is_cheaper(
            weighted.offsets, weighted.rows, prepared.terms[low:high], len(documents)
        )
        for low, high in itertools.pairwise(prepared.offsets)
    }
    assert ways == {False, True}
    for k in (1, 5, 40):
        plain = top_k.search(weighted, prepared, len(documents), k, 1, compiled=False)
        found = top_k.search(weighted, prepared, len(documents), k, 3, compiled=True)
        np.testing.assert_array_equal(plain.documents, found.documents)
        np.testing.assert_array_equal(plain.scores, found.scores)


def test_without_numba_the_same_is_found(fitted, monkeypatch):
    expected = fitted.search(QUERIES, k=5)
    monkeypatch.setattr(top_k.importlib.util, "find_spec", lambda name: None)
    found = fitted.search(QUERIES, k=5)
    np.testing.assert_array_equal(found.documents, expected.documents)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[fast\]'"):
        fitted.search(QUERIES, compiled=True)


def test_no_queries(fitted):
    assert fitted.search([], k=3).documents.shape == (0, 3)


# ---- the index ---------------------------------------------------------------------------------


def test_a_mapped_index_scores_the_same(fitted, tmp_path):
    fitted.set_params(variant="bm25l", k1=1.5, b=0.75, delta=0.5)
    fitted.index_.save(tmp_path / "index")
    for mapped in (True, False):
        index = InvertedIndex.load(tmp_path / "index", mapped=mapped)
        assert isinstance(index.documents, np.memmap) == mapped
        other = BM25("bm25l").use(index)
        for compiled in (True, False):
            a, b = (m.search(QUERIES, k=7, compiled=compiled) for m in (fitted, other))
            np.testing.assert_array_equal(a.documents, b.documents)
            np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(other.scores("w1 w2"), fitted.scores("w1 w2"))


# ---- scikit-learn ------------------------------------------------------------------------------


def test_transform_gives_the_weights_that_scores_add_up(fitted):
    fitted.set_params(variant="lucene", k1=1.5, b=0.75)
    matrix = fitted.transform(DOCUMENTS)
    assert matrix.shape == (N, len(fitted.index_.terms))
    query = ["w2", "w9"]
    columns = fitted.index_.numbers(query)
    own = np.asarray(matrix.todense())[:, columns].sum(axis=1)
    np.testing.assert_allclose(own, fitted.scores(query), rtol=1e-5)
    unseen = fitted.transform([["w2", "never"], []])
    assert unseen.nnz == 1


def test_it_goes_into_a_pipeline():
    documents = ["good fine film", "bad dull film", "fine good", "dull bad bad"] * 5
    labels = np.array([1, 0, 1, 0] * 5)
    pipeline = clone(make_pipeline(BM25("lucene", k1=1.0), LogisticRegression()))
    assert pipeline.get_params()["bm25__k1"] == 1.0
    assert (pipeline.fit(documents, labels).predict(documents) == labels).all()


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k1": -0.1}, "k1 must be a finite number at least 0"),
        ({"k1": float("nan")}, "k1 must be a finite number at least 0"),
        ({"b": 1.01}, r"b must lie in \[0, 1\]"),
        ({"b": -0.5}, r"b must lie in \[0, 1\]"),
        ({"delta": -1.0}, "delta must be a finite number at least 0"),
        ({"variant": "lucine"}, "did you mean 'lucene'"),
    ],
)
def test_parameters_out_of_range_are_refused(fitted, changes, words):
    with pytest.raises(ValueError, match=words):
        BM25(**changes).fit(DOCUMENTS)
    before = fitted.get_params()
    try:
        with pytest.raises(ValueError, match=words):
            fitted.set_params(**changes).search(["w1"])
    finally:
        fitted.set_params(**before)


def test_other_bad_input_is_refused(fitted):
    with pytest.raises(ValueError, match=r"k1 must be a finite number at least 0, got '1\.5'"):
        BM25(k1="1.5").fit(DOCUMENTS)
    for bad in (["a", None], ["a", float("nan")], ["a", 3], [["a"], "b"]):
        with pytest.raises(TypeError, match=r"document [01] "):
            BM25().fit(bad)
        with pytest.raises(TypeError):
            fitted.search(bad)
    for empty in ([], ["", " "]):
        with pytest.raises(ValueError, match="no word in any of"):
            BM25().fit(empty)
    with pytest.raises(ValueError, match="not fitted"):
        BM25().search(["a"])
    assert fitted.search(["w1"], k=10**9).documents.shape == (1, N)
    for document in (0.5, -1.0, "0"):
        with pytest.raises(ValueError, match="document must be a whole number"):
            fitted.score(["w1"], document)
    with pytest.raises(IndexError, match="got -1"):
        fitted.score(["w1"], -1)
    for k in (0, -1, 2.5):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            fitted.search(["w1"], k=k)
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1"):
        fitted.search(["w1"], threads=0)
    with pytest.raises(IndexError, match=f"0 to {N - 1}, got {N}"):
        fitted.score(["w1"], N)
    with pytest.raises(ValueError, match="df must be 0 to 3"):
        bm25.idf([4], 3)
    with pytest.raises(ValueError, match="average_length"):
        bm25.frequency_part(1, 1, 0)


def test_later_changes_to_the_arrays_of_an_index_have_no_effect():
    """Weights are computed once from them."""
    built = InvertedIndex.build(tokenize(DOCUMENTS))
    arrays = [np.array(getattr(built, name)) for name in ("offsets", "documents", "counts")]
    lengths = np.array(built.lengths)
    model = BM25().use(InvertedIndex(built.terms, *arrays, lengths))
    before = model.scores("w1 w2")
    arrays[2][:], lengths[:] = 1, 1
    model.set_params(k1=0.5).set_params(k1=1.5)
    np.testing.assert_array_equal(model.scores("w1 w2"), before)
    np.testing.assert_array_equal(BM25().use(built).scores("w1 w2"), before)
    with pytest.raises(ValueError, match="read-only"):
        built.counts[0] = 3


def test_documents_of_one_string_are_refused_by_the_tokenizer():
    with pytest.raises(TypeError, match="list of texts"):
        BM25().fit("one text")
    assert len(tokenize(["one text"]).terms) == 2


@pytest.mark.parametrize("order", [["alpha", "beta"], ["beta", "alpha"]])
def test_the_first_of_equal_documents_wins_whichever_word_finds_it(order):
    documents = [["common", "words"] for _ in range(1000)]  # many, so that postings are skipped
    # the words' order in the index, in which a query reads them; so long that it scores little
    documents[0] = order + ["words"] * 500
    documents[700], documents[300] = ["alpha", "words"], ["beta", "words"]
    bm25 = BM25().fit(documents)
    for compiled in (True, False):
        found = bm25.search([["alpha", "beta"]], 1, compiled=compiled)
        assert found.documents.tolist() == [[300]]
