"""text_regressions: the choice of C and the regressions on tokens against scikit-learn's own."""

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from rnnlab.lab import text_regressions
from rnnlab.tasks.sentiment import Sentiment
from rnnlab.text import tokenizers

CHOICES = (0.1, 0.3, 1.0, 3.0, 10.0)


def scikit_learns(C, classes=2):
    """Two classes by liblinear, more by their softmax."""
    solver = "liblinear" if classes == 2 else "lbfgs"
    return LogisticRegression(C=C, solver=solver, tol=1e-3, max_iter=1000)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_best_C_is_that_of_scikit_learns_scores(classes):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(20, classes))
    rows = rng.normal(size=(160, 20))
    labels = (rows @ weights + 2 * rng.normal(size=(160, classes))).argmax(axis=1)
    choices = text_regressions.CHOICES if classes == 2 else CHOICES
    scores = {
        C: scikit_learns(C, classes).fit(rows[:100], labels[:100]).score(rows[100:], labels[100:])
        for C in choices
    }
    learn, judge = csr_array(rows[:100]), csr_array(rows[100:])
    for some in (choices, choices[:2]):
        found = text_regressions.best_C(learn, judge, labels, some)
        assert found == max(some, key=scores.__getitem__)


@pytest.fixture(scope="module")
def texts():
    """Letters, of which the first decides mostly, with tokens of one text; and their classes."""

    def make(classes):
        rng = np.random.default_rng(classes)
        drawn = [rng.choice(list("abcdefgh"), size=rng.integers(2, 12)) for _ in range(240)]
        labels = np.array([min("abcdefgh".index(t[0]), classes - 1) for t in drawn], np.int32)
        labels = np.where(rng.random(240) < 0.2, rng.integers(classes, size=240), labels)
        rare = [[f"r{k}"] * (k % 3) for k in range(240)]
        return [[*text.tolist(), *more] for text, more in zip(drawn, rare, strict=True)], labels

    return make


@pytest.mark.parametrize(("largest", "classes"), [(0, 2), (1, 2), (2, 2), (1, 3)])
def test_a_regression_on_tokens_is_scikit_learns(texts, largest, classes):
    drawn, labels = texts(classes)
    steps = text_regressions._steps(largest > 0, max(largest, 1))
    found = text_regressions.fitted(steps, drawn[:200], labels[:200], CHOICES)
    options = {"analyzer": lambda t: t, "min_df": 2}
    if largest == 2:
        options["analyzer"] = lambda t: t + [" ".join(p) for p in itertools.pairwise(t)]
    kind = CountVectorizer
    if largest:
        kind, options["sublinear_tf"] = TfidfVectorizer, True

    def score(learn, judge, c):
        features = kind(**options)
        xs, ys = features.fit_transform(drawn[learn]), features.transform(drawn[judge])
        return scikit_learns(c, classes).fit(xs, labels[learn]).score(ys, labels[judge])

    best = max(CHOICES, key=lambda c: score(slice(0, 160), slice(160, 200), c))
    expected = score(slice(0, 200), slice(200, 240), best)
    assert found.score(drawn[200:], labels[200:]) == pytest.approx(expected)
    assert best == found.steps[-1][1].C


def test_the_last_fifth_decides_on_C(texts):
    drawn, labels = texts(2)
    steps = text_regressions._steps(True, 1)
    swapped = labels.copy()
    swapped[160:] = 1 - swapped[160:]  # then the least right C is the best
    found = [text_regressions.choice_of_C(steps, drawn[:200], y[:200]) for y in (labels, swapped)]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("labels", "least", "message"),
    [
        ([0, 0, 1, 0, 0], 2, "a.csv: at least 2 texts of each class are needed, got 1 of 'good'"),
        ([0, 0, 0, 0, 1], 1, "the others have none of 'good': more of them are needed"),
        ([1, 1, 1, 1, 1], 2, "a.csv: at least 2 texts of each class are needed, got 0 of 'bad'"),
    ],
)
def test_labels_that_no_regression_can_be_fitted_to_are_refused(labels, least, message):
    with pytest.raises(ValueError, match=message) as refused:
        text_regressions.check_regression(np.array(labels), ("bad", "good"), "a.csv", least)
    assert "\n" not in str(refused.value)
    text_regressions.check_regression(np.array([0, 1, 0, 0, 0]), ("bad", "good"), "a.csv", 1)


def write(folder, rows):
    path = folder / "own.tsv"
    path.write_text("".join(f"{label}\t{text}\n" for label, text in rows))
    return str(path)


def test_texts_of_which_no_two_share_a_token_are_refused(tmp_path):
    apart = [(("bad", "good")[k % 2], chr(0x4E00 + 2 * k) + chr(0x4E01 + 2 * k)) for k in range(20)]
    task = Sentiment(path=write(tmp_path, apart), min_count=1)
    with pytest.raises(ValueError, match=r"own\.tsv, characters: no two texts to learn from share"):
        text_regressions.check_counted(task, "words")
    shared = [(label, f"{text} x{k}") for k, (label, text) in enumerate(apart)]
    (tmp_path / "more").mkdir()
    task = Sentiment(path=write(tmp_path / "more", shared), min_count=1)
    with pytest.raises(ValueError, match=r"own\.tsv, words: no two texts to learn from share"):
        text_regressions.check_counted(task, "words")


def no_jieba(by_name):
    def refuse(texts):
        raise ValueError("Chinese words are cut by jieba")

    return lambda name, **options: refuse if name == "chinese" else by_name(name, **options)


def test_without_jieba_the_words_are_left_out(tmp_path, monkeypatch):
    rows = [(("bad", "good")[k % 2], f"it is {('poor', 'fine')[k % 2]} {k}") for k in range(40)]
    task = Sentiment(path=write(tmp_path, rows), min_count=1)
    monkeypatch.setattr(tokenizers, "by_name", no_jieba(tokenizers.by_name))
    text_regressions.check_counted(task, "chinese")
    found = text_regressions.counted(task, "chinese", 8, CHOICES)
    assert set(found) == {
        "counts of characters",
        "TF-IDF of characters",
        "TF-IDF of 1- and 2-grams, characters",
    }


def test_the_most_frequent_class_is_what_an_answer_without_texts_is_right_in():
    labels = np.random.default_rng(0).choice(4, p=(0.1, 0.2, 0.6, 0.1), size=50)
    expected = max(sum(label == k for label in labels.tolist()) for k in range(4)) / 50
    assert text_regressions.most_frequent(labels) == expected
