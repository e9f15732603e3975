"""contextual_vectors: its measures by hand, a small run, claims that can turn."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.bert import encoder
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

pytest.importorskip("tokenizers")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "contextual_vectors.py"
LOADED = load_experiment(FILE)
OWN = LOADED.module


def test_gap_and_nearest_share_equal_loops():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(9, 4)), np.array([0, 0, 1, 1, 1, 0, 1, 0, 0])

    def cosine(i, j):
        return rows[i] @ rows[j] / np.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j]))

    within, across, right = [], [], 0
    for i in range(9):
        best = max((j for j in range(9) if j != i), key=lambda j: cosine(i, j))
        right += labels[best] == labels[i]
        for j in range(i):
            (within if labels[i] == labels[j] else across).append(cosine(i, j))
    assert OWN.gap(rows, labels) == pytest.approx(np.mean(within) - np.mean(across))
    assert OWN.nearest_share(rows, labels) == pytest.approx(right / 9)
    same = np.ones((4, 3))
    assert OWN.gap(same, np.array([0, 0, 1, 1])) == pytest.approx(0, abs=1e-12)
    assert OWN.nearest_share(same, np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)


def test_permutation_p_is_small_if_senses_are_separate():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 12)
    of = np.repeat(["a", "b"], 24)
    noise = rng.normal(size=(48, 5))
    assert OWN.permutation_p(noise + 3 * np.eye(5)[labels], of, labels, 0) < 0.001
    assert 0.05 < OWN.permutation_p(noise, of, labels, 0) < 0.95


def test_sentences_hold_their_word_once_and_no_sentence_comes_twice():
    words, groups = OWN.sentences()
    assert len(OWN.SENSES) >= 3
    assert min(len(group) for group in groups) >= 12
    assert max(Counter(text for group in groups for text in group).values()) == 1
    for word, group in zip(words, groups, strict=True):
        for text in group:
            OWN.contextual.find(text, word)
            with pytest.raises(ValueError, match="there are 1"):
                OWN.contextual.find(text, word, 1)


def test_a_small_run_draws_and_decides(tmp_path, monkeypatch):
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    texts = [" ".join(group) for group in OWN.sentences()[1]]
    (tmp_path / "text.txt").write_text("\n\n".join(texts * 5))
    small = {
        "task.corpus": str(tmp_path / "text.txt"),
        "task.limit": 0,
        "task.length": 32,
        "task.vocab_size": 200,
        "training.batch_size": 4,
        "training.steps": 2,
        "training.eval_every": 1,
        "training.warmup_steps": 1,
        "training.eval_batch_size": 8,
        "training.eval_sample": 8,
        "word2vec.size": 8,
    }
    config = sweep.apply(LOADED.get_config(), small)
    rnnlab.run(FILE, config, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"senses"}
    assert "undecided" not in {c.verdict for c in run.claims}
    result = run.table[0].result
    assert abs(result["word2vec_gap"]) < 1e-6
    assert len(result["trained_layers"]) == 2  # the embeddings, and one layer
    assert result["trained_gap"] == pytest.approx(result["trained_layers"][-1])


def test_claims_can_come_out_the_other_way():
    def verdicts(**changes):
        result = {"p": 0.001, "word2vec_bank": 0.0}
        for key in ("gap", "nearest", *OWN.SENSES):
            result |= {f"trained_{key}": 0.3, f"random_{key}": 0.1, f"place_{key}": 0.0}
        result |= {f"word2vec_{word}": 0.0 for word in OWN.SENSES} | changes
        table = Table([Member(0, {}, LOADED.get_config().to_dict(), 0.0, result)])
        return "".join("+-"[not c.check()[0]] for c in OWN.claims(table))

    assert verdicts() == "++++++"
    assert verdicts(random_gap=0.4) == "-+++++"
    assert verdicts(place_bank=0.4) == "+--+++"
    assert verdicts(trained_may=0.0) == "++-+++"
    assert verdicts(p=0.02) == "+++-++"
    assert verdicts(place_nearest=0.4) == "++++-+"
    assert verdicts(word2vec_may=1e-3) == "+++++-"


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused_before_training(layer):
    """A BERT-Tiny has the outputs 0, 1 and 2."""
    config = sweep.apply(LOADED.get_config(), {"layer": layer})
    with pytest.raises(
        ValueError, match=rf"layer must be a whole number from -3 to 2, got {layer}"
    ):
        LOADED.functions.check(config)
    for allowed in (-3, 2):
        LOADED.functions.check(sweep.apply(LOADED.get_config(), {"layer": allowed}))
