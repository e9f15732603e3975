"""A function and trackers that follow a run while it goes."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rnnlab
from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.lab.load import load_experiment
from rnnlab.lab.observers import Observers
from tests.lab.test_run import SOURCE, break_at, light_report  # noqa: F401


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("fake.py").write_text(SOURCE)
    return Path("fake.py")


def logged(run_dir="out") -> list[dict]:
    return [json_files.decode(r) for r in json_files.read_jsonl(Path(run_dir) / "metrics.jsonl")]


def test_a_function_sees_every_record_when_it_is_logged(fake):
    seen = []

    def follow(member, overrides, record):
        seen.append({"member": member, **record})
        assert logged() == seen  # it is written already
        assert overrides == {"cell.name": ("rnn", "lstm")[member // 2], "seed": member % 2}

    run = rnnlab.run(fake, workdir="out", progress=False, on_metrics=follow)
    assert len(seen) == 12
    assert seen == [{"member": m.index, **record} for m in run.table for record in m.metrics]
    assert len(rnnlab.run(fake, workdir="out", progress=False, on_metrics=follow).table) == 4
    assert len(seen) == 12  # nothing ran again


def test_an_error_of_the_function_is_the_user_s_and_names_it(fake):
    def breaks(member, overrides, record):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as info:
        rnnlab.run(fake, workdir="out", progress=False, on_metrics=breaks)
    assert any("on_metrics=" in note and "breaks" in note for note in info.value.__notes__)
    with pytest.raises(UserError, match="on_metrics is a function"):
        rnnlab.run(fake, workdir="other", on_metrics="breaks")
    assert not Path("other").exists()


def test_run_takes_files_values_by_key_and_returns_the_run(fake):
    Path("mine.py").write_text("import fake_used\n")
    Path("fake_used.py").write_text("")
    run = rnnlab.run(
        "fake.py",
        {"task.T": 2, "init.w_h": "zeros"},
        sweep={"seed": (0,)},
        use=["mine.py"],
        workdir="out",
        progress=False,
    )
    assert run.table[0].config["task"]["T"] == 2
    assert run.info["files"][0]["role"] == "use"
    assert repr(run).startswith("Run(fake: 1 of 1 members, finished; 2 claims: ")
    with pytest.raises(UserError, match=r"unknown config key 'task\.t'"):
        rnnlab.run("fake.py", {"task.t": 2})
    with pytest.raises(UserError, match="give it to load_experiment"):
        rnnlab.run(load_experiment("fake.py"), use=["mine.py"])


def test_a_file_declares_its_metrics(fake):
    own = (
        "\n\ndef get_metrics(config):\n"
        "    from rnnlab.core.metrics import Metric\n"
        "    return [Metric('draw', 'units', 'higher')]\n"
    )
    apart = 'uniform(key) + float(config.cell.name == "lstm")'
    fake.write_text(SOURCE.replace("uniform(key)", apart) + own)
    run = rnnlab.run(fake, workdir="out", progress=False)
    assert run.metrics == [Metric("draw", "units", "higher")]
    assert run.summary().best["draw"] == {1}
    assert "<th>draw (units)</th>" in run._repr_html_()
    fake.write_text(SOURCE + own.replace("[Metric('draw', 'units', 'higher')]", "[('draw', 3)]"))
    with pytest.raises(UserError, match=r"get_metrics\(config\) must return a list of"):
        rnnlab.run(fake, workdir="wrong", progress=False)


def test_an_error_of_a_figure_says_how_to_see_the_results(fake):
    fake.write_text(SOURCE.replace('stack("draw"))', 'stack("drawn"))'))
    with pytest.raises(KeyError) as info:
        rnnlab.run(fake, workdir="out", progress=False)
    assert "all members are finished: `rnnlab table out` shows" in info.value.__notes__[-1]


# ---- trackers, by modules that record their calls ----------------------------------------------


class Wandb(SimpleNamespace):
    """Stands for the module wandb."""

    def __init__(self):
        super().__init__(runs=[])

    def init(self, **settings):
        run = SimpleNamespace(settings=settings, logged=[], summary={}, ended=None)
        run.log = lambda record, step=None: run.logged.append((step, record))
        run.finish = lambda exit_code=0: setattr(run, "ended", exit_code)
        self.runs.append(run)
        return run


def test_wandb_has_a_run_per_member_in_a_group(fake, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    run = rnnlab.run(fake, workdir="out", progress=False, log=["wandb"])
    assert [r.settings["name"] for r in wandb.runs] == [
        f"cell.name={cell},seed={seed}" for cell in ("rnn", "lstm") for seed in (0, 1)
    ]
    for theirs, member in zip(wandb.runs, run.table, strict=True):
        assert (theirs.settings["project"], theirs.settings["group"]) == ("fake", "out")
        assert theirs.settings["config"]["cell.name"] == member.config["cell"]["name"]
        assert theirs.settings["config"]["task.T"] == 3
        assert theirs.logged == [(t, {"loss": 1 / (1 + t)}) for t in range(3)]
        assert theirs.summary == {"draw": member.result["draw"]}
        assert theirs.ended == 0


def test_an_interrupted_member_is_logged_again_from_its_start(fake, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    chosen = load_experiment("fake.py")
    break_at(chosen, "rnn", 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rnnlab.run(chosen, workdir="out", progress=False, log=["wandb"])
    assert [r.ended for r in wandb.runs] == [0, 1]
    again = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", again)
    rnnlab.run(load_experiment("fake.py"), workdir="out", progress=False, log="wandb")
    assert [r.ended for r in again.runs] == [0, 0, 0]
    assert [step for step, _ in again.runs[0].logged] == [0, 1, 2]


def test_what_was_logged_before_an_interruption_is_logged_first(tmp_path):
    def append(member, step):
        line = json_files.to_line({"member": member, "step": step})
        json_files.append_lines(tmp_path / "metrics.jsonl", line)

    seen = []
    tracker = SimpleNamespace(log=lambda member, record: seen.append((member, record["step"])))
    for member in (0, 1):
        append(member, 10)
    plan: Any = SimpleNamespace(members=[{}, {}, {}])
    followed = Observers(plan, tmp_path, None, [tracker])
    for member, step in ((0, 20), (2, 20), (0, 30)):
        append(member, step)
        followed.log(member, {"step": step})
    assert seen == [(0, 10), (0, 20), (2, 20), (0, 30)]


class Mlflow:
    """Stands for the module mlflow and its client."""

    def __init__(self):
        self.runs = {}
        self.experiments = {}
        entities = SimpleNamespace(Metric=lambda *a: a, Param=lambda *a: a)
        self.entities, self.MlflowClient = entities, lambda: self

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name):
        self.experiments[name] = SimpleNamespace(experiment_id="7")
        return "7"

    def create_run(self, experiment, run_name, tags):
        assert experiment == "7"
        made = dict(name=run_name, tags=dict(tags), metrics=[], params={}, status="")
        self.runs[str(len(self.runs))] = made
        return SimpleNamespace(info=SimpleNamespace(run_id=str(len(self.runs) - 1)))

    def log_batch(self, run, metrics=(), params=()):
        assert len(params) <= 100
        self.runs[run]["metrics"] += [(name, value, step) for name, value, _, step in metrics]
        self.runs[run]["params"] |= dict(params)

    def set_tag(self, run, name, value):
        self.runs[run]["tags"][name] = value

    def set_terminated(self, run, status):
        self.runs[run]["status"] = status


def test_mlflow_has_a_child_run_per_member(fake, monkeypatch):
    mlflow = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    added = '{"verdict": "kept", "solved_at": np.inf, "draw":'
    source = SOURCE.replace("loss=1 / (1 + t)", "loss=1 / (1 + t), norm=np.inf")
    fake.write_text(source.replace('{"draw":', added))
    run = rnnlab.run(fake, workdir="out", progress=False, log=["mlflow"])
    parent, *children = mlflow.runs.values()
    assert (list(mlflow.experiments), parent["name"], parent["status"]) == (
        ["fake"],
        "out",
        "FINISHED",
    )
    for child, member in zip(children, run.table, strict=True):
        assert child["tags"] == {"mlflow.parentRunId": "0", "verdict": "kept", "solved_at": "inf"}
        assert child["params"]["cell.name"] == member.config["cell"]["name"]
        assert child["params"]["task.lags"] == "(1, 2)"
        assert child["metrics"] == [("loss", 1 / (1 + t), t) for t in range(3)] + [
            ("result/draw", member.result["draw"], 0)
        ]
        assert child["status"] == "FINISHED"
    rnnlab.run(fake, {"task.T": 1}, workdir="again", progress=False, log=["mlflow"])
    assert len(mlflow.experiments) == 1


def test_a_tracker_that_is_missing_is_named_before_anything_runs(fake, monkeypatch):
    for name, package in (
        ("wandb", "wandb"),
        ("mlflow", "mlflow"),
        ("tensorboard", "tensorboardX"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(
            UserError, match=rf"--log={name} needs {package}: .*pip install -e '\.\[\w+\]'"
        ):
            rnnlab.run(fake, workdir="out", log=[name])
    with pytest.raises(UserError, match="unknown tracker 'wandbb'; did you mean 'wandb'"):
        rnnlab.run(fake, workdir="out", log=["wandbb"])
    assert not Path("out").exists()


def test_results_csv_is_checked_like_the_other_files(fake, capsys):
    rnnlab.run(fake, workdir="out", progress=False)
    before = Path("out/results.csv").read_bytes()
    assert json.loads(Path("out/digests.json").read_text())["files"].keys() >= {"results.csv"}
    Path("out/results.csv").write_text("spoiled")
    with pytest.raises(UserError, match=r"results\.csv is not what was written"):
        rnnlab.load_run("out")
    rnnlab.run(fake, workdir="out", progress=False)
    assert Path("out/results.csv").read_bytes() == before
    assert "results.csv is not what was written" in capsys.readouterr().err
