"""Jobs 2, 4 and 5: a table, a text and labeled texts of one's own, one command each, first try."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.lab.load import load_experiment

HERE = Path(__file__).parent
# added to a user's command, so that the test costs seconds
TINY = ["--config.training.steps=4", "--config.training.eval_every=2"]
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "while", "birds", "sing"]


def commands(job, *more):
    """Return the arguments of a job's commands; the first gets some more."""
    lines = (HERE / job / "commands.sh").read_text().splitlines()
    first, *rest = (shlex.split(line)[1:] for line in lines)
    return [[*first, *TINY, *more], *rest]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results(folder):
    return [json.loads(line) for line in (folder / "mine/members.jsonl").read_text().splitlines()]


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
def test_initializations_of_a_gru_on_my_csv(folder):
    rng = np.random.default_rng(0)
    values = 100 + 10 * np.sin(np.arange(200) / 4) + rng.normal(size=200)
    rows = [f"2024-{1 + i // 28:02}-{1 + i % 28:02};{x:.2f}" for i, x in enumerate(values)]
    (folder / "sales.csv").write_text("date;sales\n" + "\n".join(rows).replace(".", ",") + "\n")
    [run] = commands("job_02_my_csv", "--config.cell.hidden_size=4", "--sweep.task.horizon=1")
    assert cli.main(run) == 0
    table = rnnlab.load_run(folder / "mine").table
    schemes = table.group_by("init.w_h")
    assert list(schemes) == ["orthogonal", "xavier_uniform", "he_normal"]
    train = values[:139].round(2)  # see the notice of the sizes
    for members in schemes.values():
        assert len(members) == 2
        for member in members:
            own = member.result
            assert own["rmse"] == pytest.approx(own["nrmse"] * train.std(), rel=1e-5)
            assert {"validation_loss", "validation_rmse"} <= set(own)
            assert own["rmse_naive"] == pytest.approx(own["nrmse_naive"] * train.std(), rel=1e-5)


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
def test_a_character_model_of_my_text_and_a_sample(folder, capsys):
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, 9)).capitalize() + "." for _ in range(850)]
    (folder / "story.txt").write_text("\n".join(lines))
    assert 35_000 < (folder / "story.txt").stat().st_size < 45_000
    tiny = ("--config.cell.hidden_size=8", "--sweep.cell.name=gru", "--config.run.sample=9")
    tiny += ("--sweep.seed=0",)
    run, predict = commands("job_04_my_text", *tiny)
    assert cli.main(run) == 0
    capsys.readouterr()
    assert cli.main(predict) == 0
    said = capsys.readouterr().out
    assert "The " in said
    assert set(said) <= set("\n".join(lines)) | set(said.splitlines()[0])
    assert len(said) > 80


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
def test_two_hundred_labeled_lines(folder, capsys):
    rng = np.random.default_rng(0)
    lines = [
        f"{('bad', 'good')[i % 2]}\t{' '.join(rng.choice(WORDS, 6))} {('awful', 'lovely')[i % 2]}"
        for i in range(200)
    ]
    (folder / "reviews.tsv").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    tiny = ["--config.cell.hidden_size=4", "--config.task.embedding_size=4"]
    tiny += ["--config.words=words", "--sweep.cell.name=bi-gru", "--sweep.seed=0"]
    sentiment = load_experiment("sentiment")
    config = sentiment.get_config()
    with config.unlocked():
        config.task.path = "reviews.tsv"
    few = sentiment.module.comparison(config)[-1]
    assert {arm["task.limit"] for arm in few.arms.values()} == {40}  # of the texts: a quarter
    [run] = commands("job_05_my_labels", *tiny)
    assert cli.main(run) == 0
    for member in rnnlab.load_run(folder / "mine").table:
        assert {"accuracy", "validation_accuracy"} <= set(member.result)
        assert member.result["held_out"] == member.result["tested"] == 40
    capsys.readouterr()
    assert cli.main(["predict", "mine", "--text=the lovely fox"]) == 0
    assert capsys.readouterr().out.split()[-2] in ("good", "bad")


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("day,x\n" + "".join(f"d{i},{i}\n" for i in range(12)), [], "has 12 values, too few"),
        ("", [], ".csv is empty"),
        ("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(90)), [], "--config.task.column=x"),
        ("x,y\n1,2\n3,4\n", ["--config.task.column=z"], "unknown column of task.column: 'z'"),
        (None, [], "task.path: no file '"),
    ],
    ids=["short", "empty", "two columns", "no column", "no file"],
)
def test_what_cannot_work_is_one_line(folder, capsys, content, flags, message):
    name = f"{folder.name}.csv"  # another in each test: what is read is cached by its path
    if content is not None:
        (folder / name).write_text(content)
    [run] = commands("job_02_my_csv", *flags)
    run = [flag.replace("sales.csv", name) for flag in run]
    assert cli.main(run) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (folder / "mine").exists()
