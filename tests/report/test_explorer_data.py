"""The explorer's data: what it holds is what the run has, at the accuracy it says."""

import gzip
import hashlib
import json
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

from rnnlab.report import explorer as explorer_module
from rnnlab.report.explorer import explorer, of_run, program, to_json
from rnnlab.report.explorer_data import Source, pack, payload
from rnnlab.results.table import Member
from tests.helpers import saved_runs
from tests.helpers.saved_runs import CELLS, DIVERGED, RATES, SCHEMES, SEEDS


def unpack(code):
    """The numbers of a packed curve, number by number."""
    kind, digits, *tokens = code
    values, whole = [], 0
    for token in tokens:
        if token is None:
            values.append(np.nan)
        elif token == "+":
            values.append(np.inf)
        elif token == "-":
            values.append(0.0 if kind else -np.inf)
        else:
            whole += token
            values.append(10 ** (whole / 1e4) if kind else whole / 10.0**digits)
    return np.array(values)


def quantity(shown, kind, name):
    (found,) = (q for q in shown["quantities"] if (q["kind"], q["name"]) == (kind, name))
    return found


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "gradients"
    return saved_runs.save_run(run, saved_runs.gradient_members())


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return saved_runs.training_run(tmp_path_factory.mktemp("runs") / "training")


RNG = np.random.default_rng(3)
VENDOR = Path(explorer_module.__file__).parent / "vendor"


def test_the_library_is_the_one_that_its_readme_names():
    digests = {
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    }
    for name, digest in digests.items():
        content = (VENDOR / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert f"| {len(content):,} |" in (VENDOR / "README.md").read_text()
    script = gzip.decompress(b64decode(program())).decode()
    assert "uPlot (v1.6.32)" in script
    assert "Copyright (c) 2022 Leon Sorokin" in script
    assert len(program()) < 80_000


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=50),
        -250 * RNG.uniform(size=50),
        1e-30 * RNG.normal(size=20),
        1e25 * RNG.normal(size=20),
        np.array([0.0, 0.0]),
        np.array([np.nan, -np.inf, np.inf]),
        np.array([-1.5, np.nan, -np.inf, np.inf, 2.25, 7.0]),
    ],
)
def test_packed_numbers_keep_five_digits_of_the_largest(values):
    back = unpack(json.loads(json.dumps(pack(values))))
    finite = np.isfinite(values)
    np.testing.assert_array_equal(back[~finite], values[~finite])
    most = np.abs(values[finite]).max(initial=0.0)
    assert np.abs(back[finite] - values[finite]).max(initial=0.0) <= 0.5000001e-4 * most


def test_positive_numbers_of_many_decades_keep_four_digits_each():
    values = np.concatenate([10.0 ** RNG.uniform(-12, 3, 60), [0.0, np.inf, np.nan]])
    back = unpack(pack(values))
    np.testing.assert_allclose(back[:60], values[:60], rtol=1.2e-4)
    np.testing.assert_array_equal(back[60:], values[60:])
    np.testing.assert_allclose(
        unpack(pack(np.array([1e-300, 3e-300]))), [1e-300, 3e-300], rtol=1e-3
    )


def test_results_are_those_of_the_members(gradients):
    shown = payload([of_run(gradients)])
    members = saved_runs.gradient_members()
    h = quantity(shown, "curve", "h")
    assert h["x"] == "lag"
    for code, (_, result) in zip(h["of"], members, strict=True):
        assert shown["xs"][code[0]] == list(range(saved_runs.LAGS))
        finite = np.isfinite(result["h"])
        np.testing.assert_allclose(unpack(code[1:])[finite], result["h"][finite], atol=5e-3)
        np.testing.assert_array_equal(unpack(code[1:])[~finite], result["h"][~finite])
    spectrum = quantity(shown, "curve", "spectrum_10")
    assert (spectrum["x"], shown["xs"][spectrum["of"][0][0]]) == ("rank", list(range(1, 9)))
    jacobians = quantity(shown, "array", "jacobians")
    for code, (_, result) in zip(jacobians["of"], members, strict=True):
        back = unpack(code[1:]).reshape(code[0])
        np.testing.assert_allclose(back, result["jacobians"], atol=1e-4)
    scalars = quantity(shown, "result", "log10_at_50")
    np.testing.assert_allclose(scalars["of"], [r["log10_at_50"] for _, r in members], rtol=1e-5)
    assert scalars["unit"] == "decades"
    assert shown["lists"] == {"task.lengths": [4, 16, 64]}
    assert shown["left_out"] == ["texts"]


def test_axes_are_what_members_differ_in(gradients, training):
    axes = payload([of_run(gradients)])["axes"]
    assert [(a["key"], a["text"], a["result"]) for a in axes] == [
        ("cell.name", list(CELLS), False),
        ("init.w_h", list(SCHEMES), False),
        ("seed", ["0", "1", "2"], False),
        ("verdict", axes[-1]["text"], True),
    ]
    rate = payload([of_run(training)])["axes"][1]
    assert rate["number"] == list(RATES)
    assert rate["of"] == [k for _ in CELLS for k in range(3) for _ in SEEDS]


def test_metrics_and_the_member_that_diverged(training):
    shown = payload([of_run(training)])
    members, logged = saved_runs.training_members()
    assert (shown["quantities"][0]["kind"], shown["quantities"][0]["name"]) == ("metric", "loss")
    loss = quantity(shown, "metric", "loss")
    assert (loss["unit"], loss["better"], loss["x"]) == ("nats", "lower", "step")
    for place, code in enumerate(loss["of"]):
        assert shown["xs"][code[0]] == [record["step"] for record in logged[place]]
        expected = [record["loss"] for record in logged[place]]
        np.testing.assert_allclose(unpack(code[1:]), expected, rtol=1e-3)
    which = [overrides for overrides, _ in members].index(DIVERGED)
    assert shown["diverged"] == [{"member": which, "step": 25}]
    # its last score stays what was saved; the page leaves it out of medians and of the best
    assert quantity(shown, "result", "loss")["of"][which] == 0.001


def test_a_member_without_a_status_diverged_where_its_log_ends_in_nan():
    logs = [[1.0, np.nan], [1.0, -np.inf], [np.nan, 1.0], [1.0, np.inf]]
    members = [
        Member(
            i,
            {"seed": i},
            {"seed": i},
            1.0,
            {},
            tuple({"step": 5 * k, "x": v} for k, v in enumerate(log)),
        )
        for i, log in enumerate(logs)
    ]
    shown = payload([Source("", {}, members)])
    assert shown["diverged"] == [{"member": 0, "step": 5}, {"member": 3, "step": 5}]


def noisy(members, points):
    return [
        Member(i, {"seed": i}, {"seed": i}, 1.0, {"c": RNG.normal(size=points).tolist(), "n": i})
        for i in range(members)
    ]


def test_long_curves_are_thinned_and_keep_their_ends():
    (member,) = noisy(1, 5000)
    member.result["c"][3001:] = [float("nan")] * 1999
    shown = payload([Source("", {}, [member])], points=100)
    code = quantity(shown, "curve", "c")["of"][0]
    xs = shown["xs"][code[0]]
    assert shown["thinned"] == {"c": 5000}
    assert len(xs) in (100, 101)
    assert (xs[0], xs[-1]) == (0, 4999)
    assert 3000 in xs  # the last finite point, where × stands
    kept = unpack(code[1:])
    np.testing.assert_allclose(kept, np.array(member.result["c"])[xs], atol=1e-4)


def test_what_does_not_fit_is_thinned_until_it_does_and_then_named():
    shown = explorer([Source("", {}, noisy(20, 400))], most=12_000)
    data = json.loads(gzip.decompress(b64decode(shown.data)))
    assert len(shown.data) <= 12_000
    assert data["thinned"] == {"c": 400}
    assert data["too_large"] == []
    tiny = explorer([Source("", {}, noisy(20, 400))], most=1200)
    data = json.loads(gzip.decompress(b64decode(tiny.data)))
    assert data["too_large"] == ["c"]
    assert [q["name"] for q in data["quantities"]] == ["n"]
    assert explorer([Source("", {}, [])]) is None


def test_members_at_work_are_shown_with_what_they_logged(tmp_path):
    members, logged = saved_runs.training_members()
    run = saved_runs.save_run(
        tmp_path / "run",
        members[:2],
        logged=logged,
        finished=False,
        members=3,
        overrides=[overrides for overrides, _ in members[:3]],
    )
    from rnnlab.core import json_files

    for record in logged[2][:2]:
        json_files.append_lines(run / "metrics.jsonl", json_files.to_line({"member": 2, **record}))
    assert payload([of_run(run)])["at_work"] == []
    shown = payload([of_run(run, in_progress=True)])
    assert shown["at_work"] == [2]
    loss = quantity(shown, "metric", "loss")["of"][2]
    np.testing.assert_allclose(unpack(loss[1:]), [r["loss"] for r in logged[2][:2]], rtol=1e-3)
    assert quantity(shown, "result", "loss")["of"][2] is None


def test_several_runs_have_their_names_as_an_axis(gradients, training):
    shown = payload([of_run(gradients, "a"), of_run(training, "b")])
    assert shown["axes"][0]["key"] == "run"
    assert shown["axes"][0]["text"] == ["a", "b"]
    keys = [axis["key"] for axis in shown["axes"]]
    assert {"init.w_h", "training.learning_rate"} <= set(keys)
    assert json.loads(to_json(shown)) == shown
