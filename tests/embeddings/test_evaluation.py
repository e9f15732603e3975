"""evaluation.py: the same scores as gensim's on the same vectors."""

import functools

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath

from rnnlab.embeddings import evaluation, subwords
from rnnlab.embeddings.vectors import Vectors

GENSIM = pytest.mark.filterwarnings("ignore:Call to deprecated")  # of gensim by itself
SETS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


@functools.cache
def structured(share=0.8, D=12, mixed_case=False):
    """Vectors in which some analogies hold: d ≈ c + b − a, over a share of the words."""
    rng = np.random.default_rng(0)
    words = {}
    for section in evaluation.questions().values():
        offset = rng.normal(size=D)
        for a, b, c, d in section:
            for first, second in ((a, b), (c, d)):
                words.setdefault(first.lower(), rng.normal(size=D))
                noisy = words[first.lower()] + offset + rng.normal(size=D) * 0.5
                words.setdefault(second.lower(), noisy)
    for pair in evaluation.pairs("wordsim353") + evaluation.pairs("simlex999"):
        a, b = pair.a.lower(), pair.b.lower()
        words.setdefault(a, rng.normal(size=D))
        words.setdefault(b, words[a] * pair.similarity / 5 + rng.normal(size=D))
    kept = [w for w in words if rng.random() < share]
    rng.shuffle(kept)
    matrix = np.stack([words[w] for w in kept])
    if mixed_case:
        kept = [w.capitalize() if rng.random() < 0.5 else w for w in kept]
        doubles = [w.swapcase() for w in kept[::10]]  # further spellings, rarer
        matrix = np.concatenate([matrix, matrix[::10] + rng.normal(size=(len(doubles), D)) * 0.1])
        kept += doubles
    return Vectors(kept, matrix)


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """A sixteenth of the questions: gensim asks one at a time."""
    file = tmp_path_factory.mktemp("questions") / "some.txt"
    lines = []
    for name, asked in evaluation.questions().items():
        lines += [f": {name}", *(" ".join(q) for q in asked[::16])]
    file.write_text("\n".join(lines))
    return file


def keyed(v):
    out = KeyedVectors(v.dimension)
    out.add_vectors(list(v.words), v.matrix)
    return out


def test_the_sets_are_whole():
    assert len(evaluation.pairs("wordsim353")) == 353
    assert len(evaluation.pairs("simlex999")) == 999
    assert evaluation.pairs("wordsim353")[1] == ("tiger", "cat", 7.35)
    sections = evaluation.questions()
    assert len(sections) == 14
    assert sum(map(len, sections.values())) == 19_544
    assert sections["family"][0] == ("boy", "girl", "brother", "sister")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("restrict", [None, 300])
@pytest.mark.parametrize("unseen", ["skip", "zero"])
def test_word_similarity_is_gensims(name, restrict, unseen):
    v = structured(mixed_case=True)
    pearson, spearman, ratio = keyed(v).evaluate_word_pairs(
        datapath(SETS[name]), restrict_vocab=restrict or 10**6, dummy4unknown=unseen == "zero"
    )
    ours = evaluation.word_similarity(v, name, unseen=unseen, restrict=restrict)
    assert ours.spearman == pytest.approx(spearman[0], abs=1e-6)
    assert ours.pearson == pytest.approx(pearson[0], abs=1e-6)
    assert abs(ours.spearman) > 0.05
    assert 100 * ours.unseen / ours.total == pytest.approx(ratio)
    assert 0 < ours.coverage == pytest.approx(1 - ratio / 100)
    assert ours.scored == (ours.total if unseen == "zero" else ours.total - ours.unseen)


@GENSIM
@pytest.mark.parametrize("mixed_case", [False, True])
@pytest.mark.parametrize("restrict", [None, 600])
def test_analogies_are_gensims(mixed_case, restrict, some):
    v = structured(mixed_case=mixed_case)
    score, theirs = keyed(v).evaluate_word_analogies(str(some), restrict_vocab=restrict or 10**6)
    ours = evaluation.analogies(v, some, restrict=restrict)
    assert [s.name for s in ours.sections] == [s["section"] for s in theirs[:-1]]
    for mine, other in zip((*ours.sections, ours.total), theirs, strict=True):
        assert mine.right == len(other["correct"])
        assert mine.asked == len(other["correct"]) + len(other["incorrect"])
    assert ours.total.accuracy == pytest.approx(score)
    assert 0.05 < score < 0.95
    asked = sum(map(len, evaluation.questions(some).values()))
    assert ours.total.unseen + ours.total.asked == asked
    assert ours.total.unseen > 0


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_answers_are_those_to_questions_asked_alone(method, some, monkeypatch):
    v = structured()
    monkeypatch.setattr(evaluation, "_BLOCK", 7 * len(v))
    found = evaluation.analogies(v, some, method=method).sections
    for section, asked in zip(found, evaluation.questions(some).values(), strict=True):
        words = [[w.lower() for w in q] for q in asked]
        known = [q for q in words if all(w in v for w in q)]
        right = sum(v.analogy(*q[:3], method=method)[0][0] == q[3] for q in known)
        assert section[1:] == (right, len(known), len(words) - len(known))
    assert 0 < sum(s.right for s in found) < sum(s.asked for s in found)


def test_unseen_words_are_made_of_their_ngrams(tmp_path):
    rng = np.random.default_rng(0)
    sub = subwords.Subwords(rng.normal(size=(2, 4)), rng.normal(size=(50, 4)), 2, 3)
    v = Vectors(["cat", "dog"], subwords.compose(["cat", "dog"], sub), subwords=sub)
    file = tmp_path / "pairs.tsv"
    file.write_text("# three\ncat\tdog\t7\ncat\tCats\t9\ncats\tdogs\t3\n")
    found = evaluation.word_similarity(v, file, unseen="subwords")
    assert found[2:] == (3, 2, 3)
    cosines = [v.similarity(*p) for p in (("cat", "dog"), ("cat", "cats"), ("cats", "dogs"))]
    assert found.pearson == pytest.approx(np.corrcoef([7, 9, 3], cosines)[0, 1], abs=1e-5)
    with pytest.raises(ValueError, match="1 of 3 pairs can be scored"):
        evaluation.word_similarity(v, file)
    with pytest.raises(ValueError, match="needs vectors that have sub-words"):
        evaluation.word_similarity(structured(), unseen="subwords")
    with pytest.raises(ValueError, match="did you mean 'skip'"):
        evaluation.word_similarity(v, file, unseen="skipp")


def test_case_can_matter(tmp_path):
    v = Vectors(["King", "king", "man"], np.array([[1, 0], [1, 1], [1, 3]]))
    file = tmp_path / "pairs.tsv"
    file.write_text("king\tman\t1\nKing\tman\t2\nKING\tman\t3\n")
    assert evaluation.word_similarity(v, file, unseen="zero", fold_case=False).unseen == 1
    file.write_text("// of 2013\n: one\n# two\nKing king King man\n")
    assert evaluation.analogies(v, file, fold_case=False).total[1:] == (1, 1, 0)


def test_other_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"'wordsim', .*did you mean 'wordsim353'"):
        evaluation.pairs("wordsim")
    file = tmp_path / "set.txt"
    for text in ("a\tb\n", "a b\n", "a\tb\tx\n"):
        file.write_text("\n" + text)
        with pytest.raises(ValueError, match="line 2: word, word and number expected"):
            evaluation.pairs(file)
    file.write_text(": s\na b c\n")
    with pytest.raises(ValueError, match="line 2: four words expected, got 'a b c'"):
        evaluation.questions(file)
    file.write_text("a b c d\n")
    with pytest.raises(ValueError, match="line 1: ': section' first expected"):
        evaluation.questions(file)
    file.write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="is not UTF-8"):
        evaluation.questions(file)
    monkeypatch.setitem(evaluation.SIMILARITY, "wordsim353", ("wordsim353.tsv", "0"))
    with pytest.raises(ValueError, match=r"is not gensim 4.4.0's: SHA-256 f92a.*, expected 0"):
        evaluation.pairs("wordsim353")


@pytest.mark.parametrize("wrong", [-1, 0, 2.5])
def test_restrict_is_whole_and_at_least_1(wrong, some):
    v = structured()
    for ask in (
        lambda: evaluation.word_similarity(v, restrict=wrong),
        lambda: evaluation.analogies(v, some, restrict=wrong),
    ):
        with pytest.raises(ValueError, match="restrict must be a whole number of at least 1"):
            ask()


@pytest.mark.filterwarnings("error")
def test_numbers_without_a_correlation(tmp_path):
    v = Vectors(["a", "b", "c"], np.array([[1, 0], [0, 1], [-1, 0]]))
    file = tmp_path / "pairs"
    file.write_text("a b 1\nb c 2\n")
    with pytest.raises(ValueError, match="the cosines of the 2 pairs are all 0, so that there"):
        evaluation.word_similarity(v, file)
    file.write_text("a b 1\na c 1\n")
    with pytest.raises(ValueError, match="the judgments of the 2 pairs are all 1"):
        evaluation.word_similarity(v, file)
    file.write_text("a b 1\na c nan\n")
    with pytest.raises(ValueError, match="line 2: word, word and number expected"):
        evaluation.word_similarity(v, file)


def test_a_section_no_question_of_which_is_known_has_no_accuracy():
    v = Vectors(["boy", "girl", "king", "queen"], np.random.default_rng(0).normal(size=(4, 3)))
    found = {s.name: s for s in evaluation.analogies(v).sections}
    assert np.isnan(found["currency"].accuracy)
    assert found["currency"].coverage == 0
    assert found["family"].asked == 2
