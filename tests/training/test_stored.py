"""training/stored.py: predictions depend on nothing outside of the run directory."""

import dataclasses
import json
import shutil
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import cli, training
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.nn import initializers
from rnnlab.tasks import registry
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting
from rnnlab.training import params, predict, stored
from tests.helpers import small_data, trained


def make_run(run_dir, *configs):
    """Write a run of members that have just been drawn, a member per config."""
    small_data.forget()
    run_dir.mkdir()
    specs = [training.MemberSpec.from_config(config) for config in configs]
    memory = stored.collect(specs)
    info = {
        "config": json_files.encode(configs[0].to_dict()),
        "stored": memory.entries,
    }
    run_files.write_config(run_dir, info)
    memory.write(run_dir)
    for index, spec in enumerate(specs):
        overrides = {"task": spec.config.task.to_dict()}
        result = {"status": "finished", spec.setup.task.goal.metric: 0.5}
        line = {"member": index, "overrides": overrides, "seconds": 1, "result": result}
        params.save_params(run_dir, index, noisy(spec))
        line["params"] = run_files.digest_of(run_files.params_file(run_dir, index))
        run_files.append_member(run_dir, "", line)
    return specs


def noisy(spec):
    """Parameters that answer differently for different symbols."""
    shapes = jax.eval_shape(
        lambda: training.draw_params(spec.setup.model, jax.random.key(0), spec.setup.task)
    )
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)


def config_of(kind, path):
    return trained.config(task=small_data.task_group(kind, path), hidden_size=3)


def responding(task):
    """A model whose answers depend on all that it reads, and which compiles nothing."""
    K = task.output_size

    def apply(params, inputs, lengths):
        x = np.asarray(inputs, float).reshape(*inputs.shape[:2], -1).sum(axis=-1)
        inside = (np.arange(x.shape[1]) < np.asarray(lengths)[:, None])[..., None]
        if task.name == "translation":
            return jnp.asarray((3 * x + 1).astype(int) % K), ()
        if task.name == "forecasting":
            return jnp.asarray(x[..., None] / 2, jnp.float32), ()
        z = 3 * np.sin(x[..., None] * np.arange(1, K + 1)) * inside
        return jnp.asarray(z.sum(axis=1) if task.many_to_one else z, jnp.float32), ()

    return SimpleNamespace(apply=apply)


@pytest.mark.parametrize("kind", small_data.TEXTS)
def test_predictions_outlive_the_data(kind, tmp_path, monkeypatch):
    """Data appended to, shuffled and deleted; the run moved; another current directory."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    path = small_data.write(kind, data).relative_to(tmp_path)
    (spec,) = make_run(tmp_path / "run", config_of(kind, path))
    texts, model = small_data.TEXTS[kind], responding(spec.setup.task)
    expected = predict.answers(predict.Predictor(0, spec.setup.task, model, None), texts)
    assert len(set(expected)) > 1

    small_data.write(kind, data, other=True)
    small_data.forget()
    found = predict.load(tmp_path / "run")
    assert predict.answers(found._replace(model=model), texts) == expected
    assert found.model == spec.setup.model
    shapes = jax.tree.map(jnp.shape, noisy(spec))
    assert jax.tree.map(jnp.shape, found.params) == shapes

    shutil.rmtree(data)
    small_data.forget()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    again = predict.load(tmp_path / "moved")
    assert predict.answers(again._replace(model=model), texts) == expected


def test_members_with_different_tasks_have_a_memory_each(tmp_path):
    paths = []
    for name, other in (("a", False), ("b", True)):
        (tmp_path / name).mkdir()
        paths.append(small_data.write("characters", tmp_path / name, other))
    configs = [config_of("characters", path) for path in (*paths, paths[0])]
    specs = make_run(tmp_path / "run", *configs)
    assert len(list((tmp_path / "run" / "stored").iterdir())) == 2
    expected = [(spec.setup.task.alphabet, spec.setup.task.length) for spec in specs]
    for path in paths:
        path.unlink()
    small_data.forget()
    found = [params.load_params(tmp_path / "run", i)[0].task for i in range(3)]
    assert [task.alphabet for task in found] == [alphabet for alphabet, _ in expected]
    assert found[0].alphabet == found[2].alphabet != found[1].alphabet
    assert [task.length for task in found] == [length for _, length in expected]


def test_a_memory_is_checked_by_its_digest(tmp_path, capsys):
    run_dir = tmp_path / "run"
    path = small_data.write("characters", tmp_path)
    (spec,) = make_run(run_dir, config_of("characters", path))
    (file,) = (run_dir / "stored").iterdir()
    before = file.read_bytes()

    def refused():
        assert cli.main(["predict", str(run_dir), "--text=cat"]) == 2
        out, error = capsys.readouterr()
        assert (out, error.count("\n")) == ("", 1)
        return error

    file.write_bytes(before.replace(b"c", b"k"))
    assert f"{file} is not what the run stored" in refused()
    file.write_bytes(b"")
    assert f"{file} is not what the run stored" in refused()
    file.unlink()
    assert f"{file} is missing, which predictions need" in refused()
    file.mkdir()
    assert f"{file} cannot be read: Is a directory" in refused()
    file.rmdir()
    stored.collect([spec]).write(run_dir)  # as the command that began the run does
    assert file.read_bytes() == before
    info = json.loads((run_dir / "config.json").read_text())
    for wrong, message in (
        ([], "names nothing stored of task 'characters'"),
        ({}, "config.json is damaged: 'stored' is no list"),
        ([{"task": 3}], "config.json is damaged: 'stored' is no list"),
    ):
        run_files.write_config(run_dir, info | {"stored": wrong})
        assert message in refused()


def test_reports_notice_what_is_stored_and_damaged(tmp_path):
    path = small_data.write("characters", tmp_path)
    make_run(tmp_path / "run", config_of("characters", path))
    run_files.check_kept(tmp_path / "run")
    (file,) = (tmp_path / "run/stored").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{file.name} is not what was written"):
        run_files.check_kept(tmp_path / "run")


def test_a_run_with_other_data_is_not_resumed(tmp_path):
    path = small_data.write("forecasting", tmp_path)
    spec = training.MemberSpec.from_config(config_of("forecasting", path))
    small_data.forget()
    before = stored.collect([spec])
    stored.collect([spec]).check(tmp_path, before.entries)  # the same
    small_data.write("forecasting", tmp_path, other=True)
    small_data.forget()
    with pytest.raises(UserError, match=f"{path} of task 'forecasting' changed since"):
        stored.collect([spec]).check(tmp_path, before.entries)
    with pytest.raises(UserError, match="names other tasks"):
        before.check(tmp_path, [])


def test_schemes_of_an_experiment_are_not_needed(tmp_path, monkeypatch):
    """Parameters are loaded, not drawn, so predictions do without the file that registers them."""

    def thirds(value=1 / 3):
        return lambda key, shape, dtype=float: jnp.full(shape, value, dtype)

    monkeypatch.setitem(initializers.SCHEMES, "thirds", thirds)
    path = small_data.write("characters", tmp_path)
    config = trained.config(
        task=small_data.task_group("characters", path), init={"w_h": "thirds(value=0.5)"}
    )
    (spec,) = make_run(tmp_path / "run", config)
    monkeypatch.delitem(initializers.SCHEMES, "thirds")
    found = predict.load(tmp_path / "run")
    assert found.model == spec.setup.model
    for a, b in zip(*map(jax.tree.leaves, (found.params, noisy(spec))), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- tasks of others ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Forgetful(Characters):
    """Reads its file whenever it is asked, and stores nothing."""

    name: ClassVar[str] = "forgetful"
    stored: ClassVar[None] = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class Wrong(Characters):
    """Does not come back as it was."""

    name: ClassVar[str] = "wrong"

    def stored(self):
        return super().stored() | {"alphabet": "ab"}


@dataclasses.dataclass(frozen=True)
class Unwritable(Forecasting):
    """Stores what JSON cannot hold."""

    name: ClassVar[str] = "unwritable"

    def stored(self):
        return {"level": 1j}


@pytest.fixture
def others(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    for cls in (Forgetful, Wrong, Unwritable):
        registry.announce(cls.name, f"{__name__}:{cls.__name__}")


def test_a_task_that_stores_nothing_is_refused_once_its_file_changes(tmp_path, others, monkeypatch):
    path = small_data.write("characters", tmp_path)
    group = small_data.task_group("characters", path) | {"name": "forgetful"}
    make_run(tmp_path / "run", trained.config(task=group, hidden_size=3))
    assert not (tmp_path / "run" / "stored").exists()
    found = predict.load(tmp_path / "run")
    assert found.task.alphabet == " .acehmnost"
    with path.open("a") as file:
        file.write("!")
    with pytest.raises(UserError, match=f"{path} has changed since .* stores nothing of it"):
        predict.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(UserError, match=f"{path}, from which .* is missing: task 'forgetful'"):
        predict.load(tmp_path / "run")


def test_a_task_that_does_not_come_back_is_refused_when_the_run_begins(tmp_path, others):
    for name, kind, message in (
        ("wrong", "characters", "must have input_size=11, got 2"),
        ("unwritable", "forecasting", "cannot be stored and restored: .*complex"),
    ):
        path = small_data.write(kind, tmp_path)
        group = small_data.task_group(kind, path) | {"name": name}
        spec = training.MemberSpec.from_config(trained.config(task=group))
        with pytest.raises(UserError, match=message):
            stored.collect([spec])
