"""Jobs 1, 3 and 12: a cell, a scheme and a task of one's own, by name, everywhere."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import cli

JOBS = Path(__file__).parent
SMALL = [  # the user's command has T = 500, 3 seeds and an LSTM as well
    "--config.task.length=12",
    "--config.run.seeds=1",
    "--config.cell.hidden_size=4",
    "--config.task.batch_size=2",
]


def lines_of(path):
    """Lines of code: not blank, no comments, no docstrings."""
    source = path.read_text()
    words = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    code = [line for n, line in enumerate(source.splitlines(), 1) if n not in words]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in code)


def test_job_01_own_cell_and_own_scheme_in_the_built_in_figure(tmp_path, monkeypatch, capsys):
    mgu = JOBS / "job_01_own_cell" / "mgu.py"
    assert lines_of(mgu) <= 30
    monkeypatch.chdir(tmp_path)
    flags = ["--sweep.cell.name=mgu,gru", "--sweep.init.w_h=near_identity,orthogonal"]
    command = ["run", f"--use={mgu}", "--config=gradient_vanishing", *flags, *SMALL]
    assert cli.main([*command, "--workdir=out"]) == 0
    run = rnnlab.load_run("out")
    own = run.table.select({"cell.name": "mgu"})
    assert sorted({m.config["init"]["w_h"] for m in own}) == ["near_identity", "orthogonal"]
    assert len(own) == 2
    # theory's line of a cell that names the gate which keeps its state
    for member in own:
        assert len(member.result["theory"]) == 12
        assert member.result["spectral_radius"] == pytest.approx(
            0.95 if member.config["init"]["w_h"] == "near_identity" else 1.0, abs=1e-4
        )
    assert {"gradients", "singular_values", "saturation"} <= set(run.figures)
    assert not {v.verdict for v in run.claims} & {"holds"}  # too short to hold anything
    assert {m.config["cell"]["name"] for m in run.table} == {"mgu", "gru"}
    capsys.readouterr()
    assert cli.main(["report", "out"]) == 0  # the file is known from the run
    assert "report: out/report.html" in capsys.readouterr().out
    assert json.loads(Path("out/config.json").read_text())["files"][0]["role"] == "use"


def test_job_03_own_task_swept_as_one_program(tmp_path, monkeypatch, capsys):
    recall = JOBS / "job_03_own_task" / "recall.py"
    assert lines_of(recall) <= 25
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", f"--config={recall}", "--dry_run"]) == 0
    assert "groups     1" in capsys.readouterr().out
    assert cli.main(["run", f"--config={recall}", "--workdir=out"]) == 0
    run = rnnlab.load_run("out")
    frame = run.table.to_frame()
    assert len(frame) == 6
    assert np.isfinite(frame["loss"]).all()
    assert set(run.figures) == {"metrics", "results"}
    assert run.claims == []
    assert "makes no claims" in Path("out/report.html").read_text()


WRONG = {
    "cell wrong-gradient": "gradient",
    "cell one-counter": "initial state",
    "cell batch-norm": "batch",
    "cell traced": "engines",
    "cell list-gates": "gates",
    "cell thawed": "hashable",
    "cell deaf": "perturb",
    "cell wide": "output size",
    "cell noisy": "randomness",
    "cell own-draws": "init",
    "scheme float_only": "dtype",
    "scheme one_draw": "key",
}


def test_job_12_check_finds_no_fault_in_a_right_cell(capsys):
    assert cli.main(["check", str(JOBS / "job_12_check" / "right.py")]) == 0
    out = capsys.readouterr().out
    assert out.endswith("all properties hold\n")
    assert "✗" not in out
    assert out.count("✓") == 22


def test_job_12_check_names_what_is_wrong(capsys):
    assert cli.main(["check", str(JOBS / "job_12_check" / "wrong.py")]) == 1
    found, name = {}, ""
    for line in capsys.readouterr().out.splitlines():
        if line.startswith(("cell ", "scheme ")):
            name = line.partition(" (")[0]
        elif line.startswith("  ✗ "):
            found.setdefault(name, []).append(line[4:].partition("  ")[0].strip())
    assert {name: faults[0] for name, faults in found.items()} == WRONG
