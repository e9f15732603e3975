"""Comparisons as they are asked for: defaults, refusals, and a whole run of one."""

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import sweep
from rnnlab.lab.comparison import Comparison, resolve
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.lab.run import run_plan
from rnnlab.results.comparison import read_comparisons
from rnnlab.results.run_dir import side_by_side
from rnnlab.results.table import read_table
from rnnlab.training.train import make_train
from tests.helpers.compared import SOURCE

RATE = "training.learning_rate"
ARMS = {"arm": ["good", "poor"]}


@pytest.fixture
def formula(tmp_path, monkeypatch):
    """The experiment, as formula.py in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    Path("formula.py").write_text(SOURCE)
    return load_experiment("formula.py")


def ask(experiment, changes=None, **asked):
    config = sweep.apply(experiment.get_config(), changes or {})
    return resolve(experiment, config, [Comparison(**{"arms": ARMS} | asked)])[0]


# ---------------------------------------------------------------------------------- questions


def test_defaults_of_an_experiment_that_does_not_train(formula):
    asked = ask(formula)
    assert asked.arms == {"good": {"arm": "good"}, "poor": {"arm": "poor"}}
    assert (asked.tune, asked.score, asked.tuning_seeds) == ({}, "score", ())
    assert asked.seeds == tuple(range(32))
    assert (asked.rule.margin, asked.rule.relative, asked.rule.higher) == (0.05, True, False)


def test_defaults_of_an_experiment_that_trains():
    adding = load_experiment("adding_problem")
    asked = ask(adding, {"seed": 10}, arms={"init.w_h": ["orthogonal", "identity"]})
    assert asked.tune == {RATE: (1e-3, 3e-3, 1e-2, 3e-2)}
    assert (asked.score, asked.rule.times, asked.rule.margin) == ("solved_at", True, 0.25)
    assert asked.tuning_seeds == (10, 11, 12)
    assert asked.seeds == tuple(range(13, 45))
    tuned_by_arms = ask(adding, arms={RATE: [1e-3, 1e-2]})
    assert tuned_by_arms.tune == {}
    endless = ask(
        adding, {"training.stop_when_solved": False}, arms={"init.w_h": ["normal", "he_normal"]}
    )
    assert endless.score == "loss"


def test_a_key_with_one_value_is_not_tuned(formula):
    asked = ask(formula, tune={RATE: (0.01,)})
    assert (asked.tune, asked.tuning_seeds) == ({}, ())
    assert asked.arms["good"] == {"arm": "good", RATE: 0.01}
    assert asked.members_at_most == 2 * 32


def test_a_text_that_two_keys_have_is_named_with_its_key():
    adding = load_experiment("adding_problem")
    both = {"init.w_h": ["normal", "zeros"], "init.w_x": ["normal", "he_normal"]}
    first, *_ = ask(adding, arms=both).arms
    assert first == "w h normal, w x normal"


def test_several_keys_are_a_product_and_named_arms_stay():
    adding = load_experiment("adding_problem")
    product = {
        "cell.name": ["lstm", "gru"],
        "init.w_h": ["normal", "he_normal"],
        "init.w_x": ["normal"],
    }
    assert list(ask(adding, arms=product).arms) == [
        "lstm, normal",
        "lstm, he_normal",
        "gru, normal",
        "gru, he_normal",
    ]
    named = ask(adding, arms={"A": {"cell.name": "gru"}, "B": {}}, fixed={"task.length": 7})
    assert named.arms == {"A": {"task.length": 7, "cell.name": "gru"}, "B": {"task.length": 7}}


def test_an_axis_of_the_sweep_names_the_arms(formula):
    formula.module.get_sweep = None
    with_sweep = SOURCE + "\n\ndef get_sweep(config):\n    return {'arm': ['good', 'wide']}\n"
    Path("swept.py").write_text(with_sweep)
    assert list(ask(load_experiment("swept.py"), arms="arm").arms) == ["good", "wide"]
    with pytest.raises(UserError, match="has no axis arm: give its values"):
        ask(formula, arms="arm")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"arms": {"arm": ["good"]}}, "needs two arms or more, got good"),
        ({"arms": {"A": {"arm": "good"}, "B": {}}}, "the arms 'A' and 'B' have the same values"),
        ({"arms": {"arms": ["good", "poor"]}}, "unknown config key 'arms'"),
        ({"arms": {"seed": [1, 2]}}, "every arm has the same seeds"),
        ({"arms": {"arm": "good"}}, "arm needs a list of values"),
        ({"arms": 3}, "arms are a key, or a dict"),
        ({"tune": {RATE: ()}}, f"{RATE} has no values"),
        ({"tune": {RATE: 0.1}}, f"{RATE} needs a list of values"),
        ({"tune": {RATE: ("big",)}}, "expected float"),
        ({"tune": {"arm": ("good",)}}, "arm is set by the arms"),
        ({"score": "size"}, "whether lower or higher values of 'size' are better is not known"),
        ({"better": "more"}, "unknown better 'more'"),
        ({"seeds": 8}, "seeds are numbers such as (8, 16, 32), got 8"),
        ({"tune": [RATE]}, "tune is a dict of keys"),
        ({"score": "solved_at", "better": "higher"}, "solved_at is a time"),
        ({"equivalent": 0}, "equivalent must be"),
        ({"equivalent": math.nan}, "equivalent must be"),
        ({"reference": "bad"}, "unknown reference 'bad'"),
        ({"seeds": ()}, "seeds are rising numbers such as (8, 16, 32), got ()"),
        ({"seeds": (8, 4)}, "seeds are rising numbers"),
        ({"seeds": (1,)}, "a number of seeds must be a whole number of at least 2"),
        ({"tuning_seeds": 0, "tune": {RATE: (0.1, 0.2)}}, "tuning_seeds must be"),
        ({"name": "a b"}, "the name of a comparison"),
        ({"seeds": (8, 2**33)}, "its seeds run from 0 to"),
    ],
)
def test_refusals_in_one_line(formula, asked, message):
    with pytest.raises(UserError) as caught:
        ask(formula, **asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_comparisons_need_two_names(formula):
    with pytest.raises(UserError, match="two comparisons have the name 'comparison'"):
        resolve(formula, formula.get_config(), [Comparison(ARMS), Comparison(ARMS)])


def test_scores_of_a_test_set_tune_nothing(tmp_path):
    series = load_experiment("forecasting")
    arms = {"cell.name": ["gru", "lstm"]}
    with pytest.raises(UserError, match=r"none are held out: --config.task.validation_share"):
        ask(series, {"task.validation_share": 0.0}, arms=arms)
    with pytest.raises(UserError, match=r"--config.training.keep_best=True"):
        ask(
            series,
            {"training.keep_best": False, "training.stop_when_solved": True},
            arms=arms,
            score="solved_at",
        )
    assert ask(series, arms=arms).score == "rmse"  # the headline of its task


def test_a_score_that_members_do_not_have_is_refused_before_they_train():
    adding = load_experiment("adding_problem")
    arms = {"init.w_h": ["orthogonal", "identity"]}
    for score in ("accuracy", "fit_ms"):  # how they are read is known
        with pytest.raises(UserError, match=f"unknown score '{score}'"):
            ask(adding, arms=arms, score=score)
    for score in ("train_loss", "loss"):
        assert ask(adding, arms=arms, score=score).score == score


def test_a_sweep_and_a_comparison_exclude_each_other(formula):
    with pytest.raises(UserError, match="a sweep or a comparison"):
        make_plan(formula, sweep={"arm": ["good"]}, comparison=Comparison(ARMS))


def test_a_value_that_the_comparisons_set_has_no_effect(formula):
    config = sweep.apply(formula.get_config(), {"arm": "wide"})
    with pytest.raises(UserError, match=r"arm has no effect: .*--compare\.arm=V1,V2"):
        make_plan(formula, config)


# --------------------------------------------------------------------------------------- runs


def verdicts(run_dir):
    (result,) = read_comparisons(run_dir)
    return {(pair.a, pair.b): pair.verdict for pair in result.pairs}


def test_a_run_tunes_judges_and_decides(formula):
    run = rnnlab.run(formula, workdir="out", progress=False)
    (result,) = read_comparisons("out")
    # the best rates: .01 for good and same, .1 for poor, beyond the grid
    assert {arm.name: arm.tuned[RATE] for arm in result.arms} == {
        "good": 0.01, "same": 0.01, "poor": pytest.approx(0.111),
    }  # fmt: skip
    assert verdicts("out") == {
        ("good", "same"): "equivalent",
        ("good", "poor"): "better",
        ("same", "poor"): "better",
    }
    assert [claim.verdict for claim in run.claims] == ["holds", "refuted", "holds"]
    assert all(claim.as_expected for claim in run.claims)
    # validation chooses, the test score judges
    good = result.arm("good")
    assert min(p.mean for p in good.grid) == good.validation > max(good.test)
    assert {m.phase for m in run.table} == {"tuning", "judging"}
    frame = run.to_frame()
    assert list(frame[frame.phase == "judging"].index) == [
        index for arm in result.arms for index in arm.members
    ]
    assert len(run.summary().rows) == 3  # of the judged members alone


def test_a_killed_run_comes_to_the_same_members_and_verdicts(formula):
    whole = run_plan(make_plan(formula), "whole", progress=False)
    lines = (Path("whole") / run_files.MEMBERS).read_text().splitlines()
    assert len(formula.module.ran) == len(lines)
    for stop_after in (3, 19, len(lines) - 2):
        formula.module.ran.clear()

        def stop(config, stop_after=stop_after):
            if len(formula.module.ran) > stop_after:
                raise KeyboardInterrupt

        formula.module.hook = stop
        with pytest.raises(KeyboardInterrupt):
            run_plan(make_plan(formula), f"cut-{stop_after}", progress=False)
        formula.module.hook = lambda config: None
        formula.module.ran.clear()
        again = run_plan(make_plan(formula), f"cut-{stop_after}", progress=False)
        assert len(formula.module.ran) == len(lines) - stop_after
        assert [(m.overrides, m.result, m.phase) for m in again.table] == [
            (m.overrides, m.result, m.phase) for m in whole.table
        ]
        assert read_comparisons(f"cut-{stop_after}") == read_comparisons("whole")
        assert again.claims == whole.claims


def test_a_member_that_overflows_is_the_worst_of_its_comparison_and_ends_a_sweep(formula):
    def overflow(config):
        if config.training.learning_rate == 0.01:
            raise FloatingPointError("not finite")

    formula.module.hook = overflow
    run = run_plan(make_plan(formula), "out", progress=False)
    (result,) = run.comparisons
    scores = {point.values[RATE]: point.scores for point in result.arm("good").grid}
    assert np.isnan(scores[0.01]).all()
    assert np.isfinite(scores[0.003]).all()
    # the best rate of both is where they overflow
    assert result.arm("good").tuned == result.arm("same").tuned == {RATE: 0.003}
    plan = make_plan(formula, sweep={RATE: (0.01,)})
    with pytest.raises(FloatingPointError, match="not finite"):
        run_plan(plan, "swept", progress=False)


def test_damage_is_repaired_by_the_command_that_began_the_run(formula):
    run_plan(make_plan(formula), "out", progress=False)
    before = read_comparisons("out")
    members = Path("out") / run_files.MEMBERS
    lines = members.read_text().splitlines()
    members.write_text("\n".join(lines[:2] + lines[3:]) + "\n")  # one of the tuning
    with pytest.raises(UserError, match="lacks 1 of"):
        rnnlab.load_run("out")
    run_plan(make_plan(formula), "out", progress=False)
    assert read_comparisons("out") == before
    path = Path("out") / run_files.COMPARISON
    path.write_text(path.read_text().replace("equivalent", "better", 1))
    with pytest.raises(UserError, match=r"comparison\.json is not what was written"):
        rnnlab.load_run("out")
    run_plan(make_plan(formula), "out", progress=False)
    assert read_comparisons("out") == before


def test_a_directory_belongs_to_one_comparison(formula):
    run_plan(make_plan(formula), "out", progress=False)
    other = make_plan(formula, comparison=Comparison(ARMS, seeds=(4,)))
    with pytest.raises(UserError, match="holds a run with another config"):
        run_plan(other, "out", progress=False)


def test_a_comparison_of_ones_own_replaces_that_of_the_file(formula):
    asked = Comparison(ARMS, tune={RATE: (0.01, 0.1)}, seeds=(4,), tuning_seeds=1)
    run = rnnlab.run(formula, comparison=asked, workdir="out", progress=False)
    assert verdicts("out") == {("good", "poor"): "better"}
    assert run.claims == []  # those of the file stand on its own comparison
    assert set(run.figures) == {f"comparison_{part}" for part in ("curves", "pairs", "tuning")}


def test_a_sweep_turns_the_comparisons_of_a_file_off(formula):
    run = rnnlab.run(formula, sweep={"arm": ["good", "poor"]}, workdir="out", progress=False)
    assert len(run.table) == 2
    assert not (Path("out") / run_files.COMPARISON).exists()
    assert [claim.verdict for claim in run.claims] == ["undecided"] * 3
    assert "this run compares nothing" in run.claims[0].measured


def test_a_sweep_in_place_of_comparisons_has_the_default_figures(formula):
    own = "\n\ndef figures(table, comparisons):\n    return {'own': comparisons['formula'].arms}\n"
    Path("drawing.py").write_text(SOURCE + own)
    sweep = {"arm": ["good", "poor"], "seed": [0, 1]}
    run = rnnlab.run("drawing.py", sweep=sweep, workdir="out", progress=False)
    assert run.figures
    assert "own" not in run.figures


def test_two_comparisons_in_one_file(formula):
    text = SOURCE.replace(
        "    return rnnlab.Comparison(", "    first = rnnlab.Comparison("
    ).replace(
        '        name="formula",\n    )\n',
        '        name="formula",\n    )\n'
        '    wide = {n: {"arm": n} for n in ("wide", "poor")}\n'
        '    return [first, rnnlab.Comparison(wide, tune={}, seeds=(4, 8), name="wide")]\n',
    )
    Path("two.py").write_text(text)
    rnnlab.run("two.py", workdir="out", progress=False)
    content = json.loads((Path("out") / run_files.COMPARISON).read_text())
    assert [entry["name"] for entry in content["comparisons"]] == ["formula", "wide"]
    assert [result.name for result in read_comparisons("out")] == ["formula", "wide"]


def test_arms_may_have_names_that_read_as_numbers(formula):
    asked = Comparison({"inf": {"arm": "good"}, "nan": {"arm": "poor"}}, seeds=(4,))
    run_plan(make_plan(formula, comparison=asked), "out", progress=False)
    (result,) = read_comparisons("out")
    assert [arm.name for arm in result.arms] == ["inf", "nan"]
    assert [len(m.metrics) for m in read_table("out")] == [1] * 8


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("{'arms': 'arm'}", r"comparison\(config\) must return a rnnlab.Comparison"),
        ("[1]", r"comparison\(config\) must return a rnnlab.Comparison"),
        (
            "rnnlab.Comparison(arms={'arm': ['good', 'bad']}, tune={'no': (1,)})",
            "unknown config key",
        ),
    ],
)
def test_what_a_file_returns_is_checked(formula, returned, message):
    head = SOURCE[: SOURCE.index("def comparison(")]
    Path("wrong.py").write_text(f"{head}def comparison(config):\n    return {returned}\n")
    with pytest.raises(UserError, match=message):
        make_plan("wrong.py")


def test_arms_with_the_same_seed_see_the_same_batches():
    adding = load_experiment("adding_problem")
    arms = {"init.w_h": ["orthogonal", "identity"]}
    plan = make_plan(adding, comparison=Comparison(arms, tune={}, seeds=(2,)))
    assert [m["seed"] for m in plan.members] == [0, 1, 0, 1]
    first = []
    for spec in plan.specs:
        member = spec.draw(jax.random.key(spec.config.seed))
        train = make_train(member.setup)
        state = train.start(member.key, member.params, member.hyper)
        first.append(np.asarray(train.window(state, ())[0].inputs))
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(first[1], first[3])
    assert not np.array_equal(first[0], first[1])


def test_metrics_without_a_step_have_no_curves(formula):
    Path("bare.py").write_text(SOURCE.replace("log(0, score=score)", "log(score=score)"))
    run = rnnlab.run("bare.py", workdir="out", progress=False)
    assert "formula_pairs" in run.figures
    assert "formula_curves" not in run.figures


def test_a_run_that_is_still_tuning_has_no_table_yet(formula):
    formula.module.hook = lambda config: stop(formula)
    with pytest.raises(KeyboardInterrupt):
        run_plan(make_plan(formula), "out", progress=False)
    run = rnnlab.load_run("out")
    assert "not finished" in run._repr_html_()
    with pytest.raises(UserError, match="no member is finished yet"):
        side_by_side([run, run])


def stop(formula, after=3):
    if len(formula.module.ran) > after:
        raise KeyboardInterrupt


def test_a_score_that_the_goal_cuts_short_is_noted():
    adding = load_experiment("adding_problem")
    arms = {"init.w_h": ["orthogonal", "identity"]}
    (note,) = make_plan(adding, comparison=Comparison(arms, score="loss", seeds=(2,))).notes
    assert note.startswith("members stop when they solve the task: a lower or higher loss after")
    with pytest.raises(UserError, match=r"solved_at is known of members that stop"):
        ask(adding, {"training.stop_when_solved": False}, arms=arms, score="solved_at")


def test_a_grid_goes_on_only_where_every_arm_can_run(formula):
    adding = load_experiment("adding_problem")
    arms = {"init.w_h": ["orthogonal", "identity"]}
    for key, values, beyond in (
        ("cell.recurrent_dropout", (0.1, 0.3, 0.6), (0.0111, 0.0333)),  # 1.2 is no dropout
        ("training.clip_norm", (0.5, 1.0, math.inf), (0.125, 0.25)),
        ("training.learning_rate", (0.001, 0.01), (1e-05, 0.0001, 0.1, 1.0)),
    ):
        asked = ask(adding, arms=arms, tune={key: values})
        assert asked.further == {key: pytest.approx(beyond)}
        assert asked.members_at_most == 2 * (3 * (len(values) + len(beyond)) + 32)
    text = SOURCE.replace(
        "def noise(", "def check(config):\n    if config.training.learning_rate > 0.05:\n"
        "        raise ValueError('too large')\n\n\ndef noise("
    )  # fmt: skip
    Path("checked.py").write_text(text)
    checked = load_experiment("checked.py")
    assert ask(checked, tune={RATE: (0.003, 0.01)}).further == {
        RATE: pytest.approx((0.00027, 0.0009, 0.0333))
    }


def test_shares_of_mistakes_are_compared_by_their_difference():
    order = load_experiment("temporal_order")
    config = {"training.stop_when_solved": False}
    asked = ask(order, config, arms={"cell.name": ["gru", "lstm"]}, score="error")
    assert (asked.rule.relative, asked.rule.margin) == (False, 0.01)


def test_a_ratio_of_nothing_is_refused_with_a_way_on(formula):
    Path("zero.py").write_text(SOURCE.replace("FLOOR[config.arm] + decades**2 +", "0 *"))
    with pytest.raises(UserError, match=r"must be above 0, got -?0; .*--norelative --equivalent=X"):
        rnnlab.run("zero.py", comparison=Comparison(ARMS, seeds=(2,)), progress=False)


def test_no_comparison_is_not_one(formula):
    with pytest.raises(UserError, match=r"expected a rnnlab\.Comparison or a list of them, got"):
        make_plan(formula, comparison=[])


def test_the_advice_on_a_tuned_value_can_be_followed(formula):
    config = sweep.apply(formula.get_config(), {RATE: 0.5})
    make_plan(formula, config, comparison=Comparison(ARMS, tune={RATE: (0.5,)}))
