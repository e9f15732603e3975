"""Comparisons: arms that are tuned alike, judged on fresh seeds, and decided by a fixed rule.

An experiment's file has ``comparison(config)``, which returns a :class:`Comparison`, or a list of
them; ``rnnlab run --compare.KEY=V1,V2`` makes one of any experiment. :mod:`rnnlab.lab.rounds` says
which members it needs, :mod:`rnnlab.results.statistics` decides it, and
:mod:`rnnlab.results.comparison` reads what came out.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core import json_files, metrics, validate
from rnnlab.core.errors import UserError, did_you_mean, nearest, unknown
from rnnlab.core.metrics import HIGHER, LOWER, VALIDATION, Metric
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.key_names import check_key
from rnnlab.lab.ranges import check_numbers
from rnnlab.results.statistics import Rule

if TYPE_CHECKING:
    from rnnlab.lab.load import Experiment
    from rnnlab.training.settings import MemberSpec

_NAME = "comparison"  # of the only one

Value = Any  # of a config: bool, int, float, str, None or a tuple of these
Overrides = dict[str, Value]  # by dotted key

SOLVED_AT = "solved_at"  # the score that is a time: steps until the task is solved, inf for never
RATE = "training.learning_rate"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)  # tuned unless something else is asked for
MOST_EXTENSIONS = 2  # of a grid whose best value lies at an edge
# margins where none is given: of times and of errors as ratios, of shares as differences
_TIMES_MARGIN, _RATIO_MARGIN, _SHARE_MARGIN = 0.25, 0.05, 0.01


@dataclass(frozen=True)
class Comparison:
    """A question about training, and how it is decided.

    Every arm is tuned on the same grid, with the same seeds and the same number of updates, by its
    validation score: the mean over the tuning seeds of a value and of its neighbors on the grid.
    A best value at the edge of a grid of floats above 0 extends it for all arms by the ratio of the
    two values at that edge, at most twice, as far as every arm can run with it; an arm that solves
    nothing at any value does so only if its loss falls by 5% or more in the last step towards the
    edge. The arms are then
    judged at their best values by the test score, on fresh seeds that are the same for all. After
    each number of ``seeds`` every pair that is not decided yet is looked at; its interval has the
    level 1 − 0.05/(pairs x looks), and a pair is

    * equivalent if the interval lies within ±δ,
    * better or worse if it lies on one side of zero, and not within ±δ,
    * undecided otherwise, until the seeds are used up.

    See :func:`rnnlab.results.statistics.decide` for times to solve, and for members that diverge.

    Args:
        arms: a key whose values the experiment's sweep lists; several keys with their values,
            ``{"init.w_h": ["orthogonal", "identity"]}``, whose product is compared; or the arms by
            name, each with its values: ``{"IRNN": {"cell.name": "rnn-relu", ...}, ...}``.
        tune: keys with the values to try, the same for all arms. None: learning rates of 0.001 to
            0.03 where members are trained and no arm has a rate of its own, else nothing; {}:
            nothing is tuned. A key with one value has it in all arms, and is not tuned.
        score: the result that is compared. None: the steps until the task is solved, where members
            stop then and their test sequences are drawn; else the first metric of the experiment or
            of its task.
        better: "lower" or "higher"; None: as the metric says.
        equivalent: δ, a difference that does not matter. None: 0.25 of times and 0.05 of losses, as
            ratios; 0.01 of shares and of scores of which higher is better.
        relative: whether δ is of ratios, 1 ± δ, for which scores must be positive; None: of times,
            and where ``equivalent`` is None of scores of which lower is better, shares apart.
        reference: an arm with which each other is compared; None: all pairs.
        tuning_seeds: the number of seeds of the tuning.
        seeds: the numbers of judged seeds after which pairs are looked at.
        question: the words before the verdict, such as "On adding T=200"; "" for the name of the
            experiment.
        name: unique in its file: letters, digits, "-" and "_".
        fixed: values that all arms share.
    """

    arms: str | Mapping[str, Any]
    tune: Mapping[str, Sequence[Value]] | None = None
    score: str | None = None
    better: str | None = None
    equivalent: float | None = None
    relative: bool | None = None
    reference: str | None = None
    tuning_seeds: int = 3
    seeds: Sequence[int] = (8, 16, 32)
    question: str = ""
    name: str = _NAME
    fixed: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A comparison whose defaults are filled in and whose parts are checked: see :func:`resolve`.

    Args:
        arms: each arm's values by its name, those that all share among them.
        tune: the grid by key, in rising order.
        rule: how pairs are decided.
        tuning_seeds, seeds: the seeds, as config values.
        further: by key the values by which its grid can be extended, in rising order.
        others: as of :class:`Comparison`.
    """

    name: str
    question: str
    arms: dict[str, Overrides]
    tune: dict[str, tuple[Value, ...]]
    score: str
    metric: Metric
    rule: Rule
    reference: str | None
    tuning_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    further: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The arms that are compared with each other, by name."""
        if self.reference is None:
            return list(itertools.combinations(self.arms, 2))
        return [(name, self.reference) for name in self.arms if name != self.reference]

    @property
    def words(self) -> str:
        """Its arms, and what is tuned and compared."""
        grid = [f"{key} of {', '.join(map(str, values))}" for key, values in self.tune.items()]
        tuned = f"; tuned: {'; '.join(grid)}" if grid else ""
        return f"{'; '.join(self.arms)}{tuned}; compared by {self.score}"

    @property
    def members_at_most(self) -> int:
        """The most members that it can need."""
        return len(self.arms) * (self.tuning_at_most + len(self.seeds))

    @property
    def tuning_at_most(self) -> int:
        """The most members that tune one arm."""
        sizes = [len(values) + len(self.further.get(key, ())) for key, values in self.tune.items()]
        return math.prod(sizes) * len(self.tuning_seeds) if self.tune else 0

    @property
    def grid(self) -> list[tuple[Value, ...]]:
        """The values of each tuned key."""
        return list(self.tune.values())

    def as_json(self) -> Any:
        """Return all of it, as config.json holds it."""
        return json_files.encode(asdict(self))

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Question:
        """Return the question that :meth:`as_json` wrote.

        Raises:
            UserError: it is another record.
        """
        try:
            texts = {key: entry[key] for key in ("name", "question", "score", "reference")}
            metric, rule = (
                Metric(**entry["metric"]),
                Rule(**json_files.decode_config(entry["rule"])),
            )
            values = {
                key: json_files.decode_config(entry[key])
                for key in ("arms", "tune", "tuning_seeds", "seeds", "further")
            }
            return cls(**texts, **values, metric=metric, rule=rule)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"config.json holds no comparison: {error}") from None


def further(values: Sequence[Value], allowed: Callable[[float], bool]) -> tuple[float, ...]:
    """Return the values by which a grid can be extended: two below it and two above it.

    Each follows by the ratio of the two before it. A grid that has other values than floats above 0
    is not extended, and none goes on beyond a value that is not allowed.

    >>> further((0.01, 0.1, 0.3), lambda value: value < 1)
    (0.0001, 0.001, 0.9)
    >>> further((8, 16), bool), further((0.0, 0.1), bool), further(("adam", "sgd"), bool)
    ((), (), ())
    """
    if len(values) < 2 or not all(isinstance(v, float) and v > 0 for v in values):
        return ()
    found: list[float] = []
    for inner, edge in ((values[1], values[0]), (values[-2], values[-1])):
        for _ in range(MOST_EXTENSIONS):
            value = float(f"{edge * edge / inner:.3g}")
            onward = value > edge if edge > inner else value < edge
            if not (onward and math.isfinite(value) and value > 0 and allowed(value)):
                break
            found.append(value)
            inner, edge = edge, value
    return tuple(sorted(found))


def resolve(
    experiment: Experiment, config: ConfigDict, comparisons: Iterable[Comparison]
) -> tuple[Question, ...]:
    """Check comparisons and fill in what they leave open.

    Args:
        experiment: the file.
        config: with its changed values.
        comparisons: as the file, or flags, ask for them.
    Raises:
        UserError: what is wrong with one, by its name.
    """
    questions: dict[str, Question] = {}
    for comparison in comparisons:
        name = comparison.name
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise UserError(
                f"the name of a comparison is of letters, digits, - and _; got {name!r:.80}"
            )
        if name in questions:
            raise UserError(f"two comparisons have the name {name!r}")
        try:
            questions[name] = _resolve(experiment, config, comparison)
        except ValueError as error:
            named = "" if name == _NAME else f"comparison {name!r}: "
            raise UserError(f"{named}{error}") from None
    return tuple(questions.values())


def _resolve(experiment: Experiment, config: ConfigDict, asked: Comparison) -> Question:
    flat = sweeps.flat_config(config)
    fixed = _values(flat, asked.fixed)
    arms = {name: fixed | values for name, values in _arms(experiment, config, asked.arms).items()}
    if len(arms) < 2:
        raise ValueError(f"a comparison needs two arms or more, got {', '.join(arms) or 'none'}")
    _check_differ(flat, arms)
    tune = _tuned(experiment, flat, asked.tune, arms)
    alone = {key: values[0] for key, values in tune.items() if len(values) == 1}
    arms = {name: overrides | alone for name, overrides in arms.items()}
    tune = {key: values for key, values in tune.items() if key not in alone}
    specs = _specs(experiment, config, arms, tune)

    def allowed(key: str) -> Callable[[float], bool]:
        return lambda value: _can_run(experiment, config, arms, tune, {key: value})

    metric = _metric(experiment, config, asked.score, specs)
    times = metric.name == SOLVED_AT
    if asked.better is not None:
        validate.choice("better", asked.better, (LOWER, HIGHER))
    better = asked.better or metric.better
    if better not in (LOWER, HIGHER):
        meant = did_you_mean(nearest(metric.name, list(metrics.BUILT_IN)))
        raise ValueError(
            f"whether lower or higher values of {metric.name!r} are better is not known: "
            f'give better="lower" or better="higher"{meant}'
        )
    if times and better == HIGHER:
        raise ValueError(f"{SOLVED_AT} is a time: lower is better")
    margin, relative = _margin(asked, metric, times, better)
    reference = asked.reference
    if reference is not None and reference not in arms:
        reference = {_bare(name, values): name for name, values in arms.items()}.get(reference)
        if reference is None:
            raise ValueError(unknown("reference", asked.reference, arms))
    if isinstance(asked.seeds, str) or not isinstance(asked.seeds, Iterable):
        raise ValueError(f"seeds are numbers such as (8, 16, 32), got {asked.seeds!r:.80}")
    looks = tuple(validate.whole("a number of seeds", n, 2) for n in asked.seeds)
    if not looks or list(looks) != sorted(set(looks)):
        raise ValueError(f"seeds are rising numbers such as (8, 16, 32), got {looks}")
    pairs = len(arms) - 1 if asked.reference is not None else len(arms) * (len(arms) - 1) // 2
    rule = Rule(
        margin=margin,
        pairs=pairs,
        looks=looks,
        relative=relative and not times,
        higher=better == HIGHER,
        times=times,
    )
    first = flat["seed"]
    tuning = validate.whole("tuning_seeds", asked.tuning_seeds, 1) if tune else 0
    last = first + tuning + looks[-1]
    if last > 2**32:
        raise ValueError(f"its seeds run from {first} to {last - 1}: at most {2**32 - 1}")
    _check_scores(specs, metric, tuned=bool(tune))
    further_results = experiment.functions.measure or experiment.functions.predict
    _check_name(specs, metric.name, known=further_results is None, tuned=bool(tune))
    return Question(
        name=asked.name,
        question=asked.question or f"In {experiment.name}",
        arms=arms,
        tune=tune,
        score=metric.name,
        metric=metric,
        rule=rule,
        reference=reference,
        tuning_seeds=tuple(range(first, first + tuning)),
        seeds=tuple(range(first + tuning, last)),
        further={key: further(values, allowed(key)) for key, values in tune.items()},
    )


def _can_run(
    experiment: Experiment,
    config: ConfigDict,
    arms: Mapping[str, Overrides],
    tune: Mapping[str, tuple[Value, ...]],
    tried: Overrides,
) -> bool:
    """Whether every arm can run with a value beyond its grid; a dropout of 1.2 is none to try."""
    first = {key: values[0] for key, values in tune.items()}
    try:
        check_numbers(tried, first)
        for overrides in arms.values():
            member = sweeps.apply(config, overrides | first | tried)
            if experiment.functions.check is not None:
                experiment.functions.check(member)
        _specs(experiment, config, arms, {key: (value,) for key, value in (first | tried).items()})
    except ValueError:
        return False
    return True


def _values(flat: sweeps.Flat, given: Mapping[str, object]) -> Overrides:
    """Return values by key as the config has them.

    Raises:
        UserError: an unknown key, or a value of another type.
    """
    for key in given:
        check_key(flat, key)
        if key == "seed":
            raise ValueError(
                "every arm has the same seeds, which cannot be compared, tuned or fixed: "
                "tuning_seeds and seeds say how many"
            )
    return {key: sweeps.coerce(key, value, flat[key]) for key, value in given.items()}


def _arms(
    experiment: Experiment, config: ConfigDict, arms: str | Mapping[str, Any]
) -> dict[str, Overrides]:
    """Return each arm's values by its name."""
    flat = sweeps.flat_config(config)
    if isinstance(arms, str):
        check_key(flat, arms)
        parts = sweeps.parts(config, experiment.get_sweep(config))
        listed = [row[0] for part in parts for row in part.get((arms,), ())]
        if not listed:
            raise ValueError(
                f"the sweep of {experiment.file} has no axis {arms}: give its values, "
                f'arms={{"{arms}": [...]}}'
            )
        arms = {arms: list(dict.fromkeys(listed))}
    if not isinstance(arms, Mapping):
        raise ValueError(f"arms are a key, or a dict, got {arms!r:.80}")
    if all(isinstance(values, Mapping) for values in arms.values()):
        return {str(name): _values(flat, values) for name, values in arms.items()}
    named: dict[str, Overrides] = {}
    for key, values in arms.items():
        if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
            raise ValueError(f"arms: {key} needs a list of values, got {values!r:.80}")
    lists = {key: list(values) for key, values in arms.items()}
    varied_lists = [set(map(repr, values)) for values in lists.values() if len(values) > 1]
    alike = len(set().union(*varied_lists)) < sum(map(len, varied_lists))  # a value of two keys
    for row in itertools.product(*lists.values()):
        overrides = _values(flat, dict(zip(lists, row, strict=True)))
        varied = {key: value for key, value in overrides.items() if len(lists[key]) > 1}
        shown = varied or overrides
        name = ", ".join(_words(key, value, alike) for key, value in shown.items())
        if name in named:
            raise ValueError(f"the arm {name} is given twice")
        named[name] = overrides
    return named


def _words(key: str, value: Value, alike: bool = False) -> str:
    """Return a value as an arm is named by it: a text alone, other values after their key.

    Args:
        alike: whether another key has the same text.

    >>> _words("init.w_h", "orthogonal"), _words("init.forget_bias", "1.0")
    ('orthogonal', 'forget bias 1.0')
    """
    alone = isinstance(value, str) and value and not value[0].isdigit() and not alike
    return value if alone else f"{_last(key)} {value}"


def _last(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def _bare(name: str, overrides: Overrides) -> str:
    """Return an arm's name without its keys, as flags give its values."""
    for key in overrides:
        name = name.replace(f"{_last(key)} ", "")
    return name


def _check_differ(flat: sweeps.Flat, arms: Mapping[str, Overrides]) -> None:
    """Refuse two arms with the same values: they would be one, compared with itself."""
    for (a, first), (b, second) in itertools.combinations(arms.items(), 2):
        if {**flat, **first} == {**flat, **second}:
            raise ValueError(f"the arms {a!r} and {b!r} have the same values")


def _tuned(
    experiment: Experiment,
    flat: sweeps.Flat,
    tune: Mapping[str, Sequence[Value]] | None,
    arms: Mapping[str, Overrides],
) -> dict[str, tuple[Value, ...]]:
    """Return the grid: each tuned key's values, numbers in rising order."""
    by_arms = {key for overrides in arms.values() for key in overrides}
    if tune is None:
        tune = {RATE: RATES} if experiment.trains and RATE not in by_arms else {}
    if not isinstance(tune, Mapping):
        raise ValueError(f"tune is a dict of keys with values to try, got {tune!r:.80}")
    grid: dict[str, tuple[Value, ...]] = {}
    for key, values in tune.items():
        if key in by_arms:
            raise ValueError(f"{key} is set by the arms, and cannot be tuned as well")
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"tune: {key} needs a list of values, got {values!r:.80}")
        checked = dict.fromkeys(_values(flat, {key: value})[key] for value in values)
        if not checked:
            raise ValueError(f"tune: {key} has no values")
        numbers = all(validate.real(value) for value in checked)
        grid[key] = tuple(sorted(checked) if numbers else checked)
    return grid


def _specs(
    experiment: Experiment,
    config: ConfigDict,
    arms: Mapping[str, Overrides],
    tune: Mapping[str, tuple[Value, ...]],
) -> list[MemberSpec]:
    """Return a parsed member of each arm, of an experiment that trains; else []."""
    if not experiment.trains:
        return []
    from rnnlab.training.settings import MemberSpec

    first = {key: values[0] for key, values in tune.items()}
    try:
        members = [sweeps.apply(config, overrides | first) for overrides in arms.values()]
        specs = [MemberSpec.from_config(member) for member in members]
        for spec in specs:
            spec.check_data()
    except (FileNotFoundError, ConnectionError, MemoryError) as error:
        raise ValueError(str(error)) from error
    return specs


def _metric(
    experiment: Experiment, config: ConfigDict, score: str | None, specs: Sequence[MemberSpec]
) -> Metric:
    """Return how the score is read; without one, choose it."""
    declared = experiment.get_metrics(config)
    if specs:
        from rnnlab.tasks.base import holds_out, metrics_of

        task = specs[0].setup.task
        drawn = not holds_out(task)
        if score is None and drawn and all(s.setup.settings.stop_when_solved for s in specs):
            score = SOLVED_AT
        declared = [*declared, *metrics_of(task)]
    if score is None:
        if not declared:
            raise ValueError(
                f'{experiment.file} does not say which of its results counts: give score="NAME"'
            )
        score = declared[0].name
    return metrics.lookup(score, declared)


def _margin(asked: Comparison, metric: Metric, times: bool, better: str) -> tuple[float, bool]:
    """Return (δ, whether it is of ratios)."""
    if asked.equivalent is not None:
        margin = validate.number("equivalent", asked.equivalent, above=0)
        return margin, times if asked.relative is None else asked.relative
    if times:
        return _TIMES_MARGIN, True
    relative = asked.relative
    if relative is None:  # a share of mistakes may be 0, which has no ratio
        relative = better == LOWER and metric.unit != "share"
    return (_RATIO_MARGIN if relative else _SHARE_MARGIN), relative


def stops_when_solved(spec: MemberSpec) -> bool:
    """Whether a member stops when it solves its task.

    A goal that no member reaches, an error of 0 or a share above 1, keeps it going.
    """
    goal = spec.setup.task.goal
    reachable = goal.bound > 0 if goal.at_most else goal.bound <= 1
    return spec.setup.settings.stop_when_solved and reachable


def _check_name(specs: Sequence[MemberSpec], score: str, *, known: bool, tuned: bool) -> None:
    """Refuse a score that trained members do not have, before they are trained.

    Args:
        known: whether members have no other results than those of training.
        tuned: whether values are chosen by the score, which must then be one of validation, too.
    """
    from rnnlab.tasks.base import holds_out
    from rnnlab.training.results import NUMBERS
    from rnnlab.training.train import make_train

    for spec in specs if score != SOLVED_AT else ():
        scores = make_train(spec.setup).score_names
        judged = [name for name in scores if not name.startswith(VALIDATION)]
        chosen_by = score in judged or not (tuned and holds_out(spec.setup.task))
        if score.startswith(VALIDATION) or (known and score not in (*NUMBERS, *judged)):
            raise ValueError(unknown("score", score, [*NUMBERS, *judged]))
        if score in NUMBERS and not chosen_by:
            raise ValueError(
                f"nothing can be tuned by {score}, which validation does not score: --score="
                f"{judged[0]}, or --tune.{RATE}=X with one value"
            )


def _check_scores(specs: Sequence[MemberSpec], metric: Metric, *, tuned: bool) -> None:
    """Refuse to tune by test sequences, and to judge a time that the test set has stopped."""
    from rnnlab.tasks.base import HasValidation, holds_out, sequences_to_validate

    for spec in specs:
        task, settings = spec.setup.task, spec.setup.settings
        if metric.name == SOLVED_AT and not settings.stop_when_solved:
            raise ValueError(
                f"{SOLVED_AT} is known of members that stop when they solve the task: "
                "--config.training.stop_when_solved=True"
            )
        if not holds_out(task):
            continue
        if stops_when_solved(spec) and not settings.chooses:
            raise ValueError(
                f"task {spec.config.task.name} is scored on a test set, which would decide when "
                "a member stops: --config.training.keep_best=True lets validation decide, "
                "--config.training.stop_when_solved=False nothing"
            )
        if tuned and not sequences_to_validate(
            task, task.load(), settings.eval_sample, settings.eval_batch_size
        ):
            raise ValueError(
                f"{metric.name} can only be tuned on validation data, and none are held out: "
                + (
                    "--config.task.validation_share=0.1"
                    if isinstance(task, HasValidation)
                    else "the task's class needs validation(data, key, batch_size) and "
                    "validation_size(data)"
                )
            )
