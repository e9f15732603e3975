"""Tokenizers against Python's own splitting, on whatever characters there are."""

import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.text import strings, tokenizers
from rnnlab.text.tokenizers import Characters, Chinese, Tokens, Whitespace, Words, join, tokenize

# letters whose lower case is longer, shorter, or depends on its neighbors; marks, digits and
# white space of several scripts; characters of one to four bytes
ALPHABET = "ab _-'\n\t\u00a0éÉßẞΣσςİıK中文字𝔸𐐀\U0001f600\u0301½²٣\x1c\x00\x85Ⅷ"
DOCUMENTS = st.lists(st.text(ALPHABET, max_size=12) | st.text(max_size=6), max_size=7)


CASES = {
    "words": (Words(), lambda text: re.findall(r"\w+", text.lower())),
    "two": (Words(min_length=2), lambda text: re.findall(r"\b\w\w+\b", text.lower())),
    "three": (Words(False, 3), lambda text: re.findall(r"\w\w\w+", text)),
    "whitespace": (Whitespace(), str.split),
    "lower": (Whitespace(lowercase=True), lambda text: text.lower().split()),
    "characters": (Characters(), list),
    "lower characters": (Characters(lowercase=True), lambda text: list(text.lower())),
}


@pytest.mark.parametrize("name", CASES)
@given(documents=DOCUMENTS)
def test_equal_python_s(name, documents):
    tokenizer, expected = CASES[name]
    tokens = tokenizer(documents)
    assert tokens.lists() == [expected(text) for text in documents]
    assert tokens.codes.dtype == np.int32
    assert tokens.offsets.dtype == np.int64
    assert len(set(tokens.terms.to_pylist())) == len(tokens.terms)


@pytest.mark.parametrize("name", CASES)
def test_pieces_and_threads_change_nothing(name, monkeypatch):
    documents = [f"Der {k}-te Fuß {'é' * (k % 3)} ça, Στίς {k % 7}" * (k % 4) for k in range(300)]
    tokenizer, expected = CASES[name]
    whole = tokenizer(documents)
    monkeypatch.setattr(strings.pieces, "__defaults__", (100,))
    monkeypatch.setattr(strings, "cores", lambda: 3)
    assert len(list(strings.pieces(strings.as_arrow(documents)))) > 50
    cut = tokenizer(documents)
    assert cut.lists() == whole.lists() == [expected(text) for text in documents]
    # the first occurrence decides the order of terms, however the documents are cut
    assert cut.terms.to_pylist() == whole.terms.to_pylist()


def test_a_word_ends_with_its_document():
    assert Words()(["ab", "", "cd", "é", "f"]).lists() == [["ab"], [], ["cd"], ["é"], ["f"]]


@pytest.mark.parametrize(
    "documents",
    [
        pa.array(["a b", "c", "", "b"]),
        pa.array(["x", "a b", "c", "", "b"]).slice(1),
        pa.array(["a b", "c", "", "b"], pa.large_string()),
        pa.array(["a b", "c", "", "b"], pa.string_view()),
        pa.array(["a b", "c", "", "b"]).dictionary_encode(),
        pa.chunked_array([["a b"], [], ["c", "", "b"]]),
        pa.chunked_array([], pa.string()),
        np.array(["a b", "c", "", "b"]),
        ("a b", "c", "", "b"),
        (text for text in ("a b", "c", "", "b")),
        [["a", "b"], ["c"], [], ["b"]],
        pa.array([["y"], ["a", "b"], ["c"], [], ["b"]]).slice(1),
        pa.chunked_array([[["a", "b"]], [["c"], [], ["b"]]]),
    ],
    ids=lambda d: str(getattr(d, "type", type(d).__name__)),
)
def test_kinds_of_documents(documents):
    expected = [["a", "b"], ["c"], [], ["b"]]
    if isinstance(documents, pa.ChunkedArray) and not len(documents):
        expected = []
    assert tokenize(documents, Words()).lists() == expected


def test_a_column_of_a_data_set():
    from datasets import Dataset

    column = Dataset.from_dict({"text": ["a b", "c"], "label": [0, 1]})["text"]
    assert tokenize(column).lists() == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (["a", None], "document 1 is None"),
        (["a", float("nan")], "document 1 is NaN"),
        (["a", 3], "document 1 is int 3"),
        ([b"a"], "document 0 is bytes b'a'"),
        (["a", ["b"]], r"document 1 is list \['b'\]"),
        ([["b"], "a"], r"document 0 is list \['b'\]"),
        ([["b"], ["c", None]], "document 1 holds None"),
        ("one text", "a list of texts, got one str"),
        ({"a": 1}, "got one dict"),
        (3, "got a int"),
        (pa.array([1, 2]), "an Arrow array of int64"),
        (pa.array(["a", None]), "document 1 is None"),
        (pa.array([["a"], ["b", None]]), "token 2 is None"),
    ],
)
def test_what_is_no_text(documents, message):
    with pytest.raises(TypeError, match=message):
        tokenize(documents)


class Cutter:
    """An object that is called with one text."""

    def __call__(self, text):
        return text.split("-")


@pytest.mark.parametrize(("tokenizer", "expected"), [(list, list("a-b")), (Cutter(), ["a", "b"])])
def test_classes_and_objects_are_called_with_one_text(tokenizer, expected):
    assert tokenize(["a-b"], tokenizer).lists() == [expected]
    bag = BagOfWords(tokenizer=tokenizer).fit(["a-b"])
    assert bag.get_feature_names_out().tolist() == sorted(set(expected))


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ("words", "tokenizer must be of rnnlab.text.tokenizers, .*; got 'words'"),
        (lambda text: None, "<lambda> must return a list of tokens, got None"),
        (lambda text: Words()([text]), r"must return a list of tokens, got Tokens\("),
        (len, "len must return a list of tokens, got 3"),
        (str.lower, "str.lower must return a list of tokens, got the text 'a-b'"),
    ],
)
def test_what_is_no_tokenizer(tokenizer, message):
    with pytest.raises(TypeError, match=message):
        tokenize(["a-b"], tokenizer)
    with pytest.raises(TypeError, match=message):
        BagOfWords(tokenizer=tokenizer).fit(["a-b"])


def test_half_a_character():
    with pytest.raises(ValueError, match="not Unicode"):
        tokenize(["a \ud800"])


def test_join_renumbers():
    parts = [Words()(["a b"]), Words()([]), Words()(["c b", "", "a"])]
    joined = join(parts)
    assert joined.lists() == [["a", "b"], ["c", "b"], [], ["a"]]
    assert joined.terms.to_pylist() == ["a", "b", "c"]
    assert joined.counts().tolist() == [2, 2, 1]
    empty = join([])
    assert isinstance(empty, Tokens)
    assert (len(empty.codes), empty.offsets.tolist(), len(empty.terms)) == (0, [0], 0)


def test_chinese():
    texts = ["我来到北京清华大学 。", "", "他来到了 NBA 大厦"]
    cut = Chinese()(texts).lists()
    jieba = sys.modules["jieba"]  # imported there: it warns
    expected = [[word for word in jieba.lcut(text) if word.strip()] for text in texts]
    assert cut == expected
    assert "北京" in expected[0]
    assert Chinese(lowercase=True)(texts).lists()[2][3] == "nba"


def test_chinese_says_what_to_install(monkeypatch):
    tokenizers._jieba.cache_clear()

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tokenizers.importlib, "import_module", missing)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[chinese\]'"):
        Chinese()(["我"])


def test_by_name_makes_tokenizers_and_suggests_names():
    assert tokenizers.by_name("words", min_length=2) == Words(min_length=2)
    with pytest.raises(ValueError, match="did you mean 'words'"):
        tokenizers.by_name("word")
    with pytest.raises(ValueError, match="did you mean 'lowercase'"):
        tokenizers.by_name("words", lower_case=True)
    with pytest.raises(ValueError, match="min_length must be a whole number of at least 1, got 0"):
        Words(min_length=0)
