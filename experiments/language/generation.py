"""What a language model writes, measured: greedy, by temperature, among the k most probable.

    rnnlab run --config=experiments/language/generation.py
    rnnlab predict DIR --text="The state of" --steps=200 --temperature=0.7   # or --top_k=5

Characters of the State of the Union (packages of rnnlab[data]), as char_lm.py learns them: half a
million, tanh RNN, LSTM and GRU of H = 128, two seeds. Each reads 32 prompts of 100 characters of
the text held out and goes on for 400, y_t fed back as x_{t+1}: greedy, at seven temperatures τ, and
among the k largest. Samples are judged beside what really follows the prompts: bits a character by
a 6-gram (modified Kneser–Ney) of the training text, words that occur there, different pairs of
words, the longest stretch copied, loops. About 3 minutes on 2 cores; ":full" has all 12 million
characters and H = 512.

Expected: what is drawn at τ has as many nats as the model's own entropy at τ, and τ → 0 is greedy:
closed forms. Likelihood is not quality (Holtzman et al. 2020): greedy text loops, and is more
probable than what people wrote; at τ = 1 it is less probable, and no τ or k comes to people's text
in both likelihood and variety.
Measured: all 32 greedy samples of every model end in a loop, of 1 to 39 characters, at .81 to 1.17
bits a character where people have 1.53 and the same models at τ = 1 2.29 (GRU) to 2.98 (LSTM); what
is drawn is never more than 1.9 standard errors off the model's entropy. The GRU (1.66 bits of its
own; RNN 1.94, LSTM 1.96) comes nearest, at τ = 0.7: as probable as people's text, 68% of pairs of
words different against 80, 90% words against 96. Refuted: that greedy text copies longer stretches
than people do (14 to 22 characters against 30).
"""

import re
import textwrap
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.nn import generation
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.language_model import NgramLanguageModel
from rnnlab.text import repetition
from rnnlab.text.tokenizers import Characters
from rnnlab.training import runner

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

CELLS = {"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"}
ORDER = 6  # n of the judge
GRAMS = 2  # words, of which different ones are counted
TEMPERATURES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
TOP_K = (2, 5, 10, 20)
SETTINGS: dict[str, tuple[float, int]] = {
    "greedy": (0.0, 0),
    **{f"τ = {t:g}": (t, 0) for t in TEMPERATURES},
    **{f"k = {k}": (1.0, k) for k in TOP_K},
}
PEOPLE = "held out"
ROUNDING = 1e-4  # of logits: one step at a time, and at once
COLD = 1e-7  # a temperature next to 0
ERRORS = 4.0  # standard errors within which what was drawn agrees with the entropy
LOOPS = 0.9  # of greedy samples
POORER = 0.5  # of people's different pairs of words, at most, in greedy text
KNOWN = 0.02  # share of words: how far below people's what is drawn at τ = 1 is, at least
KEPT = 0.9  # of the different pairs of words at τ = 1, with k = 10
READ = ("greedy", "τ = 0.5", "τ = 0.7", "τ = 1", "τ = 1.5", "k = 5")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the whole text."""
    if arg not in (None, "", "full"):
        raise ValueError(f"generation.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "characters",
                "path": "",
                "batch_size": 32,
                # windows of 50 (100) characters fill a stream of the training text exactly
                "limit": 12_181_340 if full else 497_780,
                "test_share": 0.1,
                "test_length": 2000,
            },
            "cell": {"name": "lstm", "hidden_size": 512 if full else 128, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="cosine",
                clip_norm=1.0,
                batch_size=32,
                window=100 if full else 50,
                steps=40_000 if full else 2400,
                eval_every=500 if full else 200,
                eval_batch_size=32,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=2,
                prompts=32,
                prompt=100,  # characters
                sample=400,
                loop=1000,  # characters of a greedy sample that may end in a loop
                seconds_per_member=20_000.0 if full else 25.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Cells x seeds."""
    axes = {"seed": tuple(range(config.run.seeds))}
    return [
        {"cell.name": ("rnn-tanh", "gru"), **axes},
        {"cell.name": ("lstm",), "init.forget_bias": ("1.0",), **axes},
    ]


run = runner.run


def measure(config: Any, setup: Any, params: Any) -> dict[str, Any]:
    """Samples of every setting, and what is measured of them and of what people wrote."""
    task, model, own = setup.task, setup.model, config.run
    prompts, follows = pieces(task.load().test, own.prompts, own.prompt, own.sample)
    key = jax.random.key(config.seed)

    def draw(temperature: float, top_k: int, steps: int = own.sample) -> np.ndarray:
        with_key = None if temperature == 0 else key
        return np.asarray(
            generation.generate(
                model,
                params,
                jnp.asarray(prompts),
                steps,
                with_key,
                temperature=temperature,
                top_k=top_k,
            )
        )

    drawn = {name: draw(*setting) for name, setting in SETTINGS.items()}
    found = {PEOPLE: judged(task, prompts, follows)}
    for name, samples in drawn.items():
        found[name] = judged(task, prompts, samples)
        if name != "greedy":
            found[name] |= surprise(model, params, prompts, samples, *SETTINGS[name])
    loops = [repetition.loop(row) for row in draw(0.0, 0, own.loop)]
    place = {name: task.decode(samples[0]) for name, samples in drawn.items() if name in READ}
    return {
        "found": found,
        "periods": [period for period, _ in loops],
        "begins": [begin for _, begin in loops],
        "cold": float((draw(COLD, 0) == drawn["greedy"]).mean()),
        "one": float((draw(1.0, 1) == drawn["greedy"]).mean()),
        "prompt": task.decode(prompts[0]),
        "read": {PEOPLE: task.decode(follows[0])} | place,
    }


def pieces(text: Any, count: int, prompt: int, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """(prompts (M, T_0), what follows each (M, T)): stretches at even distances over a text.

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


# ---- what is measured --------------------------------------------------------------------------


@lru_cache(maxsize=1)  # members share their text
def judge(task: Any) -> tuple[NgramLanguageModel, frozenset[str]]:
    """The n-gram model of the training text, and its words."""
    text = task.decode(task.load().train)
    model = NgramLanguageModel(ORDER, pad=False, tokenizer=Characters())
    return model.fit([text]), frozenset(words_of(text))


def words_of(text: str) -> list[str]:
    """Words in lower case; the first and the last, which may be cut, are left out."""
    return re.findall(r"\w+", text.lower())[1:-1]


def judged(task: Any, prompts: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """Bits a character, known words, different pairs of words, the longest copies."""
    model, known = judge(task)
    before = prompts[:, -(ORDER - 1) :]
    texts = [task.decode(row) for row in np.concatenate([before, samples], axis=1)]
    p = model.probabilities(texts).probabilities.reshape(len(texts), -1)[:, before.shape[1] :]
    words = [words_of(task.decode(row)) for row in samples]
    every = [word for own in words for word in own]
    return {
        "bits": float(-np.log2(p).mean()),
        "known": float(np.mean([word in known for word in every])) if every else 0.0,
        "distinct": repetition.distinct(words, GRAMS) if max(map(len, words)) >= GRAMS else 0.0,
        "copied": repetition.longest_copies(task.load().train, samples),
    }


def surprise(
    model: Any,
    params: Any,
    prompts: np.ndarray,
    samples: np.ndarray,
    temperature: float,
    top_k: int,
) -> dict[str, float]:
    """−log p of what was drawn, the entropy of what it was drawn from, and their standard error.

    Given all that came before, −log p_t(x_t) − H_t has mean zero at every step and the variance
    Σ_x p_t(x) (log p_t(x) + H_t)²; steps are uncorrelated, so that the variances add up.

    Returns:
        {"nats", "entropy", "error"}: means a character, and the standard error of their difference.
    """
    rows = np.concatenate([prompts, samples], axis=1)
    logits, _ = model.apply(params, jnp.asarray(rows[:, :-1]))
    own = np.asarray(logits[:, prompts.shape[1] - 1 :])
    log_p = log_probabilities(own, temperature, top_k, samples)
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
    """log softmax(y / τ) over the k largest of the last axis, −inf elsewhere; float64.

    Args:
        drawn: symbols that count as among the k largest if they are to ``ROUNDING``: they were
            when they were drawn, one step at a time.
    """
    scaled, rank = logits.astype(np.float64) / temperature, logits.astype(np.float64)
    if top_k:
        if drawn is not None:
            own = np.take_along_axis(rank, drawn[..., None], axis=-1) + ROUNDING
            np.put_along_axis(rank, drawn[..., None], own, axis=-1)
        out = np.argsort(-rank, axis=-1, kind="stable")[..., top_k:]
        np.put_along_axis(scaled, out, -np.inf, axis=-1)
    scaled -= scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def value(member: Any, setting: str, name: str) -> float:
    """What was found of a setting; of copies the median over its samples."""
    return float(np.median(member.result["found"][setting][name]))


def median(table: Table, cell: str, setting: str, name: str) -> float:
    """Over the seeds of a cell.

    Raises:
        Undecided: no member of it.
    """
    members = table.select({"cell.name": cell})
    if not len(members):
        raise Undecided(f"no member with cell.name={cell!r}", {"cell.name": cell})
    return float(np.median([value(m, setting, name) for m in members]))


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Likelihood against variety, what temperature does, and a page to read."""
    return {
        "quality_diversity": _quality(table),
        "temperature": _temperature(table),
        "samples": _samples(table),
    }


def _quality(table: Table) -> tuple[Any, str]:
    cells = table.values("cell.name")
    figure, axes = plots.new_figure(
        1, len(cells), size=(4.3 * len(cells), 3.9), share_y=True, share_x=True
    )
    for ax, cell in zip(axes[0], cells, strict=True):

        def points(names: list[str], cell: str = cell) -> np.ndarray:
            return np.array(
                [[median(table, cell, s, n) for n in ("distinct", "bits")] for s in names]
            )

        hot = ["greedy", *(s for s in SETTINGS if s.startswith("τ"))]
        for index, names in ((1, hot), (2, [s for s in SETTINGS if s.startswith("k")])):
            xy = points(names)
            ax.plot(*xy.T, "o", **(plots.look(index) | {"linestyle": "-"}), markersize=4)
            for point, name in zip(xy, names, strict=True):
                where: Any = (
                    {"ha": "left", "xytext": (5, -9)}
                    if index == 1
                    else {"ha": "right", "xytext": (-4, 3)}
                )
                ax.annotate(
                    name.removeprefix("τ = "),
                    point,
                    fontsize=7,
                    textcoords="offset points",
                    color=plots.COLORS[index],
                    **where,
                )
        people = points([PEOPLE])[0]
        ax.plot(*people, "*", color=plots.COLORS[0], markersize=13)
        ax.annotate("people", people, (0, -14), textcoords="offset points", ha="center", fontsize=8)
        ax.margins(0.16)
        ax.set_xlabel("different pairs of words, share")
        plots.title(ax, CELLS[cell])
    axes[0, 0].set_ylabel(f"bits a character, by a {ORDER}-gram")
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


def _temperature(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, len(MEASURES), size=(4.4 * len(MEASURES), 3.3))
    hot = [s for s in SETTINGS if s.startswith("τ")]
    for ax, (name, label) in zip(axes[0], MEASURES.items(), strict=True):
        ends = []
        for index, (cell, members) in enumerate(table.group_by("cell.name").items()):
            rows = np.array([[value(m, s, name) for s in hot] for m in members])
            ends.append(plots.band(ax, np.array(TEMPERATURES), rows, CELLS[cell], index))
            if name == "entropy":
                drawn = [median(table, cell, s, "nats") for s in hot]
                ax.plot(TEMPERATURES, drawn, "o", color=plots.COLORS[index], markersize=4)
        ax.set(xlabel="temperature τ", ylabel=label, xlim=(0, TEMPERATURES[-1]))
        if name != "entropy":
            learning_curves.baseline(ax, value(table[0], PEOPLE, name), "people")
        plots.direct_labels(ax, ends)
    return figure, (
        "What temperature does: the share of words that occur in the training text, the longest "
        "stretch of a sample that stands there (characters, median over samples), and the entropy "
        "of the distributions drawn from, with −log p of what was drawn on it (points). Dotted: "
        "what people wrote after the same prompts."
    )


def _samples(table: Table) -> tuple[Any, str]:
    cell = min(table.values("cell.name"), key=lambda c: median_bits(table, c))
    result = table.select({"cell.name": cell})[0].result
    figure, axes = plots.new_figure(1, 1, size=(9.0, 0.62 * len(result["read"]) + 0.7))
    ax = axes[0, 0]
    ax.set_axis_off()
    step = 1 / len(result["read"])
    for row, (name, text) in enumerate(result["read"].items()):
        top = 1 - row * step
        ax.text(0, top, name, fontsize=8, va="top", color=plots.COLORS[1], transform=ax.transAxes)
        lines = textwrap.wrap(text.replace("\n", "↵ "), 112)[:4]
        ax.text(
            0.09,
            top,
            "\n".join(lines),
            fontsize=7.5,
            va="top",
            family="monospace",
            transform=ax.transAxes,
            parse_math=False,
        )
    plots.title(ax, f"{CELLS[cell]}: after “…{' '.join(result['prompt'].split())[-60:]}”")
    return figure, (
        "What people wrote, and what the first seed of the best cell writes after the same prompt."
    )


def median_bits(table: Table, cell: str) -> float:
    """Bits a character of the text held out, by the model itself."""
    return float(np.median(table.select({"cell.name": cell}).stack("bits_per_character")))


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Closed forms of sampling; Holtzman's findings; the notes' 14."""
    cells = list(CELLS)

    def each(name: str, setting: str) -> dict[str, float]:
        return {cell: median(table, cell, setting, name) for cell in cells}

    def told(found: dict[str, float], digits: int = 2) -> str:
        return ", ".join(f"{CELLS[cell]} {x:.{digits}f}" for cell, x in found.items())

    def entropy() -> tuple[bool, str]:
        if not len(table):
            raise Undecided("no members")
        apart = {
            name: max(
                abs(f["nats"] - f["entropy"]) / f["error"]
                for f in (m.result["found"][name] for m in table)
            )
            for name in SETTINGS
            if name != "greedy"
        }
        worst = max(apart, key=lambda name: apart[name])
        at = table[0].result["found"]["τ = 1"]
        return apart[worst] <= ERRORS, (
            f"at most {apart[worst]:.1f} standard errors apart ({worst}); at τ = 1 for one "
            f"{at['nats']:.3f} and {at['entropy']:.3f} ± {at['error']:.3f} nats"
        )

    def cold() -> tuple[bool, str]:
        shares, one = table.stack("cold"), table.stack("one")
        return bool((shares == 1).all() and (one == 1).all()), (
            f"the same characters in {100 * shares.min():.2f}% (τ = {COLD:g}) and "
            f"{100 * one.min():.2f}% (k = 1) or more"
        )

    def warmer() -> tuple[bool, str]:
        hot = [s for s in SETTINGS if s.startswith("τ")]
        rows = np.array([[value(m, s, "entropy") for s in hot] for m in table])
        if not len(rows):
            raise Undecided("no members")
        ends = np.median(rows, axis=0)
        return bool((np.diff(rows, axis=1) > 0).all()), (
            f"{ends[0]:.2f} nats at {hot[0]}, {ends[-1]:.2f} at {hot[-1]}"
        )

    def loops() -> tuple[bool, str]:
        periods = {cell: table.select({"cell.name": cell}).stack("periods") for cell in cells}
        share = {cell: float((of > 0).mean()) for cell, of in periods.items()}
        usual = {
            cell: float(np.median(of[of > 0])) if (of > 0).any() else 0.0
            for cell, of in periods.items()
        }
        return min(share.values()) >= LOOPS, (
            f"share that loops: {told(share)}; median period: {told(usual, 0)} characters"
        )

    def likelier() -> tuple[bool, str]:
        people = {cell: median(table, cell, PEOPLE, "bits") for cell in cells}
        found = each("bits", "greedy")
        return all(found[c] < people[c] for c in cells), (
            f"bits a character: {told(found)}, people {people['lstm']:.2f}"
        )

    def poorer() -> tuple[bool, str]:
        people, found = each("distinct", PEOPLE), each("distinct", "greedy")
        return all(found[c] <= POORER * people[c] for c in cells), (
            f"different pairs of words: {told(found)}, people {people['lstm']:.2f}"
        )

    def unlikelier() -> tuple[bool, str]:
        people, found = each("bits", PEOPLE), each("bits", "τ = 1")
        return all(found[c] > people[c] for c in cells), (
            f"bits a character: {told(found)}, people {people['lstm']:.2f}"
        )

    def spelling() -> tuple[bool, str]:
        people, found = each("known", PEOPLE), each("known", "τ = 1")
        cool = each("known", "τ = 0.5")
        return all(people[c] - found[c] >= KNOWN and cool[c] > found[c] for c in cells), (
            f"words that occur: τ = 1 {told(found)}; τ = 0.5 {told(cool)}; people "
            f"{people['lstm']:.2f}"
        )

    def neither() -> tuple[bool, str]:
        reached = [
            f"{CELLS[c]} {s}"
            for c in cells
            for s in SETTINGS
            if median(table, c, s, "bits") <= median(table, c, PEOPLE, "bits")
            and median(table, c, s, "distinct") >= median(table, c, PEOPLE, "distinct")
        ]
        return not reached, ", ".join(reached) if reached else "none does"

    def tail() -> tuple[bool, str]:
        known, all_known = each("known", "k = 10"), each("known", "τ = 1")
        kept = {
            c: median(table, c, "k = 10", "distinct") / median(table, c, "τ = 1", "distinct")
            for c in cells
        }
        fit = all(known[c] > all_known[c] and kept[c] >= KEPT for c in cells)
        return (
            fit,
            f"words that occur: {told(known)} (k = 10), {told(all_known)} (all); pairs "
            f"kept: {told(kept)}",
        )

    def copies(setting: str, more: bool) -> Any:
        def check() -> tuple[bool, str]:
            people, found = each("copied", PEOPLE), each("copied", setting)
            fit = all((found[c] > people[c]) == more for c in cells)
            return fit, f"{told(found, 0)} characters, people {people['lstm']:.0f}"

        return check

    holtzman, notes = "Holtzman et al. 2020 (arXiv 1904.09751)", "the notes, claim 14"
    medians, stretch = "each cell, medians over seeds: ", "longest stretch of a sample that stands "
    return [
        Claim(
            "What is drawn at τ has the model's own entropy at τ",
            notes,
            "−log p of samples and "
            f"the mean entropy of what they were drawn from within {ERRORS:g} standard errors, "
            "every τ and k, every member",
            "holds",
            entropy,
            closed_form=True,
        ),
        Claim(
            "τ → 0, and k = 1, are greedy",
            notes,
            f"the same characters at τ = {COLD:g}, and at k = 1, every member",
            "holds",
            cold,
            closed_form=True,
        ),
        Claim(
            "The hotter, the more entropy",
            notes,
            "from each τ to the next, every member",
            "holds",
            warmer,
        ),
        Claim(
            "Greedy text ends in a loop",
            holtzman + ", §3",
            f"at least {LOOPS} of the samples "
            "of each cell repeat themselves to the end, three rounds or more",
            "holds",
            loops,
        ),
        Claim(
            "Greedy text is more probable than people's",
            holtzman + ", §4",
            medians + f"fewer bits by the {ORDER}-gram",
            "holds",
            likelier,
        ),
        Claim(
            "… and poorer",
            holtzman + ", §3",
            medians + f"at most {POORER} of people's different pairs of words",
            "holds",
            poorer,
        ),
        Claim(
            "What is drawn at τ = 1 is less probable than people's text",
            holtzman + ", §3",
            medians + "more bits",
            "holds",
            unlikelier,
        ),
        Claim(
            "… and has words that are none, fewer at τ = 0.5",
            holtzman,
            medians + "the share "
            f"of words that occur in the training text at least {KNOWN} below people's, and "
            "higher at τ = 0.5",
            "holds",
            spelling,
        ),
        Claim(
            "No τ or k comes to people's text",
            holtzman + ", §4",
            medians + "none has at most people's bits and at least their different pairs of words",
            "holds",
            neither,
        ),
        Claim(
            "The k most probable cut off the tail and keep the variety",
            "Fan et al. 2018 (arXiv 1805.04833)",
            medians + "k = 10 has more words that occur than τ = 1, and "
            f"{KEPT} of its different pairs of words",
            "holds",
            tail,
        ),
        Claim(
            "What is drawn at τ = 1 copies no longer stretches than people do",
            "McCoy et al. 2023 (arXiv 2111.09509)",
            medians + stretch + "in the training text no longer than people's",
            "holds",
            copies("τ = 1", more=False),
        ),
        Claim(
            "Greedy text copies longer stretches than people do",
            holtzman,
            medians + stretch + "in the training text longer than people's",
            "holds",
            copies("greedy", more=True),
        ),
    ]
