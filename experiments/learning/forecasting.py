"""Forecasting a chaotic series by RNN, LSTM and GRU, against naive and linear answers.

    rnnlab run --config=experiments/learning/forecasting.py
    rnnlab predict RUN --text="0.9 0.95 1.02 1.08" --steps=50

The Mackey–Glass series (1977; delay 17), 5,000 values, the last fifth held out and a tenth of the
rest for validation: the value 1 and 20 steps ahead at every step of windows of 50, H = 32, 600
updates. Every cell has a learning rate of its own, chosen by its validation error on 2 seeds, and
is judged by its test error (`rmse`) on 8 other seeds, on 16 where a pair is still open. A table of
your own: --config.task.path=FILE, and --config.task.column=NAME where it has several columns of
numbers (docs/howto/my-csv.md). About 3 minutes on 2 cores; ":full" has 20,000 values, H = 128 and
20,000 updates.

The naive answer is that nothing changes; the linear ones are fitted to the part before: a + b x_t,
and an autoregression on the last 20 values. Beside them networks are scored on the same held-out
steps, from the 20th of a window on, so that each has seen as many values.

Expected, from the notes' table (an RNN for short series, a GRU for series): every network beats the
naive and the last-value answer. One step ahead the series is smooth and an autoregression is hard
to beat; 20 steps ahead it bends, and networks win. Two errors whose ratio is at most 1.25 are on
par.

Found: so it is, but that a simple RNN is not enough 1 step ahead: 1.56 [1.38 to 1.67] times the
GRU's error and 1.40 [1.09 to 1.57] times the LSTM's, whose best rate, 0.27, is the last that was
tried. 20 steps ahead GRU and LSTM are equivalent, ratio 1.03 [0.99 to 1.07], where version 1 said
1.35 at one rate for all. In standard deviations from the 20th step of a window on: 1 ahead
autoregression 0.0006, GRU 0.005, LSTM 0.013, RNN 0.016, last value 0.145; 20 ahead GRU 0.015, LSTM
0.018, RNN 0.041, autoregression 0.52, last value 0.72.
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.notices import left_out
from rnnlab.lab.comparison import RATE, RATES, Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.lab.lines import Labels
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import as_good, beats
from rnnlab.results.table import Member, Table
from rnnlab.tasks.forecasting import Forecasting
from rnnlab.training import runner

CELLS = Labels({"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"})
ARMS = {
    "RNN": {"cell.name": "rnn-tanh"},
    "GRU": {"cell.name": "gru", "init.forget_bias": "1.0"},
    "LSTM": {"cell.name": "lstm", "init.forget_bias": "1.0"},
}
TUNING_SEEDS, SEEDS = 2, (8, 16)
LAGS = 20  # of the autoregression, where windows have 40 steps
ANSWERS = {"naive": "nothing changes", "last": "a + b x_t", "linear": "linear, {lags} lags"}
NEAR, FAR = 1, 20  # steps ahead
PAR = 0.25  # errors whose ratio is at most 1 + PAR are on par
SHOWN = 150  # values of the figure


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a longer series and larger networks."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "forecasting",
                "source": "mackey_glass",
                "path": "",  # a table of your own, in place of source
                "column": "",  # of the table: to predict, or several with commas between
                "inputs": "",  # columns to predict from; empty: those to predict
                "gaps": "refuse",  # empty cells: refuse, drop (the row), interpolate
                "points": 20_000 if full else 5000,
                "window": 0,  # 50, or fewer where a file is short
                "horizon": NEAR,
                "test_share": 0.2,
                "validation_share": 0.1,  # of what is not held out
            },
            "cell": layers.config("gru", 128 if full else 32),
            "init": InitScheme.config(w_h="orthogonal"),
            "training": training.config(
                learning_rate=1e-3 if full else 5e-3,
                schedule="cosine",
                clip_norm=1.0,
                batch_size=32,
                steps=20_000 if full else 600,
                eval_every=500 if full else 100,
                eval_batch_size=500,
                stop_when_solved=False,
            ),
            "run": runner.config(
                horizons=(NEAR, FAR),  # steps ahead, each a comparison of the cells
                rates=(3e-4, 1e-3, 3e-3, 1e-2) if full else RATES,  # of learning, to tune over
                seconds_per_member=200.0 if full else 1.5,
                seconds_per_group=4.0,
            ),
        }
    )
    return config.lock()


def comparison(config: Config) -> list[Comparison]:
    """Compare the cells, each at its own learning rate, at every number of steps ahead.

    There are fewer steps ahead where a file is short.
    """
    horizons = config.run.horizons
    if config.task.path:
        with suppress(ValueError, OSError):  # a file that cannot be read is refused with a member
            horizons = horizons_of(config)
    series = Path(config.task.path).name if config.task.path else "Mackey–Glass"
    return [
        Comparison(
            ARMS,
            tune={RATE: config.run.rates},
            score="nrmse" if "," in config.task.column else None,  # of all columns; or the headline
            equivalent=PAR,
            relative=True,
            tuning_seeds=TUNING_SEEDS,
            seeds=SEEDS,
            question=f"On {series}, {in_words(ahead)} ahead",
            name=name_of(ahead),
            fixed={"task.horizon": ahead},
        )
        for ahead in horizons
    ]


def name_of(ahead: int) -> str:
    """Return the name of the comparison so many steps ahead."""
    return f"ahead_{ahead}"


def in_words(ahead: int) -> str:
    """Return a number of steps in words.

    >>> in_words(1), in_words(20)
    ('1 step', '20 steps')
    """
    return f"{ahead} step{'s' * (ahead > 1)}"


def horizons_of(config: Config) -> tuple[int, ...]:
    """Return the steps ahead of the config, none of them beyond half of a file's held-out part."""
    asked, most = tuple(config.run.horizons), task_of(config).longest_horizon()
    horizons = tuple(dict.fromkeys(min(ahead, most) for ahead in asked))
    if horizons != asked:
        left_out(f"{config.task.path} is short: run.horizons={horizons}, not {asked}")
    return horizons


run = training.run


def task_of(config: Config) -> Forecasting:
    """Return the task of a config."""
    task = training.task_of(config)
    assert isinstance(task, Forecasting)
    return task


def measure(config: Config, setup: training.Setup, params: object) -> dict[str, object]:
    """Return errors of the network and of the other answers, and some forecasts.

    Returns:
        "nrmse_…" of each: √ mean (predicted − truth)² in standard deviations of the training part,
        over all columns to predict; of one column also "rmse_…" in the units of the data; "lags" of
        the autoregression; the "forecast" and the "series" of the first column.
    """
    task = setup.task
    assert isinstance(task, Forecasting)
    data, outputs = task.load(), task.output_size
    batch = task.test(data, jax.random.key(0), training.scored(config, task, data))
    predicted = outputs_of(setup.model, params, batch.inputs)
    lags = min(LAGS, max(task.length // 2, 1))
    late = slice(lags - 1, None)
    truth = np.asarray(batch.targets[:, late])
    answers = {"network": np.asarray(predicted[:, late])}
    answers |= other_answers(task, len(batch.mask), lags)
    errors = {f"nrmse_{name}": rmse(values, truth) for name, values in answers.items()}
    if outputs == 1:
        unit = float(task.scale[0])
        errors |= {f"rmse{name[5:]}": unit * value for name, value in errors.items()}
    shown = outputs_of(setup.model, params, task.whole(data)[None])
    return {
        **errors,
        "lags": lags,
        "forecast": np.asarray(shown[0, :SHOWN, 0]),
        "series": np.asarray(data.test[: SHOWN + task.horizon, 0]),
    }


@partial(jax.jit, static_argnames="model")  # compiled once for all seeds and rates
def outputs_of(model: models.Model, params: object, xs: jax.Array) -> jax.Array:
    """Return the forecasts (B, T, O) of a trained model for windows xs (B, T, D)."""
    return model.apply(params, xs)[0]


@lru_cache(maxsize=4)  # the same for every member
def other_answers(task: Forecasting, count: int, lags: int) -> dict[str, np.ndarray]:
    """Return the other answers for ``count`` windows of the held-out part.

    Returns:
        of each (N, T − lags + 1, O): for the steps from the ``lags``-th of a window on.
    """
    data = task.load()
    of_column = [
        column_answers(
            np.asarray(data.train[:, place], np.float64),
            np.asarray(data.test[:, place])[task.test_windows(data, count)],
            task.horizon,
            lags,
        )
        for place in range(task.output_size)
    ]
    return {name: np.stack([own[name] for own in of_column], axis=-1) for name in of_column[0]}


def column_answers(
    train: np.ndarray, xs: np.ndarray, horizon: int, lags: int
) -> dict[str, np.ndarray]:
    """Return the other answers of one column for windows xs (N, T): each (N, T − lags + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view
    ahead = train[lags - 1 + horizon :]
    past = windows(train, lags)[: len(ahead)]
    late = windows(xs.astype(np.float64), lags, axis=1)

    def fitted(columns: slice) -> np.ndarray:
        design = np.concatenate([np.ones((len(past), 1)), past[:, columns]], axis=1)
        b = np.linalg.lstsq(design, ahead, rcond=None)[0]
        return b[0] + late[..., columns] @ b[1:]

    return {"naive": late[..., -1], "last": fitted(slice(-1, None)), "linear": fitted(slice(None))}


def rmse(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return √ mean (predicted − truth)², in standard deviations of the training part."""
    return float(np.sqrt(np.square(predicted - truth).mean()))


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw errors side by side, and forecasts of the series."""
    return {"errors": _errors(table), "series": _series(table)}


def _horizons(
    table: Table, size: tuple[float, float], share_y: bool = False
) -> tuple[Figure, list[tuple[Axes, Table]]]:
    """Return a figure with a titled panel per horizon, and each panel with its members."""
    horizons = table.values("task.horizon")
    figure, axes = plots.new_figure(
        1, len(horizons), size=(size[0] * len(horizons), size[1]), share_y=share_y
    )
    for ax, ahead in zip(axes[0], horizons, strict=True):
        plots.title(ax, f"{in_words(ahead)} ahead")
    panels = [
        (ax, table.select({"task.horizon": k})) for ax, k in zip(axes[0], horizons, strict=True)
    ]
    return figure, panels


def answer_names(table: Table) -> dict[str, str]:
    """Return the names of the other answers, with the autoregression's number of lags."""
    lags = min(member.result["lags"] for member in table)
    return {name: text.format(lags=lags) for name, text in ANSWERS.items()}


def _errors(table: Table) -> tuple[Figure, str]:
    figure, panels = _horizons(table, (5.2, 2.8))
    for ax, members in panels:
        others = answer_names(members)
        rows = {text: members.each(f"nrmse_{name}")[:1] for name, text in others.items()}
        for cell, group in members.group_by("cell.name").items():
            rows[CELLS[cell]] = group.stack("nrmse_network")
        for y, (name, values) in enumerate(rows.items()):
            color = plots.COLORS[1 if name in others.values() else 2]
            ax.plot(np.log10(values), np.full(len(values), y), "o", color=color, markersize=6)
            keys.mark(ax.lines[-1], "a seed")
        ax.set_yticks(range(len(rows)), rows)
        ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=f"{plots.LOG} of the root mean squared error")
    return figure, (
        "Root mean squared errors on the part held out, in standard deviations: the naive and the "
        "linear answers, and the networks, one point per seed."
    )


def _series(table: Table) -> tuple[Figure, str]:
    figure, panels = _horizons(table, (5.6, 3.0), share_y=True)
    for ax, members in panels:
        k = members[0].config["task"]["horizon"]
        series = np.asarray(members[0].result["series"])
        ax.plot(np.arange(len(series)), series, color="#999999", linewidth=3, alpha=0.6)
        ends = [plots.End(len(series) - 1, float(series[-1]), "the series", "#777777")]
        for index, (cell, group) in enumerate(members.group_by("cell.name").items()):
            forecast = np.asarray(group[0].result["forecast"])
            x = k + np.arange(len(forecast))
            look = plots.look(index)
            ax.plot(x, forecast, color=look["color"], linestyle=look["linestyle"], linewidth=1.1)
            ends.append(
                plots.End(float(x[-1]), float(forecast[-1]), CELLS[cell], plots.COLORS[index])
            )
        ax.set(xlabel="step of the part held out", xlim=(0, len(series)))
        plots.direct_labels(ax, ends)
    panels[0][0].set_ylabel("value, standard deviations")
    return figure, (
        "The beginning of the part held out (gray), and the forecasts by the first seed of each "
        "network, made so many steps before."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


NOTES = "the notes, claim 22"


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the notes' claim 22 for series: against answers without a network, and between cells."""

    def every(answers: dict[str, str], ahead: int, expected: str) -> Claim:
        names = " and ".join(answers)
        return beats(
            f"Every network beats {names}, {in_words(ahead)} ahead",
            table=table,
            comparisons=comparisons,
            name=name_of(ahead),
            arms=list(ARMS),
            score=lambda member: member.result["nrmse_network"],
            answer=lambda member: least(member, answers.values()),
            words=("the root mean squared error", f"that of {names}"),
            source=NOTES,
            expected=expected,
        )

    def on_par(statement: str, ahead: int, arms: tuple[str, str], source: str) -> Claim:
        return as_good(
            statement, comparisons=comparisons, name=name_of(ahead), arms=arms, source=source
        )

    simple = "the notes, summary table"
    last = {"the last value": "naive", "a + b x_t": "last"}
    linear = {f"an autoregression of {LAGS} lags": "linear"}
    return [
        every(last, NEAR, "holds"),
        every(last, FAR, "holds"),
        every(linear, NEAR, "refuted"),
        every(linear, FAR, "holds"),
        on_par(
            f"A simple RNN forecasts {in_words(NEAR)} ahead as well as a GRU",
            NEAR,
            ("RNN", "GRU"),
            simple,
        ),
        on_par(
            f"A simple RNN forecasts {in_words(NEAR)} ahead as well as an LSTM",
            NEAR,
            ("RNN", "LSTM"),
            simple,
        ),
        on_par(
            f"A GRU forecasts {in_words(FAR)} ahead as well as an LSTM",
            FAR,
            ("GRU", "LSTM"),
            "the notes, claims 18 and 22",
        ),
    ]


def least(member: Member, answers: Iterable[str]) -> float:
    """Return the least error of some answers without a network."""
    return min(member.result[f"nrmse_{name}"] for name in answers)
