"""The commands, called in this process; four tests start the real one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from rnnlab.core import host, json_files, run_files, signals
from rnnlab.lab import catalog, plan
from rnnlab.lab.plan import make_plan
from rnnlab.report import page as report
from tests.helpers import swept
from tests.lab.test_run import SOURCE


@pytest.fixture(autouse=True)
def fake(tmp_path, monkeypatch) -> Path:
    """The fake experiment of tests/lab/test_run.py in ./experiments, and a light report."""
    monkeypatch.chdir(tmp_path)
    Path("experiments").mkdir()
    path = Path("experiments/fake.py")
    path.write_text(SOURCE)

    def write_report(run_dir):
        (Path(run_dir) / "report.html").touch()
        run_files.write_digests(run_dir)

    monkeypatch.setattr(report, "write_report", write_report)
    return path


COMMANDS = ("run", "list", "predict", "keywords", "spell", "report", "compare", "tensorboard")
COMMANDS += ("reproduce", "export", "table", "figure", "watch", "advise")
RUN = ("run", "--config=experiments/fake.py")


def configs(workdir: str = "out") -> list[dict]:
    """The config of each member of a run."""
    return [member.config for member in rnnlab.load_run(workdir).table]


def refused(capsys, *args: str) -> str:
    """The one line with which the arguments are refused."""
    before = sorted(Path().rglob("*"))
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rnnlab: ")
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before
    return err.removeprefix("rnnlab: ").strip()


# ---------------------------------------------------------------------------------------- runs


def test_devices_are_set_before_jax_is_used(monkeypatch, tmp_path):
    calls, real = [], make_plan
    monkeypatch.setattr(host, "use_all_cores", lambda: calls.append("devices"))
    monkeypatch.setattr(plan, "make_plan", lambda *a, **k: calls.append("plan") or real(*a, **k))
    file = swept.write(tmp_path / "three.py")  # whose members use JAX when they are checked
    args = f"--config={file}", "--launcher=ray", "--ray_address=127.0.0.1:9"
    assert cli.main(["run", *args]) == 2
    assert calls == ["devices", "plan"]


def test_run_prints_the_claims_and_where_the_report_is(capsys):
    assert cli.main(RUN) == 0
    (run_dir,) = Path("runs").iterdir()
    assert run_dir == make_plan("fake").run_dir
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "fake: median [lowest, highest] over 2 seeds",
        "",
        *out.splitlines()[2:6],
        "",
        f"✓ draws are below 1: {json.loads((run_dir / 'claims.json').read_text())[0]['measured']}",
        "✗ cells draw apart: seed by seed",
        "2 claims: 1 holds, 1 refuted, 0 undecided; none unexpected",
        "",
        f"report: {run_dir}/report.html",
        f"figures: {run_dir}/figures",
        f"table: {run_dir}/results.csv",
    ]
    medians = rnnlab.load_run(run_dir).to_frame().groupby("cell.name")["draw"].median()
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[4:6]}
    assert rows == {cell: f"{medians[cell]:.4g}" for cell in ("rnn", "lstm")}
    assert err == f"rnnlab: {run_dir}: 0 of 4 members are finished\n"
    # a finished directory prints the same and runs nothing
    members = (run_dir / "members.jsonl").read_bytes()
    assert cli.main(RUN) == 0
    assert capsys.readouterr() == (out, "")
    assert (run_dir / "members.jsonl").read_bytes() == members


def test_config_flags_set_values_of_every_type():
    flags = [
        "--config.task.T=4",
        "--config.task.noise=1",
        "--noconfig.task.shuffle",
        "--config.task.lags=(3,4,5)",
        "--config.init.w_h=orthogonal(gain=0.9)",
        "--config.init.w_x",
        "zeros",
    ]
    assert cli.main([*RUN, *flags, "--workdir=out"]) == 0
    for config in configs():
        assert config["task"] == {"T": 4, "noise": 1.0, "shuffle": False, "lags": (3, 4, 5)}
        assert type(config["task"]["noise"]) is float
        assert config["init"] == {"w_h": "orthogonal(gain=0.9)", "w_x": "zeros"}


def test_sweep_flags_replace_and_add_axes():
    flags = ["--sweep.seed=5", "--sweep.init.w_h=normal,orthogonal(gain=0.9)"]
    assert cli.main([*RUN, *flags, "--workdir", "out"]) == 0
    swept = [(c["cell"]["name"], c["seed"], c["init"]["w_h"]) for c in configs()]
    assert swept == [
        (cell, 5, w_h) for cell in ("rnn", "lstm") for w_h in ("normal", "orthogonal(gain=0.9)")
    ]


def test_the_argument_after_the_colon_and_a_flagfile():
    Path("flags.txt").write_text("--config=fake:full\n--sweep.seed=0\n--workdir=out\n")
    assert cli.main(["run", "--flagfile=flags.txt", "--sweep.cell.name=gru"]) == 0
    (config,) = configs()
    assert config["task"]["T"] == 100


def test_strict_fails_on_an_unexpected_or_undecided_verdict(fake):
    assert cli.main([*RUN, "--strict", "--workdir=out"]) == 0
    narrow = [*RUN, "--sweep.cell.name=gru", "--workdir=narrow"]
    assert cli.main(narrow) == 0
    assert cli.main([*narrow, "--strict"]) == 1  # undecided
    fake.write_text(SOURCE.replace('"any differs", "refuted"', '"any differs", "holds"'))
    assert cli.main([*RUN, "--workdir=odd"]) == 0
    assert cli.main([*RUN, "--workdir=odd", "--strict"]) == 1
    assert cli.main([*RUN, "--workdir=odd", "--nostrict"]) == 0


def test_dry_run_prints_the_plan_and_touches_nothing(capsys):
    before = sorted(Path().rglob("*"))
    assert cli.main([*RUN, "--dry-run", "--sweep.seed=0,1,2,3"]) == 0
    assert sorted(Path().rglob("*")) == before
    out = capsys.readouterr().out
    plan = make_plan("fake", sweep={"cell.name": ["rnn", "lstm"], "seed": range(4)})
    assert out.splitlines()[1:] == [
        "sweep      2 cell.name x 4 seed",
        "members    8",
        "  0  cell.name=rnn seed=0",
        "  1  cell.name=rnn seed=1",
        "  2  cell.name=rnn seed=2",
        "  3  cell.name=rnn seed=3",
        "  ...  3 more",
        "  7  cell.name=lstm seed=3",
        "groups     2",
        "estimate   about 6.0 minutes",
        f"directory  {plan.run_dir}",
    ]


def test_dry_run_of_a_union_and_without_an_estimate(fake, capsys):
    sweep = 'return [{}, {("init.w_x", "seed"): [("zeros", 1)]}, {"seed": [1, 0]}]'
    source = SOURCE.replace('return {"cell.name": ["rnn", "lstm"], "seed": range(2)}', sweep)
    fake.write_text(source.replace('"seconds_per_member": 30.0, "seconds_per_group": 60.0', ""))
    assert cli.main([*RUN, "--dry_run", "--workdir=out"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1:8] == [
        "sweep      the base config",
        "         + init.w_x=zeros seed=1",
        "         + 2 seed",
        "members    3, identical ones once",
        "  0  the base config",
        "  1  init.w_x=zeros seed=1",
        "  2  seed=1",
    ]
    assert "estimate   unknown" in out
    assert out.endswith("directory  out\n")


# -------------------------------------------------------------------------------- interruptions


def interrupting(source: str, how: str) -> str:
    """The fake experiment with something that happens in the middle of its third member."""
    hook = f"""
def hook(config):
    import os, pathlib, signal
    if (config.cell.name, config.seed) == ("lstm", 0) and not pathlib.Path("again").exists():
        {how}
"""
    return source.replace("hook = lambda config: None  # and a way to break one", hook)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a terminal has it: a shell's background job is born with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("name", "status"), [("SIGINT", 128 + signal.SIGINT), ("SIGTERM", 128 + signal.SIGTERM)]
)
def test_an_interrupted_run_says_how_to_resume(fake, capsys, ctrl_c, name, status):
    fake.write_text(interrupting(SOURCE, f"os.kill(os.getpid(), signal.{name})"))
    before = signal.getsignal(signal.SIGTERM)
    args = [*RUN, "--workdir=out", "--config.init.w_h=orthogonal(gain=0.9)"]
    assert cli.main(args) == status
    assert signal.getsignal(signal.SIGTERM) is before
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert last.startswith("rnnlab: interrupted; finished members are kept; resume with: ")
    assert last.endswith(
        "rnnlab run --config=experiments/fake.py --workdir=out "
        "'--config.init.w_h=orthogonal(gain=0.9)'"
    )
    assert len(configs()) == 2
    Path("again").touch()
    assert cli.main(args) == 0
    assert "out: 2 of 4 members are finished" in capsys.readouterr().err
    assert len(configs()) == 4


def test_a_full_disk_gives_one_line_and_loses_nothing(capsys, monkeypatch):
    def full(path, mode="r"):
        """A disk with room for two members and a half."""
        if mode == "ab" and Path(path).name == "members.jsonl" and len(configs()) == 2:
            with open(path, mode) as file:
                file.write(b'{"member": 2, "over')
            raise OSError(28, "No space left on device", str(path))
        return open(path, mode)

    args = [*RUN, "--workdir=out"]
    with monkeypatch.context() as patch:
        patch.setattr(json_files, "open", full, raising=False)
        assert cli.main(args) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "rnnlab: no space left on the disk; finished members are kept; free some space and resume "
        "with: rnnlab run --config=experiments/fake.py --workdir=out"
    ]
    assert len(configs()) == 2
    assert cli.main(args) == 0
    assert "out: 2 of 4 members are finished" in capsys.readouterr().err
    assert len(configs()) == 4


def test_a_file_that_may_not_be_written_gives_one_line(fake, capsys):
    fake.write_text(interrupting(SOURCE, 'raise PermissionError(13, "Permission denied", "x.csv")'))
    assert cli.main([*RUN, "--workdir=out"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "rnnlab: Permission denied: x.csv"


def test_an_error_in_an_experiment_is_shown_whole(fake):
    fake.write_text(interrupting(SOURCE, "raise RuntimeError('boom')"))
    with pytest.raises(RuntimeError, match="boom"):
        cli.main([*RUN, "--workdir=out"])


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.task.TT=3", "unknown config key 'task.TT'; did you mean 'task.T' or 'task.lag"),
        ("--config.task.T=a", "flag --config.task.T=a: expected int, as 3 is"),
        ("--config.task.T=1.5", "flag --config.task.T=1.5: expected int, as 3 is"),
        ("--config.task.noise=x: y", "flag --config.task.noise=x: y: expected float, as 0.5 is"),
        ("--config.task.shuffle=x", "flag --config.task.shuffle=x: expected bool, as True is"),
        ("--config.task.lags=a", "task.lags[0]: expected int, as 1 is, got 'a'"),
        ("--config.task.T", "Missing value for flag --config.task.T"),
        ("--config.init=3", "config key 'init' is a group; its keys: init.w_h, init.w_x"),
        ("--config.seed=4", "seed=4 has no effect: seed is swept; use --sweep"),
        ("--config.seed=0", "seed=0 has no effect: seed is swept; use --sweep"),
        ("--sweep.sed=1", "unknown sweep key 'sed'; did you mean 'seed'?"),
        ("--sweep.seed=0,a", "--sweep.seed: expected int, as 0 is, got 'a'"),
        ("--sweep.seed=", "--sweep.seed=: a value is missing"),
        ("--sweep.cell.name=lstn", "member 0 (cell.name=lstn seed=0): unknown cell 'lstn'"),
        ("--stric", "unknown flag '--stric'; did you mean '--strict'?"),
        ("--lr=3", "unknown flag '--lr' (`rnnlab run --config=FILE --help` lists all)"),
        ("--T=3", "unknown flag '--T'; did you mean '--config.task.T'?"),
        ("--task.nois=3", "unknown flag '--task.nois'; did you mean '--config.task.noise'"),
        ("--hidden=3", "unknown flag '--hidden' (`rnnlab run"),
        ("--sweep=seed", "unknown flag '--sweep'; did you mean '--sweep.KEY'"),
        ("strict", "unexpected argument 'strict'; did you mean '--strict'?"),
        ("dry-run", "unexpected argument 'dry-run'; did you mean '--dry-run'?"),
        ("workdir=out", "unexpected argument 'workdir=out'; did you mean '--workdir=out'?"),
        ("config.seed=3", "unexpected argument 'config.seed=3'; did you mean '--config.seed=3'?"),
        ("--strict=7", "--strict: expected true or false, got '7'"),
        ("--ray_cpus=x", "--ray_cpus: expected a whole number, got 'x'"),
        ("--ray_cpus=-1", "--ray_cpus: expected a whole number of at least 0, got '-1'"),
        ("--num_processes=0", "--num_processes: expected a whole number of at least 1, got '0'"),
        ("--workdir", "--workdir needs a value: --workdir=DIR"),
        ("--workdir=", "--workdir: expected a path, got an empty one"),
        ("--workdir= ", "--workdir: expected a path, got an empty one"),
        ("more.py", "'more.py' and --config=experiments/fake.py both name an experiment"),
        ("--config=fake", "--config is given twice"),
        ("--flagfile=nowhere", "ERROR:: Unable to open flagfile"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line(capsys, flag, message):
    assert refused(capsys, *RUN, flag).startswith(message)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rum"], "unknown command 'rum'; did you mean 'run'?"),
        (["run"], "run needs --config=FILE"),
        (["run", "--config.seed=3"], "run needs --config=FILE"),
        (["run", "--config"], "--config needs a value: --config=FILE[:SCALE]"),
        (["run", "--config="], "run needs --config=FILE"),
        (["run", "--config=fakee.py"], "no file fakee.py: unknown experiment 'fakee'; did you mea"),
        (["run", "--config=fake:ful"], "experiments/fake.py: unknown scale 'ful' (allowed: full)"),
        (["run", "--config=fake", "--sweep.seed=1", "--sweep.seed=2"], "--sweep.seed is given twi"),
        (["zzz"], "unknown command 'zzz' (`rnnlab --help` lists all "),
        (["help", "rum"], "unknown command 'rum'; did you mean 'run'?"),
        (["run", "fakee"], "no file fakee.py: unknown experiment 'fakee'; did you mean"),
        (["run", "zzz"], "no file zzz.py: unknown experiment 'zzz' (`rnnlab list` lists all "),
        (["run", "fake", "more"], "unexpected argument 'more'"),
        (["run", "--stric"], "unknown flag '--stric'; did you mean '--strict'"),
        (["list", "--all"], "unknown flag '--all' (allowed: none)"),
        (["list", "x"], "unexpected argument 'x'"),
        (["report"], "report takes one run directory, got 0"),
        (["report", "experiments"], "experiments is no run directory: it has no config.json"),
        (["run", "--config=experiments/x.py"], "no file experiments/x.py: unknown experiment 'x'"),
        (["predict", "a", "--seed=4294967296"], "--seed: a seed must be a whole number from 0 to"),
        (["predict", "a", "--steps=-1"], "--steps: expected a whole number of at least 0, got"),
        (["predict", "a", "--member=-1"], "--member: expected a whole number of at least 0, got"),
        (["predict", "a", "--temperature=nan"], "--temperature: expected a finite number, got"),
        (["keywords", "a", "--top=0"], "--top: expected a whole number of at least 1, got '0'"),
        (["report", ""], "DIR: expected a path, got an empty one"),
        (["compare", "a", "b", "--out="], "--out: expected a path, got an empty one"),
        (["compare", "a"], "compare takes two run directories or more, got 1"),
        (["compare", "a", "b"], "a is no run directory"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(capsys, args, message):
    assert refused(capsys, *args).startswith(message)


def test_a_home_directory_is_expanded(fake, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/mine").mkdir(parents=True)
    fake.rename(tmp_path / "home/mine/fake.py")
    assert cli.main(["run", "--config=~/mine/fake.py", "--workdir=~/out"]) == 0
    assert (tmp_path / "home/out/config.json").is_file()
    assert not Path("~").exists()


def test_a_value_without_a_type_cannot_come_from_a_flag(fake, capsys):
    fake.write_text(SOURCE.replace('"noise": 0.5', '"noise": None'))
    assert refused(capsys, *RUN, "--config.task.noise=1").startswith(
        "--config.task.noise: its value is None, which has no type"
    )


def test_another_config_in_the_directory_is_shown(capsys):
    assert cli.main([*RUN, "--workdir=out"]) == 0
    capsys.readouterr()
    assert cli.main([*RUN, "--workdir=out", "--config.task.T=7"]) == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["  task.T: 3 -> 7"]


# --------------------------------------------------------------------------- the other commands


def test_help_and_version(capsys):
    for args in (["--help"], ["-h"], ["help"]):
        assert cli.main(args) == 0
        shown = capsys.readouterr().out
        assert all(f"\n    {command} " in shown for command in COMMANDS)
    for command in COMMANDS:
        assert cli.main([command, "--help"]) == 0
        assert capsys.readouterr().out.split()[:2] == ["rnnlab", command]
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rnnlab {rnnlab.__version__}\n"
    assert cli.main([]) == 2
    assert "\n    list " in capsys.readouterr().err
    assert cli.main([*RUN, "--help"]) == 0
    out = capsys.readouterr().out
    for args in (["run", "fake", "--help"], ["help", "run", "fake"]):
        assert cli.main(args) == 0
        assert capsys.readouterr().out == out
    assert "--config.task.KEY=VALUE\n  T=3 " in out
    assert out.endswith("  --sweep.cell.name=rnn,lstm\n  --sweep.seed=0,1\n")
    assert not Path("runs").exists()


@pytest.mark.parametrize("flag", ["--dry-run", "--dry_run", "-dry-run", "--flagfile=flags"])
def test_an_experiment_is_named_without_a_flag_and_flags_have_two_spellings(capsys, flag):
    Path("flags").write_text("--dry-run\n--config.task.noise=0.5\n")
    assert cli.main(["run", "fake", flag, "--sweep.cell.name=rnn"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("experiments/fake.py, dry run")
    assert "members    2" in out


def test_list(capsys, monkeypatch, fake):
    monkeypatch.setattr(catalog, "shared_dirs", lambda: [])
    fake.with_name("longer_name.py").write_text('"""Another."""\ndef get_config(): ...\n')
    assert cli.main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "fake         A fake experiment. One second.",
        "longer_name  Another.",
    ]
    for path in Path("experiments").iterdir():
        path.unlink()
    assert cli.main(["list"]) == 1
    assert "no experiments" in capsys.readouterr().err


def test_report_writes_the_report_again(fake, capsys):
    assert cli.main([*RUN, "--workdir=out"]) == 0
    Path("out/report.html").unlink()
    capsys.readouterr()
    assert cli.main(["report", "out", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "holds if  max below 1" in out
    assert out.endswith("report: out/report.html\nfigures: out/figures\ntable: out/results.csv\n")
    assert Path("out/report.html").exists()
    # a file that has changed since is not executed
    fake.write_text("raise SystemExit('executed')")
    Path("out/report.html").unlink()
    assert cli.main(["report", "out"]) == 0
    out, err = capsys.readouterr()
    assert "✓ draws are below 1" in out
    assert err == (
        "rnnlab: figures and claims stay as they are: experiments/fake.py has changed since the "
        "run began; --trust executes the copy out/used/fake.py, if you trust who made it\n"
    )
    assert cli.main(["report", "out", "--trust"]) == 0
    assert capsys.readouterr().err == ""


def test_compare_gives_the_directories_to_the_report(monkeypatch, capsys):
    for name in ("a", "b"):
        assert cli.main([*RUN, "--sweep.seed=0", f"--workdir={name}"]) == 0
    calls = []

    def compare_report(run_dirs, out):
        calls.append((list(map(str, run_dirs)), str(out)))
        return Path(out)

    monkeypatch.setattr(report, "compare_report", compare_report)
    capsys.readouterr()
    assert cli.main(["compare", "a", "b"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fake: ")
    assert out.endswith("\n\ncomparison: compare.html\n")
    assert [line.split()[:2] for line in out.splitlines()[4:8]] == [
        [cell, name] for cell in ("rnn", "lstm") for name in ("a", "b")
    ]
    assert cli.main(["compare", "a", "--out=c.html", "b"]) == 0
    assert calls == [(["a", "b"], "compare.html"), (["a", "b"], "c.html")]


# ----------------------------------------------------------------------------- the real command


def start(*args: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the console entry, or a line of Python, in a process of its own."""
    path = [str(Path(rnnlab.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    command = ["-c", code] if code else ["-m", "rnnlab", *args]
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_and_list_import_nothing_heavy():
    code = (
        "import sys; from rnnlab import cli\n"
        "assert cli.main(['--help']) == cli.main(['run', '--help']) == 0\n"
        "light = {m.partition('.')[0] for m in sys.modules}\n"
        "assert cli.main(['list']) == 0\n"
        "listed = {m.partition('.')[0] for m in sys.modules}\n"
        "print(sorted(light & {'jax', 'matplotlib', 'numpy', 'ml_collections'}))\n"
        "print(sorted(listed & {'jax', 'matplotlib', 'numpy', 'ml_collections', 'absl', 'yaml'}))"
    )
    done = start(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_the_real_command_from_config_to_report():
    done = start(*RUN, "--strict", "--workdir=out", "--sweep.seed=0,1,2")
    assert done.returncode == 0, done.stderr
    assert "0 undecided; none unexpected\n\nreport: out/report.html\n" in done.stdout
    assert "\033" not in done.stdout  # no colors in a pipe
    page = Path("out/report.html").read_text()
    assert "draws are below 1" in page
    assert "cells draw apart" in page
    assert '<img src="data:image/' in page
    assert len(json.loads(Path("out/claims.json").read_text())) == 2
    assert len(configs()) == 6


def test_the_real_command_fails_in_one_line():
    done = start("run", "--config=fakee")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "rnnlab: no file fakee.py: unknown experiment 'fakee'; did you mean"
    )
    assert done.stderr.count("\n") == 1


def test_a_closed_output_ends_the_command_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait()) == (b"", 141)
    process.stderr.close()


def test_a_signal_that_comes_while_the_command_ends_is_answered(monkeypatch, capsys):
    @contextlib.contextmanager
    def late(handlers):
        yield
        raise signals.Interrupted(signal.SIGHUP)

    monkeypatch.setattr(signals, "watched", late)
    assert cli.main(["--version"]) == 128 + signal.SIGHUP
    assert capsys.readouterr().err == "rnnlab: interrupted\n"
