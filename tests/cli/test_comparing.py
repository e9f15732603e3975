"""The flags that compare, of `rnnlab run`."""

import html
import re
import shlex
from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from rnnlab.lab.plan import make_plan
from tests.helpers.compared import SOURCE

ARMS = {"arm": ["good", "poor"]}
RATE, SIZE = "training.learning_rate", "run.seconds_per_member"


@pytest.fixture(autouse=True)
def formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("formula.py").write_text(SOURCE)


def printed(run_dir="out"):
    """The command with every value of a report, as arguments."""
    page = (Path(run_dir) / "report.html").read_text("utf-8")
    command = html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)[-1])
    return shlex.split(command.replace("\\\n", ""))[1:]


def dry_run(capsys, *flags):
    status = cli.main(["run", "formula.py", *flags, "--dry_run"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (["--compare.arm=good,poor"], {"arms": ARMS}),
        (
            [f"--tune.{RATE}=0.1,0.01", "--compare.arm", "poor,good", "--tuning-seeds=2"],
            {"arms": {"arm": ["poor", "good"]}, "tune": {RATE: (0.01, 0.1)}, "tuning_seeds": 2},
        ),
        (
            [
                *("--compare.arm=good,poor", f"--compare.{RATE}=0.1,1", "--seeds=4,6"),
                *("--equivalent=0.1", "--relative", "--score=size", "--better=higher"),
                "--reference=good, 0.1",
            ],
            {
                **{"arms": ARMS | {RATE: [0.1, 1.0]}, "seeds": (4, 6), "equivalent": 0.1},
                **{"relative": True, "score": "size", "better": "higher"},
                "reference": "good, 0.1",
            },
        ),
    ],
)
def test_flags_ask_for_what_python_asks_for(capsys, flags, asked):
    status, out, _ = dry_run(capsys, *flags)
    assert status == 0
    assert str(make_plan("formula.py", comparison=rnnlab.Comparison(**asked)).run_dir) in out


def test_a_dry_run_says_the_most_that_it_costs(capsys):
    _, out, _ = dry_run(capsys)
    # 3 arms x 3 rates x 2 seeds; 2 values more at either end; 8 judged seeds; a second each
    assert "members    18 in the first round, at most 66" in out
    assert "about 0.3 minutes for the first round, at most 1.1" in out
    assert "tuned      training.learning_rate=0.001,0.003,0.01, 2 seeds" in out


def test_flags_change_the_comparisons_of_a_file(capsys):
    _, out, _ = dry_run(capsys, "--seeds=2,3", f"--tune.{RATE}=0.01")
    assert "judged     on 2, 3 seeds" in out
    assert "compare    On a formula: good; same; poor" in out
    assert "tuned      nothing" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--compare.arm=good,poor", "--sweep.seed=1,2"], "--sweep and --compare exclude"),
        (["--compare.arm=good,poor", "--compare.arm=good"], "--compare.arm is given twice"),
        (["--compare.arm=good"], "needs two arms or more"),
        (["--compare.arms=good,poor"], "unknown compare key 'arms'; did you mean 'arm'?"),
        ([f"--tune.{RATE}=x"], f"--tune.{RATE}: expected float"),
        (["--seeds=4,x"], "--seeds: expected numbers such as 8,16,32, got '4,x'"),
        (["--equivalent=x"], "equivalent"),
        (["--equivalent=0"], "equivalent must be a finite number above 0, got 0.0"),
        (["--better=up"], "--better: expected lower or higher, got 'up'"),
        (["--compare.arm=good,poor", "--config.arm=wide"], "arm has no effect: every arm"),
    ],
)
def test_refusals(capsys, flags, message):
    status, _, err = dry_run(capsys, *flags)
    assert status != 0
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_value_that_is_tuned_is_noted(capsys):
    asked = ["--compare.arm=good,poor", f"--tune.{RATE}=0.1,1.0"]
    _, out, _ = dry_run(capsys, *asked, f"--config.{RATE}=0.5", "--config.seed=5")
    assert f"{RATE}=0.5 is not used, because it is tuned: --tune.{RATE}=0.5 keeps it" in out
    assert "seed=5 reaches" not in out


def test_arms_of_numbers_are_named_by_their_key(capsys):
    flags = [f"--compare.{RATE}=1e-3,1e-2", "--reference=0.001"]
    _, out, _ = dry_run(capsys, *flags)
    assert "compare    In formula: learning rate 0.001; learning rate 0.01" in out
    plan = make_plan(
        "formula.py",
        comparison=rnnlab.Comparison({RATE: [1e-3, 1e-2]}, reference="learning rate 0.001"),
    )
    assert str(plan.run_dir) in out


def test_the_table_of_a_run_is_of_the_judged_members(capsys):
    assert cli.main(["run", "formula.py", "--workdir=out"]) == 0
    capsys.readouterr()
    assert cli.main(["table", "out"]) == 0
    out = capsys.readouterr().out
    assert "over 4 seeds" in out
    assert out.count("0.01") <= 3


def test_the_command_of_a_file_with_several_comparisons(capsys):
    """A flag changes them all; the margins, which differ, are the file's own."""
    several = SOURCE.replace("    return rnnlab.Comparison(", "    one = rnnlab.Comparison(")
    margins = 'return [one, dataclasses.replace(one, name="strict", equivalent=0.01)]'
    several = several.replace("\n\n\ndef claims(", f"\n    {margins}\n\n\ndef claims(")
    Path("formula.py").write_text(several.replace("import math", "import dataclasses\nimport math"))
    assert cli.main(["run", "formula.py", "--seeds=2,3", "--workdir=out"]) == 0
    command = printed()
    assert "--seeds=2,3" in command
    assert "--equivalent" not in " ".join(command)
    assert cli.main([*command, "--workdir=out"]) == 0


def test_nothing_to_compare_is_said(capsys):
    Path("plain.py").write_text(SOURCE[: SOURCE.index("def comparison(")])
    assert cli.main(["run", "plain.py", f"--tune.{RATE}=0.1,0.2", "--dry_run"]) != 0
    err = capsys.readouterr().err
    assert f"--tune.{RATE} has no effect: plain.py compares nothing by itself" in err


@pytest.mark.parametrize(
    "flags",
    [
        ["--compare.arm=good,poor", "--seeds=4", f"--tune.{RATE}=0.01,0.1"],
        # the file's own arms, on other seeds, and at one rate
        ["--seeds=2,3", "--equivalent=0.1", "--tuning_seeds=1", "--reference=poor"],
        ["--seeds=4", f"--tune.{RATE}=0.01"],
        # one value of another key than the rate: all arms have it
        ["--compare.arm=good,poor", "--seeds=4", f"--tune.{SIZE}=2.5"],
        ["--compare.arm=good,poor", "--seeds=4", f"--tune.{SIZE}=2.5", f"--tune.{RATE}=0.01,0.1"],
        ["--compare.arm=good,poor", f"--compare.{SIZE}=1.0,2.5", "--seeds=4", "--norelative"],
        ["--seeds=4", f"--tune.{SIZE}=2.5"],
    ],
)
def test_a_run_prints_its_answers_and_the_report_the_command(capsys, flags):
    assert cli.main(["run", "formula.py", *flags, "--workdir=out"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "good is better than poor" in said or "no arm beats good" in said
    assert set(flags) <= set(printed())
    assert cli.main([*printed(), "--workdir=out"]) == 0  # the same run: nothing is refused
    assert "The comparison was asked for" in (Path("out") / "report.html").read_text("utf-8")


def test_a_comparison_of_python_is_printed_as_flags_where_flags_can_ask_for_it():
    asked = rnnlab.Comparison(ARMS, tune={SIZE: [2.5]}, seeds=(4,), reference="poor")
    rnnlab.run("formula.py", comparison=asked, workdir="out", progress=False)
    assert {"--compare.arm=good,poor", f"--tune.{SIZE}=2.5", "--reference=poor"} <= {*printed()}
    assert cli.main([*printed(), "--workdir=out"]) == 0
    named = rnnlab.Comparison({name: {"arm": name} for name in ARMS["arm"]}, seeds=(4,))
    rnnlab.run("formula.py", comparison=named, workdir="named", progress=False)
    assert not any("--compare" in flag or "--seeds" in flag for flag in printed("named"))
    said = " ".join((Path("named") / "report.html").read_text("utf-8").split())
    assert "Python asked for the comparisons of this run; no flags can" in said


def test_the_axes_of_a_sweep_of_several_parts_are_printed():
    parts = """
def get_sweep(config):
    return [{"arm": ("good", "poor"), "seed": (0, 1)}, {"arm": ("wide",), "seed": (0,)}]
"""
    Path("parts.py").write_text(SOURCE[: SOURCE.index("def comparison(")] + parts)
    flags = ["--sweep.arm=poor,wide", "--sweep.seed=3,1"]
    assert cli.main(["run", "parts.py", *flags, "--workdir=out"]) == 0
    assert set(flags) <= set(printed())
    assert cli.main([*printed(), "--workdir=out"]) == 0


def test_help_names_the_comparisons_of_a_file(capsys):
    assert cli.main(["run", "formula.py", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert (
        "formula: good; same; poor; tuned: training.learning_rate of 0.001, 0.003, 0.01; "
        "compared by score"
    ) in words


def test_runs_side_by_side_say_what_each_of_them_decided(capsys):
    for name, seed in (("a", 0), ("b", 100)):
        assert cli.main(["run", "formula.py", f"--config.seed={seed}", f"--workdir={name}"]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "a", "b", "--out=c.html"]) == 0
    after = capsys.readouterr().out.partition("\n\na\n")[2]
    first, second = after.split("\n\nb\n")
    for said in (first, second):
        assert "good is better than poor: test score" in re.sub(r"\s+", " ", said)
    assert second.rstrip().endswith("comparison: c.html")
