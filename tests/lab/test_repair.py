"""Damage in a run directory is said, and repaired by the command that began the run."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import repair
from rnnlab.lab.finish import rewrite
from rnnlab.results.run_dir import load_run
from rnnlab.training.checkpoints import Checkpoints
from tests.scripts import fuzz_run_dirs as fuzzer

RUN = ["run", "--config=mine.py", "--workdir=out"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A finished run of three members, one by one."""
    (made,) = fuzzer.make_cases(tmp_path_factory.mktemp("cases"), ("one by one",))
    return made


@pytest.fixture
def out(case, tmp_path, monkeypatch) -> Path:
    """A copy of the run, in the current folder."""
    fuzzer.shutil.copytree(case.kept, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("out")


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def mended(case, capsys) -> list[str]:
    """Give the command again; return what it said, once the run is as the undamaged one."""
    capsys.readouterr()
    assert cli.main(RUN) == 0
    assert fuzzer.left_by(Path("out")) == case.expected
    load_run("out")
    return [line.removeprefix("rnnlab: ") for line in capsys.readouterr().err.splitlines()]


def test_an_undamaged_run_is_left_alone(case, out, capsys):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert mended(case, capsys) == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_doubled_line_of_members_moves_no_claim(case, out, capsys):
    path = out / "members.jsonl"
    path.write_bytes(b"".join([*lines(path), lines(path)[1]]))
    with pytest.raises(UserError, match=r"members\.jsonl, line 4, has member 1 a second time; fin"):
        load_run(out)
    assert cli.main(["report", "out"]) == 2
    assert mended(case, capsys)[0] == (
        "out/members.jsonl, line 4, has member 1 a second time: the line is dropped"
    )


def test_a_changed_number_is_noticed_and_its_member_is_run_again(case, out, capsys):
    path = out / "members.jsonl"
    path.write_text(path.read_text().replace('"loss": 1.5', '"loss": 1.6'))
    with pytest.raises(UserError, match=r"line 2, is not what was written: its digest is another"):
        load_run(out)
    said = mended(case, capsys)
    assert said[0].startswith("out/members.jsonl, line 2, is not what was written")
    assert "out: 2 of 3 members are finished" in said


def test_a_line_of_another_run_is_noticed(out):
    path = out / "members.jsonl"
    first, *rest = map(json.loads, lines(path))
    path.unlink()
    run_files.append_member(out, "another run", first)
    run_files.append_member(out, run_files.read_config(out)["hash"], rest[0])
    with pytest.raises(UserError, match=r"line 1, is not what was written"):
        load_run(out)


@pytest.mark.parametrize("change", ["doubled", "missing", "changed"])
def test_metrics_belong_to_their_member(case, out, capsys, change):
    path = out / "metrics.jsonl"
    first, second, *rest = lines(path)
    changed = second.replace(b"1.0", b"1.5")
    found = {"doubled": [first, second, second], "missing": [first], "changed": [first, changed]}
    path.write_bytes(b"".join([*found[change], *rest]))
    with pytest.raises(UserError, match=r"metrics\.jsonl does not have the metrics that member 0"):
        load_run(out)
    assert cli.main(["report", "out"]) == 2
    said = mended(case, capsys)
    assert "out/metrics.jsonl does not have what member 0 logged: the member is run again" in said


def test_an_emptied_file_of_predictions_is_written_again(case, out, capsys):
    (out / "predictions.json").write_text("")
    said = mended(case, capsys)
    assert said == ["out/predictions.json was not what was written: it is written again"]


@pytest.mark.parametrize(
    "name", ["claims.json", "figures.json", "figures/losses.png", "report.html"]
)
@pytest.mark.parametrize("content", [b"[]", None])
def test_what_is_drawn_from_the_results_is_drawn_again(case, out, capsys, name, content):
    path = out / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=rf"out/{name} .*finish it with|no {name}.*finish it with"):
        load_run(out)
    assert len(mended(case, capsys)) == 1
    path.write_bytes(b"[]")
    rewrite(out)  # `rnnlab report` does, too
    assert fuzzer.left_by(out) == case.expected


@pytest.mark.parametrize("name", ["predictions.json", "used/mine.py", "used/helper.py"])
def test_files_that_are_only_kept_are_compared_too(case, out, capsys, name):
    (out / name).write_text("[]")
    with pytest.raises(UserError, match=rf"out/{name} is not what was written.*; finish it with"):
        load_run(out)
    assert cli.main(["report", "out"]) == 2
    assert len(mended(case, capsys)) == 1


def test_report_does_not_bless_damage_that_it_cannot_repair(out, capsys):
    assert cli.main([*RUN, "--rerun"]) == 0  # so that mine.py is the one in this folder
    Path("mine.py").unlink()
    (out / "claims.json").write_text("[]")
    capsys.readouterr()
    assert cli.main(["report", "out"]) == 2
    assert capsys.readouterr().err.startswith("rnnlab: out/claims.json is not what was written")


@pytest.mark.parametrize("name", ["../secret", "/secret", "a/../../secret", "C:secret"])
def test_a_figure_elsewhere_is_not_read(out, name):
    figures = {name: {"caption": "A file of yours."}}
    json_files.write_json(out / "figures.json", figures)
    digests = json_files.read_json(out / "digests.json")
    digests["files"]["figures.json"] = run_files.digest_of(out / "figures.json")
    json_files.write_json(out / "digests.json", run_files.sealed(digests))
    for read in (load_run, run_files.read_figures):
        with pytest.raises(UserError, match=r"figures\.json names the figure .* not read"):
            read(out)


def test_a_sample_of_the_fuzzer(case):
    """Each file damaged in one way, read, and the command given again: see its script."""
    damages = itertools.cycle(fuzzer.DAMAGES)
    outcomes = fuzzer.fuzz(
        case, list(zip(case.files, damages, strict=False)), ("load_run", "again")
    )
    assert len(outcomes) > 2 * 9
    assert [outcome for outcome in outcomes if not fuzzer.is_right(outcome)] == []
    assert any(outcome.endswith("load_run: refused") for outcome in outcomes)
    assert any(outcome.endswith("again: equal") for outcome in outcomes)


# ---- metrics and checkpoints -------------------------------------------------------------------


def test_a_checkpoint_goes_with_its_metrics(tmp_path):
    """Metrics that a checkpoint goes with are cut to it; without them it is not resumed from."""
    metrics = repair.Metrics(tmp_path)
    for step in range(4):
        metrics.append(step % 2, {"step": step})
    logged = {str(member): metrics.digest(member) for member in (0, 1)}
    before = metrics.path.read_bytes()
    metrics.append(0, {"step": 4})
    metrics.append(0, {"step": 2})  # a step that the checkpoint has, logged after it
    assert repair.Metrics(tmp_path).digest(0) == metrics.digest(0)
    assert metrics.begins_with(logged, set())
    metrics.cut({int(member): digest for member, digest in logged.items()})
    assert metrics.path.read_bytes() == before
    assert metrics.digest(0) == logged["0"]

    first, *rest = lines(metrics.path)
    for found in ([*rest], [first, first, *rest], [first, rest[0], rest[2]]):
        metrics.path.write_bytes(b"".join(found))
        assert not metrics.begins_with(logged, set())
    assert metrics.begins_with(logged, {0, 1})
    metrics.path.write_bytes(before)

    kept = Checkpoints(tmp_path / "kept", "run", keep=3)
    for number, digests in enumerate((logged, {"0": "other"}, logged)):
        kept.save({"W": np.full(3, number)}, {"logged": digests})
    assert kept.drop_unless(lambda extra: metrics.begins_with(extra["logged"], set())) == [1]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["0", "2"]


def test_metrics_are_rewound_and_read_only_where_there_is_something_to_drop(tmp_path, monkeypatch):
    metrics = repair.Metrics(tmp_path)
    for member, step in ((0, 1), (1, 1), (1, 2), (0, 3), (2, 1)):
        metrics.append(member, {"step": step})
    with metrics.path.open("ab") as file:
        file.write(b'{"member": 2, "st')  # half-written
    metrics = repair.Metrics(tmp_path)
    assert len(lines(metrics.path)) == 5
    metrics.rewind({0: 1, 2: 0, 5: 0})  # member 1 is none of this batch
    kept = [json.loads(line) for line in lines(metrics.path)]
    assert [(line["member"], line["step"]) for line in kept] == [(0, 1), (1, 1), (1, 2)]
    assert metrics.digest(2) == "" != metrics.digest(0)
    monkeypatch.setattr(json_files, "keep_jsonl", None)
    metrics.rewind({2: 0, 5: 0})
