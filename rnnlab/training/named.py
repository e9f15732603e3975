"""Optimizers and schedules by name: optax's own, and those that are registered.

``"lion(b1=0.95)"`` names :func:`optax.lion`. A string is parsed, never evaluated. Its floats are
numbers that may differ from member to member of one program; whole numbers, flags, types and which
options are given are static.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np
import optax
from optax import contrib

from rnnlab.core import calls, validate
from rnnlab.core.errors import CONFIG_HELP, UnknownName, unknown
from rnnlab.training import numbers
from rnnlab.training.numbers import Number, PyTree

Factory = Callable[..., Any]
F = TypeVar("F", bound=Factory)

OPTIMIZER, SCHEDULE = "training.optimizer", "training.schedule"  # keys of a config
RATES = ("learning_rate", "max_learning_rate")  # an optimizer's argument for the learning rate
DECAYS = ("weight_decay", "weight_decay_rate")
MASKS = ("mask", "weight_decay_mask")

# optimizers whose learning rate cannot be a schedule: their update is multiplied by its factor
CONSTANT_RATE = ("polyak_sgd", "rprop", "sm3")
# decay rates of moving averages
_SHARES = ("b1", "b2", "b3", "beta", "betas", "beta3", "adam_b1", "adam_b2", "decay")
_SHARES += ("momentum", "rho")
# arguments that a string cannot hold, or does not need
_OBJECTS = (
    *MASKS,
    "base_optimizer",
    "clip_value_fn",
    "hessian_diagonal_fn",
    "linesearch",
    "muon_weight_dimension_numbers",
    "seed",
    "trust_ratio_mask",
    "weight_dimension_numbers",
)
# static: optax rounds a number of steps from them, or branches on what follows from them
_STATIC = ("pct_start", "pct_final", "div_factor", "final_div_factor")
_IN_PYTHON = "make it in Python (rnnlab.training.register_optimizer)"
_REFUSED = {
    "dpsgd": f"takes one gradient per example: {_IN_PYTHON}",
    "mechanize": f"takes another optimizer: {_IN_PYTHON}",
    "optimistic_adam": "is deprecated: use optimistic_adam_v2",
    "sam": f"takes two optimizers: {_IN_PYTHON}",
    "schedule_free": f"takes another optimizer: {_IN_PYTHON}, or use schedule_free_adamw",
}
_LIKE_FLOAT32 = 3.4e38

_registered: dict[str, dict[str, Factory]] = {OPTIMIZER: {}, SCHEDULE: {}}


def register_optimizer(factory: F) -> F:
    """Register an optimizer under its factory's name, for configs and flags.

    Args:
        factory: takes options, all with defaults, and returns an optax transformation. An argument
            ``learning_rate`` receives α·schedule, a function of the number of updates, as optax's
            optimizers take it; without one, the update that it returns (negative, as optax's) is
            multiplied by α·schedule. An argument ``weight_decay`` receives training.weight_decay,
            an argument ``mask`` a function from parameters to a tree of booleans, true for arrays
            of two or more axes. Options with a float as default are dynamic.
    Returns:
        ``factory`` itself, so that this can be a decorator.
    Raises:
        ValueError: a name of optax.

    >>> @register_optimizer
    ... def slow_sgd(learning_rate, share=0.1):
    ...     return optax.chain(optax.sgd(learning_rate), optax.scale(share))
    >>> parse_optimizer("slow_sgd(share=0.5)").numbers()
    {'share': 0.5}
    >>> del _registered[OPTIMIZER]["slow_sgd"]
    """
    return _register(OPTIMIZER, factory, "an optimizer")


def register_schedule(factory: F) -> F:
    """Register a schedule under its factory's name, for configs and flags.

    Args:
        factory: takes options, and returns a function from the number of updates so far to a
            factor of the learning rate. Arguments called ``steps``, ``transition_steps`` or
            ``decay_steps`` without a default receive the updates of the training, less its
            warm-up.
    Returns:
        ``factory`` itself, so that this can be a decorator.
    Raises:
        ValueError: a name of optax or a short name.
    """
    return _register(SCHEDULE, factory, "a schedule")


def _register(key: str, factory: F, kind: str) -> F:
    name = factory.__name__
    if name in _known(key) or name in SHORT:
        raise ValueError(f"{name!r} is {kind} of optax or rnnlab: choose another name")
    _registered[key][name] = factory
    parse_optimizer.cache_clear()
    parse_schedule.cache_clear()
    return factory


@cache
def _known(key: str) -> Mapping[str, Factory]:
    """Return optax's optimizers or schedules by name, those of optax.contrib after its own."""
    suits = _is_optimizer if key == OPTIMIZER else _is_schedule
    found = {}
    for module in (optax, contrib):
        for name in sorted(vars(module)):
            made = getattr(module, name)
            if name not in found and suits(name, made):
                found[name] = made
    return found


def _is_optimizer(name: str, made: Any) -> bool:
    if name.startswith(("_", "scale_by")) or name in _REFUSED or inspect.isclass(made):
        return False
    return callable(made) and any(rate in _parameters(made) for rate in RATES)


def _is_schedule(name: str, made: Any) -> bool:
    schedule = name.endswith(("_schedule", "_decay")) and not inspect.isclass(made)
    return schedule and getattr(made, "__module__", "").startswith("optax.schedules")


@cache
def _parameters(factory: Factory) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a builtin
        return {}


def optimizers() -> list[str]:
    """Return the names of the optimizers that a string can name."""
    return [*_known(OPTIMIZER), *_registered[OPTIMIZER]]


def schedules() -> list[str]:
    """Return the names of the schedules that a string can name."""
    return [*SHORT, *_known(SCHEDULE), *_registered[SCHEDULE]]


def unregistered(key: str, text: str) -> bool:
    """Return whether a string names nothing that is known here."""
    known = optimizers() if key == OPTIMIZER else schedules()
    return calls.parse(text, f"{key} is a name or name(option=value)")[0] not in known


@dataclass(frozen=True, eq=False)
class Call:
    """An optimizer or a schedule, named by a string.

    Args:
        key: of the config. name: of the factory. factory: from options to what is named.
        options: given, or a float by default.
        given: the names of the options that the string gives.
        compared: the paths of the numbers on which a branch of the factory depends.
    """

    key: str
    name: str
    factory: Factory
    options: Mapping[str, PyTree]
    given: frozenset[str]
    compared: frozenset[str] = frozenset()

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the factory."""
        return _parameters(self.factory)

    def numbers(self) -> dict[str, float]:
        """Return the numbers that may differ within a program, by their path."""
        return numbers.numbers(_dynamic(self.options))

    def static_text(self) -> str:
        """Return a string with stand-ins for the numbers: equal for calls that share a program."""

        def stand_in(path: str, x: float) -> float:
            return numbers.stand_in(x, compared=path in self.compared)

        options = {**self.options, **numbers.replaced(_dynamic(self.options), stand_in)}
        listed = ", ".join(f"{name}={options[name]!r}" for name in sorted(options))
        return f"{self.name}({listed})"

    def make(
        self, traced: Mapping[str, Any], factor: optax.Schedule | None = None, **more: object
    ) -> Any:
        """Return what the call names.

        Args:
            traced: the numbers by their path, each a pair as of :func:`numbers.pair`; empty: the
                string's own, as constants.
            factor: multiplies further learning rates among the options (that of muon's Adam).
            more: further arguments.
        """

        def number(path: str, x: float) -> Number:
            known = set(self.compared) if path in self.compared else None
            sample = numbers.stand_in(x, compared=known is not None)
            return Number(traced[path], path, sample, known)

        options = dict(self.options)
        if traced:
            options |= numbers.replaced(_dynamic(self.options), number)
        for name in options:
            if factor is not None and name.endswith("learning_rate"):
                options[name] = _scheduled(factor, options[name])
        return self.factory(**options, **more)

    def checked(self, **more: object) -> "Call":
        """Return the call, having made it once; it knows then which numbers decide a branch.

        Raises:
            ValueError: options that do not go together, by the factory.
        """
        compared: set[str] = set()

        def number(path: str, x: float) -> Number:
            return Number(numbers.pair(x), path, x, compared)

        try:
            self.factory(**self.options, **more)  # its own errors are of the true numbers
            self.factory(**self.options | numbers.replaced(_dynamic(self.options), number), **more)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{self.key} {self.name!r}: {error}") from None
        return replace(self, compared=frozenset(compared))


def _scheduled(factor: optax.Schedule, rate: Any) -> optax.Schedule:
    return lambda count: factor(count) * rate


def _dynamic(options: Mapping[str, PyTree]) -> dict[str, PyTree]:
    return {name: value for name, value in options.items() if name not in _STATIC}


# ---- optimizers --------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def parse_optimizer(text: str) -> Call:
    """Return the optimizer that a string names.

    Raises:
        ValueError: an unknown name or option, or a value out of its range.

    >>> parse_optimizer("lion(b1=0.95)").numbers()
    {'b1': 0.95, 'b2': 0.99}
    """
    call = _parse(OPTIMIZER, text, "an optimizer")
    constant = call.name in CONSTANT_RATE
    rate = 0.5 if constant else optax.constant_schedule(0.5)
    more: dict[str, object] = {name: rate for name in RATES if name in call.parameters}
    for name, value in (("weight_decay", 0.0), ("mask", None)):  # of a registered one
        if name in call.parameters and name not in call.options:
            more[name] = value
    return call.checked(**more)


# ---- schedules ---------------------------------------------------------------------------------

SHORT = ("constant", "linear", "cosine")
_FACTORS = {"value": 1.0, "init_value": 1.0, "peak_value": 1.0, "end_value": 0.0, "power": 1.0}
_LENGTHS = ("decay_steps", "transition_steps", "steps")


@lru_cache(maxsize=256)
def parse_schedule(text: str, steps: int, warmup: int) -> tuple[Call, int]:
    """Return the schedule that a string names, and the updates of a warm-up before it.

    What the string leaves out of what optax requires: values are 1 (0 at the start of a warm-up
    and at the end), lengths the updates that are left.

    Args:
        text: the string. steps: updates in all. warmup: training.warmup_steps.
    Raises:
        ValueError: an unknown name or option, or a value out of its range.
    """
    call = _parse(SCHEDULE, text, "a schedule")
    options, parameters = dict(call.options), call.parameters
    warms = "warmup_steps" in parameters
    if warms and warmup and "warmup_steps" in options:
        raise ValueError(
            f"the warm-up is given twice: {SCHEDULE}={text!r} and training.warmup_steps={warmup}; "
            "leave one out"
        )
    if warms and warmup:
        options["warmup_steps"] = warmup
    rise = options.get("warmup_steps", 0) if warms else 0
    for name, parameter in parameters.items():
        if name in options or parameter.default is not inspect.Parameter.empty:
            continue
        if name == "init_value" and warms:
            options[name] = 0.0
        elif name in _FACTORS:
            options[name] = _FACTORS[name]
        elif name in _LENGTHS:
            # optax counts the warm-up in decay_steps
            before = options.get("transition_begin", 0) + (0 if name == "decay_steps" else rise)
            options[name] = max(1, steps - before - (0 if warms else warmup))
        else:
            also = " (or training.warmup_steps)" if name == "warmup_steps" else ""
            raise ValueError(f"{SCHEDULE}: {call.name} needs {name}{also}: {_example(call, name)}")
    return replace(call, options=options).checked(), 0 if warms else warmup


def _example(call: Call, name: str) -> str:
    value = {"decay_rate": "0.1", "interpolate_type": "'linear'"}.get(name, "100")
    if name == "cosine_kwargs":
        value = (
            "[{'init_value': 0.0, 'peak_value': 1.0, 'warmup_steps': 10, 'decay_steps': 100}, …]"
        )
    return f'{SCHEDULE}="{call.name}({name}={value})"'


# ---- options -----------------------------------------------------------------------------------


def _parse(key: str, text: str, kind: str) -> Call:
    form = f"{key}: {kind} is a name or name(option=value)"
    name, given = calls.parse(text, form)
    known = _known(key)
    if name in _REFUSED and key == OPTIMIZER:
        raise ValueError(f"{key}: optax's {name} {_REFUSED[name]}")
    factory = _registered[key].get(name) or known.get(name)
    if factory is None:
        allowed = optimizers() if key == OPTIMIZER else schedules()
        raise UnknownName(unknown(key, name, allowed, listing=CONFIG_HELP), allowed)
    parameters = _parameters(factory)
    options: dict[str, PyTree] = {}
    for option, value in given.items():
        if option in RATES and key == OPTIMIZER:
            raise ValueError(f"{key}: {option} is training.learning_rate={value!r}")
        if option not in parameters or option in _OBJECTS:
            allowed = [p for p in parameters if p not in _OBJECTS and p not in RATES]
            raise ValueError(unknown(f"option of {key} {name!r}:", option, allowed))
        default, annotation = parameters[option].default, parameters[option].annotation
        if get_origin(annotation) is Literal:
            validate.choice(f"{key}: {name}: {option}", value, get_args(annotation))
        options[option] = _value(f"{key}: {name}: {option}", option, value, default)
    for option, parameter in parameters.items():
        known_default = option in options and _same(options[option], parameter.default)
        if known_default and option not in DECAYS:  # a decay that is given replaces the config's
            del options[option]  # equal calls have equal options
        if option not in options and option not in (*RATES, *DECAYS, *_OBJECTS, *_STATIC):
            default = _numeric(parameter.default)
            if numbers.numbers({option: default}):
                options[option] = default
    if "key" in parameters and key == OPTIMIZER:
        options.setdefault("key", 0)
    return Call(key, name, factory, options, frozenset(given))


def _same(value: PyTree, default: PyTree) -> bool:
    return type(value) is type(default) and value == default


def _numeric(default: PyTree) -> PyTree:
    """Return a default that consists of numbers and strings, else None."""
    if isinstance(default, tuple):
        return default if all(isinstance(x, float | int | str) for x in default) else None
    return default if isinstance(default, float) else None


def _value(what: str, name: str, value: object, default: object) -> PyTree:
    """Return an option's value, of the type that its default has."""
    if isinstance(default, bool):
        return validate.flag(what, value)
    if isinstance(default, int):
        return validate.whole(what, value, 0)
    if isinstance(default, float):
        if value is None:  # optax's functions say what they do without it, or refuse it
            return None
        return _number(what, name, value, default)
    if isinstance(default, tuple) and isinstance(value, tuple | list):
        if len(default) == len(value):
            pairs = zip(value, default, strict=True)
            parts = enumerate(pairs)
            return tuple(_value(f"{what}[{i}]", name, v, d) for i, (v, d) in parts)
        raise ValueError(f"{what} must have {len(default)} values, got {value!r}")
    if isinstance(value, dict | list | tuple):
        return _nested(what, value)
    if not validate.real(value):
        return value
    if name == "key" or name.endswith(("_steps", "_begin", "steps")):
        return validate.whole(what, value, 0)
    return _number(what, name, value, 0.0)


def _nested(what: str, value: Any) -> PyTree:
    """Return nested options with floats in the place of whole numbers that are no steps."""
    if isinstance(value, dict):
        return {
            key: _nested(f"{what}[{key!r}]", item)
            if isinstance(item, dict | list | tuple)
            else _value(f"{what}[{key!r}]", str(key), item, None)
            for key, item in value.items()
        }
    parts = enumerate(value)
    if any(isinstance(item, dict | list | tuple) for item in value):
        return [_nested(f"{what}[{i}]", item) for i, item in parts]
    return tuple(_value(f"{what}[{i}]", "", item, None) for i, item in parts)


def _number(what: str, name: str, value: object, default: float) -> float:
    if name in _SHARES and default < 1:
        return validate.rate(what, value)
    if name == "decay_rate":
        return _held(what, validate.number(what, value, above=0))
    if name == "eps" and default > 0:
        return _held(what, validate.number(what, value, above=0))
    positive = name.startswith(("eps", "weight_decay")) or name.endswith("value")
    return _held(what, validate.number(what, value, least=0 if positive else None))


def _held(what: str, x: float) -> float:
    """Return a number that float32 can hold."""
    with np.errstate(over="ignore", under="ignore"):
        held = float(np.float32(x))
    if abs(x) > _LIKE_FLOAT32 or (x and not held):
        raise ValueError(f"{what}: float32 cannot hold {x!r}")
    return x
