"""Translation as a task: pairs against a loop, edits against a table, files, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import tasks
from rnnlab.nn import encoder_decoder
from rnnlab.tasks.translation import Translation, edit_distance, said_length
from rnnlab.text.vocabulary import Vocabulary

TASK = Translation(limit=60, max_length=7, embedding_size=3)


def test_pairs_are_of_the_dictionary_and_no_word_is_on_both_sides():
    _, judge, _, learn = Translation(max_length=12).pairs()
    said = dict((*learn, *judge))
    assert said[tuple("neural")] == ("N", "UH", "R", "AH", "L")
    assert said[tuple("read")] == ("R", "EH", "D")  # the first of two
    assert not {source for source, _ in learn} & {source for source, _ in judge}
    assert len(judge) == round(0.1 * (len(learn) + len(judge)))
    assert max(len(side) for pair in learn for side in pair) == 12


def test_ids_equal_a_loop():
    data, (source, target) = TASK.load(), TASK.vocabularies
    texts = TASK.pairs()
    assert len(texts.validation) == 6
    for part, pairs in ((data[:4], texts[0]), (data[4:8], texts[1]), (data[8:], texts[2])):
        assert len(part[0]) == len(pairs)
        for ids, n, wanted, m, (letters, sounds) in zip(*part, pairs, strict=True):
            assert [source.words()[i] for i in ids[:n]] == [
                c if c in source else "<unk>" for c in letters
            ]
            assert [target.words()[i] for i in wanted[:m]] == [
                *(s if s in target else "<unk>" for s in sounds),
                "<end>",
            ]
            assert not ids[n:].any()
            assert not wanted[m:].any()
    assert isinstance(source, Vocabulary)


def test_a_batch_is_given_the_target_a_step_late():
    data = TASK.load()
    batch = TASK.batch(data, jax.random.key(1), 3, batch_size=8)
    pair = batch.inputs
    assert (pair.given[:, 0] == TASK.output_size).all()
    assert (pair.given[:, 1:] == batch.targets[:, :-1]).all()
    ends = (np.asarray(batch.targets) == 0) & np.asarray(batch.mask)
    assert (ends.sum(axis=1) == 1).all()  # END counts, once
    rows = [data.source.tolist().index(row) for row in np.asarray(pair.source).tolist()]
    assert (batch.lengths == data.lengths[rows]).all()
    seen = np.concatenate([TASK.batch(data, jax.random.key(1), i, 18).targets for i in range(3)])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, data.target))  # an epoch: each once


def by_table(a, b):
    d = np.zeros((len(a) + 1, len(b) + 1), int)
    d[:, 0], d[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (x != y))
    return d[-1, -1]


def test_edits_equal_a_table():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (50, 7)), rng.integers(0, 4, (50, 5))
    n, m = rng.integers(0, 8, 50), rng.integers(0, 6, 50)
    found = edit_distance(*map(jnp.asarray, (a, n, b, m)))
    expected = [by_table(x[:i], y[:j]) for x, i, y, j in zip(a, n, b, m, strict=True)]
    assert found.tolist() == expected
    assert len(set(expected)) > 4


def test_scores_are_of_what_is_said_greedily():
    batch = TASK.test(TASK.load(), jax.random.key(0), 6)
    K, T = TASK.output_size, TASK.max_length + 1
    logits = jax.random.normal(jax.random.key(2), (6, T, K))
    greedy = np.asarray(batch.targets).copy()
    greedy[0, 0], greedy[1, :2] = 1, 0  # one wrong sound; nothing said at all
    score = TASK.score(encoder_decoder.Said(logits, jnp.asarray(greedy)), batch)
    wanted = np.asarray(batch.mask).sum(axis=1) - 1
    assert np.isclose(score["token_error"], (1 + wanted[1]) / wanted.sum())
    assert np.isclose(score["sequence_error"], 2 / 6)
    log_p = np.asarray(jax.nn.log_softmax(logits))
    expected = -np.mean(
        [log_p[b, t, batch.targets[b, t]] for b in range(6) for t in range(wanted[b] + 1)]
    )
    assert np.isclose(score["loss"], expected, rtol=1e-5)
    assert said_length(greedy).tolist()[:2] == [wanted[0], 0]


def test_a_token_that_is_not_known_is_never_said_right():
    task = Translation(limit=60, max_length=7, min_count=9)
    batch = task.test(task.load(), jax.random.key(0), 40)
    edits, _ = task.edits(batch.targets, batch)
    unknown = (np.asarray(batch.targets) == 1).sum(axis=1)
    assert unknown.any()
    assert edits.tolist() == unknown.tolist()


def test_what_does_not_fit_is_refused_and_not_cut():
    assert TASK.tokens(" Neural ") == list("neural")
    with pytest.raises(ValueError, match=r"at most 7 tokens are read .*, got 9: 'recurrent'"):
        TASK.tokens("recurrent")
    with pytest.raises(ValueError, match=r"one word at a time .*, got 'a net'"):
        TASK.tokens("a net")


def test_a_file_of_pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(
        "ein Haus\ta house\n\nein Hund\ta dog\nein Haus\tthe house\nHund da\tdog here\n"
    )
    task = Translation(path=str(path), test_share=0.34)
    learn, judge, *_ = task.pairs()
    assert {*learn, *judge} == {
        (("ein", "Haus"), ("a", "house")),
        (("ein", "Hund"), ("a", "dog")),
        (("Hund", "da"), ("dog", "here")),
    }
    assert task.tokens("ein  Hund") == ["ein", "Hund"]
    ids = jnp.asarray([task.vocabularies[1].words().index(learn[0][1][0]), 0, 3])
    assert task.say([], ids) == learn[0][1][0]
    assert task.say([], ids[:1]) == f"{learn[0][1][0]} …"  # cut before its END
    known = learn[0][0][0]
    assert task.unknown([known, "Maus", known, "Katze"]) == ["Maus", "Katze"]
    other = tmp_path / "test.tsv"
    other.write_text("ein Hund\tone dog\n")
    learn, judge, *_ = Translation(path=str(path), test_path=str(other)).pairs()
    assert judge == ((("ein", "Hund"), ("one", "dog")),)
    assert ("ein", "Hund") not in {source for source, _ in learn}


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("no tab\n", {}, r"line 1: expected a source, a tab and a target, got 'no tab'"),
        ("a\tb\nc\t\n", {}, r"line 2: expected a source"),
        ("a b c\td\n", {"max_length": 2}, "no pair of at most 2 tokens"),
        ("a\tb\n", {}, "no pair is left to learn from"),
    ],
)
def test_what_is_no_file_of_pairs_is_refused(tmp_path, content, options, said):
    path = tmp_path / "pairs.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        Translation(path=str(path), **options).load()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attention": "dot"}, "unknown attention 'dot'"),
        ({"test_path": "x"}, "needs a path to learn from"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1, got 0"),
        ({"test_share": 1.0}, r"test_share must be a finite number above 0 and below 1"),
        ({"solved_at": 1.0}, "solved_at must be a finite number at least 0 and below 1"),
    ],
)
def test_what_is_no_task_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        tasks.by_name("translation", **options)
