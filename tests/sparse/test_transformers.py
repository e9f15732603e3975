"""The transformers as scikit-learn's users meet them: names, inverses, functions, pipelines."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline

from rnnlab.core.errors import UserError
from rnnlab.sparse.analysis import Analysis
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.hashing import HashedNgrams
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text.tokenizers import Chinese, Words

TEXTS = ["The cat sat on the mat.", "A dog, an Éclair and the CAT!", "x", "mat mat on", "the dog"]


def three(text):
    return [text[i : i + 3] for i in range(len(text) - 2)]


def same(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"analyzer": three},
        {"analyzer": str.split, "min_df": 2},
        {"tokenizer": str.split, "token_pattern": None},
        {"tokenizer": str.split, "token_pattern": None, "strip_accents": "ascii"},
        {"tokenizer": three, "token_pattern": None, "lowercase": False, "ngram_range": (1, 2)},
        {"tokenizer": str.split, "token_pattern": None, "stop_words": ["the", "on"]},
    ],
)
def test_functions_are_used_as_scikit_learn_uses_them(options):
    own = {name: value for name, value in options.items() if name != "token_pattern"}
    ours, theirs = BagOfWords(**own), CountVectorizer(**options)
    same(ours.fit_transform(TEXTS), theirs.fit_transform(TEXTS))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    more = ["the cat and zebra mat", ""]
    same(ours.transform(more), theirs.transform(more))
    assert ours.count(more).unknown.sum() > 0
    own.pop("min_df", None), options.pop("min_df", None)
    hashed = HashingVectorizer(**options, n_features=64).transform(TEXTS)
    same(HashedNgrams(**own, buckets=64).transform(TEXTS), hashed)


def test_a_function_reads_documents_of_any_kind():
    documents = [{"words": ["a", "b", "a"]}, {"words": []}, {"words": ["c"]}]
    bag = BagOfWords(analyzer=lambda document: document["words"])
    assert bag.fit_transform(documents).toarray().tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]
    chunked = BagOfWords(analyzer=bag.analyzer).fit_chunks([documents[:1], documents[1:]])
    assert chunked.get_feature_names_out().tolist() == ["a", "b", "c"]
    with pytest.raises(TypeError, match="document 0 holds int 1"):
        BagOfWords(analyzer=lambda document: [1]).fit(documents)
    for options in ({"analyzer": str.lower}, {"tokenizer": str.strip}):
        with pytest.raises(TypeError, match=r"must return a list of tokens, got the text '.*cat"):
            BagOfWords(**options).fit(TEXTS)
    with pytest.raises(TypeError, match="a list of texts, got one str"):
        BagOfWords(analyzer=str.split).fit("a text")


def test_options_beside_a_function_are_refused():
    for name, value in (
        ("ngram_range", (1, 2)),
        ("stop_words", "english"),
        ("strip_accents", "ascii"),
        ("tokenizer", Words()),
    ):
        with pytest.raises(ValueError, match=f"{name}=.* has no effect: analyzer is a function"):
            Analysis(analyzer=str.split, **{name: value})
    with pytest.raises(ValueError, match="did you mean 'word'"):
        BagOfWords(analyzer="words").fit(TEXTS)


def test_a_function_is_a_tokenizer_everywhere():
    bm25 = BM25(tokenizer=str.split).fit(TEXTS)
    assert "mat." in bm25.get_feature_names_out()
    assert bm25.search(["mat."], k=1, compiled=False).documents.tolist() == [[0]]


@pytest.mark.parametrize("options", [{}, {"ngram_range": (1, 2)}, {"analyzer": "char"}])
def test_inverses_are_scikit_learns(options):
    ours, theirs = BagOfWords(**options), CountVectorizer(**options)
    counts = ours.fit_transform(TEXTS)
    expected = theirs.inverse_transform(theirs.fit_transform(TEXTS))
    for form in (counts, counts.toarray(), counts.tocoo()):
        found = ours.inverse_transform(form)
        assert [set(row) for row in found] == [set(row) for row in expected]
        assert [len(row) for row in found] == [len(row) for row in expected]
    stored = counts.astype(float)
    stored.data[0] = 0.0  # kept in the matrix, and no feature of the document
    assert len(ours.inverse_transform(stored)[0]) == len(expected[0]) - 1
    bm25 = BM25().fit(TEXTS)
    words = bm25.inverse_transform(bm25.transform(TEXTS))
    assert [set(row) for row in words] == [set(row) for row in Words()(TEXTS).lists()]
    with pytest.raises(ValueError, match=r"expected .* columns, one per feature, got 2"):
        ours.inverse_transform(np.ones((1, 2)))


def test_a_pipeline_has_the_names_and_inverse_of_a_vectorizer():
    ours = make_pipeline(BagOfWords(), TfIdf(tf="count", idf="smooth", norm="l2"))
    theirs = TfidfVectorizer()
    same(ours.fit_transform(TEXTS), theirs.fit_transform(TEXTS))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    back = ours.inverse_transform(ours.transform(TEXTS))
    expected = theirs.inverse_transform(theirs.transform(TEXTS))
    assert [set(row) for row in back] == [set(row) for row in expected]
    counts = BagOfWords().fit_transform(TEXTS)
    tfidf = TfIdf(tf="count", idf="smooth").fit(counts)
    same(tfidf.inverse_transform(tfidf.transform(counts)), counts)
    alone = TfIdf().fit([[1, 1], [1, 0]])  # idf log(2/3), log(2/2)
    with pytest.raises(ValueError, match="column 1 has idf 0: its term frequencies are lost"):
        alone.inverse_transform([[0.5, 0.5]])
    with pytest.raises(ValueError, match="expected 2 columns, got 3"):
        alone.inverse_transform([[0.5, 0.5, 1.0]])


def test_hashed_columns_have_no_names():
    hashed = HashedNgrams(buckets=8)
    for ask in (hashed.get_feature_names_out, lambda: hashed.inverse_transform([[1.0] * 8])):
        with pytest.raises(UserError, match=r"a column is a hash .* BagOfWords has"):
            ask()


def test_names_of_a_union():
    union = FeatureUnion([("bag", BagOfWords()), ("bm25", BM25())]).fit(TEXTS)
    names = union.get_feature_names_out().tolist()
    assert len(names) == union.transform(TEXTS).shape[1]
    assert {"bag__cat", "bm25__cat", "bm25__x"} <= set(names)


@pytest.mark.parametrize(
    ("transformer", "grid"),
    [
        (BagOfWords(analyzer=three), {"min_df": [1, 2], "binary": [True, False]}),
        (HashedNgrams(buckets=64), {"tokenizer": [None, str.split], "norm": ["l1", None]}),
        (BM25(), {"k1": [0.5, 1.5], "tokenizer": [None, Words(lowercase=False)]}),
    ],
)
def test_grids_are_searched(transformer, grid):
    documents = ["good fine film", "bad dull film", "fine good one", "dull bad bad"] * 6
    labels = np.array([1, 0, 1, 0] * 6)
    name = type(transformer).__name__.lower()
    search = GridSearchCV(
        make_pipeline(transformer, LogisticRegression()),
        {f"{name}__{option}": values for option, values in grid.items()},
        cv=2,
        error_score="raise",
    )
    assert search.fit(documents, labels).best_score_ == 1
    copy = clone(transformer).set_params(**{option: values[1] for option, values in grid.items()})
    assert all(copy.get_params()[option] == values[1] for option, values in grid.items())


def test_chinese_words_by_jieba():
    jieba = pytest.importorskip("jieba")
    documents = ["猫喜欢吃鱼", "狗不喜欢吃鱼"]
    ours, theirs = BagOfWords(tokenizer=jieba.lcut), CountVectorizer(tokenizer=jieba.lcut)
    theirs.set_params(token_pattern=None)
    same(ours.fit_transform(documents), theirs.fit_transform(documents))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    own = BagOfWords(tokenizer=Chinese()).fit(documents)
    assert own.get_feature_names_out().tolist() == ours.get_feature_names_out().tolist()
    bm25 = BM25(tokenizer=jieba.lcut).fit(documents)
    assert bm25.search(["狗"], k=1, compiled=False).documents.tolist() == [[1]]
