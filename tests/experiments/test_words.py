"""Statements, thresholds and captions say what the config says, not what its defaults are."""

from pathlib import Path

import pytest

from rnnlab.core.nested import with_overrides
from rnnlab.lab import rounds, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import own_sweep
from rnnlab.results.table import Member, Table

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def members(name, **changes):
    """The planned members of a changed config, without results."""
    loaded = load_experiment(EXPERIMENTS / f"{name}.py")
    values = {key.replace("__", "."): value for key, value in changes.items()}
    config = sweep.apply(loaded.get_config(), values)
    base = config.to_dict()
    questions = loaded.get_comparisons(config)
    axes = own_sweep(loaded, config, questions)
    wanted = sweep.expand(config, axes) if axes != [] else []
    wanted += [one.overrides for one in rounds.next_round(questions, ())]
    planned = []
    for index, overrides in enumerate(wanted):
        member = with_overrides(base, overrides)
        planned.append(Member(index, overrides, member, 0.0, {}))
    return loaded, Table(planned)


def said(name, **changes):
    """All statements and thresholds of the claims."""
    loaded, table = members(name, **changes)
    return "\n".join(f"{c.statement} | {c.threshold}" for c in loaded.get_claims(table))


@pytest.mark.parametrize(
    ("name", "changes", "words", "usual"),
    [
        ("language/sentiment", {"run__few_labels": 500}, "with 500 labels", "with 1,000 labels"),
        (
            "language/sentiment",
            {"task__tokenizer_name": "words"},
            "an opinion from words",
            "an opinion from characters",
        ),
        ("bert/bert_tagging", {"run__few_labels": 70}, "With 70 labels,", "With 1,000 labels,"),
        ("bert/bert_tagging", {"task__limit": 2000}, "with 2,000 labels", "with 8,000 labels"),
        ("bert/bert_finetuning", {"task__limit": 900}, "… with 900 labels", "… with all labels"),
        (
            "learning/copy_memory",
            {"task__alphabet": 4, "task__items": 3},
            "costs 3 ln 4/(T + 6)",
            "costs 10 ln 8/(T + 20)",
        ),
        ("learning/adding_problem", {"run__lengths": (30,)}, "over T = 30", "over T = 100"),
        ("learning/chrono", {"cell__name": "gru"}, "A GRU learns", "An LSTM learns"),
        (
            "learning/temporal_order",
            {"run__linear_rates": (0.1, 0.2, 0.5)},
            "at rates 0.2 and 0.5",
            "at rates 0.1 and 0.3",
        ),
        (
            "gradients/init_gradients",
            {"cell__name": "gru"},
            "the gradient of a GRU is kept",
            "the gradient of a tanh RNN is kept",
        ),
        (
            "language/translation",
            {"task__limit": 300},
            "300 words suffice",
            "20,000 words suffice",
        ),
        (
            "text_features/ngram_lm",
            {"task__limit": 20_000},
            "from 20,000 of them",
            "from 497,780 of them",
        ),
        (
            "text_features/text_classification",
            {"task__limit": 400},
            "from 400 reviews",
            "from all reviews",
        ),
    ],
)
def test_a_claim_says_what_the_config_says(name, changes, words, usual):
    assert usual in said(name)
    changed = said(name, **changes)
    assert words in changed
    assert usual not in changed


def test_half_of_the_units_are_gated_at_any_size():
    loaded = load_experiment(EXPERIMENTS / "learning" / "copy_memory.py")
    for size in (80, 12):
        config = sweep.apply(loaded.get_config(), {"cell.hidden_size": size})
        models, _ = loaded.get_comparisons(config)
        sizes = {
            member["cell.name"]: member.get("cell.hidden_size", size)
            for member in models.arms.values()
        }
        assert sizes == {
            "rnn-identity": size,
            "rnn-tanh": size,
            "lstm": size // 2,
            "gru": size // 2,
        }
