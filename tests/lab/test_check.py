"""Our own cells, schemes and tasks have the properties that users' files are checked for."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest

from rnnlab import GRU, LSTM, RNN, Bidirectional, Zoneout, cli
from rnnlab.core.errors import UserError
from rnnlab.lab import check, properties
from rnnlab.tasks.adding import Adding
from rnnlab.tasks.base import Goal
from rnnlab.tasks.parity import Parity


def broken(outcomes):
    return {o.name: o.message for o in outcomes if not o.passed}


CELLS = {
    "lstm": LSTM,
    "zoneout": lambda size, init: Zoneout(GRU(size, init=init), 0.3),
}


@pytest.mark.parametrize("name", CELLS)
def test_our_cells_have_every_property(name):
    found = check.check_cell(CELLS[name])
    assert not broken(found)
    assert len(found) == 22


def test_a_layer_is_checked_as_one():
    found = check.check_cell(lambda size, init: Bidirectional(RNN(size, init=init)))
    assert not broken(found)
    assert {"lengths", "gradient", "batch"} <= {o.name for o in found}


@pytest.mark.parametrize("name", ["orthogonal", "identity(gain=0.5)", "normal", "zeros"])
def test_our_schemes_have_every_property(name):
    assert not broken(check.check_scheme(name))


@pytest.mark.parametrize("task", [Adding(6), Parity(5)], ids=repr)
def test_our_tasks_have_every_property(task):
    found = check.check_task(task)
    assert not broken(found)
    assert len(found) == 16


@dataclass(frozen=True)
class Own(Adding):
    length: int = 6


def _score(change):
    return lambda self, outputs, batch: change(Adding.score(self, outputs, batch))


def _batch(self, data, key, index, batch_size):
    return self.sample(key, batch_size)  # whatever the index


count = [0]


def _impure(self, data, key, index, batch_size):
    count[0] += 1
    return self.sample(jax.random.key(count[0]), batch_size)


def _sampled(**parts):
    def sample(self, key, batch_size):
        batch = Adding.sample(self, key, batch_size)
        changed = {name: change(getattr(batch, name)) for name, change in parts.items()}
        return batch._replace(**changed)

    return sample


WRONG_TASKS = {  # the property, and what makes it broken
    "hashable": {"__hash__": None},
    "equal by value": {"__eq__": lambda self, other: self is other, "__hash__": lambda self: 1},
    "sizes": {"output_size": 1.5},
    "data": {"load": lambda self: ["a text"]},
    "batch": {"sample": _sampled(targets=lambda y: y[:, 0])},
    "ranges": {"sample": _sampled(inputs=lambda x: x.at[0, 0, 0].set(jnp.nan))},
    "pure": {"batch": _impure},
    "indices": {"batch": _batch},
    "score": {"score": _score(lambda score: {"error": score["loss"]})},
    "loss": {"score": _score(lambda score: {"loss": 2 * score["loss"]})},
    "goal": {"goal": Goal("loss", -1.0)},
    "baseline": {"baseline": lambda self, data=(): 3.0},
}


@pytest.mark.parametrize("name", WRONG_TASKS)
def test_a_wrong_task_is_caught_by_name(name):
    task = type("Wrong", (Own,), WRONG_TASKS[name])()
    assert name in broken(check.check_task(task))


def test_a_plain_tuple_is_no_batch():
    plain = type("Plain", (Own,), {"batch": lambda self, d, key, i, n: tuple(self.sample(key, n))})
    assert "expected Batch or RaggedBatch" in broken(check.check_task(plain()))["batch"]


def test_a_basic_property_ends_the_list():
    def wrong():
        raise properties.Broken("it is 3")

    rest = properties.Property("rest", "It is there.", lambda: None)
    first = properties.Property("first", "It is 1.", wrong, basic=True)
    (only,) = properties.outcomes([first, rest, rest])
    assert only.message == "it is 3 (fix this first: 2 more are not checked)"
    found = properties.outcomes([first._replace(basic=False), rest])
    assert [o.status for o in found] == ["broken", "holds"]


def test_the_command_says_what_each_property_means(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "import rnnlab\n\n\n@rnnlab.register_scheme\ndef flat(value=0.5):\n"
        "    import jax.numpy as jnp\n\n"
        "    return lambda key, shape, dtype=float: jnp.full(shape, value, dtype)\n"
    )
    assert cli.main(["check", str(file), "--verbose"]) == 0
    out = capsys.readouterr().out
    assert f"scheme flat ({file})" in out
    assert "  – key     every key draws the same: it is no random scheme" in out
    assert "  ✓ finite  Every entry is finite." in out


def test_a_file_that_registers_nothing_is_refused(tmp_path, capsys):
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n")
    with pytest.raises(UserError, match="registers nothing: write @rnnlab"):
        check.check_files([file])
    assert cli.main(["check"]) == 2
    assert "check needs a file" in capsys.readouterr().err


def test_a_cell_that_cannot_be_made_is_broken():
    (outcome,) = check.check_cell(lambda size, init: 1 / 0)
    assert outcome.message == "it cannot be made: ZeroDivisionError: division by zero"
