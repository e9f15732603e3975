"""Comparisons on the page: every sentence and number, figures in their place, nothing unescaped."""

import dataclasses
import math

from rnnlab.core import json_files, run_files
from rnnlab.report.comparison_blocks import ArmRow, PairRow, block, side_by_side
from rnnlab.report.page import compare_report, reproduction_report, write_report
from rnnlab.report.saved_run import load_finished
from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import Pair, as_json
from rnnlab.results.comparison_method import judging_words, tuning_words
from tests.helpers.browser import in_browser
from tests.helpers.comparisons import SCORES, arm, grid, result
from tests.report.test_page import make_run, on_a_phone, read

NAN, INF = math.nan, math.inf
GRID = grid({0.003: (900.0, 800.0), 0.01: (500.0, INF), 0.03: (1400.0, 1500.0)}, extended=(0.03,))
ADDING = result(
    [
        arm("orthogonal", (480.0, 470.0, 520.0), 0.01, grid=GRID, validation=1234.5),
        arm("normal", (1900.0, INF, 2100.0), 0.03, grid=GRID, validation=INF, at_edge=True),
        arm("zeros", (INF, INF, INF), 0.003, grid=GRID, validation=850.0),
    ],
    [
        Pair("orthogonal", "normal", "better", NAN, (NAN, NAN), 3),
        Pair("orthogonal", "zeros", "better", NAN, (NAN, NAN), 3),
        Pair("normal", "zeros", "undecided", NAN, (NAN, NAN), 3, "too few seeds", 60),
    ],
)
COPYING = result(
    [arm("a", (0.42, 0.4)), arm("b", (0.5, NAN))],
    [Pair("a", "b", "equivalent", -0.0123, (-0.0191, 0.0016), 2)],
    **SCORES | {"name": "copying", "question": "On copying <T=20>", "tune": {}},
)


def compared(run_dir, results, figures=None, **info):
    """A finished run that compares."""
    run = make_run(run_dir, figures=figures, **info)
    json_files.write_json(run / "comparison.json", as_json(results))
    run_files.write_digests(run)
    return run


def test_the_table_of_arms():
    assert block(ADDING, {}).arms == [
        ArmRow(
            *("orthogonal", True, "learning rate 0.01", False, "1,230", "480"),
            spread="[470, 520]",
            seeds="3 of 3",
        ),
        ArmRow(
            *("normal", False, "learning rate 0.03", True, "never", "2,100"),
            spread="[1,900, never]",
            seeds="2 of 3",
        ),
        ArmRow("zeros", False, "learning rate 0.003", False, "850", "never", "", "0 of 3"),
    ]
    plain = block(COPYING, {}).arms
    assert plain[0] == ArmRow("a", False, "", False, "", "0.41", "[0.4, 0.42]", "2")
    assert plain[1] == ArmRow("b", False, "", False, "", "diverged", "[0.5, diverged]", "1 of 2")
    higher = dataclasses.replace(COPYING, better="higher")
    assert block(higher, {}).arms[1].spread == "[diverged, 0.5]"


def test_the_table_of_pairs():
    assert block(ADDING, {}).pairs[1:] == [
        PairRow("orthogonal", "zeros", "better", "✓", "sooner in 3 of 3", "", 3, ""),
        PairRow(
            *("normal", "zeros", "undecided", "?", "sooner in 2 of 3", "", 3),
            note="too few seeds; about 60 seeds would probably decide",
        ),
    ]
    (pair,) = block(COPYING, {}).pairs
    assert pair == PairRow("a", "b", "equivalent", "≈", "-0.0123", "[-0.0191, 0.0016]", 2, "")


def test_verdicts_of_several_runs_stand_beside_each_other(tmp_path):
    again = dataclasses.replace(
        ADDING,
        pairs=(
            Pair("orthogonal", "normal", "worse", 2.0, (1.5, 2.5), 8),
            Pair("orthogonal", "zeros", "better", NAN, (NAN, NAN), 3),
        ),
    )
    rows = side_by_side([[ADDING, COPYING], [], [again]])
    assert [(row.a, row.b, [r and r.verdict for r in row.rows], row.split) for row in rows] == [
        ("orthogonal", "normal", ["better", None, "worse"], True),
        ("orthogonal", "zeros", ["better", None, "better"], False),
        ("normal", "zeros", ["undecided", None, None], False),
        ("a", "b", ["equivalent", None, None], False),
    ]
    runs = [compared(tmp_path / "a", [ADDING, COPYING]), compared(tmp_path / "b", [again])]
    page = read(compare_report(runs, tmp_path / "compare.html"))
    assert "orthogonal against normal verdicts differ On adding T=200 ✓ better" in page.text
    assert "✗ worse 2 [1.5, 2.5] 8 seeds" in page.text
    assert page.text.count("not compared") == 2
    plain = [make_run(tmp_path / name) for name in "cd"]
    assert "Comparisons" not in read(compare_report(plain, tmp_path / "plain.html")).text


def test_the_page_answers_first(tmp_path):
    figures = {"adding_tuning": "Tuned.", "adding_pairs": "A forest.", "norms": "Other."}
    path = write_report(compared(tmp_path / "run", [ADDING], figures))
    page, source = read(path), path.read_text("utf-8")
    for said in words.sentences(ADDING):
        assert page.text.count(f"{said.mark} {said.text}") == 1, said
    assert (
        page.text.index("orthogonal is better")
        < page.text.index("Every verdict is")
        < page.text.index("Every arm was tuned")
    )
    assert page.text.startswith(f"vanishing · {words.counts([ADDING])} ")  # the title
    for text in (tuning_words(ADDING), judging_words(ADDING)):
        assert text in page.text
    assert (
        "orthogonal * no arm beats it learning rate 0.01 1,230 480 [470, 520] 3 of 3" in page.text
    )
    assert "normal against zeros ? undecided sooner in 2 of 3 – 3 too few seeds; about" in page.text
    assert "at the edge" in page.text
    order = ["figure-norms", "results", "claims", "comparisons"]
    order += ["figure-adding_tuning", "figure-adding_pairs", "figures"]
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert [i for i in ids if i in order] == order
    assert source.count("data:image/png") == 3


def test_a_page_of_several_links_to_each_and_counts_false_verdicts(tmp_path):
    path = write_report(compared(tmp_path / "run", [ADDING, COPYING], {"adding_pairs": "Pairs."}))
    page = read(path)
    first = words.sentences(ADDING)[0].text
    assert page.text.count(first) == 2  # at the top, and with its comparison
    assert page.text.count(words.sentences(ADDING)[2].text) == 1
    assert words.expected_false([ADDING, COPYING]) in page.text
    links = [a["href"] for a in page.all("a")]
    assert "#comparison-adding" in links
    assert "#comparison-copying" in links
    assert {"comparison-adding", "comparison-copying"} <= {a.get("id") for a in page.all("h3")}
    assert "On copying <T=20>, a and b are equivalent" in page.text
    assert "On copying &lt;T=20&gt;" in path.read_text("utf-8")
    assert "No other figures were drawn." in page.text


def test_names_from_a_run_are_escaped(tmp_path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    arms = tuple(dataclasses.replace(a, name=a.name + evil) for a in ADDING.arms)
    pairs = [dataclasses.replace(p, a=p.a + evil, b=p.b + evil, reason=evil) for p in ADDING.pairs]
    bad = dataclasses.replace(ADDING, arms=arms, pairs=tuple(pairs), question=evil)
    page = read(write_report(compared(tmp_path / "run", [bad, COPYING])))
    assert len(page.all("script")) == 1
    assert all("onerror" not in image for image in page.all("img"))
    assert f"orthogonal{evil} is better" in page.text


def test_a_run_that_compares_nothing_has_no_section(tmp_path):
    page = read(write_report(make_run(tmp_path / "run")))
    assert "comparisons" not in [a.get("id") for a in page.all("h2")]
    assert "answers" not in [a.get("id") for a in page.all("div")]


def test_without_a_sweep_there_is_none_on_the_page(tmp_path):
    page = read(write_report(compared(tmp_path / "run", [ADDING], sweep=[])))
    assert "Sweep" not in page.text
    assert "0 parts" not in page.text


def test_without_claims_the_answers_are_the_product(tmp_path):
    run = compared(tmp_path / "run", [ADDING], claims=[])
    assert "No claims" not in read(write_report(run)).text


def test_a_set_of_runs_shows_the_answers_of_each(tmp_path):
    for name, results in (("one", [ADDING]), ("two", [COPYING, ADDING])):
        environment = {"device": "cpu", "cores": 2, "rnnlab": "1", "jax": "2"}
        write_report(compared(tmp_path / name, results, environment=environment))
    runs = {name: load_finished(tmp_path / name) for name in ("one", "two")}
    page = read(reproduction_report(tmp_path, runs, {}, {}))
    assert page.text.count(words.sentences(ADDING)[1].text) == 2
    assert page.text.count(words.sentences(COPYING)[0].text) == 1
    assert words.expected_false([ADDING] * 3) in page.text


@in_browser
def test_comparisons_on_a_phone(tmp_path):
    long = "w" * 90
    arms = tuple(dataclasses.replace(a, name=a.name + long) for a in ADDING.arms)
    pairs = [dataclasses.replace(p, a=p.a + long, b=p.b + long, reason=long) for p in ADDING.pairs]
    wide = dataclasses.replace(ADDING, arms=arms, pairs=tuple(pairs), question=long)
    run = compared(tmp_path / "run", [wide, COPYING], {"adding_pairs": f"Pairs {long}."})
    shown = on_a_phone(write_report(run))
    assert shown["inner"] == 360
    assert (shown["drawn"], shown["images"]) == ("1", "1")
    assert int(shown["overflow"]) <= 0
