"""Axes that an experiment's file does not name: figures in panels, claims undecided."""

import json
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.lab import facets
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.py"))

SOURCE = '''
"""Losses of two cells, three seeds each."""
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.results.claims import Claim


def get_config(arg=None):
    return ConfigDict({"seed": 0, "rate": 0.1, "size": 4, "cell": {"name": "rnn", "bias": ""}})


def get_sweep(config):
    seeds = range(3)
    return [
        {"cell.name": ("rnn",), "seed": seeds},
        {"cell.name": ("lstm",), "cell.bias": ("1.0",), "seed": seeds},
    ]


def run(config, key, log):
    return {"loss": config.rate + 0.001 * config.seed + (config.cell.name == "rnn")}


def figures(table):
    figure = Figure(figsize=(2, 1))
    ax = figure.subplots()
    for member in table:  # pools nothing, and would draw the rates over each other
        ax.plot([0, 1], [0, member.result["loss"]])
    rates = table.values("rate")
    return {"losses": (figure, f"{len(table)} members, rate {rates[0]:g}.")}


def claims(table):
    def check():
        lstm = np.median(table.select({"cell.name": "lstm"}).stack("loss"))
        return bool(lstm < 0.5), f"{lstm:.3f}"

    first = lambda: (table[0].result["loss"] > 1, "the first member")
    return [
        Claim("An LSTM learns", "here", "median below 0.5", "holds", check),
        Claim("The first does not", "here", "above 1", "holds", first),
    ]
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "losses.py"
    path.write_text(SOURCE)
    return path


def run_of(file, workdir, **axes):
    loaded = load_experiment(file)
    config = loaded.get_config()
    axes = {key.replace("_", "."): values for key, values in axes.items()}
    sweep = sweeps.replace_axes(config, loaded.get_sweep(config), axes)
    rnnlab.run(loaded, sweep=sweep, workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_claim_over_three_rates_is_undecided_and_names_them(file, tmp_path, capsys):
    run = run_of(file, tmp_path / "run", rate=(0.1, 0.2, 0.3))
    assert len(run.table) == 18
    # also the claim that looks at one member, behind which the rates would hide
    assert [v.verdict for v in run.claims] == ["undecided", "undecided"]
    assert all("rate (0.1, 0.2, 0.3)" in v.measured for v in run.claims)
    assert "does not name rate" in capsys.readouterr().err


def test_a_figure_over_three_rates_has_a_panel_each(file, tmp_path):
    loaded = load_experiment(file)
    run = run_of(file, tmp_path / "run", rate=(0.1, 0.2, 0.3))
    assert list(run.figures) == ["losses"]
    figure, caption = facets.draw(loaded.functions.figures, run.table, {"rate": [0.1, 0.2, 0.3]})[
        "losses"
    ]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["rate=0.1", "rate=0.2", "rate=0.3"]
    # what differs between the panels is said of each
    assert "rate=0.2: 6 members, rate 0.2." in caption
    assert "rate=0.3: 6 members, rate 0.3." in run.figures["losses"][1]
    # the panels differ as their members do
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    assert shown[0].shape == shown[1].shape
    assert run.figures["losses"][0].stat().st_size > 0


def test_the_file_s_own_sweep_and_a_narrowed_one_have_no_other_axes(file, tmp_path):
    for axes in ({}, {"cell_name": ("lstm",)}, {"seed": (0, 1, 2, 3)}, {"rate": (0.2,)}):
        workdir = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        run = run_of(file, workdir, **axes)
        assert run.claims[0].verdict == "holds", axes
        assert "panel" not in run.figures["losses"][1]
    # 4 seeds of the LSTM at rate 0.1: the median is pooled over these
    assert json.loads((tmp_path / "run3" / "claims.json").read_text())[0]["measured"]


def test_values_of_a_key_that_belongs_to_a_cell_are_an_axis_if_a_cell_has_several(file, tmp_path):
    """In the file the bias follows from the cell; two biases of one cell are an axis."""
    loaded = load_experiment(file)
    info = {"config": loaded.get_config().to_dict()}

    def table(*pairs):
        return Table(
            Member(i, {}, info["config"] | {"cell": {"name": name, "bias": bias}}, 0.0, {})
            for i, (name, bias) in enumerate(pairs)
        )

    usual = table(("rnn", ""), ("lstm", "1.0"))
    assert facets.added_axes(loaded, info, usual) == {}
    both = table(("rnn", ""), ("lstm", "0.0"), ("lstm", "1.0"))
    assert facets.added_axes(loaded, info, both) == {"cell.bias": ["", "0.0", "1.0"]}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_experiment_pools_an_axis_that_is_added_to_its_own(path):
    """Planned only: three values of a key, over the file's own axes."""
    loaded = load_experiment(path)
    config = loaded.get_config()
    flat, sweep = sweeps.flat_config(config), loaded.get_sweep(config)
    usual = sweeps.expand(config, sweep)
    keys = {"training.learning_rate", "training.batch_size", "cell.hidden_size"} & flat.keys()
    for key in sorted(keys):
        values = [flat[key] * k for k in (2, 3, 5)]
        members = sweeps.expand(config, sweeps.replace_axes(config, sweep, {key: values}))
        assert {member[key] for member in members} == set(values)
        table = Table(
            Member(i, member, sweeps.apply(config, member).to_dict(), 0.0, {"loss": 0.0})
            for i, member in enumerate(members)
        )
        axes = facets.added_axes(loaded, {"config": config.to_dict()}, table)
        if len({member.get(key) for member in usual}) == 1:  # the file's sweep keeps it fixed
            assert list(axes) == [key]
            parts = [members.values(key) for _, members in facets.facets(table, axes)]
            assert parts == [[value] for value in values]
        with pytest.raises(rnnlab.core.errors.Pooled, match=key.replace(".", r"\.")):
            table.stack("loss")
