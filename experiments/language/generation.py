"""Samples of a language model, measured: greedy, by temperature, among the k most probable.

    rnnlab run --config=experiments/language/generation.py
    rnnlab predict DIR --text="The state of" --steps=200 --temperature=0.7   # or --top_k=5

Characters of the State of the Union (packages of rnnlab[data]), as char_lm.py learns them: half a
million, tanh RNN, LSTM and GRU of H = 128, two seeds. Each reads 32 prompts of 100 characters of
the held-out text and continues them by 400, y_t fed back as x_{t+1}: greedy, at seven temperatures
τ, and among the k largest. Samples are scored beside the true continuation of the prompts (people's
text): bits per character by a 6-gram (modified Kneser–Ney) of the training text, words that occur
there, different pairs of words, the longest stretch copied, loops. About 3 minutes on 2 cores;
":full" has all 12 million characters and H = 512.

Expected: samples at τ have as many nats as the model's own entropy at τ, and τ → 0 is greedy:
closed forms. Likelihood is not quality (Holtzman et al. 2020): greedy text loops, and is more
probable than what people wrote; at τ = 1 it is less probable, and no τ or k reaches people's text
in both likelihood and variety.
Measured: all 32 greedy samples of every model end in a loop, of 11 to 38 characters, at 0.88 to
1.18 bits per character where people have 1.56 and the same models at τ = 1 2.26 (GRU) to 2.92
(LSTM); samples are never more than 2.1 standard errors off the model's entropy. The GRU (1.69 bits
of its own; RNN 1.96, LSTM 1.99) comes nearest, at τ = 0.7: as probable as people's text, 69% of
pairs of words different against 80, 90% words against 96. Refuted: that greedy text copies longer
stretches than people do (14 to 21 characters against 28).
"""

import re
from functools import lru_cache
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab import character_model
from rnnlab.lab.character_model import CELLS
from rnnlab.lab.config import scale
from rnnlab.nn import generation, models
from rnnlab.plotting import keys, learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.sparse.language_model import NgramLanguageModel
from rnnlab.tasks.base import Config, PyTree
from rnnlab.tasks.characters import Characters
from rnnlab.text import repetition, tokenizers

REPRODUCE = False  # `rnnlab reproduce` would take more than half an hour with it

ORDER = 6  # n of the n-gram that scores samples
GRAMS = 2  # n of the n-grams of words, of which different ones are counted
TEMPERATURES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
TOP_K = (2, 5, 10, 20)
SETTINGS: dict[str, tuple[float, int]] = {
    "greedy": (0.0, 0),
    **{f"τ = {t:g}": (t, 0) for t in TEMPERATURES},
    **{f"k = {k}": (1.0, k) for k in TOP_K},
}
HOT = [f"τ = {t:g}" for t in TEMPERATURES]
PEOPLE = "held out"
ROUNDING = 1e-4  # of logits: one step at a time, and at once
COLD = 1e-7  # a temperature next to 0
READ = ("greedy", "τ = 0.5", "τ = 0.7", "τ = 1", "τ = 1.5", "k = 5")


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of the whole text."""
    full = scale(arg) == "full"
    return character_model.config(
        full,
        run={
            "seeds": 2,
            "prompts": 32,  # held-out texts that are continued
            "prompt": 100,  # characters of such a text
            "sample": 400,  # characters that continue it
            "loop": 1000,  # characters of a greedy sample that may end in a loop
            "seconds_per_member": 20_000.0 if full else 25.0,
        },
    )


get_sweep = character_model.axes
run = training.run


# ---- measurements ------------------------------------------------------------------------------


def measure(config: Config, setup: training.Setup, params: PyTree) -> dict[str, object]:
    """Return samples of every setting, their scores, and those of people's text."""
    task, model, loop = cast(Characters, setup.task), setup.model, config.run.loop
    held_out = task.load().test
    sizes = character_model.fitting(len(held_out), config.run)
    prompts, follows = pieces(held_out, *sizes)
    key = jax.random.key(config.seed)

    def draw(temperature: float, top_k: int, steps: int = sizes.sample) -> np.ndarray:
        samples = generation.generate(
            model,
            params,
            jnp.asarray(prompts),
            steps,
            None if temperature == 0 else key,
            temperature=temperature,
            top_k=min(top_k, task.input_size),  # a text may have fewer characters
        )
        return np.asarray(samples)

    drawn = {name: draw(*setting) for name, setting in SETTINGS.items()}
    scores = {PEOPLE: judged(task, prompts, follows)}
    for name, samples in drawn.items():
        scores[name] = judged(task, prompts, samples)
        if name != "greedy":
            scores[name] |= surprise(model, params, prompts, samples, *SETTINGS[name])
    loops = [repetition.loop(row) for row in draw(0.0, 0, loop)]
    shown = {name: task.decode(samples[0]) for name, samples in drawn.items() if name in READ}
    return {
        "found": scores,
        "periods": [period for period, _ in loops],
        "begins": [begin for _, begin in loops],
        "cold": float((draw(COLD, 0) == drawn["greedy"]).mean()),
        "one": float((draw(1.0, 1) == drawn["greedy"]).mean()),
        "prompt": task.decode(prompts[0]),
        "read": {PEOPLE: task.decode(follows[0])} | shown,
    }


def pieces(text: np.ndarray, count: int, prompt: int, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (prompts (M, T_0), their continuations (M, T)), at even distances over a text.

    Raises:
        ValueError: a text that is too short for them.
    """
    size = prompt + sample
    if len(text) < count * size:
        raise ValueError(
            f"run.prompts={count} of {size} characters each need {count * size} held "
            f"out, there are {len(text)}"
        )
    starts = np.linspace(0, len(text) - size, count).astype(int)
    rows = np.asarray(text)[starts[:, None] + np.arange(size)].astype(np.int32)
    return rows[:, :prompt], rows[:, prompt:]


@lru_cache(maxsize=1)  # members share their text
def judge(task: Characters) -> tuple[NgramLanguageModel, frozenset[str]]:
    """Return the n-gram model of the training text, and its words."""
    text = task.decode(task.load().train)
    model = NgramLanguageModel(ORDER, pad=False, tokenizer=tokenizers.Characters())
    return model.fit([text]), frozenset(words_of(text))


def words_of(text: str) -> list[str]:
    """Return the words in lower case, without the first and the last, which may be cut."""
    return re.findall(r"\w+", text.lower())[1:-1]


def judged(task: Characters, prompts: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """Return the scores of samples (M, T) that follow prompts (M, T_0).

    Returns:
        {"bits" per character, "known": share of words that occur in the training text,
        "distinct": share of different pairs of words, "copied": longest copies (M,)}.
    """
    model, known = judge(task)
    before = prompts[:, -(ORDER - 1) :]
    texts = [task.decode(row) for row in np.concatenate([before, samples], axis=1)]
    p = model.probabilities(texts).probabilities.reshape(len(texts), -1)[:, before.shape[1] :]
    words = [words_of(task.decode(row)) for row in samples]
    all_words = [word for sample in words for word in sample]
    return {
        "bits": float(-np.log2(p).mean()),
        "known": float(np.mean([word in known for word in all_words])) if all_words else 0.0,
        "distinct": repetition.distinct(words, GRAMS) if max(map(len, words)) >= GRAMS else 0.0,
        "copied": repetition.longest_copies(task.load().train, samples),
    }


def surprise(
    model: models.Model,
    params: PyTree,
    prompts: np.ndarray,
    samples: np.ndarray,
    temperature: float,
    top_k: int,
) -> dict[str, float]:
    """Return −log p of samples, the entropy of their distributions, and the standard error.

    Given all that came before, −log p_t(x_t) − H_t has mean zero at every step and the variance
    Σ_x p_t(x) (log p_t(x) + H_t)²; steps are uncorrelated, so that the variances add up.

    Returns:
        {"nats", "entropy", "error"}: means per character, and the standard error of their
        difference.
    """
    rows = np.concatenate([prompts, samples], axis=1)
    logits, _ = model.apply(params, jnp.asarray(rows[:, :-1]))
    logits = np.asarray(logits[:, prompts.shape[1] - 1 :])
    log_p = log_probabilities(logits, temperature, top_k, samples)
    p = np.exp(log_p)
    finite = np.where(p > 0, log_p, 0.0)
    entropy = -(p * finite).sum(axis=-1)
    variance = (p * np.square(finite + entropy[..., None])).sum(axis=-1)
    nats = -np.take_along_axis(log_p, samples[..., None], axis=-1)
    return {
        "nats": float(nats.mean()),
        "entropy": float(entropy.mean()),
        "error": float(np.sqrt(variance.sum()) / samples.size),
    }


def log_probabilities(
    logits: np.ndarray, temperature: float, top_k: int = 0, drawn: np.ndarray | None = None
) -> np.ndarray:
    """Return log softmax(y / τ) over the k largest of the last axis, −inf elsewhere; float64.

    Args:
        drawn: symbols that count as among the k largest if they are to within ``ROUNDING``: they
            were when they were drawn, one step at a time.
    """
    scaled, rank = logits.astype(np.float64) / temperature, logits.astype(np.float64)
    if top_k:
        if drawn is not None:
            raised = np.take_along_axis(rank, drawn[..., None], axis=-1) + ROUNDING
            np.put_along_axis(rank, drawn[..., None], raised, axis=-1)
        out = np.argsort(-rank, axis=-1, kind="stable")[..., top_k:]
        np.put_along_axis(scaled, out, -np.inf, axis=-1)
    scaled -= scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def score(member: Member, setting: str, name: str) -> float:
    """Return a member's score of a setting; of copies the median over its samples."""
    return float(np.median(member.result["found"][setting][name]))


def median(table: Table, cell: str, setting: str, name: str) -> float:
    """Return the median of a score over the seeds of a cell.

    Raises:
        Undecided: no member of it.
    """
    members = table.select({"cell.name": cell})
    if not len(members):
        raise Undecided(f"no member with cell.name={cell!r}", {"cell.name": cell})
    return float(np.median([score(m, setting, name) for m in members]))


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw likelihood against variety, the effect of temperature, and samples to read."""
    return {
        "quality_diversity": _quality(table),
        "temperature": _temperature(table),
        "samples": _samples(table),
    }


def _quality(table: Table) -> tuple[Figure, str]:
    cells = table.values("cell.name")
    figure, axes = plots.new_figure(
        1, len(cells), size=(4.3 * len(cells), 3.9), share_y=True, share_x=True
    )
    for ax, cell in zip(axes[0], cells, strict=True):

        def points(names: list[str], cell: str = cell) -> np.ndarray:
            return np.array(
                [[median(table, cell, s, n) for n in ("distinct", "bits")] for s in names]
            )

        for index, names in (
            (1, ["greedy", *HOT]),
            (2, [s for s in SETTINGS if s.startswith("k")]),
        ):
            xy = points(names)
            ax.plot(*xy.T, "o", **(plots.look(index) | {"linestyle": "-"}), markersize=4)
            for point, name in zip(xy, names, strict=True):
                align, offset = ("left", (5, -9)) if index == 1 else ("right", (-4, 3))
                ax.annotate(
                    name.removeprefix("τ = "),
                    point,
                    fontsize=7,
                    textcoords="offset points",
                    color=plots.COLORS[index],
                    ha=align,
                    xytext=offset,
                )
        people = points([PEOPLE])[0]
        ax.plot(*people, "*", color=plots.COLORS[0], markersize=13)
        ax.annotate("people", people, (0, -14), textcoords="offset points", ha="center", fontsize=8)
        ax.margins(0.16)
        ax.set_xlabel("different pairs of words, share")
        plots.title(ax, CELLS[cell])
    axes[0, 0].set_ylabel(f"bits per character, by a {ORDER}-gram")
    return figure, (
        "How probable samples are to a model that counts, against how many of their pairs of words "
        "are different; medians over seeds. Blue: by temperature τ; orange: among the k largest. "
        "The star is what people wrote after the same prompts: below it is more probable, "
        "left of it poorer."
    )


MEASURES = {
    "known": "words that occur in the training text",
    "copied": "longest stretch copied",
    "entropy": "the model's own entropy, nats",
}


def _temperature(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, len(MEASURES), size=(4.4 * len(MEASURES), 3.3))
    for ax, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        ends = []
        for index, (cell, members) in enumerate(table.group_by("cell.name").items()):
            rows = np.array([[score(m, s, name) for s in HOT] for m in members])
            ends.append(plots.band(ax, np.array(TEMPERATURES), rows, CELLS[cell], index))
            if name == "entropy":
                drawn = [median(table, cell, s, "nats") for s in HOT]
                ax.plot(TEMPERATURES, drawn, "o", color=plots.COLORS[index], markersize=4)
                keys.mark(ax.lines[-1], r"$-\log p$ of the samples")
        ax.set(xlabel=r"temperature $\tau$", ylabel=label, xlim=(0, TEMPERATURES[-1]))
        if name != "entropy":
            learning_curves.baseline(ax, score(table[0], PEOPLE, name), "people")
        plots.direct_labels(ax, ends)
    return figure, (
        f"The effect of temperature, {plots.MEDIAN_AND_BAND} over seeds: the share of words "
        "that the training text has, the longest stretch of a sample that stands there "
        "(characters, median over samples), and the entropy of the distributions drawn from, with "
        "−log p of the samples (points). Dotted: what people wrote after the same prompts."
    )


def _samples(table: Table) -> tuple[Figure, str]:
    cell = min(table.values("cell.name"), key=lambda c: median_bits(table, c))
    result = table.select({"cell.name": cell})[0].result
    figure, axes = plots.new_figure(1, 1, size=(9.0, 0.62 * len(result["read"]) + 0.7))
    ax = axes[0, 0]
    ax.set_axis_off()
    step = 1 / len(result["read"])
    for row, (name, text) in enumerate(result["read"].items()):
        top = 1 - row * step
        character_model.draw_sample(ax, top, name, text, x=0.09, width=112, lines=4, size=7.5)
    plots.title(ax, f"{CELLS[cell]}: after “…{' '.join(result['prompt'].split())[-60:]}”")
    return figure, (
        "People's text, and samples of the first seed of the best cell after the same prompt."
    )


def median_bits(table: Table, cell: str) -> float:
    """Return the median bits per character of the held-out text, by the model itself."""
    return float(np.median(table.select({"cell.name": cell}).stack("bits_per_character")))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------

NOTES = "the notes, claim 14"
HOLTZMAN = "Holtzman et al. 2020 (arXiv 1904.09751)"
MEDIANS = "each cell, medians over seeds: "
STRETCH = MEDIANS + "longest stretch of a sample that stands in the training text "


def claims(table: Table) -> list[Claim]:
    """Return the claims: closed forms of sampling, Holtzman's findings, the notes' 14."""
    return [
        samples_have_the_entropy(table),
        cold_is_greedy(table),
        hotter_has_more_entropy(table),
        greedy_loops(table),
        greedy_is_more_probable(table),
        greedy_is_poorer(table),
        drawn_is_less_probable(table),
        drawn_has_unknown_words(table),
        none_reaches_people(table),
        top_k_keeps_variety(table),
        drawn_copies_no_more(table),
        greedy_copies_more(table),
    ]


def each(table: Table, name: str, setting: str) -> dict[str, float]:
    """Return the median of a score of a setting by cell."""
    return {cell: median(table, cell, setting, name) for cell in CELLS}


def words(scores: dict[str, float], digits: int = 2) -> str:
    """Return a score by cell in words."""
    return ", ".join(f"{CELLS[cell]} {x:.{digits}f}" for cell, x in scores.items())


@claim(
    "Samples at τ have the model's own entropy at τ",
    source=NOTES,
    holds_if="−log p of samples and the mean entropy of their distributions within {errors:g} "
    "standard errors, every τ and k, every member",
    expected="holds",
    closed_form=True,
    errors=4.0,
)
def samples_have_the_entropy(table: Table, errors: float) -> tuple[bool, str]:
    """Compare −log p of samples with the entropy, by :func:`surprise`."""
    if not len(table):
        raise Undecided("no members")
    distance = {
        name: max(
            abs(f["nats"] - f["entropy"]) / f["error"]
            for f in (m.result["found"][name] for m in table)
        )
        for name in SETTINGS
        if name != "greedy"
    }
    worst = max(distance, key=lambda name: distance[name])
    at_1 = table[0].result["found"]["τ = 1"]
    return distance[worst] <= errors, (
        f"at most {distance[worst]:.1f} standard errors apart ({worst}); for example at τ = 1 "
        f"{at_1['nats']:.3f} and {at_1['entropy']:.3f} ± {at_1['error']:.3f} nats"
    )


@claim(
    "τ → 0, and k = 1, are greedy",
    source=NOTES,
    holds_if="the same characters at τ = {cold:g}, and at k = 1, every member",
    expected="holds",
    closed_form=True,
    cold=COLD,
)
def cold_is_greedy(table: Table, cold: float) -> tuple[bool, str]:
    """Compare samples next to τ = 0 and at k = 1 with greedy ones."""
    shares, one = table.each("cold"), table.each("one")
    return bool((shares == 1).all() and (one == 1).all()), (
        f"the same characters in {100 * shares.min():.2f}% (τ = {cold:g}) and "
        f"{100 * one.min():.2f}% (k = 1) or more"
    )


@claim(
    "The hotter, the more entropy",
    source=NOTES,
    holds_if="from each τ to the next, every member",
    expected="holds",
)
def hotter_has_more_entropy(table: Table) -> tuple[bool, str]:
    """Check that the entropy grows from each temperature to the next."""
    rows = np.array([[score(m, s, "entropy") for s in HOT] for m in table])
    if not len(rows):
        raise Undecided("no members")
    ends = np.median(rows, axis=0)
    return bool((np.diff(rows, axis=1) > 0).all()), (
        f"{ends[0]:.2f} nats at {HOT[0]}, {ends[-1]:.2f} at {HOT[-1]}"
    )


@claim(
    "Greedy text ends in a loop",
    source=HOLTZMAN + ", §3",
    holds_if="at least {least:g} of the samples of each cell repeat themselves to the end, three "
    "rounds or more",
    expected="holds",
    least=0.9,
)
def greedy_loops(table: Table, least: float) -> tuple[bool, str]:
    """Check the share of greedy samples that end in a loop."""
    periods = {cell: table.select({"cell.name": cell}).stack("periods") for cell in CELLS}
    share = {cell: float((p > 0).mean()) for cell, p in periods.items()}
    usual = {c: float(np.median(p[p > 0])) if (p > 0).any() else 0.0 for c, p in periods.items()}
    return min(share.values()) >= least, (
        f"share that loops: {words(share)}; median period: {words(usual, 0)} characters"
    )


@claim(
    "Greedy text is more probable than people's",
    source=HOLTZMAN + ", §4",
    holds_if=MEDIANS + f"fewer bits by the {ORDER}-gram",
    expected="holds",
)
def greedy_is_more_probable(table: Table) -> tuple[bool, str]:
    """Compare the bits of greedy and of people's text."""
    people, greedy = each(table, "bits", PEOPLE), each(table, "bits", "greedy")
    return all(greedy[c] < people[c] for c in CELLS), (
        f"bits per character: {words(greedy)}, people {people['lstm']:.2f}"
    )


@claim(
    "Greedy text is poorer than people's",
    source=HOLTZMAN + ", §3",
    holds_if=MEDIANS + "at most {share:g} of people's different pairs of words",
    expected="holds",
    share=0.5,
)
def greedy_is_poorer(table: Table, share: float) -> tuple[bool, str]:
    """Compare the different pairs of words of greedy and of people's text."""
    people, greedy = each(table, "distinct", PEOPLE), each(table, "distinct", "greedy")
    return all(greedy[c] <= share * people[c] for c in CELLS), (
        f"different pairs of words: {words(greedy)}, people {people['lstm']:.2f}"
    )


@claim(
    "Samples at τ = 1 are less probable than people's text",
    source=HOLTZMAN + ", §3",
    holds_if=MEDIANS + "more bits",
    expected="holds",
)
def drawn_is_less_probable(table: Table) -> tuple[bool, str]:
    """Compare the bits of samples at τ = 1 and of people's text."""
    people, drawn = each(table, "bits", PEOPLE), each(table, "bits", "τ = 1")
    return all(drawn[c] > people[c] for c in CELLS), (
        f"bits per character: {words(drawn)}, people {people['lstm']:.2f}"
    )


@claim(
    "Samples at τ = 1 have words that do not exist, fewer at τ = 0.5",
    source=HOLTZMAN,
    holds_if=MEDIANS + "the share of words that occur in the training text at least {margin:g} "
    "below people's, and higher at τ = 0.5",
    expected="holds",
    margin=0.02,
)
def drawn_has_unknown_words(table: Table, margin: float) -> tuple[bool, str]:
    """Compare the share of known words at two temperatures and of people's text."""
    people, hot, cool = (each(table, "known", s) for s in (PEOPLE, "τ = 1", "τ = 0.5"))
    return all(people[c] - hot[c] >= margin and cool[c] > hot[c] for c in CELLS), (
        f"words that occur: τ = 1 {words(hot)}; τ = 0.5 {words(cool)}; people {people['lstm']:.2f}"
    )


@claim(
    "No τ or k reaches people's text",
    source=HOLTZMAN + ", §4",
    holds_if=MEDIANS + "none has at most people's bits and at least their different pairs of words",
    expected="holds",
)
def none_reaches_people(table: Table) -> tuple[bool, str]:
    """List the settings that reach people's text in both likelihood and variety."""
    reached = [
        f"{CELLS[c]} {s}"
        for c in CELLS
        for s in SETTINGS
        if median(table, c, s, "bits") <= median(table, c, PEOPLE, "bits")
        and median(table, c, s, "distinct") >= median(table, c, PEOPLE, "distinct")
    ]
    return not reached, ", ".join(reached) if reached else "none does"


@claim(
    "The k most probable cut off the tail and keep the variety",
    source="Fan et al. 2018 (arXiv 1805.04833)",
    holds_if=MEDIANS + "k = 10 has more words that occur than τ = 1, and {share:g} of its "
    "different pairs of words",
    expected="holds",
    share=0.9,
)
def top_k_keeps_variety(table: Table, share: float) -> tuple[bool, str]:
    """Compare k = 10 with τ = 1 in known words and in different pairs of words."""
    known, known_all = each(table, "known", "k = 10"), each(table, "known", "τ = 1")
    pairs, pairs_all = each(table, "distinct", "k = 10"), each(table, "distinct", "τ = 1")
    ratio = {c: pairs[c] / pairs_all[c] for c in CELLS}
    return all(known[c] > known_all[c] and ratio[c] >= share for c in CELLS), (
        f"words that occur: {words(known)} (k = 10), {words(known_all)} (all); pairs kept: "
        f"{words(ratio)}"
    )


def longer_copies(table: Table, setting: str) -> tuple[list[bool], str]:
    """Return for each cell whether its copies are longer than people's, and the lengths."""
    copied, people = each(table, "copied", setting), each(table, "copied", PEOPLE)
    return [copied[c] > people[c] for c in CELLS], (
        f"{words(copied, 0)} characters, people {people['lstm']:.0f}"
    )


@claim(
    "Samples at τ = 1 copy no longer stretches than people do",
    source="McCoy et al. 2023 (arXiv 2111.09509)",
    holds_if=STRETCH + "no longer than people's",
    expected="holds",
)
def drawn_copies_no_more(table: Table) -> tuple[bool, str]:
    """Compare the longest copies at τ = 1 and of people's text."""
    longer, measured = longer_copies(table, "τ = 1")
    return not any(longer), measured


@claim(
    "Greedy text copies longer stretches than people do",
    source=HOLTZMAN,
    holds_if=STRETCH + "longer than people's",
    expected="holds",
)
def greedy_copies_more(table: Table) -> tuple[bool, str]:
    """Compare the longest copies of greedy and of people's text."""
    longer, measured = longer_copies(table, "greedy")
    return all(longer), measured
