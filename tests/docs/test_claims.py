"""docs/claims.md: every claim of the notes is there, and what it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \|(.*)$", TEXT, re.M)


def test_every_claim_has_a_row_with_a_verdict():
    assert sorted({int(number) for number, _ in ROWS}) == list(range(1, 23))
    for _, row in ROWS:
        # the last cell, what version 1 said, is there where it was another verdict
        _, shown_by, verdict, measured, *_ = (cell.strip() for cell in row.rstrip("|").split("|"))
        assert verdict
        assert measured or shown_by == "—" or verdict == "in part", row


def test_what_it_names_exists():
    links = re.findall(r"\[(\w+)\]\(\.\./(\S+?)\)", TEXT)
    assert len(links) > 50
    for name, path in links:
        if path.startswith("experiments/"):
            assert re.fullmatch(rf"experiments/\w+/{name}\.py", path)
            assert (ROOT / path).is_file(), path
        elif path.startswith("notebooks/"):
            assert path == f"notebooks/{name}.ipynb"
            assert (ROOT / path).is_file(), path
        else:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {name}(" in source, (name, path)


def test_every_experiment_that_is_no_timing_shows_a_claim():
    named = set(re.findall(r"experiments/\w+/(\w+)\.py", TEXT))
    files = {path.stem for path in (ROOT / "experiments").rglob("*.py")}
    # of published results that the notes do not have, and of rnnlab's own advice
    assert {f for f in files - named if not f.startswith("speed_")} == {
        "advice",
        "copy_memory",
        "flossing",
        "memory_gradients",
    }
