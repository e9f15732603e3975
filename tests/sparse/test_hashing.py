"""Hashed features against scikit-learn's HashingVectorizer, the hash against its own."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import murmurhash3_32

from rnnlab.sparse.hashing import HashedNgrams, hashed_columns, murmur3
from rnnlab.text import corpora

OPTIONS = [
    {},
    {"ngram_range": (1, 2), "norm": "l1"},
    {"analyzer": "char_wb", "ngram_range": (3, 4), "norm": None},
    {"binary": True, "stop_words": "english"},
]


@given(texts=st.lists(st.text(max_size=14), max_size=9), seed=st.integers(0, 2**31 - 1))
def test_murmur3_equals_scikit_learn_s(texts, seed):
    expected = [murmurhash3_32(text.encode(), seed=seed) for text in texts]
    assert murmur3(pa.array(texts, pa.string()), seed).tolist() == expected


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("buckets", [97, 2**20])
def test_equal_scikit_learn(options, signed, buckets):
    texts = [*corpora.movie_reviews().texts[-800:], ""]
    theirs = HashingVectorizer(n_features=buckets, alternate_sign=signed, **options)
    expected = sp.csr_array(theirs.transform(texts))
    got = HashedNgrams(buckets=buckets, signed=signed, **options).fit_transform(texts)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-12
    assert got.has_canonical_format


def test_bad_input_is_refused():
    for buckets in (0, 2**31):
        with pytest.raises(ValueError, match="buckets must be a whole number from 1 to"):
            HashedNgrams(buckets=buckets).fit()
    with pytest.raises(ValueError, match="norm must be"):
        HashedNgrams(norm="max").transform(["a"])
    with pytest.raises(TypeError, match="document 0 is None"):
        HashedNgrams().transform([None])
    assert clone(HashedNgrams(buckets=5)).get_params()["buckets"] == 5
    assert HashedNgrams(buckets=5).transform([]).shape == (0, 5)
    assert hashed_columns(pa.array(["a"]), 1)[0].tolist() == [0]
