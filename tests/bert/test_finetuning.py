"""bert/finetuning.py: pieces against the tokenizer, and taggers and classifiers that learn."""

import json
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlab import tasks, training
from rnnlab.bert import encoder, finetuning
from rnnlab.bert.finetuning import ReviewPieces, TagPieces
from rnnlab.bert.pretrained import Start
from rnnlab.core.notices import LeftOut
from rnnlab.tasks.reviews import MovieReviews
from rnnlab.text import entities
from rnnlab.training import predict, runner

pytest.importorskip("tokenizers")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """BERT-Tiny with half of its layers and heads, which compiles sooner."""
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """A CoNLL file: names, of several pieces, are persons."""
    rng = np.random.default_rng(0)
    names, others = ("annlee", "bobson", "carlo", "dianna"), ("sees", "the", "mr", "dog", "today")
    lines = []
    for _ in range(120):
        words = rng.choice(others + names, 6)
        lines += [*(f"{word} {'B-PER' if word in names else 'O'}" for word in words), ""]
    file = tmp_path_factory.mktemp("conll") / "a.conll"
    file.write_text("\n".join(lines))
    return str(file)


def tagger(columns, **changes):
    options = {"path": columns, "max_length": 22, "vocab_size": 45, "test_share": 0.2}
    return TagPieces(**(options | changes))


def config_of(task, **changes):
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": task,
            "encoder": encoder.config(activation="gelu_tanh", dropout=0.0, attention_dropout=0.0),
            "init": encoder.Init.config(),
            "start": Start.config(),
            "training": training.config(
                learning_rate=3e-3,
                steps=60,
                eval_every=60,
                batch_size=16,
                eval_batch_size=40,
                eval_sample=40,
                stop_when_solved=False,
                **changes,
            ),
            "run": runner.config(),
        }
    )


def test_reviews_in_pieces_are_the_tokenizers():
    task = ReviewPieces(max_length=12, limit=40, vocab_size=300)
    data, split = task.load(), MovieReviews(limit=40).split()
    assert (len(data.train), len(data.validation)) == (36, 4)
    assert task.input_size <= 300
    for rows, lengths, labels, texts, wanted in (
        (data.train, data.lengths, data.labels, split.texts, split.labels),
        (data.test, data.test_lengths, data.test_labels, split.test_texts, split.test_labels),
    ):
        for k in range(36):
            ids = task.tokenizer.encode(texts[k], add_special_tokens=False).ids[:10]
            assert rows[k, : lengths[k]].tolist() == [2, *ids, 3]
            assert not rows[k, lengths[k] :].any()
            assert task.passes(task.tokens(texts[k]))[0].tolist() == [2, *ids, 3]
            assert labels[k] == wanted[k]
    batch = task.batch(data, jax.random.key(0), 0, 4)
    assert (batch.inputs.shape, batch.lengths.shape) == ((4, 12), (4,))


def test_a_file_of_texts_in_pieces(tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        f"{'abc'[i % 3]}\t{' '.join(rng.choice(['low', 'lower', 'new'], 5))} {i}" for i in range(60)
    ]
    for name, part in (("a.tsv", lines), ("b.tsv", lines[:7]), ("c.tsv", lines[7:12])):
        (tmp_path / name).write_text("\n".join(part) + "\n")
    paths = [str(tmp_path / name) for name in ("a.tsv", "b.tsv", "c.tsv")]
    options = {"max_length": 12, "vocab_size": 60, "min_count": 1}
    task = ReviewPieces(path=paths[0], test_path=paths[1], validation_path=paths[2], **options)
    with pytest.warns(LeftOut, match="left out 12 of 60 texts, which are held out in"):
        data = task.load()
    assert (len(data.train), len(data.test), len(data.validation)) == (48, 7, 5)
    assert task.classes == ("a", "b", "c")
    held = [line.split("\t")[1] for line in lines[7:12]]
    for text, row, n in zip(held, data.validation, data.validation_lengths, strict=True):
        ids = task.tokenizer.encode(text, add_special_tokens=False).ids[:10]
        assert row[:n].tolist() == [2, *ids, 3]
    assert data.validation_labels.tolist() == [i % 3 for i in range(7, 12)]


def test_words_in_pieces_are_the_tokenizers(columns):
    task = tagger(columns, max_length=14)  # cuts some
    parts = task.sentences()[:3]
    assert min(map(len, parts)) > 1
    read_as, cut = task.load(), 0
    for data, part in zip((read_as.train, read_as.test, read_as.validation), parts, strict=True):
        for k, sentence in enumerate(part):
            read = task.tokenizer.encode(list(sentence.tokens), is_pretokenized=True)
            whole = [w for w in read.word_ids[:13] if w is not None]
            if len(read.ids) > 14:  # a word without all of its pieces is left out
                cut += 1
                fits = read.word_ids[13] != whole[-1]
                n = whole[-1] + fits
            else:
                n = len(sentence.tokens)
            assert data.words[k] == n
            ends = [i for i, w in enumerate(read.word_ids) if w is not None and w < n]
            assert data.lengths[k] == len(ends) + 2
            assert data.ids[k, : len(ends) + 1].tolist() == read.ids[: len(ends) + 1]
            assert data.ids[k, len(ends) + 1] == 3
            firsts = [read.word_ids.index(w) for w in range(n)]
            assert data.places[k, :n].tolist() == firsts
            assert [task.labels[j] for j in data.labels[k, :n]] == list(sentence.labels[:n])
    assert cut > 3
    assert max(task.load().train.places.max(axis=1) - task.load().train.words) > 0  # pieces


def test_a_tagger_is_trained_as_any_other(columns):
    """Traced, not compiled: data, model, loss and scores fit."""
    config = config_of(
        {
            "name": "tag_pieces",
            "path": columns,
            "max_length": 22,
            "vocab_size": 45,
            "test_share": 0.2,
        }
    )
    runner.check(config)
    setup = training.setup_of(config)
    shapes = jax.eval_shape(
        lambda: training.draw_params(setup.model, jax.random.key(0), setup.task)
    )
    train = training.make_train(setup)
    hyper = training.hyper_of(config.training)
    state, progress = jax.eval_shape(train, jax.random.key(0), hyper, shapes, setup.task.load())
    assert jax.tree.structure(state.params) == jax.tree.structure(shapes)
    names = {"loss", "accuracy", "precision", "recall", "f1"}
    assert set(progress.score) == names | {f"validation_{name}" for name in names}
    assert setup.task.lookup(()) == 1  # each word has one label
    p = np.array([row == "B-PER" for s in setup.task.sentences()[0] for row in s.labels]).mean()
    assert setup.task.baseline(setup.task.load()) == pytest.approx(
        -p * np.log(p) - (1 - p) * np.log(1 - p), rel=0.02
    )  # but for what is cut


def test_a_tagger_speaks_of_words(columns):
    """Only the outputs at the first pieces of words count."""
    task = tagger(columns, max_length=40)
    words = ["the", "annlee", "bobson", "sees", "mr", "carlo"]
    (sentence,) = [entities.Sentence(tuple(words), ("O",) * 6)]
    cut = finetuning.pieced(task.tokenizer, [sentence], {"O": 0}, 40)
    ids = task.encode(words)
    assert ids.tolist() == task.tokenizer.encode(" ".join(words)).ids
    assert len(ids) > len(words) + 2
    outputs = np.zeros((len(ids), 2), np.float32)
    outputs[:, 1] = 1  # all pieces say B-PER …
    outputs[cut.places[0, [0, 3, 4]], 0] = 2  # … but for the first ones of three words
    expected = "the [annlee PER] [bobson PER] sees mr [carlo PER]"
    assert task.say(task.tokens(" ".join(words)), jnp.asarray(outputs)) == expected
    asked = predict.Predictor(0, task, None, None)
    with pytest.raises(ValueError, match="can't run in real time"):
        predict.streamed(asked, expected)


@given(st.integers(1, 9), st.lists(st.integers(1, 9), max_size=40))
@example(4, [1] * 9)
@example(5, [2, 1, 1, 3, 1, 1, 2, 1, 1, 1, 4, 1, 1])
def test_every_word_is_kept_where_most_words_lie_around_it(room, sizes):
    sizes = [min(size, room) for size in sizes]
    parts = finetuning.windows(sizes, room)
    kept = [list(range(part.first, part.end))[part.kept] for part in parts]
    assert [word for words in kept for word in words] == list(range(len(sizes)))
    assert all(sum(sizes[part.first : part.end]) <= room for part in parts)

    def around(part, word):
        """Words on the side with fewer of them; the text's own ends are no limit."""
        if not part.first <= word < part.end:
            return -1
        before = word - part.first if part.first else len(sizes)
        after = part.end - 1 - word if part.end < len(sizes) else len(sizes)
        return min(before, after)

    for part, words in zip(parts, kept, strict=True):
        for word in words:
            assert around(part, word) == max(around(other, word) for other in parts)


def answering(logits_of):
    """A model of known logits: (its params, ids (B, T), …) -> (logits, ())."""
    return SimpleNamespace(apply=lambda params, ids, lengths: (logits_of(ids), ()))


def test_no_word_of_a_long_text_is_dropped(columns):
    """A model that labels a piece by its id alone says the same of a text in windows."""
    whole, short = tagger(columns, max_length=400), tagger(columns, max_length=9)
    table = np.random.default_rng(0).normal(size=(whole.input_size, 2)).astype(np.float32)
    model = answering(lambda ids: table[np.asarray(ids)])
    texts = ["annlee sees the bobson " * 9 + "carlo", "mr dianna"]
    expected = predict.answers(predict.Predictor(0, whole, model, None), texts)
    found = predict.answers(predict.Predictor(0, short, model, None), texts)
    assert found == expected
    assert found[0].count("bobson") == 9
    with pytest.raises(ValueError, match=r"at most 7 pieces are read at once .*, got \d\d"):
        short.encode(texts[0].split())


def test_an_entity_is_whole_where_windows_meet(columns):
    """Every word is within an entity, as far as the model sees; no window cuts it in two."""
    task = tagger(columns, max_length=9)
    assert task.labels == ("O", "B-PER", "I-PER")
    model = answering(lambda ids: np.broadcast_to(np.float32([0, 0, 1]), (*ids.shape, 3)))
    text = "mr dog " * 12
    (said,) = predict.answers(predict.Predictor(0, task, model, None), [text])
    assert said == f"[{text.strip()} PER]"


def test_a_word_longer_than_a_window_keeps_its_place(columns):
    task = tagger(columns, max_length=5)
    model = answering(lambda ids: np.zeros((*ids.shape, 2), np.float32))
    text = "mr annleebobsoncarlodianna dog"
    assert predict.answers(predict.Predictor(0, task, model, None), [text]) == [text]


def test_a_long_review_is_read_to_its_end():
    """The probabilities of its parts, averaged by their pieces, in NumPy."""
    task = ReviewPieces(max_length=12, limit=40, vocab_size=300)
    table = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)

    def logits_of(ids):
        return table[np.asarray(ids)[:, 1]]  # by the first piece of a part

    asked = predict.Predictor(0, task, answering(logits_of), None)
    text = "a film that is good until its very last scene, which is bad"
    ids = task.tokenizer.encode(text, add_special_tokens=False).ids
    assert len(ids) > 20
    mean = np.zeros(2)
    for first in range(0, len(ids), 10):
        odds = np.exp(table[ids[first]].astype(float))
        mean += odds / odds.sum() * len(ids[first : first + 10]) / len(ids)
    (said,) = predict.answers(asked, [text])
    assert said == f"{task.classes[mean.argmax()]} {mean.max():.2f}"
    assert predict.answers(asked, [text, "good"])[0] == said


def test_pieces_and_labels_are_restored_without_data_or_start(columns, tmp_path):
    """A run of a tagger that began with another run's weights, when both sources are gone."""
    path = tmp_path / "a.conll"
    shutil.copy(columns, path)
    group = {"name": "tag_pieces", "path": str(path), "max_length": 22, "vocab_size": 45}
    config = config_of(group)
    setup = training.setup_of(config)
    stored = json.loads(json.dumps(setup.task.stored()))
    path.unlink()
    with config.unlocked():
        config.start = Start.config(path=str(tmp_path / "gone"))
    restored = tasks.from_config(group).restored(stored)
    again = training.setup_of(config, restored)
    assert again.model == setup.model
    assert again.task.labels == setup.task.labels
    words = ["the", "annlee", "xq", "mr"]
    assert again.task.encode(words).tolist() == setup.task.encode(words).tolist()
    assert again.task.unknown(words) == ["xq"]
    assert again.task.vocabulary.words() == setup.task.vocabulary.words()


def test_lengths_are_a_mask():
    """Padding tokens of a ragged batch change no output."""
    config = config_of({"name": "review_pieces", "max_length": 60, "limit": 40, "vocab_size": 300})
    member = training.member(config, jax.random.key(0))
    batch = member.setup.task.test(member.setup.task.load(), jax.random.key(0), 20)
    assert batch.lengths.min() < 50
    inside = jnp.arange(60) < batch.lengths[:, None]
    apply = jax.jit(member.setup.model.apply)
    said, _ = apply(member.params, batch.inputs, lengths=batch.lengths)
    other, _ = apply(member.params, jnp.where(inside, batch.inputs, 7), lengths=batch.lengths)
    np.testing.assert_array_equal(said, other)
    without, _ = apply(member.params, jnp.where(inside, batch.inputs, 7))
    assert (said != without).any()
    with pytest.raises(ValueError, match="tokens with a mask have their lengths"):
        member.setup.model.apply(
            member.params, encoder.Tokens(batch.inputs, mask=inside), lengths=batch.lengths
        )


def test_what_is_refused(columns):
    with pytest.raises(ValueError, match="max_length must be at least 3"):
        ReviewPieces(max_length=2)
    with pytest.raises(ValueError, match="vocab_size must be above 5"):
        ReviewPieces(vocab_size=5)
    with pytest.raises(ValueError, match="limit must be a whole number of at least 0, got -1"):
        ReviewPieces(limit=-1)
    with pytest.raises(ValueError, match="belong to recurrent taggers"):
        tagger(columns, crf=True)
    assert tasks.by_name("tag_pieces", path=columns).name == "tag_pieces"
    empty = finetuning.pieced(
        tagger(columns).tokenizer, [entities.Sentence(("\u200b", "mr"), ("O", "O"))], {"O": 0}, 9
    )
    assert empty.words.tolist() == [2]  # a word of dropped signs keeps its place: unknown
    assert empty.ids[0, 1] == 1
