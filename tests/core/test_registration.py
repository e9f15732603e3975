"""Cells, schemes and tasks are registered by one set of rules."""

from dataclasses import dataclass

import jax
import pytest

import rnnlab
from rnnlab.core.errors import UserError
from rnnlab.nn import cells, initializers, layers
from rnnlab.tasks import registry
from rnnlab.tasks.adding import Adding


@dataclass(frozen=True)
class OwnCell(rnnlab.GRU):
    alpha: float = 0.5


@dataclass(frozen=True)
class OwnTask(Adding):
    delay: int = 2


def own_scheme(value=2.0):
    return lambda key, shape, dtype=float: jax.numpy.full(shape, value, dtype)


KINDS = {
    "cell": (
        rnnlab.register_cell,
        lambda: cells.CELLS,
        OwnCell,
        "own_cell",
        "gru",
        lambda name: cells.by_name(name, 3, rnnlab.InitScheme(), alpha=0.25),
        OwnCell(3, alpha=0.25),
    ),
    "scheme": (
        rnnlab.register_scheme,
        lambda: initializers.SCHEMES,
        own_scheme,
        "own_scheme",
        "orthogonal",
        lambda name: initializers.make(f"{name}(value=3.0)")(jax.random.key(0), (2,)).tolist(),
        [3.0, 3.0],
    ),
    "task": (
        rnnlab.register_task,
        lambda: registry.TASKS,
        OwnTask,
        "own_task",
        "adding",
        lambda name: registry.from_config({"name": name, "length": 7, "delay": 4}),
        OwnTask(7, delay=4),
    ),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param, *KINDS[request.param]


def test_a_name_is_given_or_taken_from_the_code(kind):
    _, register, _, own, usual, _, make, made = kind
    assert register("mine-2" if kind[0] != "scheme" else "mine_2")(own) is own
    assert register(own) is own
    assert register()(own) is own
    assert make(usual) == made
    assert make("mine-2" if kind[0] != "scheme" else "mine_2") == made


@pytest.mark.parametrize("name", ["", "2nd", "my thing", "a,b", "a=b", "ü", "a(b)", "a.b", "a/b"])
def test_a_name_is_a_plain_word(kind, name):
    what, register, table, own, *_ = kind
    before = dict(table())
    with pytest.raises(UserError, match=f"the name of a {what} is made of letters, digits") as info:
        register(name)(own)
    assert "\n" not in str(info.value)
    assert table() == before


def test_a_number_is_no_scheme():
    for name in ("nan", "inf", "Infinity"):
        with pytest.raises(UserError, match="and is no number"):
            rnnlab.register_scheme(name)(own_scheme)


def test_a_shipped_name_is_not_replaced_and_an_own_one_is(kind):
    what, register, table, own, _, shipped, _, _ = kind
    kept = table()[shipped]
    with pytest.raises(UserError, match=f"{what} '{shipped}' comes with rnnlab: register yours"):
        register(shipped)(own)
    assert table()[shipped] is kept
    register("again")(own)
    register("again")(own)  # as in a notebook


def test_options_need_defaults(kind):
    what, register, *_ = kind

    def needs(hidden_size=1, *, rate, init=None):
        return None

    with pytest.raises(UserError, match=f"{what} 'mine': its option rate needs a default"):
        register("mine")(needs)
    with pytest.raises(UserError, match=f"{what} 'mine' must be a .*, got 3"):
        register("mine")(3)


def test_a_cell_is_called_with_hidden_size_and_init():
    @dataclass(frozen=True)
    class Bare:
        units: int = 3

    with pytest.raises(UserError, match=r"Bare\(hidden_size, init=…\): it takes no hidden_"):
        rnnlab.register_cell("bare")(Bare)
    with pytest.raises(UserError, match="reads both ways"):
        rnnlab.register_cell("bi-mine")(OwnCell)


def test_an_option_of_a_cell_is_no_key_that_every_cell_has():
    keys = {*cells.LAYER_OPTIONS, *cells.WRAPPER_OPTIONS, *cells.OPTIONS, "hidden_size"}
    assert set(layers.config("gru", 4)) == keys

    def make(option, default):
        options = {"hidden_size": int, "init": (object, None), option: (float, default)}
        annotations = {name: type(value) for name, value in options.items()}
        defaults = {name: value[1] for name, value in options.items() if name != "hidden_size"}
        made = type("Own", (), {"__annotations__": annotations, **defaults})
        return dataclass(frozen=True)(made)

    for option in (*cells.LAYER_OPTIONS, *cells.WRAPPER_OPTIONS):
        with pytest.raises(UserError, match=f"'own': its option {option} has .*: rename it"):
            rnnlab.register_cell("own")(make(option, 0.5))
    for option in cells.OPTIONS:
        with pytest.raises(UserError, match=f"its option {option} must be off by default.*0.5"):
            rnnlab.register_cell("own")(make(option, 0.5))
        rnnlab.register_cell("own")(make(option, None))


def test_a_task_is_a_frozen_dataclass_with_all_members():
    @dataclass
    class Thawed:
        length: int = 3

    with pytest.raises(UserError, match=r"write @dataclass\(frozen=True\) above class Thawed"):
        rnnlab.register_task("thawed")(Thawed)

    @dataclass(frozen=True)
    class Part:
        length: int = 3
        loss: str = "mse"

    with pytest.raises(UserError, match="task 'part' has no input_size, no output_size, no symb"):
        rnnlab.register_task("part")(Part)


def test_a_config_s_cell_group_has_the_options_of_a_registered_cell():
    rnnlab.register_cell("own")(OwnCell)
    group = layers.config("bi-own", 4, alpha=0.25)
    layer = layers.from_config(group, rnnlab.InitScheme())
    assert layer.forward.cell == layer.backward.cell == OwnCell(4, alpha=0.25)
    with pytest.raises(ValueError, match="unknown cell key 'alpa'; did you mean 'alpha'"):
        layers.config("own", 4, alpa=0.25)
    with pytest.raises(ValueError, match="unknown cell key 'alpha'"):
        layers.config("gru", 4, alpha=0.25)


def test_an_option_of_another_task_counts_at_its_default_only():
    rnnlab.register_task("own")(OwnTask)
    assert registry.from_config({"name": "adding", "length": 7, "delay": 2}) == Adding(7)
    with pytest.raises(ValueError, match="unknown option of task 'adding': 'delay'"):
        registry.from_config({"name": "adding", "length": 7, "delay": 3})
    assert registry.config("own", length=9) == {
        "name": "own",
        "length": 9,
        "solved_at": 0.01,
        "delay": 2,
    }
    with pytest.raises(ValueError, match="unknown option of task 'own': 'delai'; did you mean"):
        registry.config("own", delai=1)
