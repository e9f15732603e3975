"""word_vectors: what it measures is what it says, and every claim can turn."""

from pathlib import Path

import numpy as np
import pytest

from rnnlab.embeddings import corpus, huffman
from rnnlab.embeddings.trained import Trained
from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "text_features" / "word_vectors.py"
LOADED = load_experiment(FILE)
module = LOADED.module
SMALL = {
    "text.reviews": 150,
    "text.min_count": 2,
    "training.size": 8,
    "training.epochs": 1,
    "training.buckets": 100,
    "run.looks": 2,
    "run.pairs": 100,
}


def test_a_run_small():
    pytest.importorskip("gensim")
    config = sweep.apply(LOADED.get_config(), SMALL | {"variant": "fasttext"})
    logged = []
    result = module.run(config, None, lambda **record: logged.append(record))
    assert len(logged) == 3  # before, between, after
    assert [r["words"] for r in logged] == sorted({r["words"] for r in logged})
    assert logged[-1]["above_noise"] == result["above_noise"]
    assert logged[-1]["wordsim353"] == result["wordsim353"]
    assert result["unseen"] == 1
    assert result["wordsim353_pairs"] > 20
    assert result["map"].shape == (len(result["map_words"]), 2)
    assert 0 < result["nearer"] < 1
    member = Member(0, {}, config.to_dict(), 0.0, result, metrics=tuple(logged))
    drawn = module.figures(Table([member]))
    assert set(drawn) == {"curves", "map", "neighbors"}
    shown = {text.get_text() for text in drawn["map"][0].axes[0].texts}
    assert shown == set(result["map_words"])  # every label, once


def test_glove_is_watched_by_its_loss():
    pytest.importorskip("gensim")
    config = sweep.apply(LOADED.get_config(), SMALL | {"variant": "glove", "training.epochs": 3})
    logged = []
    result = module.run(config, None, lambda **record: logged.append(record))
    losses = [record["loss"] for record in logged]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert 0 < losses[-1] < 0.8 * losses[0]
    assert logged[-1]["words"] == 3 * result["tokens"]
    assert logged[-1]["wordsim353"] == result["wordsim353"]
    assert result["unseen"] == 0
    assert np.isnan(result["above_noise"])
    member = Member(0, {}, config.to_dict(), 0.0, result, metrics=tuple(logged))
    score, told, loss = module.figures(Table([member]))["curves"][0].axes
    assert [len(ax.lines) for ax in (score, told, loss)] == [1, 0, 1]
    np.testing.assert_allclose(loss.lines[0].get_ydata(), losses)


def test_every_fiftieth_document_is_held_out(monkeypatch):
    documents = [f"w{n} common w{n} words w{n}" for n in range(101)]
    monkeypatch.setattr(module, "movie_reviews", lambda: type("R", (), {"texts": documents}))
    module.texts.cache_clear()
    learned, held_out = module.texts(0, 1)
    module.texts.cache_clear()
    assert learned.vocabulary is held_out.vocabulary

    def words(part):
        return learned.vocabulary.decode(part.read(0, part.tokens).ids)

    assert words(held_out) == " ".join(documents[::50]).split()
    assert words(learned) == " ".join(d for n, d in enumerate(documents) if n % 50).split()
    assert np.diff(held_out.offsets).tolist() == [5] * 3


def probe(tree, method):
    """(what the probe says, what loops over its windows say)."""
    rng = np.random.default_rng(0)
    names = np.array([f"w{n}" for n in range(12)])
    text = corpus.of_documents(
        [" ".join(rng.choice(names, 9, p=np.arange(12, 0, -1) / 78)) for _ in range(30)],
        min_count=1,
    )
    config = sweep.apply(LOADED.get_config(), {"run.pairs": 80})
    found = module.HeldOutWindows(text, text, config, tree)
    V = len(text.vocabulary)
    trained = Trained(
        text.vocabulary.words(),
        text.vocabulary.counts,
        rng.normal(size=(V, 4)),
        rng.normal(size=(V - tree, 4)),
    )
    paths = huffman.paths(text.vocabulary.counts)

    def score(word, h):
        if not tree:
            return trained.output[word] @ h
        part = slice(paths.offsets[word], paths.offsets[word + 1])
        logits = trained.output[paths.nodes[part]] @ h
        return -np.log(1 + np.exp(-paths.signs[part] * logits)).sum()

    told = []
    for center, context, one, noise in zip(
        found.centers, found.contexts, found.context_words, found.noise, strict=True
    ):
        assert one in context
        assert 1 <= len(context) <= 10
        h = sum(trained.matrix[w] for w in context) / len(context)
        there = center
        if method != "cbow":
            h, there = trained.matrix[center], one
        if there != noise:
            told.append(score(there, h) > score(noise, h))
    return found.share_above_noise(trained, method), np.mean(told)


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("method", ["skipgram", "cbow"])
def test_share_above_noise_counts_windows(tree, method):
    found, expected = probe(tree, method)
    assert found == pytest.approx(expected)
    assert 0.2 < expected < 0.8


def test_related_pairs_against_random_ones():
    pytest.importorskip("gensim")
    chosen = [p for p in module.evaluation.pairs("wordsim353") if p.similarity >= module.RELATED]
    words = sorted({w.lower() for p in chosen for w in (p.a, p.b)})
    rows = np.random.default_rng(0).normal(size=(len(words), 50))
    assert module.related_nearer(Vectors(words, rows), 0) == pytest.approx(0.5, abs=0.05)
    at = {word: row for row, word in enumerate(words)}
    for p in chosen:
        rows[at[p.b.lower()]] = rows[at[p.a.lower()]]
    assert module.related_nearer(Vectors(words, rows), 0) > 0.8


def test_flat_is_the_principal_components():
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = np.random.default_rng(0).normal(size=(20, 6)) * [5, 1, 3, 1, 1, 1] + 1
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = decomposition.PCA(2).fit_transform(unit)
    np.testing.assert_allclose(np.abs(module.flat(rows)), np.abs(expected), atol=1e-9)


def test_labels_do_not_overlap():
    at = np.random.default_rng(0).normal(size=(30, 2)) * 0.15
    labels = module.without_overlap(at)
    dx, dy = np.abs(labels[:, None] - labels[None]).transpose(2, 0, 1)
    covered = (dx < 0.13) & (dy < 0.035 - 1e-9) & ~np.eye(len(at), dtype=bool)
    assert not covered.any()
    assert np.abs(labels[:, 0] - at[:, 0]).max() < 0.02  # only up and down


def test_claims_can_come_out_the_other_way():
    def verdicts(of=module.VARIANTS, **changes):
        good = {"nearer": 0.8, "wordsim353": 0.2, "above_noise": 0.7}
        members = []
        for index, name in enumerate(module.VARIANTS):
            result = good | {"unseen": float(name == "fasttext")}
            result |= changes if name in of else {}
            config = LOADED.get_config().to_dict() | {"variant": name}
            members.append(Member(index, {"variant": name}, config, 0.0, result))
        return [claim.check()[0] for claim in module.claims(Table(members))]

    assert verdicts() == [True] * 6
    assert verdicts(["cbow-hs"], nearer=0.74) == [False, *[True] * 5]
    assert verdicts(["skipgram"], wordsim353=0.14) == [True, False, *[True] * 4]
    assert verdicts(["glove"], wordsim353=0.14) == [True, True, False, *[True] * 3]
    assert verdicts(unseen=1.0) == verdicts(unseen=0.0) == [*[True] * 3, False, True, True]
    assert verdicts(above_noise=0.66) == [*[True] * 4, False, False]
