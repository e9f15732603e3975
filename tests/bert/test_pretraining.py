"""bert/pretraining.py: pairs, losses and the task, through the machinery that trains all models."""

import json
import math

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from rnnlab import tasks, training
from rnnlab.bert import encoder, heads, pretraining, wordpiece
from rnnlab.bert.pretraining import SentencePairs
from rnnlab.core.notices import LeftOut
from rnnlab.nn import losses, models
from rnnlab.training import runner
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.params import params_file
from tests.helpers import trained

pytest.importorskip("tokenizers")

TOPICS = (
    "bank money loan rate",
    "river water fish boat",
    "king crown castle sword",
    "star moon sky comet",
    "bread butter oven flour",
    "goal ball team match",
)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """BERT-Tiny with half of its layers and heads, which compiles sooner."""
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Documents of one topic each."""
    rng = np.random.default_rng(0)
    parts = [
        " ".join(" ".join(rng.choice(topic.split(), 5)) + "." for _ in range(12))
        for topic in TOPICS * 4
    ]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n\n".join(parts))
    return str(file)


def task_of(text, **changes):
    options = {"corpus": text, "length": 24, "vocab_size": 120, "test_share": 0.25}
    return SentencePairs(**(options | changes))


def arrays(tree):
    return jax.tree.map(np.asarray, tree)


def test_segments_hold_the_whole_text_in_order(text):
    tokenizer = task_of(text).tokenizer
    documents = ["bank money. river. " * 9, "", "star " * 23, "moon."]
    with pytest.warns(LeftOut, match="1 of 4 documents have no token"):
        cut = pretraining.segments(tokenizer, documents, 10)
    place = 0
    for document in documents:
        ids = tokenizer.encode(document, add_special_tokens=False).ids
        own = []
        while place < len(cut.ids) and len(own) < len(ids):
            assert cut.first[place] + cut.size[place] > place >= cut.first[place]
            own += cut.ids[place, : cut.lengths[place]].tolist()
            assert (cut.ids[place, cut.lengths[place] :] == 0).all()
            place += 1
        assert own == ids
    assert place == len(cut.ids)
    ends = cut.first + cut.size - 1
    assert cut.followed.tolist() == [k for k in range(place) if k != ends[k]]
    dot = tokenizer.token_to_id(".")
    assert cut.ids[0, cut.lengths[0] - 1] == dot  # whole sentences


def test_a_batch_is_cls_a_sep_b_sep_and_half_of_it_follows(text):
    task = task_of(text)
    data = task.load()
    own = data.train
    draw = jax.jit(lambda index: task.batch(data, jax.random.key(0), index, 100))
    batches = [arrays(draw(index)) for index in range(4)]
    said = {row.tobytes(): k for k, row in enumerate(own.ids)}  # by their tokens; some are equal
    document = {}
    for k, row in enumerate(own.ids):
        document.setdefault(row.tobytes(), set()).add(int(own.first[k]))
    follows = 0
    for batch in batches:
        ids = batch.inputs.ids.copy()
        rows = np.arange(100)[:, None]
        ids[rows, batch.inputs.positions] = batch.targets.words
        for row in range(100):
            n = batch.inputs.mask[row].sum()
            assert ids[row, 0] == 2
            assert (ids[row, n:] == 0).all()
            first, second = np.flatnonzero(ids[row] == 3)
            assert second == n - 1
            assert (
                batch.inputs.segments[row] == (np.arange(24) > first) * (np.arange(24) < n)
            ).all()
            a, b = np.zeros(10, np.int32), np.zeros(10, np.int32)
            a[: first - 1], b[: second - first - 1] = (
                ids[row, 1:first],
                ids[row, first + 1 : second],
            )
            assert a.tobytes() in said
            together = document[a.tobytes()] & document[b.tobytes()]
            if batch.targets.next_sentence[row] == pretraining.FOLLOWS:
                assert together
                follows += 1
            else:
                assert len(document[b.tobytes()]) > 1 or not together
    assert abs(follows - 200) < 3 * math.sqrt(400 / 4)


def test_an_epoch_has_every_pair_once_and_the_next_masks_otherwise(text):
    task = task_of(text)
    data = task.load()
    n = len(data.train.followed)
    size = n // 3
    draw = jax.jit(lambda index: task.batch(data, jax.random.key(0), index, size))

    def firsts(index):
        batch = arrays(draw(index))
        ids = batch.inputs.ids.copy()
        ids[np.arange(size)[:, None], batch.inputs.positions] = batch.targets.words
        return sorted(tuple(r[1 : np.flatnonzero(r == 3)[0]]) for r in ids), batch

    epoch = sorted(a for index in range(3) for a in firsts(index)[0])
    own = sorted(tuple(data.train.ids[k, : data.train.lengths[k]]) for k in data.train.followed)
    if size * 3 == n:
        assert epoch == own
    counts = {a: own.count(a) for a in own}
    assert all(epoch.count(a) <= counts[a] for a in epoch)
    again, other = firsts(1)[1], firsts(4)[1]
    assert (again.inputs.ids == firsts(1)[1].inputs.ids).all()
    assert (again.inputs.ids != other.inputs.ids).any()


def test_held_out_documents_stay_out_and_are_the_same_at_every_look(text):
    task = task_of(text)
    data = task.load()
    assert data.test.size.max() > 1
    assert len(np.unique(data.train.first)) == 16
    assert len(np.unique(data.test.first)) == 6
    assert len(np.unique(data.validation.first)) == 2
    a, b = (arrays(task.test(data, jax.random.key(s), 20)) for s in (0, 1))
    assert all((x == y).all() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_a_validation_set_without_pairs_is_said(text):
    with pytest.warns(LeftOut, match="no validation set: 1 documents? of 18"):
        data = task_of(text, validation_share=0.06).load()
    assert data.validation is None


def test_unigram_baseline_by_hand(text):
    data = task_of(text).load()

    def tokens(of):
        return [t for row, n in zip(of.ids, of.lengths, strict=True) for t in row[:n].tolist()]

    train, test = tokens(data.train), tokens(data.test)
    V = len(data.continues)
    p = [(train.count(k) + 1) / (len(train) + V) for k in range(V)]
    by_hand = -sum(math.log(p[t]) for t in test) / len(test)
    assert pretraining.unigram(data) == pytest.approx(by_hand)
    assert task_of(text).baseline(data) == pytest.approx(by_hand + math.log(2))


def test_losses_by_hand():
    rng = np.random.default_rng(0)
    z, y, counts = rng.normal(size=(2, 3, 5)), rng.integers(0, 5, (2, 3)), rng.random((2, 3)) < 0.6
    following, answer = rng.normal(size=(2, 2)), np.array([0, 1])

    def nll(row, k):
        return math.log(sum(math.exp(v) for v in row)) - row[k]

    words = np.mean([nll(z[b, p], y[b, p]) for b in range(2) for p in range(3) if counts[b, p]])
    then = np.mean([nll(following[b], answer[b]) for b in range(2)])
    outputs = heads.Logits(*(jnp.asarray(a, jnp.float32) for a in (z, following)))
    targets = pretraining.Targets(jnp.asarray(y), jnp.asarray(answer))
    counts = jnp.asarray(counts)
    assert float(pretraining.loss(outputs, targets, counts)) == pytest.approx(words + then, 1e-5)
    own = pretraining.masked_word_loss(outputs.words, targets.words, counts)
    assert float(own) == pytest.approx(words, 1e-5)
    with pytest.raises(ValueError, match="'sum_over_time'"):
        pretraining.loss(outputs, targets, counts, "sum_over_time")
    assert losses.by_name(pretraining.loss) is pretraining.loss


def test_the_words_gradient_by_hand():
    """(softmax − onehot) / n where it counts, large logits and NaN where it does not."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(2, 3, 7)) * np.array([1.0, 50.0, 3000.0])[:, None]
    y, counts = rng.integers(0, 7, (2, 3)), np.array([[1, 0, 1], [1, 1, 1]], bool)
    p = np.exp(z - z.max(-1, keepdims=True))
    expected = (p / p.sum(-1, keepdims=True) - np.eye(7)[y]) * counts[..., None] / 5
    given = jnp.asarray(np.where(counts[..., None], z, np.nan), jnp.float32)

    def loss(z):
        return 3 * pretraining.masked_word_loss(z, jnp.asarray(y), jnp.asarray(counts))

    np.testing.assert_allclose(jax.grad(loss)(given), 3 * expected, atol=1e-5)
    nothing = jnp.zeros_like(jnp.asarray(counts))
    assert float(pretraining.masked_word_loss(given, jnp.asarray(y), nothing)) == 0


# ---- through training, sweep and checkpoint ----------------------------------------------------


def config_of(text, **changes):
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "sentence_pairs",
                "corpus": text,
                "length": 24,
                "vocab_size": 120,
                "test_share": 0.25,
            },
            "encoder": encoder.config(dropout=0.1),
            "init": encoder.Init.config(),
            "training": training.config(
                optimizer="adamw",
                steps=60,
                eval_every=30,
                warmup_steps=10,
                learning_rate=1e-3,
                weight_decay=0.01,
                batch_size=16,
                eval_batch_size=40,
                eval_sample=40,
                stop_when_solved=False,
            ),
            "run": runner.config(),
        }
    )
    config.update_from_flattened_dict(changes)
    return config


def program(setup, capacity, devices=None, mapping="auto"):
    """The program of a group: both tests below are of equal ones, and compile it once."""
    return trained.program(setup, capacity, devices or jax.devices(), mapping)


def test_an_init_sweep_trains_as_one_group_and_is_read_again(text, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "Program", program)
    configs = [
        config_of(text, **{"init.attention": scheme}) for scheme in ("orthogonal", "xavier_uniform")
    ]
    specs = [training.MemberSpec.from_config(config) for config in configs]
    for spec in specs:
        spec.check_data()
    jobs = [runner.Job(k, spec, jax.random.key(k)) for k, spec in enumerate(specs)]
    assert len(runner.groups(jobs)) == 1  # one program
    lines, results = [], {}

    class Sink(runner.Sink):
        def log(self, index, record):
            lines.append((index, record))

        def finish(self, index, seconds, result):
            results[index] = result

    runner.train(jobs, set(), tmp_path, "test", Sink())
    assert set(results) == {0, 1}
    for index, result in results.items():
        own = [record for k, record in lines if k == index]
        assert [record["step"] for record in own] == [30, 60]
        assert own[-1]["word_loss"] < own[0]["word_loss"]
        assert result["word_loss"] + result["next_loss"] == pytest.approx(result["loss"], 1e-5)
        assert result["status"] == "finished"
        assert result["baseline"] == pytest.approx(
            pretraining.unigram(task_of(text).load()) + math.log(2)
        )
    assert results[0]["loss"] != results[1]["loss"]
    path = params_file(tmp_path, 0)
    with np.load(path, allow_pickle=False) as packed:
        assert sum(a.size for a in packed.values()) == results[0]["params"]


def test_training_goes_on_from_where_it_stopped(text):
    members = [training.member(config_of(text), jax.random.key(k)) for k in range(2)]
    made = program(members[0].setup, 2)
    states, hypers = made.start(members)
    states, _ = made.advance(states, hypers, range(2))
    stored = jax.tree.map(np.array, states)  # what a checkpoint holds
    a, b = (
        jax.tree.map(np.array, made.advance(some, hypers, range(2))[0])
        for some in (states, made.place(stored))
    )
    assert a.step.tolist() == [60, 60]
    moved = zip(*map(jax.tree.leaves, (a.params, stored.params)), strict=True)
    assert any((x != y).any() for x, y in moved)
    assert all((x == y).all() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_pieces_are_restored_without_the_text(text):
    task = task_of(text)
    gone = task_of("gone.txt").restored(json.loads(json.dumps(task.stored())))
    assert wordpiece.pieces_of(gone.tokenizer) == wordpiece.pieces_of(task.tokenizer)
    assert (gone.input_size, gone.output_size) == (task.input_size, task.output_size)
    assert gone.tokenizer.encode("The bank, [MASK].").ids == (
        task.tokenizer.encode("The bank, [MASK].").ids
    )
    assert task.restored(task.stored()).load().train.ids.shape == task.load().train.ids.shape
    with pytest.raises(FileNotFoundError):
        gone.load()


def test_what_is_refused(text):
    with pytest.raises(ValueError, match="did you mean 'speeches'"):
        task_of("speechs").load()
    with pytest.raises(FileNotFoundError):
        task_of("none.txt").load()
    with pytest.raises(ValueError, match="length must be a whole number of at least 5"):
        task_of(text, length=4)
    with pytest.raises(
        ValueError, match="masked_share must be a finite number above 0 and below 1"
    ):
        task_of(text, masked_share=0.0)
    with pytest.raises(ValueError, match="give no pairs"):
        pretraining.segments(task_of(text).tokenizer, ["bank", "river"], 10)
    with pytest.raises(ValueError, match="tiny"):
        training.check(config_of(text, **{"encoder.size": "tinny"}))
    with pytest.raises(ValueError, match="window"):
        training.check(config_of(text, **{"training.window": 4}))
    with pytest.warns(LeftOut, match=r"training\.batch_size=5000 is more than the \d+ sequences"):
        training.check(config_of(text, **{"training.batch_size": 5000}))
    assert tasks.by_name("sentence_pairs", corpus=text) == SentencePairs(corpus=text)
    model = heads.Tagger(encoder.Config.named("tiny"))
    assert models.without_init(model) == model.without_init()


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_adamw_and_lamb_equal_optax(name):
    rng = np.random.default_rng(0)
    params = {
        "W": jnp.asarray(rng.normal(size=(4, 3)), jnp.float32),
        "b": jnp.asarray(rng.normal(size=3), jnp.float32),
    }
    mask = {"W": True, "b": False}
    rates = {"learning_rate": 0.1, "weight_decay": 0.3, "b1": 0.8, "b2": 0.9, "eps": 1e-4}
    theirs = getattr(optax, name)(**rates, mask=mask)
    hyper = Hyper(jnp.float32(0.1), jnp.float32(np.inf), jnp.float32(0.3), jnp.float32(0))
    ours = Optimizer(f"{name}(b1=0.8, b2=0.9, eps=1e-4)").transform(hyper)
    a, b = params, params
    states = ours.init(a), theirs.init(b)
    for _ in range(3):
        grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
        up, own = ours.update(grads, states[0], a)
        with jax.numpy_dtype_promotion("standard"):
            up_b, other = theirs.update(grads, states[1], b)
        states = own, other
        a, b = optax.apply_updates(a, up), optax.apply_updates(b, up_b)
    for key in params:
        assert np.allclose(a[key], b[key], rtol=1e-5, atol=1e-6)


def test_special_tokens_have_the_ids_that_pairs_use(text):
    pieces = wordpiece.pieces_of(task_of(text).tokenizer)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_both_corpora_have_as_much_text():
    speeches, both = (pretraining.documents(name) for name in ("speeches", "both"))
    reviews = pretraining.documents("reviews")
    n = len(speeches)
    assert both[:n] == speeches
    assert both[n:] == reviews[: len(both) - n]
    size, wanted = sum(map(len, both[n:])), sum(map(len, speeches))
    assert size <= wanted < size + len(reviews[len(both) - n])
