"""Classes of series as a task: padded and standardized as a loop does it; asked through predict."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from rnnlab import tasks
from rnnlab.core.notices import LeftOut
from rnnlab.data import files, series_files
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.model import model_for_task
from rnnlab.tasks.series_classes import SOURCES, SeriesClasses
from rnnlab.training import predict
from tests.helpers.oracles import assert_close

TASK = SeriesClasses()


def series(part):
    file = files.packaged("sktime", f"datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts", "x")
    return series_files.read(file)


def write(path, rows, classes="a b"):
    """A .ts file of (values of one channel, class)."""
    lines = [",".join(map(str, values)) + f":{label}" for values, label in rows]
    path.write_text("\n".join(["@univariate true", f"@classLabel true {classes}", "@data", *lines]))
    return str(path)


def test_equals_a_loop():
    data = SeriesClasses(validation_share=0.0).load()
    learn, judge = series("TRAIN"), series("TEST")
    steps = [step for own in learn.series for step in own]
    mean = [sum(step[d] for step in steps) / len(steps) for d in range(12)]
    spread = [np.sqrt(np.mean([(s[d] - mean[d]) ** 2 for s in steps])) for d in range(12)]
    for rows, lengths, labels, part in (
        (data.train, data.lengths, data.labels, learn),
        (data.test, data.test_lengths, data.test_labels, judge),
    ):
        assert rows.shape == (len(part.series), 29, 12)
        assert labels.tolist() == part.labels.tolist()
        for i in range(0, len(rows), 37):
            own = part.series[i]
            assert lengths[i] == len(own)
            assert_close(rows[i, : len(own)], (own - mean) / spread, 1e-6)
            assert not rows[i, len(own) :].any()
    assert TASK.baseline(data) == pytest.approx(np.log(9))
    batch = TASK.batch(data, jax.random.key(0), 3, 8)
    place = [int(np.flatnonzero((data.train == x).all((1, 2)))[0]) for x in np.array(batch.inputs)]
    assert batch.lengths.tolist() == data.lengths[place].tolist()
    assert batch.targets.tolist() == data.labels[place].tolist()


def test_score_equals_scikit_learn():
    batch = TASK.test(TASK.load(), jax.random.key(0), 60)
    right = jax.nn.one_hot(batch.targets, 9)
    outputs = 2 * right + jax.random.normal(jax.random.key(1), right.shape)
    found = TASK.score(outputs, batch)
    p = np.asarray(jax.nn.softmax(outputs))
    assert float(found["loss"]) == pytest.approx(
        log_loss(batch.targets, p, labels=range(9)), abs=1e-5
    )
    accuracy = accuracy_score(batch.targets, p.argmax(-1))
    assert 0.1 < accuracy < 1
    assert float(found["accuracy"]) == pytest.approx(accuracy)
    assert not TASK.goal.reached({"accuracy": 0.94})
    assert TASK.goal.reached({"accuracy": 0.95})


def test_validation_is_taken_of_the_series_to_learn_from():
    whole, data = (SeriesClasses(validation_share=share).load() for share in (0.0, 0.2))
    assert (len(data.train), len(data.validation), len(data.test)) == (216, 54, 370)
    assert np.bincount(data.validation_labels).tolist() == [6] * 9
    # every series to learn from once, on one side or the other: by its length and class
    both = [*zip(data.lengths, data.labels, strict=True)]
    both += zip(data.validation_lengths, data.validation_labels, strict=True)
    assert sorted(both) == sorted(zip(whole.lengths, whole.labels, strict=True))
    assert (data.test_labels == whole.test_labels).all()


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_what_it_says(source):
    data = SeriesClasses(source, validation_share=0.0).load()
    said = SeriesClasses.__doc__ or ""
    shape = {
        "JapaneseVowels": (270, 370, 29, 12),
        "BasicMotions": (40, 40, 100, 6),
        "ItalyPowerDemand": (67, 1029, 24, 1),
        "GunPoint": (50, 150, 150, 1),
        "ArrowHead": (36, 175, 251, 1),
        "OSULeaf": (200, 242, 427, 1),
        "ACSF1": (100, 100, 1460, 1),
    }[source]
    assert (len(data.train), len(data.test), *data.train.shape[1:]) == shape
    assert f'"{source}"' in said


def test_files_of_your_own(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(rng.normal(3, 2, rng.integers(2, 9)).tolist(), "ab"[i % 2]) for i in range(20)]
    path = write(tmp_path / "a.ts", rows)
    task = SeriesClasses(path=path, test_share=0.3, max_length=4, validation_share=0.0)
    data = task.load()
    assert (len(data.train), len(data.test), task.length) == (14, 6, 4)
    assert data.lengths.max() == 4
    assert data.lengths.min() >= 2
    judged = SeriesClasses(path=path, test_path=write(tmp_path / "b.ts", rows[:3]))
    with pytest.warns(LeftOut, match=r"a\.ts: left out 3 of 20 series, which are held out in .*b"):
        assert (len(judged.load().train), len(judged.load().validation)) == (15, 2)
    few = write(tmp_path / "c.ts", [([5, 6], "a"), ([5], "b")])
    with pytest.raises(ValueError, match=r"two series or more of class 'a' are needed .* got 1"):
        SeriesClasses(path=few).load()
    other = write(tmp_path / "d.ts", rows[:3], classes="a b c")
    with pytest.raises(ValueError, match="must have the same channels and classes, got 1 of a, b "):
        SeriesClasses(path=path, test_path=other).load()


def test_channels_that_do_not_vary_and_series_that_are_cut_are_said(tmp_path):
    flat = write(tmp_path / "flat.ts", [([0.1, 0.1], "a"), ([0.1], "b")])
    other = write(tmp_path / "other.ts", [([0.3], "a"), ([0.2], "b")])
    with pytest.raises(ValueError, match=r"flat\.ts: column 'channel 1' \(0\.1\) does not vary"):
        SeriesClasses(path=flat, test_path=other).load()
    two, three = tmp_path / "two.ts", tmp_path / "three.ts"
    two.write_text("@classLabel true a b\n@data\n0.1,0.1,0.1:1,2,3:a\n0.1:4:b\n")
    three.write_text("@classLabel true a b\n@data\n0.1,0.1,0.1:3,2,1:a\n0.1:5:b\n")
    with pytest.warns(LeftOut) as said:
        data = SeriesClasses(path=str(two), test_path=str(three), max_length=2).load()
    assert [str(warning.message) for warning in said] == [
        f"{two}: set to 0, since it does not vary: 'channel 1' (0.1)",
        "1 of 2 series to learn from are cut to task.max_length=2: 1 of 4 steps are left out",
        "1 of 2 series held out are cut to task.max_length=2: 1 of 4 steps are left out",
    ]
    assert not data.train[..., 0].any()
    expected = (np.array([[1, 2], [4, 2.5]]) - 2.5) / np.std([1, 2, 3, 4])  # 2.5: padding
    np.testing.assert_allclose(data.train[..., 1], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "JapaneseVowel"}, "JapaneseVowels"),
        ({"label_column": "y"}, r"task\.label_column='y' needs task\.path, a table"),
        ({"gaps": "drop"}, r"task\.gaps='drop' needs task\.path, a table"),
        ({"validation_path": "b.ts"}, "validation_path='b.ts' needs a path to learn from"),
        ({"validation_share": 1.0}, r"validation_share must be a finite number at least 0 and b"),
        ({"test_path": "b.ts"}, "test_path='b.ts' needs a path to learn from"),
        ({"test_share": 1.0}, r"test_share must be a finite number above 0 and below 1, got 1.0"),
        ({"max_length": -1}, "max_length must be a whole number of at least 0, got -1"),
        ({"solved_at": 0.0}, "solved_at must be a finite number above 0 and at most 1, got 0.0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        tasks.by_name("series_classes", **options)


def test_what_is_missing_or_another_file(tmp_path, monkeypatch):
    def found(names):
        def find(name):
            spec = importlib.util.spec_from_loader(name, None)
            assert spec
            spec.submodule_search_locations = [str(tmp_path / name)] if name in names else None
            return spec

        return find

    task = SeriesClasses("GunPoint", max_length=7)
    monkeypatch.setattr(importlib.util, "find_spec", found([]))
    with pytest.raises(ValueError, match=r"'GunPoint' come with the package sktime: pip install "):
        task.load()
    # aeon has them in the same place
    monkeypatch.setattr(importlib.util, "find_spec", found(["aeon"]))
    folder = tmp_path / "aeon" / "datasets" / "data" / "GunPoint"
    folder.mkdir(parents=True)
    Path(folder / "GunPoint_TRAIN.ts").write_text("@data")
    with pytest.raises(ValueError, match=r"another file: SHA-256 .*, expected f842401779fd"):
        task.load()


# ---- asked ----


def predictor(layer):
    model = model_for_task(TASK, layers.by_name(layer, 5, InitScheme()), InitScheme())
    params = model.init(jax.random.key(0), jnp.zeros((1, 1, 12)))
    return predict.Predictor(0, TASK, model, params)


def lines():
    file = files.packaged("sktime", "datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts", "x")
    return file.read_text()


def test_series_are_answered_as_the_model_has_them():
    """A whole .ts file, its header and its classes left out, against the task's own batch."""
    asked = predictor("gru")
    texts = predict.asked(asked, lines())
    assert len(texts) == 370
    batch = TASK.test(TASK.load(), jax.random.key(0), 5)
    outputs, _ = asked.model.apply(asked.params, batch.inputs, lengths=batch.lengths)
    expected = [
        f"{TASK.classes[int(p.argmax())]} {float(p.max()):.2f}" for p in jax.nn.softmax(outputs)
    ]
    assert predict.answers(asked, texts[:5]) == expected
    assert predict.answers(asked, [text.rpartition(":")[0] for text in texts[:5]]) == expected
    streamed = list(predict.streamed(asked, texts[1]))
    assert len(streamed) == batch.lengths[1]
    assert streamed[-1][1] == expected[1]
    half, _ = asked.model.apply(asked.params, batch.inputs[1:2], lengths=jnp.array([7]))
    assert streamed[6][1] == TASK.label(half[0])


def test_both_ways_can_t_stream():
    asked = predictor("bi-gru")
    text = predict.asked(asked, lines())[0]
    assert predict.answers(asked, [text])
    with pytest.raises(ValueError, match="can't run in real time"):
        predict.streamed(asked, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:3,4", "a series: expected 12 channels separated by colons, got 2"),
        (":".join(["1,2"] * 11 + ["1,x"]), "channel 12, step 2: expected a finite number, got 'x'"),
        (":".join(["1"] * 12 + ["10"]), "expected 12 channels separated by colons, got 13"),
    ],
)
def test_what_is_no_series(text, message):
    with pytest.raises(ValueError, match=message):
        TASK.tokens(text)
