"""rnnlab predict on the command line agrees with the models themselves."""

import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import cli, tasks
from rnnlab.core.errors import UserError
from rnnlab.lab.load import load_experiment
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.adding import Adding
from rnnlab.tasks.forecasting import Forecasting, mackey_glass
from rnnlab.tasks.model import model_for_task
from rnnlab.tasks.tagging import Tagging
from rnnlab.training import predict

TEXT = "the cat sat on the mat. " * 40
FILE = '''"""Trains what the tests ask."""
import dataclasses
import ml_collections
from rnnlab import tasks, training
from rnnlab.tasks.characters import Characters
from rnnlab.nn import layers
from rnnlab.training import runner
from rnnlab import InitScheme
REPRODUCE = False
@dataclasses.dataclass(frozen=True)
class Underlined(Characters):
    name = "underlined"
    def tokens(self, text):
        return list(text.replace("_", " "))
tasks.registry.announce("underlined", f"{{__name__}}:Underlined")
TASKS = {tasks}
def get_config(arg=None):
    return ml_collections.ConfigDict({{
        "seed": 0,
        "task": TASKS[arg or "tagging"],
        "cell": layers.config("rnn-tanh", 8),
        "init": InitScheme.config(),
        "training": training.config(steps=40, eval_every=20, batch_size=4, eval_batch_size=4,
                                    learning_rate=0.05, stop_when_solved=False),
        "run": runner.config(),
    }})
def get_sweep(config):
    return {{"cell.name": ("rnn-tanh", "bi-rnn-tanh"), "seed": (0,)}}
run = runner.run
def figures(table):
    return {{}}
def claims(table):
    return []
'''


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{task: run directory}: a tagger of a CoNLL file, a character model of a text."""
    folder = tmp_path_factory.mktemp("predict")
    sentence = (
        "ann B-PER\nlee I-PER\nsaw O\nrome B-LOC\n\nrome B-LOC\nsaw O\nann B-PER\nlee I-PER\n\n"
    )
    (folder / "a.conll").write_text(sentence * 4)
    (folder / "test.conll").write_text("lee B-PER\nsaw O\nrome B-LOC\n\n")
    (folder / "b.txt").write_text(TEXT)
    groups = {
        "tagging": {
            "name": "tagging",
            "path": str(folder / "a.conll"),
            "max_length": 4,
            "test_path": str(folder / "test.conll"),
            "embedding_size": 4,
            "crf": False,
        },
        "characters": {"name": "underlined", "path": str(folder / "b.txt"), "batch_size": 4},
    }
    file = folder / "asked.py"
    file.write_text(FILE.format(tasks=groups))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks.registry, "TASKS", dict(tasks.registry.TASKS))
        for name in groups:
            axes = {"cell.name": ("rnn-tanh",)} if name != "tagging" else None
            found[name] = folder / name
            loaded = load_experiment(f"{file}:{name}")
            rnnlab.run(loaded, sweep=axes, workdir=found[name], progress=False)
        for name in ("a.conll", "test.conll", "b.txt"):
            (folder / name).unlink()  # nothing is read from them again
        yield found


def asked(capsys, *args):
    """Return (exit status, stdout, stderr)."""
    status = cli.main(["predict", *map(str, args)])
    return status, *capsys.readouterr()


def test_a_tagger_names_entities(runs, capsys, tmp_path):
    status, said, _ = asked(capsys, runs["tagging"], "--member=1", "--text=ann lee saw rome")
    assert (status, said) == (0, "[ann lee PER] saw [rome LOC]\n")
    texts = tmp_path / "texts"
    texts.write_text("rome saw ann lee\n\nsaw\n")
    _, said, _ = asked(capsys, runs["tagging"], f"--file={texts}")
    assert said == "[rome LOC] saw [ann lee PER]\n\nsaw\n"


def test_every_line_of_a_file_has_its_place(runs, capsys, tmp_path):
    file = tmp_path / "texts"
    file.write_text("\nsaw\u2028rome\n \n\nann", newline="")  # U+2028 ends no line of a file
    _, said, _ = asked(capsys, runs["tagging"], "--member=1", f"--file={file}")
    assert said == "\nsaw [rome LOC]\n\n\n[ann PER]\n"
    _, said, _ = asked(capsys, runs["tagging"], "--member=0", "--stream", f"--file={file}")
    assert said == "\nsaw\tO\nrome\tB-LOC\n\n\nann\tB-PER\n"
    file.write_text("the\n\na cat\n")
    _, said, _ = asked(capsys, runs["characters"], "--steps=2", "--temperature=0", f"--file={file}")
    first, blank, last = said.splitlines()
    assert (len(first), blank, len(last)) == (5, "", 7)
    file.write_text("the\n\n   \nTHE\n")  # three blanks are a text of characters
    status, said, error = asked(capsys, runs["characters"], f"--file={file}")
    assert (status, said) == (2, "")
    assert "text 4: 'EHT' does not occur" in error
    file.write_text("")
    assert asked(capsys, runs["characters"], f"--file={file}") == (0, "", "")


def test_unknown_tokens_are_named(runs, capsys):
    status, said, error = asked(capsys, runs["tagging"], "--text=ann met bob met rome")
    assert (status, said.count("met")) == (0, 2)
    assert error == (
        "rnnlab: read as unknown, because the member never learned them: 'met', 'bob' (3 in all)\n"
    )
    assert asked(capsys, runs["tagging"], "--text=ann saw rome")[2] == ""


def test_a_task_of_the_experiments_own_file(runs, capsys, tmp_path, monkeypatch):
    """It is registered again by the file that the run began with, and by no other."""
    file = runs["characters"].parent / "asked.py"
    expected = asked(capsys, runs["characters"], "--text=the cat")
    assert expected[0] == 0
    monkeypatch.setattr(tasks.registry, "TASKS", dict(tasks.registry.TASKS))
    tasks.registry.TASKS.pop("underlined")
    assert asked(capsys, runs["characters"], "--text=the_cat") == expected
    tasks.registry.TASKS.pop("underlined")
    source = file.read_bytes()
    file.write_bytes(source + b"# another comment\n")
    status, said, error = asked(capsys, runs["characters"], "--text=the_cat")
    assert (status, said, error.count("\n")) == (2, "", 1)
    assert "unknown task 'underlined'" in error
    assert f"{file} has changed since the run" in error
    file.write_bytes(source)


def test_the_command_that_began_a_run_stores_again_what_is_missing(runs, capsys, tmp_path):
    """With the same data; with others a run is neither resumed nor shown."""
    folder, run_dir = runs["characters"].parent, tmp_path / "run"
    shutil.copytree(runs["characters"], run_dir)
    (file,) = (run_dir / "stored").iterdir()
    before, axes = file.read_bytes(), {"cell.name": ("rnn-tanh",)}
    loaded = load_experiment(f"{folder}/asked.py:characters")
    for damage in (file.unlink, lambda: file.write_bytes(before[:-9])):
        damage()
        assert asked(capsys, run_dir, "--text=the cat")[0] == 2
        (folder / "b.txt").write_text(TEXT)
        rnnlab.run(loaded, sweep=axes, workdir=run_dir, progress=False)
        (folder / "b.txt").unlink()
        assert file.read_bytes() == before
        assert asked(capsys, run_dir, "--text=the cat")[0] == 0
    (folder / "b.txt").write_text(TEXT + "!")
    with pytest.raises(UserError, match=r"b\.txt of task 'underlined' changed since .* --workdir"):
        rnnlab.run(loaded, sweep=axes, workdir=run_dir, progress=False)
    (folder / "b.txt").unlink()


def test_one_way_streams_and_both_ways_are_refused(runs, capsys):
    text = "--text=rome saw"
    status, said, _ = asked(capsys, runs["tagging"], "--member=0", "--stream", text)
    assert (status, said) == (0, "rome\tB-LOC\nsaw\tO\n")
    status, said, error = asked(capsys, runs["tagging"], "--member=1", "--stream", text)
    assert (status, said) == (2, "")
    assert "can't run in real time: its backward half starts at the end" in error


def test_a_stream_agrees_with_the_whole_pass(runs):
    found = predict.load(runs["characters"])
    text = "the cat sat"
    ids = found.task.encode(list(text))
    outputs, _ = found.model.apply(found.params, jnp.asarray(ids)[None])
    expected = [found.task.alphabet[int(k)] for k in outputs[0].argmax(-1)]
    assert list(predict.streamed(found, text)) == list(zip(text, expected, strict=True))
    p = np.asarray(jax.nn.log_softmax(outputs[0]))[np.arange(10), ids[1:]]
    assert predict.answers(found, [text]) == [f"{-p.mean() / np.log(2):.2f} bits per character"]
    # in one batch with a longer one: padding never matters
    assert predict.answers(found, [text, 3 * text])[0] == predict.answers(found, [text])[0]


def test_a_language_model_continues_a_text(runs, capsys):
    _, said, _ = asked(capsys, runs["characters"], "--text=the cat", "--steps=9", "--temperature=0")
    found = predict.load(runs["characters"])
    text = "the cat"
    for _ in range(9):  # a loop of whole passes
        outputs, _ = found.model.apply(found.params, jnp.asarray(found.task.encode(text))[None])
        text += found.task.alphabet[int(outputs[0, -1].argmax())]
    assert said == text + "\n"
    drawn = {predict.written(found, "the", 20, seed=seed) for seed in (0, 1, 2)}
    assert len(drawn) > 1
    _, one, _ = asked(
        capsys, runs["characters"], "--text=the cat", "--steps=9", "--top_k=1", "--temperature=50"
    )
    assert one == said


def test_the_best_member_predicts(runs, monkeypatch):
    """By the task's own score: for a tagger F1, for characters bits; what diverged is left out."""
    configs = {run: rnnlab.load_run(folder).table[0].config for run, folder in runs.items()}
    for run, metric, best in (("tagging", "f1", 1), ("characters", "bits_per_character", 0)):
        config = configs[run]
        members = [
            {"index": i, "config": config, "result": {"status": status, metric: value}}
            for i, (status, value) in enumerate(
                [("finished", 0.2), ("solved", 0.8), ("diverged", 0.9), ("diverged", 0.1)]
            )
        ]
        monkeypatch.setattr(predict, "read_members", lambda _, members=members: members)
        asked_for = []
        monkeypatch.setattr(predict, "load_params", lambda _, m, to=asked_for: _note(m, to))
        assert predict.load(runs[run]).member == asked_for[0] == best


def _note(member, to):
    to.append(member)
    return SimpleNamespace(task=Tagging(), model=None), None


def test_a_series_is_forecast_in_its_own_units():
    """At once, as a stream and fed back, against a loop over whole passes."""
    task = Forecasting(points=300, window=20)
    model = model_for_task(task, layers.by_name("gru", 4, InitScheme()), InitScheme())
    params = model.init(jax.random.key(0), jnp.zeros((1, 1, 1)))
    asked_of = predict.Predictor(0, task, model, params)
    series = mackey_glass(300)[:216]  # the training part
    level, scale = series.mean(), series.std()
    text, values = "1.1, 0.9;0.7 1e-1", [1.1, 0.9, 0.7, 0.1]

    def ahead(values):
        xs = (np.array(values) - level) / scale
        return [
            level + scale * float(y)
            for y in model.apply(params, xs[None, :, None].astype("f4"))[0][0, :, 0]
        ]

    said = predict.answers(asked_of, [text, "1.1"])
    assert np.allclose([float(s) for s in said], [ahead(values)[-1], ahead([1.1])[-1]], atol=1e-3)
    streamed = list(predict.streamed(asked_of, text))
    assert [token for token, _ in streamed] == ["1.1", "0.9", "0.7", "1e-1"]
    assert np.allclose([float(label) for _, label in streamed], ahead(values), atol=1e-3)
    fed = list(values)
    for _ in range(3):
        fed.append(ahead(fed)[-1])
    written = predict.written(asked_of, text, 3)
    assert np.allclose([float(v) for v in written.split()], fed[4:], atol=1e-3)
    assert float(predict.answers(asked_of._replace(model=Echo()), ["0.123456"])[0]) == 0.123456
    for wrong in ("1 two", "1 nan"):
        with pytest.raises(ValueError, match=wrong.split()[1]):
            predict.answers(asked_of, [wrong])
    further = asked_of._replace(task=Forecasting(points=300, window=20, horizon=2))
    with pytest.raises(ValueError, match="--steps needs a language model"):
        predict.written(further, text, 3)


class Echo:
    """A model that forecasts no change."""

    def apply(self, params, inputs, lengths):
        return inputs, ()


def test_a_task_that_reads_no_text_is_refused(monkeypatch, tmp_path):
    setup = SimpleNamespace(task=Adding(), model=None)
    monkeypatch.setattr(predict, "load_params", lambda *_: (setup, None))
    with pytest.raises(UserError, match="which reads no text: nothing to predict"):
        predict.load(tmp_path, 0)


@pytest.mark.parametrize(
    ("run", "args", "message"),
    [
        ("tagging", ["--member=7", "--text=a"], "has no finished member 7"),
        ("tagging", ["--text= "], "has no token to read"),
        ("tagging", [], "predict needs --text=TEXT or --file=FILE, one of them"),
        ("tagging", ["--text=a", "--file=b"], "one of them"),
        ("tagging", ["--file=nowhere"], "no file 'nowhere'"),
        (
            "tagging",
            ["--text=a", "--steps=3"],
            "--steps needs a language model or a forecast one step ahead",
        ),
        ("tagging", ["--text=a", "--steps=3", "--stream"], "exclude each other"),
        ("characters", ["--text=a", "--top_k=3"], "--top_k has no effect here: give --steps=N"),
        ("characters", ["--text=the CAT"], "'ACT' does not occur in the text"),
        ("nowhere", ["--text=a"], "nowhere"),
    ],
)
def test_invalid_requests_are_one_line(run, args, message, runs, capsys, tmp_path):
    status, said, error = asked(capsys, runs.get(run, tmp_path / run), *args)
    assert (status, said) == (2, "")
    assert message in error
    assert error.count("\n") == 1
