"""ngram_lm: what is scored, what is chosen on what, and every claim can turn."""

import itertools
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "text_features" / "ngram_lm.py"
TEXT = "The people of the United States, in order to form a more perfect union. " * 10
SMALL = {
    "cell.hidden_size": 4,
    "task.batch_size": 3,
    "task.limit": 0,
    "training.batch_size": 3,
    "training.eval_batch_size": 3,
    "training.window": 8,
    "training.steps": 4,
    "training.eval_every": 2,
    "run.sample": 40,
}


@pytest.fixture(scope="module")
def loaded():
    return load_experiment(FILE)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(TEXT[:615] + "é")  # 554 to train on; a character that they do not have
    return str(file)


@pytest.fixture(scope="module")
def small(loaded, path):
    return lambda **changes: sweep.apply(loaded.get_config(), SMALL | {"task.path": path} | changes)


@pytest.fixture(scope="module")
def ran(small, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("ngram_lm") / "run"
    rnnlab.run(FILE, small(), workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_small_run_draws_and_decides(ran):
    assert set(ran.figures) == {"perplexity", "size", "samples"}
    assert all(path.stat().st_size > 10_000 for path, _ in ran.figures.values())
    assert all(c.verdict in ("holds", "refuted") for c in ran.claims)
    assert all(c.verdict == "holds" for c in ran.claims if c.closed_form)
    H, V = 4, len(set(TEXT)) + 1
    for member in ran.table.select({"model.name": "network"}):
        k = {"rnn-tanh": 1, "lstm": 4}[member.config["cell"]["name"]]
        assert member.result["numbers"] == k * H * (H + V + 1) + H * V + V
        assert 0 < member.result["bits"] < 10


def test_the_text_is_char_lms_and_networks_are_scored_on_the_same(loaded, small):
    theirs = load_experiment(FILE.parents[1] / "language" / "char_lm.py").get_config()
    config = loaded.get_config()
    assert config.task.to_dict() == theirs.task.to_dict()
    own = {"steps": 1200, "learning_rate": 5e-3}  # char_lm.py tunes the rate
    assert config.training.to_dict() | own == theirs.training.to_dict()
    task = training.task_of(small())
    learn, held_out = loaded.module.texts(task)
    targets = task.test(task.load(), jax.random.key(0), 3).targets
    assert held_out[1:] == "".join(task.alphabet[c] for c in np.asarray(targets).ravel())
    between = "".join(task.alphabet[c] for c in task.load().validation)
    read = learn + between + held_out
    assert read == (TEXT[:615] + "é")[: len(read)]


def test_counts_and_perplexity_are_the_texts(ran, loaded, small):
    learn, held_out = loaded.module.texts(training.task_of(small()))
    chosen = {"model.unit": "characters", "model.order": 2}
    mle = ran.table.select({"model.name": "mle"} | chosen)[0].result
    common = {c for c, n in Counter(learn).items() if n >= 2}
    unk = lambda c: c if c in common else "?"  # noqa: E731
    pairs = Counter((unk(a), unk(b)) for a, b in itertools.pairwise(learn))
    firsts = Counter(unk(a) for a in learn[:-1])
    assert mle["ngrams"] == [len(set(map(unk, learn))), len(pairs)]
    assert mle["numbers"] == 1 + 2 * mle["ngrams"][0] + mle["ngrams"][1]
    p = [pairs[unk(a), unk(b)] / firsts[unk(a)] for a, b in itertools.pairwise(held_out)]
    assert mle["tokens"] == len(p)
    assert mle["impossible"] == pytest.approx(np.mean([q == 0 for q in p]))
    expected = -np.mean(np.log2(p)) if min(p) > 0 else np.inf
    assert mle["bits"] == pytest.approx(expected)


def test_k_is_chosen_on_text_to_learn_from(loaded, small):
    """It is the best there, whatever is held out."""
    config = small(**{"model.name": "add_k", "model.order": 2})
    module = loaded.module
    learn = module.texts(training.task_of(config))[0]
    cut = len(learn) * 9 // 10
    scores = [
        module.model_of(config, k).fit([learn[:cut]]).perplexity([learn[cut:]]) for k in module.K
    ]
    assert len(set(scores)) == len(module.K)
    assert module.counted(config)["k"] == module.K[int(np.argmin(scores))]


def test_claims_can_come_out_the_other_way(loaded):
    config, module = loaded.get_config(), loaded.module
    bits = {"mle": 11.0, "add_k": 10.0, "kneser_ney": 9.0, "modified_kneser_ney": 8.0}

    def verdicts(change=None, **networks):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            nested = with_overrides(config.to_dict(), overrides)
            name, n = nested["model"]["name"], nested["model"]["order"]
            if name == "network":
                cell = nested["cell"]["name"]
                result = {"bits": networks.get(cell, 7.955), "numbers": 1000}
            else:
                result = {
                    "bits": bits[name] + (0.1 if name == "add_k" else -0.01) * n,
                    "impossible": 0.1 * (n - 1),
                    "off_one": 0.0,
                    "ngrams": [10 * 3**m for m in range(n)],
                    "numbers": 200 * n,
                }
                result |= (change or (lambda *_: {}))(name, nested["model"]["unit"], n)
            members.append(Member(index, overrides, nested, 0.0, result))
        table = Table(members)
        assert all(isinstance(c.check()[1], str) for c in module.claims(table))
        narrowed = module.claims(table.select({"model.order": (1, 2)}))
        for claim in narrowed[:-1]:
            with pytest.raises(Undecided):
                claim.check()
        return "".join("+-"[not claim.check()[0]] for claim in module.claims(table))

    def only(name, unit, n, result):
        return lambda *member: result if member == (name, unit, n) else {}

    best, as_expected = "modified_kneser_ney", "+" * 11 + "--" + "+"

    def turned(*places):
        return "".join("-+"["+-".index(v)] if i in places else v for i, v in enumerate(as_expected))

    assert verdicts() == as_expected
    for places, change in (
        ([0], only("mle", "words", 3, {"impossible": 0.0})),
        ([1], only("kneser_ney", "words", 2, {"bits": 10.1})),
        ([2], only("kneser_ney", "words", 3, {"bits": 7.96})),
        ([3], only("add_k", "words", 3, {"bits": 10.0})),
        ([4], only(best, "characters", 7, {"bits": 8.0})),
        ([5], only(best, "words", 5, {"bits": 8.1})),
        ([6], only(best, "words", 5, {"ngrams": [10, 19, 57, 100, 200]})),
        ([7], only(best, "characters", 8, {"ngrams": [10, 30, 90, 170, 500, 600, 700, 800]})),
        ([13], only("add_k", "words", 1, {"off_one": 1e-6})),
    ):
        assert verdicts(change) == turned(*places), places
    assert verdicts(**{"rnn-tanh": 8.5}) == turned(8)
    assert verdicts(lstm=9.0) == turned(9, 10)
    assert verdicts(lstm=7.0) == turned(11, 12)
    # as good from n = 6 on, of 1,200 numbers
    assert verdicts(lstm=7.945) == turned(12)


def test_bad_configs_are_refused(loaded, small):
    check = loaded.module.check
    for change, message in (
        ({"model.name": "kneser_nay"}, "did you mean 'kneser_ney'"),
        ({"model.unit": "word"}, "did you mean 'words'"),
        ({"model.order": 0}, "model.order must be a whole number of at least 1"),
        ({"model.discount": 1.5}, "model.discount must lie in \\[0, 1\\]"),
    ):
        with pytest.raises(ValueError, match=message):
            check(small(**change))
    with pytest.raises(ValueError, match="unknown scale 'fuller'; did you mean 'full'"):
        loaded.module.get_config("fuller")
