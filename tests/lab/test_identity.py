"""A run directory belongs to one config, one code and one rnnlab."""

import json
import re
from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import identity
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan

EXPERIMENT = '''
"""One number."""
import helper
from ml_collections import ConfigDict
from rnnlab.nn import initializers


def get_config(arg=None):
    return ConfigDict({"seed": 0, "init": "zeros"}).lock()


def get_sweep(config):
    return {"seed": range(2)}


def check(config):
    initializers.parse(config.init)


def run(config, key, log):
    log(step=0, loss=1.0)
    return {"answer": helper.ANSWER + config.seed}


def figures(table):
    return {}


def claims(table):
    return []
'''
SCHEME = """
import rnnlab


@rnnlab.register_scheme
def thirds(value=1 / 3):
    return lambda key, shape, dtype=float: value
"""
RUN = ["run", "--config=mine.py"]
WAYS = "choose another --workdir, or --rerun to throw away what it has and run again"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder with the experiment, the module beside it and a file that registers."""
    monkeypatch.chdir(tmp_path)
    write(Path())
    Path("scheme.py").write_text(SCHEME)
    return tmp_path


def write(folder: Path, answer: int = 42) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(EXPERIMENT)
    (folder / "helper.py").write_text(f"ANSWER = {answer}\n")


def answers(workdir: Path | str) -> list[int]:
    return [member.result["answer"] for member in rnnlab.load_run(workdir).table]


def refusal(capsys, *args: str) -> str:
    """The one line with which a run is refused."""
    capsys.readouterr()
    assert cli.main([*RUN, *args]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err.removeprefix("rnnlab: ").strip()


@pytest.mark.parametrize("flags", [[], ["--workdir=out"]])
def test_a_changed_file_is_said_and_refused(flags, capsys):
    """The same command after an edit must not answer with old results."""
    assert cli.main([*RUN, *flags]) == 0
    (run_dir,) = [Path("out")] if flags else Path("runs").iterdir()
    assert answers(run_dir) == [42, 43]
    Path("mine.py").write_text(EXPERIMENT + "# a remark\n")
    message = refusal(capsys, *flags)
    assert message == f"mine.py has changed since the run in {run_dir} began: {WAYS}"
    write(Path(), answer=7)  # the module beside it
    message = refusal(capsys, *flags)
    assert message == f"helper.py has changed since the run in {run_dir} began: {WAYS}"
    assert answers(run_dir) == [42, 43]
    if flags:  # with another config as well
        assert cli.main([*RUN, *flags, "--config.init=constant"]) == 2
        assert capsys.readouterr().err.splitlines()[1:] == [
            "  init: zeros -> constant",
            "  helper.py: changed",
        ]
    # the ways on
    assert cli.main([*RUN, "--workdir=other"]) == 0
    assert answers("other") == [7, 8]
    assert cli.main([*RUN, *flags, "--rerun"]) == 0
    assert answers(run_dir) == [7, 8]
    assert cli.main([*RUN, *flags]) == 0


def test_a_change_is_refused_on_resume_too(capsys):
    plan = make_plan("mine.py")
    Path("out").mkdir()
    identity.begin(plan, Path("out"), print)  # as if it had been killed then
    write(Path(), answer=7)
    assert refusal(capsys, "--workdir=out").startswith("helper.py has changed since")
    assert not Path("out/members.jsonl").exists()


def test_files_of_one_name_in_two_folders_have_directories_of_their_own():
    write(Path("a"))
    write(Path("b"))
    plans = [make_plan(f"{name}/mine.py") for name in ("a", "b")]
    assert plans[0].run_dir != plans[1].run_dir
    assert plans[0].hash == plans[1].hash  # they are the same
    # however the path is written, and after an edit
    assert make_plan(Path("a/mine.py").resolve()).run_dir == plans[0].run_dir
    write(Path("a"), answer=7)
    assert make_plan("a/mine.py").run_dir == plans[0].run_dir
    assert make_plan("a/mine.py").hash != plans[0].hash
    assert make_plan("mine.py").run_dir not in [plan.run_dir for plan in plans]


def test_the_digest_is_of_what_was_loaded():
    loaded = load_experiment("mine.py")
    write(Path(), answer=7)
    Path("mine.py").write_text("raise SystemExit")
    rnnlab.run(loaded, workdir="out", progress=False)
    assert answers("out") == [42, 43]
    info = run_files.read_config("out")
    assert info["file_sha256"] == loaded.digest == loaded.code.digests["mine.py"]
    assert Path("out/used/mine.py").read_text() == EXPERIMENT
    assert Path("out/used/helper.py").read_text() == "ANSWER = 42\n"


def test_a_used_file_registers_and_belongs_to_the_run(capsys):
    args = ["--use=scheme.py", "--config.init=thirds(value=0.5)"]
    assert refusal(capsys, args[1]).startswith("member 0 (seed=0): unknown scheme 'thirds'")
    assert cli.main([*RUN, *args]) == 0
    (run_dir,) = Path("runs").iterdir()
    page = (run_dir / "report.html").read_text()
    assert "rnnlab run --use=scheme.py --config=mine.py" in page
    assert (run_dir / "used/scheme.py").read_text() == SCHEME
    (entry, _) = run_files.read_config(run_dir)["files"]
    assert (entry["role"], entry["file"]) == ("use", "scheme.py")
    Path("scheme.py").write_text(SCHEME + "# a remark\n")
    assert refusal(capsys, *args).startswith(f"scheme.py has changed since the run in {run_dir}")
    assert refusal(capsys, "--use=nowhere.py").startswith("--use=nowhere.py: there is no such")
    assert cli.main(["run", *args[:1], "--config=mine.py", "--help"]) == 0


def test_another_rnnlab_is_refused_and_another_device_is_said(capsys):
    plan = make_plan("mine.py")
    Path("out").mkdir()
    info = identity.begin(plan, Path("out"), print)

    def began_with(**changes: str) -> None:
        environment = info["environment"] | changes
        run_files.write_config("out", info | {"environment": environment})

    began_with(rnnlab="0.0.9")
    message = refusal(capsys, "--workdir=out")
    assert message.startswith("the run in out began with rnnlab 0.0.9, and this is rnnlab ")
    assert message.endswith(WAYS)
    began_with(jax="0.0.1")
    assert cli.main([*RUN, "--workdir=out"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"out began on another JAX or device \(jax 0\.0\.1 -> [\d.]+\): results", err)
    began_with(rnnlab="0.0.9")  # a finished run does not answer for another rnnlab either
    assert refusal(capsys, "--workdir=out").startswith("the run in out began with rnnlab 0.0.9")


@pytest.mark.parametrize("damage", ["{", None])
def test_a_run_without_its_config_can_only_be_thrown_away(damage, capsys):
    assert cli.main([*RUN, "--workdir=out"]) == 0
    if damage is None:
        Path("out/config.json").unlink()
    else:
        Path("out/config.json").write_text(damage)
    assert refusal(capsys, "--workdir=out").endswith(WAYS)
    assert cli.main([*RUN, "--workdir=out", "--rerun"]) == 0
    assert answers("out") == [42, 43]


def test_an_edited_config_is_noticed(capsys):
    assert cli.main([*RUN, "--workdir=out"]) == 0
    path = Path("out/config.json")
    path.write_text(path.read_text().replace('"init": "zeros"', '"init": "ones"'))
    assert json.loads(path.read_text())["config"]["init"] == "ones"
    with pytest.raises(UserError, match=r"out/config\.json is not what was written"):
        rnnlab.load_run("out")
    assert refusal(capsys, "--workdir=out").endswith(WAYS)


def test_rerun_touches_no_other_directory(capsys):
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("years of work")
    message = refusal(capsys, "--workdir=out", "--rerun")
    assert message == "out is not empty and is no run directory: choose another"
    assert Path("out/thesis.tex").read_text() == "years of work"


def test_the_command_to_resume_does_not_throw_away(capsys, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(identity, "begin", stop)
    assert cli.main([*RUN, "--workdir=out", "--rerun"]) == 130
    assert capsys.readouterr().err.endswith("rnnlab run --config=mine.py --workdir=out\n")
