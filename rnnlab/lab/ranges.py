"""Ranges of the numbers in experiments' configs, checked before anything runs.

One table for the keys that experiments share, in the notation of intervals. What depends on other
keys or on data (a window that divides a length, say) is checked where it is used: by the task, the
settings of training or the experiment's own ``check``.
"""

import math
import re
from collections.abc import Mapping

from rnnlab.core import validate

_MOST = 2**31 - 1  # of a whole number, as JAX's int32 holds it
_SIZE = f"[1, {_MOST}]"
_COUNT = f"[0, {_MOST}]"  # 0 often means: all, none or automatic
_POSITIVE = "(0, 3.4e+38]"  # as much as float32 holds
_LEAST_ZERO = "[0, 3.4e+38]"
_SHARE = "[0, 1]"
_RATE = "[0, 1)"
_HUGE = float(_MOST)  # a bound that says only what a type can hold
_LENGTH = "[0, 100000]"  # tokens of a padded text

RANGES: dict[str, str] = {
    "seed": f"[0, {2**32 - 1}]",
    **dict.fromkeys(
        (
            "batch_size",
            "cell.hidden_size",
            "cell.layers",
            "encoder.segments",
            "grid.lengths",
            "init.floss_exponents",
            "model.order",
            "newton.max_iterations",
            "probe.first_rank",
            "probe.last_rank",
            "probe.shortest",
            "probe.top",
            "probe.words",
            "probes.lyapunov_sequences",
            "probes.spectrum_lags",
            "run.copy",
            "run.delays",
            "run.depth",
            "run.exponents",
            "run.few_labels",
            "run.few_steps",
            "run.horizons",
            "run.judged_seeds",
            "run.k",
            "run.keep",
            "run.lengths",
            "run.linear_eval_every",
            "run.linear_length",
            "run.linear_steps",
            "run.looks",
            "run.loop",
            "run.members",
            "run.pairs",
            "run.prompt",
            "run.prompts",
            "run.repeats",
            "run.rnn_lengths",
            "run.tuning_seeds",
            "run.turns",
            "run.workers",
            "run.xor",
            "task.alphabet",
            "task.batch_size",
            "task.best_grade",
            "task.classes",
            "task.delay",
            "task.documents",
            "task.features",
            "task.horizon",
            "task.input_size",
            "task.items",
            "task.length",
            "task.lengths",
            "task.measured_steps",
            "task.points",
            "task.queries",
            "task.sequences",
            "task.test_length",
            "task.words",
            "training.accumulate_steps",
            "training.batch_size",
            "training.buckets",
            "training.epochs",
            "training.eval_batch_size",
            "training.eval_every",
            "training.maxn",
            "training.minn",
            "training.size",
            "training.steps",
            "training.threads",
            "vectors.buckets",
            "vectors.epochs",
            "vectors.size",
            "vocab_size",
            "word2vec.epochs",
            "word2vec.size",
        ),
        _SIZE,
    ),
    **dict.fromkeys(
        (
            "cell.embedding_size",
            "cell.projection",
            "corpus.min_count",
            "init.floss",
            "init.floss_sequences",
            "member",
            "probes.at",
            "probes.spectrum_seeds",
            "run.floss",
            "run.members_at_once",
            "run.permutations_seed",
            "run.rounds",
            "run.sample",
            "run.threads",
            "start.member",
            "task.embedding_size",
            "task.limit",
            "task.min_count",
            "task.vocab_size",
            "task.window",
            "text.min_count",
            "text.reviews",
            "training.eval_sample",
            "training.negatives",
            "training.patience",
            "training.warmup_steps",
            "training.window",
            "vectors.unlabeled",
        ),
        _COUNT,
    ),
    **dict.fromkeys(("length", "task.max_length"), _LENGTH),
    **dict.fromkeys(
        (
            "encoder.norm_eps",
            "init.floss_learning_rate",
            "run.floss_rate",
            "run.gated_rates",
            "run.linear_rates",
            "run.rates",
            "run.seconds",
            "run.vector_rates",
            "vectors.learning_rate",
        ),
        _POSITIVE,
    ),
    **dict.fromkeys(
        (
            "ranker.k1",
            "run.checkpoint_seconds",
            "run.noise",
            "run.omega",
            "run.seconds_per_group",
            "run.seconds_per_member",
            "run.temperature",
            "task.noise",
            "task.solved_at",
            "training.learning_rate",
            "training.omega",
            "training.sample",
            "training.weight_decay",
        ),
        _LEAST_ZERO,
    ),
    **dict.fromkeys(
        ("model.discount", "probe.rates", "ranker.b", "unit.lam", "cell.zoneout_h"), _SHARE
    ),
    **dict.fromkeys(
        (
            "cell.dropout",
            "cell.recurrent_dropout",
            "cell.zoneout_C",
            "encoder.attention_dropout",
            "encoder.dropout",
            "training.ema_decay",
        ),
        _RATE,
    ),
    "cell.gain": "[-1e+38, 1e+38]",
    "grid.ratios": "[-1e+38, 1e+38]",
    "layer": "[-1000, 1000]",  # from the last layer if negative
    "run.seeds": "[1, 100000]",
    "task.test_share": "(0, 1)",
    "task.validation_share": "[0, 1)",
    "training.clip_norm": "(0, inf]",
}

_INTERVAL = re.compile(r"([\[(])(\S+), (\S+)([\])])")


def check_numbers(values: Mapping[str, object], default: Mapping[str, object]) -> None:
    """Refuse a number out of its range, wherever a config or a sweep names it.

    A number of a key that the table does not have, such as one of a user's own experiment, must be
    finite where the config's default is.

    Args:
        values: to check, by dotted key.
        default: the config's own values.
    Raises:
        ValueError: a number out of its range.
    """
    for key, value in values.items():
        for number in filter(validate.real, _items(value)):
            if key in RANGES:
                if not _inside(number, RANGES[key]):
                    kind = "a whole number" if isinstance(number, int) else "a number"
                    raise ValueError(f"{key} must be {kind} in {RANGES[key]}, got {number!r}")
            elif not math.isfinite(number) and _finite(default.get(key)):
                raise ValueError(f"{key} must be a finite number, got {number!r}")


def words(key: str) -> str:
    """Return the range of a key's numbers in words, "" for a key without a range.

    >>> words("cell.hidden_size"), words("cell.dropout"), words("nobody.knows")
    ('of at least 1', 'of at least 0 and below 1', '')
    """
    if key not in RANGES:
        return ""
    match = _INTERVAL.fullmatch(RANGES[key])
    assert match, RANGES[key]
    left, least, most, right = match.groups()
    found = []
    if abs(float(least)) < _HUGE:
        found.append(f"of at least {least}" if left == "[" else f"above {least}")
    if float(most) < _HUGE:
        found.append(f"at most {most}" if right == "]" else f"below {most}")
    return " and ".join(found)


def _items(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _finite(value: object) -> bool:
    return all(math.isfinite(number) for number in filter(validate.real, _items(value)))


def _inside(number: float, interval: str) -> bool:
    match = _INTERVAL.fullmatch(interval)
    assert match, interval
    left, least, most, right = match.groups()
    above = number >= float(least) if left == "[" else number > float(least)
    below = number <= float(most) if right == "]" else number < float(most)
    return above and below  # neither, for NaN
