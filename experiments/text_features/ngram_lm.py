"""N-gram language models by four smoothings, and recurrent ones: perplexity and size against n.

    rnnlab run --config=experiments/text_features/ngram_lm.py

The text and split of char_lm.py: the first half million characters of the State of the Union
speeches (packages of rnnlab[data]), the last tenth held out. Character models of n = 1 to 8 and
word models of n = 1 to 5 by MLE, add-k (k chosen on training text), Kneser–Ney and modified
Kneser–Ney are scored on the same characters as a tanh RNN and an LSTM of H = 128 (BPTT truncated
to 50). About a minute on 2 cores; ":full" has all 12 million characters and H = 512.

Expected (Chen & Goodman 1999; the notes, claim 5): MLE gives held-out text probability 0 from word
pairs on; longer contexts make add-k worse but not Kneser–Ney, and its modified form is best; the
number of n-grams grows steeply with n. The LSTM beats counting up to n = 3. Both networks have the
learning rate that char_lm.py's comparison chose for them, 0.01, and one seed each.

Measured: as expected. MLE gives 28% of the held-out words probability 0 at n = 2, 89% at n = 4.
Perplexity per word, n = 1 to 5: modified Kneser–Ney 312, 124, 111, 109, 108; add-k 312, 215, 859,
1917, 2747. Bits per character at n = 4, 5, 8: 1.94, 1.64, 1.50, with 31, 93 and 698 thousand
numbers; RNN 1.90, LSTM 1.75, with 37 and 118 thousand: of like size, the LSTM is behind counting.
"""

import textwrap
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.core.validate import choice, share, whole
from rnnlab.lab import character_model
from rnnlab.lab.config import scale
from rnnlab.lab.lines import Labels
from rnnlab.nn import models
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.sparse.language_model import SMOOTHINGS, NgramLanguageModel
from rnnlab.text import tokenizers
from rnnlab.training import runner

Config = Any  # an ml_collections.ConfigDict, whose attributes have no types
Results = dict[str, Any]  # of a member, by name
REPRODUCE = False  # texts are left out of `rnnlab reproduce`
NAMES = {
    "mle": "MLE",
    "add_k": "add-k",
    "kneser_ney": "Kneser–Ney",
    "modified_kneser_ney": "modified Kneser–Ney",
}
CELLS = Labels({"rnn-tanh": "RNN", "lstm": "LSTM"})
ORDERS = {"characters": (1, 2, 3, 4, 5, 6, 7, 8), "words": (1, 2, 3, 4, 5)}
BEST = "modified_kneser_ney"
K = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # candidates for add-k
MIN_COUNT = 2  # rarer characters or words are <UNK>, so that it has a probability
CONTEXTS = 100  # of the held-out text, whose distributions are summed
PROMPT = "The people of the "
TUNED_RATE = 0.01  # of both networks, chosen on validation text by char_lm.py's comparison
BEATEN = (2, 3)  # the orders that the LSTM is expected to beat, at this scale
TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)  # of perplexity


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of the whole text."""
    full = scale(arg) == "full"
    config: Any = character_model.config(full, {})
    with config.unlocked():
        if not full:
            config.training.learning_rate = TUNED_RATE
        config.model = {
            "name": BEST,  # a smoothing, or "network" for the cell below, on characters
            "unit": "characters",  # the symbols of a text
            "order": 3,  # n, symbols of an n-gram
            "discount": 0.75,  # what absolute discounting takes from a count
        }
        config.run = ConfigDict(
            runner.config(
                sample=200,  # characters to draw; of words a fifth as many
                seconds_per_member=200.0 if full else 1.2,
                seconds_per_group=0.0,
            )
        )
    return config.lock()


def get_sweep(config: Config) -> list[dict[str, tuple]]:
    """Return smoothings x n, of characters and of words, and the networks."""
    del config
    return [
        *(
            {"model.name": SMOOTHINGS, "model.unit": (unit,), "model.order": orders}
            for unit, orders in ORDERS.items()
        ),
        {"model.name": ("network",), "cell.name": ("rnn-tanh",)},
        {"model.name": ("network",), "cell.name": ("lstm",), "init.forget_bias": ("1.0",)},
    ]


def check(config: Config) -> None:
    """Refuse unknown models, and configs that training refuses."""
    choice("model.name", config.model.name, (*SMOOTHINGS, "network"))
    choice("model.unit", config.model.unit, ORDERS)
    whole("model.order", config.model.order)
    share("model.discount", config.model.discount)
    runner.check(config)


def run(config: Config, key: jax.Array, log: Callable[..., object]) -> Results:
    """Count or train, and score the held-out text."""
    return network(config, key, log) if config.model.name == "network" else counted(config)


# ---- the models --------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # members share their text
def texts(task: Any) -> tuple[str, str]:
    """Return the training text, and of the rest the characters that networks are scored on.

    The first of these is given to every model and not scored.
    """
    data, alphabet = task.load(), np.array(list(task.alphabet))
    scored = task.test(data, jax.random.key(0), task.batch_size).targets.size
    return "".join(alphabet[data.train]), "".join(alphabet[data.test[: scored + 1]])


def tokenizer_of(unit: str) -> tokenizers.Characters | tokenizers.Words:
    """Return the tokenizer of a unit."""
    return tokenizers.Characters() if unit == "characters" else tokenizers.Words()


def model_of(config: Config, k: float = 1.0) -> NgramLanguageModel:
    """Return the n-gram model of a config, of one stream of text."""
    return NgramLanguageModel(
        config.model.order,
        config.model.name,
        k=k,
        discount=config.model.discount if config.model.name == "kneser_ney" else None,
        min_count=MIN_COUNT,
        pad=False,
        tokenizer=tokenizer_of(config.model.unit),
    )


def counted(config: Config) -> Results:
    """Measure perplexity, size and cost of an n-gram model."""
    learn, held_out = texts(training.task_of(config))
    k = choice_of_k(config, learn) if config.model.name == "add_k" else 1.0
    model = model_of(config, k)
    start = time.perf_counter()
    model.fit([learn])
    fitted = time.perf_counter()
    p = model.probabilities([held_out]).probabilities[1:]
    scored = time.perf_counter()
    with np.errstate(divide="ignore"):
        bits = float(-np.log2(p).mean())
    words = tokenizer_of(config.model.unit)([held_out]).lists()[0]
    known = set(model.symbols[1:])
    return {
        "bits": bits,  # per character or word
        "impossible": float((p == 0).mean()),
        "tokens": len(p),
        "vocabulary": len(known),
        "unknown": float(np.mean([word not in known for word in words[1:]])),
        "ngrams": model.num_ngrams,
        "numbers": model.num_numbers,
        "mib": model.nbytes / 2**20,
        "k": k,
        "fit_s": fitted - start,
        "score_us": 1e6 * (scored - fitted) / len(p),
        "off_one": off_one(model, words, config.seed),
        "drawn": drawn(config, model),
    }


def choice_of_k(config: Config, learn: str) -> float:
    """Return the k that is best on the last tenth of the training text, after the rest."""
    cut = len(learn) * 9 // 10
    scores = [model_of(config, k).fit([learn[:cut]]).perplexity([learn[cut:]]) for k in K]
    return K[int(np.argmin(scores))]


def off_one(model: NgramLanguageModel, words: list[str], seed: int) -> float:
    """Return the largest |Σ_w p(w | h) − 1| over contexts h of the held-out text."""
    n = model.order
    ends = np.random.default_rng(seed).integers(n - 1, len(words), CONTEXTS).tolist()
    return max(abs(model.distribution(words[i - n + 1 : i]).sum() - 1) for i in ends)


def drawn(config: Config, model: NgramLanguageModel) -> str:
    """Draw a sample after the prompt."""
    prompt = tokenizer_of(config.model.unit)([PROMPT]).lists()[0]
    if config.model.unit == "characters":
        return "".join(model.sample(config.run.sample, prompt, config.seed))
    return " ".join(model.sample(config.run.sample // 5, prompt, config.seed))


def network(config: Config, key: jax.Array, log: Callable[..., object]) -> Results:
    """Measure perplexity, size and cost of a recurrent model."""
    member = training.member(config, key)
    train, data = training.make_train(member.setup), member.setup.task.load()
    arguments, start = (member.key, member.hyper, member.params, data), time.perf_counter()
    state, progress = jax.block_until_ready(jax.jit(train)(*arguments))
    seconds = time.perf_counter() - start
    bits = np.asarray(progress.score["bits_per_character"])
    for step, value in zip(np.asarray(progress.step).tolist(), bits.tolist(), strict=True):
        log(step=step, bits=value)
    count = models.count_params(state.params)
    last = jax.tree.map(lambda values: values[-1].item(), progress.score)
    return {
        "bits": train.chosen(state, last)[1]["bits_per_character"],
        "numbers": count,
        "mib": 4 * count / 2**20,
        "fit_s": seconds,  # with its compilation
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw perplexity against n, sizes, and samples of the models."""
    return {"perplexity": _perplexity(table), "size": _size(table), "samples": _samples(table)}


def members_of(table: Table, unit: str, name: str) -> list[Member]:
    """Return the n-gram models of a unit and a smoothing, by n."""
    return sorted(table.select({"model.unit": unit, "model.name": name}), key=_order)


def networks(table: Table) -> dict[str, Results]:
    """Return the results of the networks, by the name of the cell."""
    chosen = table.select({"model.name": "network"})
    return {CELLS[member.config["cell"]["name"]]: member.result for member in chosen}


def _needed(table: Table, unit: str) -> list[Member]:
    """Return the best n-gram models of a unit.

    Raises:
        Undecided: the sweep was narrowed to others.
    """
    if not (members := members_of(table, unit, BEST)):
        raise Undecided(f"no member is of {NAMES[BEST]}, {unit}")
    return members


def _order(member: Member) -> int:
    return member.config["model"]["order"]


def _perplexity(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 3, size=(13, 4))
    for ax, unit in zip(axes[0], ORDERS, strict=False):
        ends = []
        for index, name in enumerate(SMOOTHINGS):
            members, look = members_of(table, unit, name), plots.look(index)
            ns = [*map(_order, members)]
            bits = np.array([member.result["bits"] for member in members])
            ax.plot(ns, np.where(np.isfinite(bits), bits, np.nan), marker="o", markersize=3, **look)
            last = int(np.isfinite(bits).sum()) - 1
            if ns and last + 1 == len(ns):
                ends.append(plots.End(ns[-1], float(bits[-1]), NAMES[name], look["color"]))
            elif last >= 0:
                ax.annotate(
                    f"{NAMES[name]}: ∞, n ≥ {ns[last] + 1}",
                    (ns[last], bits[last]),
                    (9, 3),
                    textcoords="offset points",
                    fontsize=8,
                )
        ax.set(xlabel="$n$", xticks=ORDERS[unit], xlim=(ORDERS[unit][0] - 0.3, ORDERS[unit][-1]))
        if unit == "characters":
            ax.set(ylabel="bits per character, held-out text")
            for name, result in networks(table).items():
                plots.theory_line(ax, np.array(ax.get_xlim()), np.full(2, result["bits"]))
                ends.append(plots.End(ORDERS[unit][-1], result["bits"], name, "#000000"))
        else:
            low, high = ax.get_ylim()
            ticks = [p for p in TICKS if low <= np.log2(p) <= high]
            ax.set_yticks(np.log2(ticks), [f"{p:,}" for p in ticks])
            ax.set(ylabel="perplexity per word, held-out text")
        plots.title(ax, unit.capitalize())
        plots.direct_labels(ax, ends)
    ax = axes[0, 2]
    for index, unit in enumerate(ORDERS):
        members = members_of(table, unit, "mle")
        percent = [100 * member.result["impossible"] for member in members]
        ns = [*map(_order, members)]
        if not ns:
            continue
        ax.plot(ns, percent, marker="o", markersize=3, **plots.look(index))
        ax.annotate(
            unit,
            (ns[-1], percent[-1]),
            (0, 6),
            textcoords="offset points",
            color=plots.COLORS[index],
            fontsize=8,
            ha="right",
        )
    ax.set(xlabel="$n$", ylabel="% of the held-out text", ylim=(0, 105))
    plots.title(ax, "Probability 0 by MLE")
    words = _needed(table, "words")[0].result
    return figure, (
        "Perplexity of held-out text against n, by smoothing; dotted: recurrent networks on the "
        f"same characters. Words: {words['vocabulary']:,} distinct ones, "
        f"{100 * words['unknown']:.0f}% of the held-out ones are <UNK>. On the right, the share of "
        "characters or words to which counting alone gives probability 0."
    )


def _size(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.5, 4))
    left, right = axes[0]
    for index, unit in enumerate(ORDERS):
        longest = _needed(table, unit)[-1].result["ngrams"]
        ns = range(1, len(longest) + 1)
        left.plot(ns, longest, marker="o", markersize=3, **plots.look(index))
        left.annotate(
            unit,
            (ns[-1], longest[-1]),
            (-4, 6),
            textcoords="offset points",
            color=plots.COLORS[index],
            fontsize=8,
            ha="right",
        )
    left.set(xlabel="$n$", ylabel="distinct n-grams", yscale="log")
    plots.title(left, "n-grams in the training text")
    members = members_of(table, "characters", BEST)
    numbers = [member.result["numbers"] for member in members]
    bits = [member.result["bits"] for member in members]
    right.plot(numbers, bits, marker="o", markersize=3, **plots.look(1))
    for member, x, y in zip(members, numbers, bits, strict=True):
        right.annotate(
            f"{_order(member)}",
            (x, y),
            (-4, -10),
            ha="right",
            textcoords="offset points",
            fontsize=8,
            color=plots.COLORS[1],
        )
    for index, (name, result) in enumerate(networks(table).items()):
        color = plots.COLORS[2 + index]
        right.plot(result["numbers"], result["bits"], "s", color=color, markersize=6)
        right.annotate(
            name,
            (result["numbers"], result["bits"]),
            (8, 4),
            color=color,
            textcoords="offset points",
            fontsize=8,
        )
    right.set(
        xlabel="numbers in the model (α, γ; parameters)",
        xscale="log",
        ylabel="bits per character, held-out text",
        ylim=(min(bits) - 0.3, None),
    )
    plots.title(right, f"{NAMES[BEST][0].upper()}{NAMES[BEST][1:]} and networks")
    return figure, (
        "The number of distinct n-grams in the training text; and bits per character against the "
        "size of a model (n beside the points): for an n-gram model its probabilities and weights "
        "of shorter contexts, for a network its parameters."
    )


def _samples(table: Table) -> tuple[Figure, str]:
    samples = [
        (f"{_order(m)}-gram of {unit}", m.result["drawn"])
        for unit, orders in (("characters", (1, 2, 3, 5, 8)), ("words", (1, 2, 3)))
        for m in members_of(table, unit, BEST)
        if _order(m) in orders
    ]
    figure, axes = plots.new_figure(1, 1, size=(9.5, 0.3 + 0.56 * len(samples)))
    ax = axes[0, 0]
    ax.set_axis_off()
    for row, (name, text) in enumerate(samples):
        top = 1 - row / len(samples)
        lines = textwrap.wrap(text.replace("\n", "↵ "), 100)[:3]
        ax.text(0, top, name, fontsize=8, va="top", color=plots.COLORS[1], transform=ax.transAxes)
        ax.text(
            0.16,
            top,
            "\n".join(lines),
            fontsize=8,
            va="top",
            family="monospace",
            transform=ax.transAxes,
            parse_math=False,
        )
    return (
        figure,
        f"Drawn by modified Kneser–Ney after {PROMPT!r}, by words or characters.",
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------

GOODMAN, NOTES = "Chen & Goodman 1999", "the notes, claim 5"
LOWER = "perplexity per word of the held-out text "
FEWER_BITS = "bits per character of the held-out text below the n-gram's"


def by_order(table: Table, unit: str, name: str, result: str) -> dict[int, Any]:
    """Return a result of all n-gram models of a unit and a smoothing, by n."""
    members = members_of(table, unit, name)
    if tuple(map(_order, members)) != ORDERS[unit]:
        raise Undecided(f"not every n of {name}, {unit}")
    return {_order(member): member.result[result] for member in members}


def perplexities(table: Table, name: str, unit: str = "words") -> dict[int, float]:
    """Return the perplexities of a smoothing, by n."""
    return {n: 2.0**bits for n, bits in by_order(table, unit, name, "bits").items()}


def listed(values: dict[int, float], form: str = ".0f") -> str:
    """Return values in words."""
    return ", ".join(f"{value:{form}}" for value in values.values())


def network_result(table: Table, cell: str, name: str) -> float:
    """Return a result of a network."""
    return float(table.select({"model.name": "network", "cell.name": cell}).each(name)[0])


@claim(
    "Counting alone gives held-out text probability 0, from pairs of words on",
    source=GOODMAN,
    holds_if="by MLE some held-out word has probability 0 at every n ≥ 2",
    expected="holds",
)
def impossible(table: Table) -> tuple[bool, str]:
    """Measure the share of held-out words with probability 0."""
    shares = by_order(table, "words", "mle", "impossible")
    return all(shares[n] > 0 for n in shares if n >= 2), (
        "probability 0 for "
        + ", ".join(f"{100 * shares[n]:.0f}% (n = {n})" for n in shares)
        + " of the held-out words"
    )


@claim(
    "Kneser–Ney predicts words better than add-k",
    source=GOODMAN,
    holds_if=LOWER + "at most {most} of add-k's, k the best on other text, at every n ≥ 2",
    expected="holds",
    most=0.9,
)
def beats_add_k(table: Table, most: float) -> tuple[bool, str]:
    """Measure the perplexities of Kneser–Ney and add-k."""
    ours, theirs = perplexities(table, "kneser_ney"), perplexities(table, "add_k")
    return all(ours[n] <= most * theirs[n] for n in ours if n >= 2), (
        f"n = 1 to {max(ours)}: Kneser–Ney {listed(ours)}; add-k {listed(theirs)}"
    )


@claim(
    "Modified Kneser–Ney predicts words better than Kneser–Ney",
    source=GOODMAN,
    holds_if=LOWER + "below, 3-grams, D = {discount}",
    expected="holds",
)
def modified_is_better(table: Table, discount: float) -> tuple[bool, str]:
    """Measure the perplexities of both at n = 3."""
    ours, theirs = perplexities(table, BEST), perplexities(table, "kneser_ney")
    return ours[3] < theirs[3], f"3-grams: {ours[3]:.1f}, Kneser–Ney {theirs[3]:.1f}"


@claim(
    "With add-k a longer context predicts worse",
    source=GOODMAN,
    holds_if=LOWER + "of 3-grams above that of 2-grams",
    expected="holds",
)
def add_k_is_harmed(table: Table) -> tuple[bool, str]:
    """Measure the perplexities of add-k."""
    by_n = perplexities(table, "add_k")
    return by_n[3] > by_n[2], f"n = 1 to {max(by_n)}: {listed(by_n)}"


@claim(
    "With modified Kneser–Ney a longer context does no harm ({unit})",
    source=GOODMAN,
    holds_if="perplexity at every n at most {most} times the best of shorter ones",
    expected="holds",
    most=1.02,
)
def no_harm(table: Table, unit: str, most: float) -> tuple[bool, str]:
    """Measure the perplexities of modified Kneser–Ney."""
    by_n = perplexities(table, BEST, unit)
    worst = max(by_n[n] / min(by_n[m] for m in by_n if m <= n) for n in by_n)
    form = ".0f" if unit == "words" else ".2f"
    return worst <= most, f"n = 1 to {max(by_n)}: {listed(by_n, form)}"


@claim(
    "The number of n-grams grows steeply with n ({unit})",
    source=NOTES,
    holds_if="at least {least:g} times as many n-grams as of n − 1, up to n = {up_to}",
    expected="holds",
    least=2.0,
)
def steep(table: Table, unit: str, up_to: int, least: float) -> tuple[bool, str]:
    """Measure the number of distinct n-grams."""
    sizes = by_order(table, unit, BEST, "ngrams")[ORDERS[unit][-1]]
    ratios = [sizes[n] / sizes[n - 1] for n in range(1, up_to)]
    return min(ratios) >= least, ", ".join(
        f"n = {n}: {size:,}" for n, size in enumerate(sizes, start=1)
    )


@claim(
    "{network} predicts characters better than a {order}-gram",
    source=NOTES,
    holds_if=FEWER_BITS,
    expected="holds",
)
def beats(table: Table, network: str, cell: str, order: int) -> tuple[bool, str]:
    """Measure the bits per character of a network and an n-gram model."""
    bits = network_result(table, cell, "bits")
    theirs = by_order(table, "characters", BEST, "bits")[order]
    return bits < theirs, f"{CELLS[cell]} {bits:.2f}, {order}-gram {theirs:.2f} bits"


@claim(
    "An LSTM predicts characters better than any n-gram, from {count} of them",
    source=NOTES,
    holds_if=FEWER_BITS + " at every n",
    expected="refuted",
)
def beats_all(table: Table) -> tuple[bool, str]:
    """Measure the bits per character of the LSTM and the best n-gram model."""
    bits = network_result(table, "lstm", "bits")
    theirs = by_order(table, "characters", BEST, "bits")
    n = min(theirs, key=lambda n: theirs[n])
    return bits < theirs[n], f"LSTM {bits:.2f} bits, the best, {n}-grams, {theirs[n]:.2f}"


@claim(
    "An LSTM is smaller than the n-gram model that is as good, at this scale",
    source="Jozefowicz et al. 2016",
    holds_if="fewer parameters than the numbers α and γ of the smallest n whose bits are not above "
    "the LSTM's",
    expected="refuted",
)
def smaller(table: Table) -> tuple[bool, str]:
    """Measure the sizes of the LSTM and the smallest n-gram model that is as good."""
    bits, count = (network_result(table, "lstm", name) for name in ("bits", "numbers"))
    theirs, sizes = (by_order(table, "characters", BEST, name) for name in ("bits", "numbers"))
    as_good = [n for n in theirs if theirs[n] <= bits]
    if not as_good:
        return True, f"no n-gram model is as good as the LSTM's {bits:.2f} bits"
    n = as_good[0]
    return count < sizes[n], (
        f"LSTM {count:,.0f} parameters, {bits:.2f} bits; {n}-grams {sizes[n]:,} numbers, "
        f"{theirs[n]:.2f} bits"
    )


@claim(
    "Smoothed probabilities sum to 1",
    source=GOODMAN,
    holds_if="|Σ_w p(w | h) − 1| at most {most:g} over {contexts} held-out contexts, add-k and "
    "modified Kneser–Ney",
    expected="holds",
    closed_form=True,
    most=1e-9,
)
def sums(table: Table, contexts: int, most: float) -> tuple[bool, str]:
    """Measure the sums of the distributions of held-out contexts."""
    off = table.select({"model.name": ("add_k", BEST)}).each("off_one")
    return bool(off.max() <= most), f"off by at most {off.max():.0e}, {len(off)} models"


def claims(table: Table) -> list[Claim]:
    """List smoothings (Chen & Goodman), sizes, and counting against networks (the notes' 5)."""
    limit = table[0].config["task"]["limit"]
    return [
        impossible(table),
        beats_add_k(table),
        modified_is_better(table, discount=table[0].config["model"]["discount"]),
        add_k_is_harmed(table),
        *(no_harm(table, unit=unit) for unit in ORDERS),
        steep(table, unit="words", up_to=2),
        steep(table, unit="characters", up_to=4),
        beats(table, network="A simple RNN", cell="rnn-tanh", order=2),
        *(beats(table, network="An LSTM", cell="lstm", order=n) for n in BEATEN),
        beats_all(table, count=f"{limit:,}" if limit else "all"),
        smaller(table),
        sums(table, contexts=CONTEXTS),
    ]
