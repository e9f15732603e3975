"""Saved transformers and models: equal bits after loading, functions asked for by name."""

import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from rnnlab.core.errors import UserError
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.hashing import HashedNgrams
from rnnlab.sparse.inverted_index import InvertedIndex
from rnnlab.sparse.language_model import SMOOTHINGS, NgramLanguageModel
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text.tokenizers import Characters, Chinese, Words

WORDS = ["the", "cat", "naïve", "nan", "猫", "dog's", "of", "Infinity"]


def texts(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(count)]


def cut(text):
    return text.split("a")


def same(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_array_equal(a.toarray(), b.toarray())


@pytest.mark.parametrize(
    "options",
    [
        {"ngram_range": (1, 2), "min_df": 2, "dtype": np.float32},
        {"tokenizer": Characters(lowercase=True), "binary": True, "max_df": 0.5},
        {"vocabulary": {"cat": 1, "the": 0}, "stop_words": {"of", "a"}},
        {"analyzer": "char_wb", "ngram_range": (2, 3), "max_features": np.int64(9)},
    ],
)
def test_a_bag_is_loaded_as_it_was(options, tmp_path):
    bag = BagOfWords(**options).fit(texts())
    bag.save(tmp_path / "bag.json")
    back = BagOfWords.load(tmp_path / "bag.json")
    same(back.transform(texts(seed=1)), bag.transform(texts(seed=1)))
    assert back.get_feature_names_out().tolist() == bag.get_feature_names_out().tolist()
    for name in ("ngram_range", "tokenizer", "min_df", "max_df", "binary", "max_features"):
        assert getattr(back, name) == getattr(bag, name)
    same(back.fit_transform(texts(seed=2)), bag.fit_transform(texts(seed=2)))


@pytest.mark.parametrize("options", [{}, {"tf": "count", "idf": "smooth", "norm": "l2"}])
def test_tf_idf_is_loaded_bit_for_bit(options, tmp_path):
    counts = BagOfWords().fit_transform(texts())
    tfidf = TfIdf(**options).fit(counts)
    tfidf.save(tmp_path / "tfidf.json")
    back = TfIdf.load(tmp_path / "tfidf.json")
    same(back.transform(counts), tfidf.transform(counts))
    assert back.get_params() == tfidf.get_params()
    assert back.df_.tolist() == tfidf.df_.tolist()
    assert back.n_features_in_ == counts.shape[1]


def test_functions_are_given_again(tmp_path):
    path = tmp_path / "saved.json"
    for kind, options in ((BagOfWords, {}), (HashedNgrams, {"buckets": 16})):
        transformer = kind(tokenizer=cut, **options).fit(texts())
        transformer.save(path)
        with pytest.raises(ValueError, match=r"tokenizer=cut, .* again: load\(path, tokenizer=…\)"):
            kind.load(path)
        with pytest.raises(ValueError, match="has its own analyzer: leave out analyzer="):
            kind.load(path, analyzer=cut, tokenizer=cut)
        with pytest.raises(ValueError, match=r"saved\.json has no option 'cutter': leave out"):
            kind.load(path, cutter=cut)
        same(kind.load(path, tokenizer=cut).transform(texts()), transformer.transform(texts()))
    BM25(tokenizer=cut).fit(texts()).save(tmp_path / "bm25")
    with pytest.raises(ValueError, match=r"load\(path, tokenizer=…\)"):
        BM25.load(tmp_path / "bm25")


def test_an_unknown_option_is_refused_by_all(tmp_path):
    saved = {
        BM25: BM25().fit(texts()),
        BagOfWords: BagOfWords().fit(texts()),
        NgramLanguageModel: NgramLanguageModel(2).fit(texts()),
    }
    for kind, fitted in saved.items():
        path = tmp_path / kind.__name__
        fitted.save(path)
        with pytest.raises(ValueError, match=f"{kind.__name__}.* has no option 'tokeniser'"):
            kind.load(path, tokeniser=cut)


def test_a_class_as_tokenizer_is_given_again(tmp_path):
    path = tmp_path / "bag.json"
    bag = BagOfWords(tokenizer=list, dtype=np.float32).fit(texts())
    bag.save(path)
    with pytest.raises(ValueError, match=r"with tokenizer=list, .* again"):
        BagOfWords.load(path)
    same(BagOfWords.load(path, tokenizer=list).transform(texts()), bag.transform(texts()))


@pytest.mark.parametrize("name", ["symbols", "keys1", "alphas0", "gammas1"])
def test_a_language_model_that_lacks_an_array_is_damaged(name, tmp_path):
    path = tmp_path / "lm.npz"
    NgramLanguageModel(2).fit(texts()).save(path)
    with np.load(path) as packed:
        arrays = dict(packed)
    del arrays[name]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"lm.npz is damaged: it lacks '{name}'"):
        NgramLanguageModel.load(path)


@pytest.mark.parametrize("tokenizer", [None, Words(lowercase=False), Characters()])
def test_bm25_is_loaded_bit_for_bit(tokenizer, tmp_path):
    fitted = BM25("bm25l", k1=0.9, b=0.3, tokenizer=tokenizer).fit(texts())
    fitted.save(tmp_path / "bm25")
    for mapped in (None, True, False):
        back = BM25.load(tmp_path / "bm25", mapped=mapped)
        assert isinstance(back.index_.documents, np.memmap) == bool(mapped)
        assert back.get_params() == fitted.get_params()
        ours, theirs = (m.search(["the cat", "猫 of"], k=7, compiled=False) for m in (back, fitted))
        np.testing.assert_array_equal(ours.documents, theirs.documents)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        same(back.transform(texts(seed=1)), fitted.transform(texts(seed=1)))
    with pytest.raises(FileExistsError):
        fitted.save(tmp_path / "bm25")


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_language_models_are_loaded_bit_for_bit(smoothing, tmp_path):
    model = NgramLanguageModel(3, smoothing, k=0.5, tokenizer=Words()).fit(texts())
    model.save(tmp_path / "lm.npz")
    back = NgramLanguageModel.load(tmp_path / "lm.npz")
    held_out = [*texts(seed=1), "never seen"]
    np.testing.assert_array_equal(
        back.probabilities(held_out).probabilities, model.probabilities(held_out).probabilities
    )
    np.testing.assert_array_equal(back.distribution(["the"]), model.distribution(["the"]))
    assert back.sample(30, seed=4) == model.sample(30, seed=4)
    assert (back.discounts, back.symbols) == (model.discounts, model.symbols)
    assert back.num_numbers == model.num_numbers
    assert back.fit(texts(seed=2)).perplexity(texts()) == model.fit(texts(seed=2)).perplexity(
        texts()
    )


def test_chinese_is_saved_with_its_tokenizer(tmp_path):
    pytest.importorskip("jieba")
    documents = ["猫喜欢吃鱼", "狗不喜欢吃鱼", "我在银行工作"]
    bag = BagOfWords(tokenizer=Chinese()).fit(documents)
    bag.save(tmp_path / "bag.json")
    back = BagOfWords.load(tmp_path / "bag.json")
    assert set(back.inverse_transform(back.transform(["银行喜欢我"]))[0]) == {"银行", "喜欢", "我"}
    bm25 = BM25(tokenizer=Chinese()).fit(documents)
    bm25.save(tmp_path / "bm25")
    assert BM25.load(tmp_path / "bm25").search(
        ["银行"], k=1, compiled=False
    ).documents.tolist() == [[2]]
    model = NgramLanguageModel(2, tokenizer=Chinese()).fit(documents)
    model.save(tmp_path / "lm")  # the name is kept
    assert NgramLanguageModel.load(tmp_path / "lm").score("吃", ["喜欢"]) > 0.5


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.json"
    for kind in (BagOfWords, TfIdf, HashedNgrams, NgramLanguageModel):
        with pytest.raises(FileNotFoundError, match=r"no file '.*x\.json'"):
            kind.load(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"a saved TfIdf .* expected, got None"):
        TfIdf.load(path)
    BagOfWords(vocabulary=["a"]).save(path)
    with pytest.raises(ValueError, match=r"a saved TfIdf .* expected, got 'rnnlab BagOfWords'"):
        TfIdf.load(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(ValueError, match="version 1"):
        BagOfWords.load(path)
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        BagOfWords.load(path)
    with pytest.raises(ValueError, match="is no saved NgramLanguageModel"):
        NgramLanguageModel.load(path)
    np.savez(tmp_path / "y.npz", about=np.array([{}], object))
    with pytest.raises(ValueError, match="is no saved NgramLanguageModel"):
        NgramLanguageModel.load(tmp_path / "y.npz")
    with pytest.raises(FileNotFoundError, match=r"no bm25\.json"):
        BM25.load(tmp_path)
    InvertedIndex.save(BM25().fit(["a b"]).index_, tmp_path / "index")
    with pytest.raises(FileNotFoundError, match=r"BM25\(\)\.use\(InvertedIndex\.load\(path\)\)"):
        BM25.load(tmp_path / "index")


def test_nothing_learned_is_not_saved(tmp_path):
    for transformer in (BagOfWords(), TfIdf(), BM25()):
        with pytest.raises(NotFittedError):
            transformer.save(tmp_path / "x")
    with pytest.raises(ValueError, match="counted nothing yet"):
        NgramLanguageModel().save(tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="no folder"):
        HashedNgrams().save(tmp_path / "a" / "b.json")
