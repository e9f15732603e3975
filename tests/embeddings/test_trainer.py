"""trainer.py: what is learned, the same bits again, any chunk size of memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.embeddings import cbow, corpus, fasttext, kernels, skipgram, trainer
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors
from rnnlab.nn import cells, models

SMALL = Settings(size=8, window=2, negatives=3, sample=0, epochs=1, buckets=50, group=8, groups=2)
ENGINES = [
    "jax",
    pytest.param(
        "numba", marks=pytest.mark.skipif(not kernels.available(), reason="numba is not installed")
    ),
]
METHODS = {"skipgram": skipgram.train, "cbow": cbow.train, "fasttext": fasttext.train}


def topics(documents=200, seed=0):
    """Documents of one of two topics, whose words never meet, with words that both have."""
    rng = np.random.default_rng(seed)
    own = [[f"{topic}{k}" for k in range(6)] for topic in ("cat", "dog")]
    return [" ".join(rng.choice([*own[n % 2], "and", "the"], size=20)) for n in range(documents)]


@pytest.fixture(scope="module")
def text():
    return corpus.of_documents(topics())


def apart(trained):
    """Mean cosine inside topics less that between them."""
    unit = trained.matrix / np.linalg.norm(trained.matrix, axis=1, keepdims=True)
    first = np.array([w.startswith("cat") for w in trained.words])
    second = np.array([w.startswith("dog") for w in trained.words])
    inside = [(unit[m] @ unit[m].T).mean() for m in (first, second)]
    return np.mean(inside) - (unit[first] @ unit[second].T).mean()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("method", "negatives"), [("skipgram", 3), ("cbow", 0), ("fasttext", 3)])
def test_words_that_meet_come_together(text, method, negatives, engine):
    settings = dataclasses.replace(
        SMALL, negatives=negatives, epochs=10, learning_rate=0.1, engine=engine
    )
    trained = METHODS[method](text, settings)
    assert apart(trained) > 0.5
    assert trained.counts.tolist() == sorted(trained.counts, reverse=True)
    assert len(trained.output) == len(text.vocabulary) - (negatives == 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_seed_decides(text, engine):
    settings = dataclasses.replace(SMALL, engine=engine, sample=1e-2)
    one, again, other = (
        trainer.train("skipgram", text, settings, seed).matrix for seed in (3, 3, 4)
    )
    assert (one == again).all()
    assert (one != other).mean() > 0.9


def test_the_draws_do_not_depend_on_the_engine_or_threads(text):
    def plans(**changes):
        planner = trainer.Planner(text, dataclasses.replace(SMALL, **changes), 5, 4, 6)
        return [(job, plan()) for job, plan in planner.all()]

    one, more = plans(), plans(threads=3, engine="numba")
    assert len(one) == len(list(range(0, text.tokens, trainer.chunk_size(text.tokens)))) > 2
    for (job, a), (other, b) in zip(one, more, strict=True):
        assert job == other
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
        assert a.negatives.shape == (-(-len(a.ids) // 4), 6)


def test_the_rate_falls_over_all_epochs(text):
    settings = dataclasses.replace(SMALL, epochs=2, learning_rate=0.5, last_learning_rate=0.1)
    planner = trainer.Planner(text, settings, 0, 1, 1)
    assert planner.rate(0) == pytest.approx(0.5)
    assert planner.rate(text.tokens) == pytest.approx(0.3)
    assert planner.rate(2 * text.tokens) == pytest.approx(0.1)
    jobs = list(planner.jobs())
    assert [job.done for job in jobs][:2] == [0, planner.chunk]
    assert jobs[-1].done + jobs[-1].stop - jobs[-1].start == 2 * text.tokens


def test_the_watcher_sees_snapshots(text):
    seen = []
    settings = dataclasses.replace(SMALL, engine="jax")
    trained = skipgram.train(
        text, settings, watch=lambda p: seen.append((p, p.snapshot())), looks=3
    )
    assert seen[0][0].share == 0
    assert seen[-1][0].share == 1
    assert len(seen) == 4
    assert [p.learning_rate for p, _ in seen] == sorted(
        [p.learning_rate for p, _ in seen], reverse=True
    )
    assert (seen[-1][1].matrix == trained.matrix).all()
    assert np.abs(seen[0][1].matrix).max() <= 1 / 8  # U(−1/D, 1/D)
    assert (seen[0][1].matrix != seen[1][1].matrix).any()


def test_fasttext_s_matrix_is_the_mean_of_its_rows(text):
    trained = fasttext.train(text, dataclasses.replace(SMALL, engine="jax"))
    rows, offsets = trainer.word_bags(trained.words, SMALL)
    table = np.concatenate([trained.subwords.word_rows, trained.subwords.rows])
    for v in range(len(trained.words)):
        mine = rows[offsets[v] : offsets[v + 1]]
        assert mine[0] == v
        np.testing.assert_allclose(trained.matrix[v], table[mine].mean(axis=0), atol=1e-6)


def test_threads_learn_the_same(text):
    pytest.importorskip("numba")
    settings = dataclasses.replace(SMALL, engine="numba", threads=2, epochs=10, learning_rate=0.1)
    assert apart(skipgram.train(text, settings)) > 0.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["skipgram", "fasttext"])
def test_a_rate_far_too_large_is_named(text, method, engine):
    settings = dataclasses.replace(SMALL, engine=engine, learning_rate=1e30, bound=1e9)
    with pytest.raises(FloatingPointError, match=rf"{method}: .* learning_rate=1e\+30"):
        METHODS[method](text, settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"window": 0}, "window"),
        ({"negatives": -1}, "negatives"),
        ({"sample": -1}, "sample"),
        ({"minn": 4, "maxn": 3}, "maxn"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0"),
        ({"bound": float("nan")}, "bound"),
        ({"epochs": 0}, "epochs"),
        ({"engine": "numbo"}, "numba"),
    ],
)
def test_settings_are_checked(changes, words):
    with pytest.raises(ValueError, match=words):
        Settings(**changes)


def test_refusals(text, monkeypatch):
    with pytest.raises(ValueError, match="skipgram"):
        trainer.train("skip-gram", text)
    with pytest.raises(ValueError, match="negatives=0"):
        fasttext.train(text, dataclasses.replace(SMALL, negatives=0))
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got -1"):
        skipgram.train(text, SMALL, seed=-1)
    with pytest.raises(ValueError, match="threads=2 is for engine='numba'"):
        skipgram.train(text, dataclasses.replace(SMALL, threads=2, engine="jax"))
    monkeypatch.setattr(kernels, "available", lambda: False)
    assert trainer.engine_of(Settings()) == "jax"
    with pytest.raises(ValueError, match=r"pip install -e '\.\[fast\]'"):
        skipgram.train(text, dataclasses.replace(SMALL, engine="numba"))


def test_vectors_start_a_model_which_trains_them_on(text):
    trained = skipgram.train(text, dataclasses.replace(SMALL, engine="jax"))
    vectors = Vectors.of(trained)
    words = ["<unknown>", *text.vocabulary.words()]
    model = models.ManyToOne(cells.GRU(4), outputs=2, symbols=len(words), embedding_size=8)
    known = ["cat1", "and", "dog2", "dog0", "the", "cat3"]
    ids = jnp.array([words.index(word) for word in known]).reshape(2, 3)
    params = model.init(jax.random.key(0), ids)["params"]
    table = vectors.table(words, initial=params["embedding"])
    assert (table[0] == params["embedding"][0]).all()
    started = params | {"embedding": table}
    reader = models.ManyToOne(cells.GRU(4), outputs=2)
    rest = {name: value for name, value in params.items() if name != "embedding"}
    read, _ = reader.apply({"params": rest}, vectors.rows(known).reshape(2, 3, 8))
    np.testing.assert_allclose(model.apply({"params": started}, ids)[0], read, atol=1e-6)

    def loss(params):
        logits = model.apply({"params": params}, ids)[0]
        return -jax.nn.log_softmax(logits)[jnp.arange(2), jnp.arange(2)].mean()

    slopes = jax.grad(loss)(started)
    later = jax.tree.map(lambda p, g: p - 0.3 * g, started, slopes)
    assert loss(later) < loss(started)
    moved = (later["embedding"] != table).any(axis=1)
    assert sorted(np.flatnonzero(moved)) == sorted(np.ravel(ids))
