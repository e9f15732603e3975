"""A run with comparisons, read and shown."""

from rnnlab.cli.run import print_run
from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import Pair
from rnnlab.results.run_dir import load_run
from tests.helpers.comparisons import SCORES, arm, result
from tests.report.test_comparison_blocks import compared

TWO = [
    result(
        [arm("<a>", (1.0, 2.0)), arm("b", (3.0, 4.0))],
        [Pair("<a>", "b", "better", -2.0, (-3.0, -1.0), 2)],
        **SCORES | {"name": name, "question": f"On {name}"},
    )
    for name in ("adding", "copying")
]


def test_a_run_has_its_comparisons_and_says_so(tmp_path):
    run = load_run(compared(tmp_path / "run", TWO))
    assert run.comparisons[1].question == "On copying"
    assert "; 2 comparisons: 2 pairs better or worse, 0 equivalent, 0 undecided; 2" in repr(run)
    shown = run._repr_html_()
    assert "<p>✓ On adding, &lt;a&gt; is better than b: test loss 1.5 against 3.5" in shown
    assert f"<p>{words.expected_false(run.comparisons)}</p>" in shown


def test_what_is_not_finished_has_none_yet(tmp_path):
    run = compared(tmp_path / "run", TWO)
    for name in ("report.html", "digests.json"):
        (run / name).unlink()
    assert load_run(run).comparisons == []


def test_the_sentences_are_printed_before_the_claims(tmp_path, capsys):
    run = load_run(compared(tmp_path / "run", TWO))
    print_run(run)
    out = capsys.readouterr().out
    assert f"\n\n{words.format_comparisons(TWO)}\n\n✓ αQ keeps" in out
