"""vectors.py: queries against loops over words and gensim's, files whole."""

import json
import struct
import timeit

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.models.fasttext import FastTextKeyedVectors

from rnnlab.core.notices import LeftOut
from rnnlab.core.read_only import sealed
from rnnlab.embeddings import subwords, vector_formats, vectors
from rnnlab.embeddings.vectors import Vectors
from rnnlab.text import tokenizers

WORDS = ["the", "of", "king", "queen", "man", "woman", "café", "词", "car", "</s>"]


def drawn(V=10, D=6, seed=0):
    return np.random.default_rng(seed).normal(size=(V, D)).astype(np.float32)


@pytest.fixture
def some():
    return Vectors(WORDS, drawn(), counts=np.arange(len(WORDS), 0, -1))


def keyed(v):
    out = KeyedVectors(v.dimension)
    out.add_vectors(list(v.words), v.matrix)
    return out


def with_subwords(words=WORDS, D=6):
    sub = subwords.Subwords(drawn(len(words), D), drawn(101, D, seed=1), 3, 6)
    return Vectors(words, subwords.compose(words, sub), subwords=sub)


def cos(x, y):
    return sum(x * y) / (sum(x * x) ** 0.5 * sum(y * y) ** 0.5)


# ---- queries -----------------------------------------------------------------------------------


def test_similarity(some):
    assert some.similarity("king", "café") == pytest.approx(
        cos(some["king"].astype(float), some["café"].astype(float)), abs=1e-6
    )


def test_neighbors_are_the_largest_cosines(some):
    by_loop = sorted(
        ((w, cos(some["king"].astype(float), some[w].astype(float))) for w in WORDS if w != "king"),
        key=lambda pair: -pair[1],
    )
    found = some.neighbors("king", top=4)
    assert [w for w, _ in found] == [w for w, _ in by_loop[:4]]
    np.testing.assert_allclose([c for _, c in found], [c for _, c in by_loop[:4]], atol=1e-6)
    assert some.neighbors(3 * some["king"], top=1)[0][0] == "king"  # a vector leaves none out
    assert {w for w, _ in some.neighbors("car", top=99, restrict=3)} == {"the", "of", "king"}
    assert len(some.neighbors("of", top=99, restrict=3)) == 2


def test_neighbors_are_gensims(some):
    for word in WORDS:
        ours, theirs = some.neighbors(word, 5), keyed(some).most_similar(word, topn=5)
        assert [w for w, _ in ours] == [w for w, _ in theirs]
        np.testing.assert_allclose([c for _, c in ours], [c for _, c in theirs], atol=1e-6)


def test_analogies_are_the_equations(some):
    a, b, c = "man", "king", "woman"
    others = [w for w in WORDS if w not in (a, b, c)]
    v = {w: some[w].astype(float) for w in WORDS}
    add = {w: cos(v[w], v[b]) - cos(v[w], v[a]) + cos(v[w], v[c]) for w in others}
    half = {(w, q): (1 + cos(v[w], v[q])) / 2 for w in others for q in (a, b, c)}
    mul = {w: half[w, b] * half[w, c] / (half[w, a] + 1e-3) for w in others}
    for method, scores in (("3cosadd", add), ("3cosmul", mul)):
        found = some.analogy(a, b, c, top=9, method=method)
        assert [w for w, _ in found] == sorted(others, key=lambda w: -scores[w])
        np.testing.assert_allclose([s for _, s in found], [scores[w] for w, _ in found], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:Call to deprecated `init_sims`")  # by gensim itself
def test_analogies_are_gensims(some):
    for a, b, c in (("man", "king", "woman"), ("the", "car", "词"), ("of", "of", "king")):
        add = keyed(some).most_similar(positive=[b, c], negative=[a], topn=5)
        assert [w for w, _ in some.analogy(a, b, c, 5)] == [w for w, _ in add]
        mul = keyed(some).most_similar_cosmul(positive=[b, c], negative=[a], topn=5)
        found = some.analogy(a, b, c, 5, method="3cosmul")
        assert [w for w, _ in found] == [w for w, _ in mul]


def test_equal_scores_are_told_apart_by_frequency():
    v = Vectors(["a", "b", "c", "d"], np.array([[1, 0], [0, 1], [1, 1], [1, 1]]))
    assert [w for w, _ in v.neighbors("a", 2)] == ["c", "d"]


def test_a_zero_row_is_near_nothing():
    v = Vectors(["a", "b"], np.array([[1, 0], [0, 0]]))
    assert v.neighbors("a") == [("b", 0.0)]
    assert v.similarity("b", "b") == 0


def test_unseen_words(some):
    assert "kings" not in some
    assert not some.has("kings")
    with pytest.raises(KeyError, match="'kings': not among the 10 words; did you mean 'king'"):
        some["kings"]
    v = with_subwords()
    assert "kings" not in v
    assert v.has("kings")
    ids = subwords.buckets("kings", 3, 6, 101)
    np.testing.assert_allclose(v["kings"], v.subwords.rows[ids].mean(0), rtol=1e-5, atol=1e-6)
    near = v.neighbors("kings", top=len(WORDS))
    assert {w for w, _ in near} == set(WORDS)  # itself is none of the words
    np.testing.assert_allclose(v.similarity("kings", near[0][0]), near[0][1], atol=1e-6)
    assert not v.has("")
    with pytest.raises(KeyError, match="no vector for ''"):
        v[""]


def test_a_models_table_starts_from_them(some):
    np.testing.assert_array_equal(some.table(["car", "the"]), some.matrix[[8, 0]])
    initial = drawn(3, seed=7)
    table = some.table(["<pad>", "car", "unheard"], initial)
    np.testing.assert_array_equal(table[[0, 2]], initial[[0, 2]])
    np.testing.assert_array_equal(table[1], some["car"])
    with pytest.raises(ValueError, match="2 of 3 words have no vector, the first is '<pad>'"):
        some.table(["<pad>", "car", "unheard"])
    with pytest.raises(ValueError, match=r"initial must be \(1, 6\), got \(2, 6\)"):
        some.table(["car"], drawn(2))
    assert with_subwords().table(["kings"]).shape == (1, 6)


def test_what_does_not_fit_is_said():
    for arguments, words in (
        ((["a"], drawn(2)), r"1 words need a matrix of as many rows, got \(2, 6\)"),
        ((["a", "b", "a"], drawn(3)), "'a' occurs more than once"),
        (([], drawn(0)), "no words"),
        ((["a", "b"], [[1, 2], [1, np.nan]]), r"'b' \(row 1\) is not finite"),
        ((["a"], [[1.0]], [1, 2]), r"1 words need as many counts, got \(2,\)"),
        ((["a"], [[1.0]], None, subwords.Subwords(drawn(1), drawn(2), 3, 6)), "word_rows"),
    ):
        with pytest.raises(ValueError, match=words):
            Vectors(*arguments)
    v = Vectors(WORDS, drawn())
    with pytest.raises(ValueError, match=r"\(6,\), got \(5,\)"):
        v.neighbors(np.zeros(5))
    with pytest.raises(ValueError, match="top must be a whole number of at least 1, got 0"):
        v.neighbors("king", top=0)
    with pytest.raises(ValueError, match="did you mean '3cosadd'"):
        v.analogy("king", "man", "queen", method="cosadd")
    with pytest.raises(ValueError, match="read-only"):
        v.matrix[0] = 0


@pytest.mark.parametrize("view", [False, True])
def test_later_changes_to_the_given_arrays_have_no_effect(view):
    """A cached unit row that is stale gives the cosines of other vectors."""
    matrix, counts = drawn(4, 3), np.arange(4)
    sub = subwords.Subwords(drawn(4, 3), drawn(9, 3, seed=1), 3, 6)
    given = matrix[:] if view else matrix
    v = Vectors(WORDS[:4], given, counts, sub)
    expected = v.neighbors("the", 3), v["the"].copy(), v["unseen"].copy(), v.counts.copy()
    for array in (matrix, counts, sub.word_rows, sub.rows):
        array[:] = array[::-1].copy()
    for fresh in (v, Vectors(v.words, v.matrix, v.counts, v.subwords)):
        assert fresh.neighbors("the", 3) == expected[0]
        for now, then in zip((v["the"], v["unseen"], v.counts), expected[1:], strict=True):
            np.testing.assert_array_equal(now, then)
    for array in (v.matrix, v.counts, v.subwords.rows, v.unit_rows):
        assert not array.flags.writeable


def test_read_only_arrays_are_not_copied():
    matrix = sealed(drawn(5, 3)[:4])
    assert Vectors(WORDS[:4], matrix).matrix is matrix
    assert not matrix.base.flags.writeable
    wide = np.arange(12.0).reshape(4, 3)
    assert Vectors(WORDS[:4], wide).matrix.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_neighbors(value, some):
    query = some["king"].copy()
    query[2] = value
    with pytest.raises(ValueError, match="the query must be finite, got NaN or infinity"):
        some.neighbors(query)
    with pytest.raises(ValueError, match="a vector must be finite, row 1 is not"):
        vectors.cosine(np.stack([some["king"], query]), some.matrix)
    with pytest.raises(ValueError, match="a vector must be finite, row 0 is not"):
        some.analogy_scores(np.stack([some.matrix[:1], query[None], query[None]]))


def test_zero_has_no_neighbors():
    v = Vectors(["a", "b"], np.array([[1, 0], [0, 0]]))
    with pytest.raises(ValueError, match="the query is zero: it has no direction"):
        v.neighbors(np.zeros(2))
    with pytest.raises(ValueError, match="the vector of 'b' is zero"):
        v.neighbors("b")


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-15, 1e20, 3e38])
def test_cosines_of_very_small_and_large_numbers(scale):
    """Their squares underflow to 0 or overflow in float32."""
    rows = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(
        vectors.cosine(rows * np.float32(scale), rows), vectors.cosine(rows, rows), atol=1e-6
    )


def test_a_zero_row_changes_no_bit_of_the_others(some):
    padded = np.concatenate([some.matrix, np.zeros((1, 6), np.float32)])
    expected = some.matrix / np.linalg.norm(some.matrix, axis=1, keepdims=True)
    assert vectors.unit(padded)[:-1].tobytes() == expected.tobytes()


@pytest.mark.parametrize("wrong", [-1, 0, 2.5, True, "3"])
def test_numbers_of_answers_are_whole_and_at_least_1(wrong, some):
    asks = {
        "top": [
            lambda: some.neighbors("king", wrong),
            lambda: some.analogy("the", "of", "king", wrong),
        ],
        "restrict": [
            lambda: some.neighbors("king", restrict=wrong),
            lambda: some.analogy("the", "of", "king", restrict=wrong),
            lambda: some.analogy_scores(drawn(3, 6)[:, None], restrict=wrong),
        ],
    }
    for name, calls in asks.items():
        for call in calls:
            with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1"):
                call()


def test_more_answers_than_words_are_all_of_them(some):
    assert len(some.neighbors("king", np.int64(10**9), restrict=10**9)) == 9
    assert len(some.analogy("the", "of", "king", 10**9)) == 7


def test_an_unseen_word_costs_no_scan_of_the_vocabulary():
    words = [f"w{n}" for n in range(50_000)]
    v = Vectors(["king", *words], np.ones((50_001, 1)))
    few = Vectors(["king"], np.ones((1, 1)))

    def seconds(v):
        def ask():
            with pytest.raises(KeyError, match="did you mean 'king'"):
                v["kingg"]

        return min(timeit.repeat(ask, number=5, repeat=3))

    assert seconds(v) < 10 * seconds(few)  # difflib: 1,000 times
    with pytest.raises(KeyError, match="no vector for 3"):
        v[3]


# ---- what gensim's users reach for -------------------------------------------------------------


QUESTIONS = [
    ("king", None, None),
    (["king", "woman"], ["man"], None),
    (["king", "king"], "the", 7),
    ([("king", 0.5), ("车", 2.0)], [("man", -0.25)], None),  # a weight replaces the sign
]


@pytest.fixture(scope="module")
def gensims():
    """Vectors with sub-words, and gensim's FastText with the same rows."""
    ours = with_subwords([*WORDS[:-1], "车"])
    theirs = FastTextKeyedVectors(6, min_n=3, max_n=6, bucket=101)
    theirs.add_vectors(list(ours.words), ours.matrix)
    theirs.vectors_ngrams = ours.subwords.rows
    return ours, theirs


@pytest.mark.parametrize(("positive", "negative", "restrict"), QUESTIONS)
def test_most_similar_is_gensims(positive, negative, restrict, gensims):
    ours, theirs = gensims
    for topn in (3, 99):
        expected = theirs.most_similar(positive, negative, topn, restrict_vocab=restrict)
        found = ours.most_similar(positive, negative, topn, restrict=restrict)
        assert [w for w, _ in found] == [w for w, _ in expected]
        np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], atol=1e-6)


def test_most_similar_takes_vectors_and_unseen_words(gensims):
    ours, theirs = gensims
    rng = np.random.default_rng(3)
    vector, many = rng.normal(size=6).astype(np.float32), rng.normal(size=(2, 6)).astype("f4")
    for positive, negative in (
        (vector, []),
        ([vector, "king"], ["kings"]),  # an unseen word, by its n-grams
        (many, ["queens", (vector, -0.5)]),
    ):
        expected = theirs.most_similar(positive, negative, topn=5)
        found = ours.most_similar(positive=positive, negative=negative, topn=5)
        assert [w for w, _ in found] == [w for w, _ in expected]
        np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], atol=1e-6)


def test_what_has_no_answer_is_said(some):
    with pytest.raises(KeyError, match=r"'kin': not among the 10 words; did you mean 'king'\?"):
        some.most_similar(positive=["queen", "kin"])
    near = Vectors(["bat", "cat", "rat", "hat"], np.eye(4))
    with pytest.raises(KeyError, match=r"did you mean 'bat' or 'cat' or 'rat'\?"):
        near.doesnt_match(["cat", "at"])
    for question, words in (
        ((), "no words are given"),
        ((["king"], ["king"]), "cancel each other"),
        ((np.ones(5),), r"a vector must have shape \(6,\), got \(5,\)"),
        (([np.full(6, np.nan)],), "must be finite"),
        (([("king", "x")],), "a weight must be a finite number, got 'x'"),
        (([("king", 1, 2)],), "a pair"),
    ):
        with pytest.raises(ValueError, match=words):
            some.most_similar(*question)
    tiny = 1e-30 * some["king"]
    assert some.most_similar(tiny, topn=1)[0][0] == "king"
    with pytest.raises(TypeError, match="expected words or vectors, got 3"):
        some.most_similar(3)
    for ask in (some.doesnt_match, lambda text: some.n_similarity(text, text)):
        with pytest.raises(TypeError, match="a list of words, got the text 'king queen'"):
            ask("king queen")
        with pytest.raises(ValueError, match="no words"):
            ask([])


def test_odd_words_sets_and_ranks_are_gensims(gensims):
    ours, theirs = gensims
    rng = np.random.default_rng(0)
    for _ in range(20):
        words = [str(w) for w in rng.choice([*ours.words, "kings"], 5, replace=False)]
        known = [w for w in words if w in ours]
        assert ours.doesnt_match(known) == theirs.doesnt_match(known)
        assert ours.n_similarity(words[:2], words[2:]) == pytest.approx(
            float(theirs.n_similarity(words[:2], words[2:])), abs=1e-6
        )
    for a, b in (("king", "queen"), ("the", "车")):
        assert ours.closer_than(a, b) == theirs.closer_than(a, b)
        assert ours.rank(a, b) == theirs.rank(a, b)
        assert ours.neighbors(a, top=99)[ours.rank(a, b) - 1][0] == b
    others = ["man", "kings"]
    np.testing.assert_allclose(
        ours.similarities("king", others), [ours.similarity("king", w) for w in others], atol=1e-6
    )
    np.testing.assert_allclose(
        ours.similarities("kings"), 1 - theirs.distances(theirs.get_vector("kings")), atol=1e-6
    )


def test_vectors_are_iterated_and_indexed_as_words(some):
    assert list(some) == WORDS
    assert dict(zip(some, some.matrix, strict=True))["car"].tolist() == some["car"].tolist()
    np.testing.assert_array_equal(some[["king", "car"]], keyed(some)[["king", "car"]])
    np.testing.assert_array_equal(some[np.array(["of", "of"])], some.matrix[[1, 1]])
    assert some[[]].shape == (0, 6)
    assert 3 not in some
    assert ["king"] not in some
    with pytest.raises(KeyError, match="no vector for 'kings'"):
        some[["king", "kings"]]


def test_document_vectors_are_means_of_the_known_words(some, gensims):
    documents = [["king", "unknown", "king", "车"], ["the", "的"], ["x y"], []]
    with pytest.warns(LeftOut, match="2 of 4 documents have no known word"):
        means = some.document_vectors(documents)
    for document, row, known, skipped in zip(documents, *means, strict=True):
        words = [some[w].astype(float) for w in document if w in some]
        assert (known, skipped) == (len(words), len(document) - len(words))
        np.testing.assert_allclose(row, np.mean(words, axis=0) if words else 0 * row, atol=1e-6)
    texts = some.document_vectors(["The KING, the queen's man!"])
    np.testing.assert_allclose(
        texts.matrix[0], np.mean(some.rows(["the", "king", "the", "queen", "man"]), 0), atol=1e-6
    )
    assert texts.skipped.tolist() == [1]  # s
    ours, theirs = gensims
    words = ["king", "kings", "ab", "queens", "king"]  # all but "ab" have n-grams of 3
    for normalize in (False, True):
        expected = theirs.get_mean_vector(words, pre_normalize=normalize)
        np.testing.assert_allclose(
            ours.document_vector(words, normalize=normalize), expected, atol=1e-6
        )
        both = ours.document_vectors([words, ["car"]], normalize=normalize)
        np.testing.assert_allclose(both.matrix[0], expected, atol=1e-6)
    np.testing.assert_array_equal(some.document_vector(["zebra", "car"]), some["car"])
    with pytest.raises(ValueError, match="none of the 2 words has a vector, the first is 'zebra'"):
        some.document_vector(["zebra", "gnu"])
    with pytest.raises(ValueError, match="none of the 0 words has a vector"):
        some.document_vector([])
    with pytest.raises(TypeError, match=r"document_vectors\(\[text\]\)"):
        some.document_vector("the king")


def test_chinese_documents_are_cut_by_jieba():
    pytest.importorskip("jieba")
    v = Vectors(["银行", "钱"], np.array([[1.0, 2.0], [3.0, 5.0]]))
    means = v.document_vectors(["银行的钱"], tokenizers.Chinese())
    assert means.matrix.tolist() == [[2.0, 3.5]]
    assert (means.known.tolist(), means.skipped.tolist()) == ([2], [1])


# ---- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "counts", "subwords"])
def test_saved_vectors_are_loaded_whole(kind, some, tmp_path):
    v = {
        "plain": Vectors(["a\nb", "caf\udc82"], drawn(2)),
        "counts": some,
        "subwords": with_subwords(),
    }[kind]
    v.save(tmp_path / "v.safetensors")
    back = vector_formats.read_saved(tmp_path / "v.safetensors")
    assert back.words == v.words
    np.testing.assert_array_equal(back.matrix, v.matrix)
    assert (back.counts is None) == (v.counts is None)
    if kind == "counts":
        np.testing.assert_array_equal(back.counts, v.counts)
    if kind == "subwords":
        np.testing.assert_array_equal(back["kings"], v["kings"])
        assert back.subwords[2:] == (3, 6)
    assert [p.name for p in tmp_path.iterdir()] == ["v.safetensors"]


def test_other_files_are_refused(some, tmp_path):
    path = tmp_path / "v.safetensors"
    with pytest.raises(FileNotFoundError, match=r"v\.safetensors"):
        vector_formats.read_saved(path)
    some.save(path)
    whole = path.read_bytes()
    for cut in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is not a complete safetensors file"):
            vector_formats.read_saved(path)
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ValueError, match=r"'rnnlab.vectors/1' expected, got None .*\['x'\]"):
        vector_formats.read_saved(path)


def test_without_safetensors_one_line_says_what_to_install(some, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[vectors\]'"):
        some.save(tmp_path / "v.safetensors")
    assert not list(tmp_path.iterdir())
