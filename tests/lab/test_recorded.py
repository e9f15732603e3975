"""Only a text whose digest a run recorded is executed, and none inside a directory unasked."""

import shutil
from pathlib import Path

import pytest

from rnnlab import cli
from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.lab.load import load_experiment
from rnnlab.lab.recorded import keep, load_recorded, record_of
from rnnlab.nn import initializers

SOURCE = """
import helper
from ml_collections import ConfigDict

executed = True


def get_config(arg=None):
    return ConfigDict({"seed": helper.SEED})


def get_sweep(config): ...
def run(config, key, log): ...
def figures(table): ...
def claims(table): ...
"""
SCHEME = """
import rnnlab


@rnnlab.register_scheme
def quarters():
    return lambda key, shape, dtype=float: 0.25
"""


@pytest.fixture(autouse=True)
def run_dir(tmp_path, monkeypatch) -> Path:
    """A run directory with config.json and used/ of an experiment that uses a file."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(SOURCE)
    Path("helper.py").write_text("SEED = 5\n")
    Path("scheme.py").write_text(SCHEME)
    loaded = load_experiment("mine.py", use=["scheme.py"])
    Path("out").mkdir()
    run_files.write_config("out", {"arg": "", "files": record_of(loaded)})
    assert keep(loaded, Path("out")) == []
    initializers.SCHEMES.pop("quarters")
    return Path("out")


def spoil(name: str) -> None:
    """Write another text, whose execution would end this process."""
    Path(name).write_text("raise SystemExit('executed')")


def test_the_files_that_made_a_run_are_loaded(run_dir, tmp_path, monkeypatch):
    loaded = load_recorded(run_dir)
    assert loaded.get_config().seed == 5
    assert (loaded.name, loaded.file) == ("mine", "mine.py")
    assert "quarters" in initializers.SCHEMES
    # from another folder, with the run directory moved
    (tmp_path / "elsewhere").mkdir()
    shutil.move("out", "elsewhere/moved")
    monkeypatch.chdir("elsewhere")
    assert load_recorded("moved").get_config().seed == 5


@pytest.mark.parametrize("name", ["mine.py", "helper.py", "scheme.py"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_is_not_the_recorded_one_is_not_executed(run_dir, name, gone):
    if gone:
        Path(name).unlink()
    else:
        spoil(name)
    words = "there is no .*, which made the run" if gone else "has changed since the run began"
    used = name if name == "scheme.py" else "mine.py"
    message = rf"{name}.*{words}; --trust executes" if not gone else words
    with pytest.raises(UserError, match=message) as caught:
        load_recorded(run_dir)
    assert f"--trust executes the copy out/used/{used}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert load_recorded(run_dir, trust=True).get_config().seed == 5
    spoil(f"out/used/{name}")  # a copy is compared, too
    with pytest.raises(UserError, match=rf"out/used/{name} has changed since the run began"):
        load_recorded(run_dir, trust=True)


def test_a_file_that_fails_here_is_one_line(run_dir):
    Path("mine.py").write_text(SOURCE + "from os import stat\nstat('data\\n.csv')\n")
    Path("data\n.csv").touch()
    loaded = load_experiment("mine.py")
    run_files.write_config(run_dir, {"arg": "", "files": record_of(loaded)})
    Path("data\n.csv").unlink()
    with pytest.raises(
        UserError, match=r"^mine\.py cannot be executed: FileNotFoundError: "
    ) as info:
        load_recorded(run_dir)
    assert "\n" not in str(info.value)


def test_nothing_inside_a_received_directory_is_executed_unasked(run_dir):
    """Whoever made the directory also wrote its digests."""
    shutil.move("mine.py", "out/mine.py")
    shutil.move("helper.py", "out/helper.py")
    inside = load_experiment("out/mine.py")
    run_files.write_config(run_dir, {"arg": "", "files": record_of(inside)})
    keep(inside, run_dir)
    with pytest.raises(UserError, match=r"out/mine\.py lies inside out, from where nothing is"):
        load_recorded(run_dir)
    Path("link.py").symlink_to("out/mine.py")
    entry = record_of(inside)[0] | {"file": "link.py", "path": "link.py"}
    run_files.write_config(run_dir, {"arg": "", "files": [entry]})
    with pytest.raises(UserError, match=r"--trust"):
        load_recorded(run_dir)
    assert load_recorded("out", trust=True)


@pytest.mark.parametrize("key", ["name", "copy"])
@pytest.mark.parametrize("name", ["../mine.py", "/mine.py", "used/../../mine.py"])
def test_a_name_that_leads_out_of_the_directory_is_not_read(run_dir, key, name):
    info = run_files.read_config(run_dir)
    info["files"][1]["sources"][0][key] = name
    run_files.write_config(run_dir, info)
    Path("mine.py").unlink()
    with pytest.raises(UserError, match=r"names the file|does not lie in it"):
        load_recorded(run_dir, trust=True)


@pytest.mark.parametrize("files", [None, [], [{}], "files", [{"role": "use"}]])
def test_a_config_that_does_not_say_is_refused(run_dir, files):
    run_files.write_config(run_dir, {"arg": "", "files": files})
    with pytest.raises(UserError, match=r"config\.json does not say which files made the run"):
        load_recorded(run_dir)


def test_report_executes_no_file_that_the_directory_names(capsys):
    """The case of a report over a directory that names a Python file of its maker's choice."""
    Path("out/evil.py").write_text("raise SystemExit('executed')")
    info = run_files.read_config("out") | {"file": "out/evil.py", "members": 0}
    source = {
        "name": "evil.py",
        "copy": "used/evil.py",
        "sha256": run_files.digest_of("out/evil.py"),
    }
    entry = {"role": "experiment", "file": "out/evil.py", "path": "out/evil.py"}
    run_files.write_config("out", info | {"config": {}, "files": [entry | {"sources": [source]}]})
    assert cli.main(["report", "out"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
