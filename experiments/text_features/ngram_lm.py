"""n-gram language models by four smoothings, beside recurrent ones: perplexity and size against n.

    rnnlab run --config=experiments/text_features/ngram_lm.py

The text and split of char_lm.py: the first half million characters of the State of the Union
speeches (packages of rnnlab[data]), the last tenth held out. Character models of n = 1 to 8 and
word models of n = 1 to 5 by MLE, add-k (k chosen on text to learn from), Kneser–Ney and modified
Kneser–Ney, which all are scored on the same characters as a tanh RNN and an LSTM of H = 128 (BPTT
truncated to 50). About a minute on 2 cores; ":full" has all 12 million characters and H = 512.

Expected (Chen & Goodman 1999; the notes, claim 5): MLE calls text held out impossible from word
pairs on; add-k suffers from long contexts, Kneser–Ney does not, and modified it is best; the
number of n-grams grows steeply with n. From char_lm.py: the LSTM beats counting up to n = 3.

Found: all of it. MLE calls 27% of the words held out impossible at n = 2, 88% at n = 4. Perplexity
a word at n = 1 to 5: modified Kneser–Ney 331, 122, 107, 104, 104; add-k 331, 206, 805, 1889, 2794.
Bits a character at n = 4, 6, 8: 1.91, 1.50, 1.45, by 32, 224 and 739 thousand numbers; the
RNN 1.94 and the LSTM 1.96 by 37 and 118 thousand: at this scale counting is better with no more.
"""

import textwrap
import time
from functools import lru_cache
from typing import Any

import jax
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.core.errors import Undecided, unknown
from rnnlab.nn import models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.sparse.language_model import SMOOTHINGS, NgramLanguageModel
from rnnlab.text import tokenizers
from rnnlab.training import runner

NAMES = {
    "mle": "MLE",
    "add_k": "add-k",
    "kneser_ney": "Kneser–Ney",
    "modified_kneser_ney": "modified Kneser–Ney",
}
CELLS = {"rnn-tanh": "RNN", "lstm": "LSTM"}
ORDERS = {"characters": (1, 2, 3, 4, 5, 6, 7, 8), "words": (1, 2, 3, 4, 5)}
BEST = "modified_kneser_ney"
K = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # of add-k, to choose from
MIN_COUNT = 2  # rarer characters or words are <UNK>, so that it has a probability
CONTEXTS = 100  # of the text held out, whose distributions are added up
PROMPT = "The people of the "
STEEP = 2.0  # so many times as many n-grams as shorter ones
BETTER = 0.9  # Kneser–Ney's perplexity is at most this part of add-k's
HARM = 1.02  # a longer context: perplexity at most so many times the best of shorter ones
BEATEN = (2, 3)  # the orders that the LSTM is expected to beat, at this scale
TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)  # of perplexity
ONE = 1e-9  # how far Σp may be from 1


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the whole text."""
    if arg not in (None, "", "full"):
        raise ValueError(f"ngram_lm.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {  # as char_lm.py's
                "name": "characters",
                "path": "",
                "batch_size": 32,
                "limit": 12_181_340 if full else 497_780,
                "test_share": 0.1,
                "test_length": 2000,
            },
            # a smoothing; or "network": the cell below, of characters
            "model": {"name": BEST, "unit": "characters", "order": 3, "discount": 0.75},
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
                sample=200,  # characters to draw; words: a fifth
                seconds_per_member=200.0 if full else 1.2,
                seconds_per_group=0.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Smoothings x n, of characters and of words; and the networks."""
    del config
    return [
        *(
            {"model.name": SMOOTHINGS, "model.unit": (unit,), "model.order": orders}
            for unit, orders in ORDERS.items()
        ),
        {"model.name": ("network",), "cell.name": ("rnn-tanh",)},
        {"model.name": ("network",), "cell.name": ("lstm",), "init.forget_bias": ("1.0",)},
    ]


def check(config: Any) -> None:
    """Refuse models that there are not, and what training refuses."""
    own = config.model
    if own.name not in (*SMOOTHINGS, "network"):
        raise ValueError(unknown("model.name", own.name, [*SMOOTHINGS, "network"]))
    if own.unit not in ORDERS:
        raise ValueError(unknown("model.unit", own.unit, ORDERS))
    if own.order < 1:
        raise ValueError(f"model.order must be at least 1, got {own.order}")
    if not 0 <= own.discount <= 1:
        raise ValueError(f"model.discount must be 0 to 1, got {own.discount}")
    runner.check(config)


def run(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """Count, or train; and score the text held out."""
    if config.model.name == "network":
        return network(config, key, log)
    return counted(config)


# ---- the models --------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # members share their text
def texts(task: Any) -> tuple[str, str]:
    """The text to learn from; and of the rest the characters that networks are scored on.

    The first of these is given to a network, too, and not scored.
    """
    data, alphabet = task.load(), np.array(list(task.alphabet))
    scored = task.test(data, jax.random.key(0), task.batch_size).targets.size
    return "".join(alphabet[data.train]), "".join(alphabet[data.test[: scored + 1]])


def tokenizer_of(unit: str) -> Any:
    """What cuts the text."""
    return tokenizers.Characters() if unit == "characters" else tokenizers.Words()


def model_of(config: Any, k: float = 1.0) -> NgramLanguageModel:
    """The n-gram model of a config, of one stream of text."""
    own = config.model
    return NgramLanguageModel(
        own.order,
        own.name,
        k=k,
        discount=own.discount if own.name == "kneser_ney" else None,
        min_count=MIN_COUNT,
        pad=False,
        tokenizer=tokenizer_of(own.unit),
    )


def counted(config: Any) -> dict[str, Any]:
    """An n-gram model's perplexity, size and cost."""
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
        "bits": bits,  # a character or a word
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


def choice_of_k(config: Any, learn: str) -> float:
    """The k that is best on the last tenth of the text to learn from, after the rest."""
    cut = len(learn) * 9 // 10
    scores = [model_of(config, k).fit([learn[:cut]]).perplexity([learn[cut:]]) for k in K]
    return K[int(np.argmin(scores))]


def off_one(model: NgramLanguageModel, words: list[str], seed: int) -> float:
    """The largest |Σ_w p(w | h) − 1| over contexts h of the text held out."""
    n = model.order
    ends = np.random.default_rng(seed).integers(n - 1, len(words), CONTEXTS).tolist()
    return max(abs(model.distribution(words[i - n + 1 : i]).sum() - 1) for i in ends)


def drawn(config: Any, model: NgramLanguageModel) -> str:
    """A sample that follows the prompt."""
    prompt = tokenizer_of(config.model.unit)([PROMPT]).lists()[0]
    if config.model.unit == "characters":
        return "".join(model.sample(config.run.sample, prompt, config.seed))
    return " ".join(model.sample(config.run.sample // 5, prompt, config.seed))


def network(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """A recurrent model's perplexity, size and cost."""
    member = training.member(config, key)
    data = member.setup.task.load()
    start = time.perf_counter()
    state, progress = jax.block_until_ready(
        jax.jit(training.make_train(member.setup))(member.key, member.hyper, member.params, data)
    )
    seconds = time.perf_counter() - start
    bits = np.asarray(progress.score["bits_per_character"])
    for step, value in zip(np.asarray(progress.step).tolist(), bits.tolist(), strict=True):
        log(step=step, bits=value)
    count = models.count_params(state.params)
    return {
        "bits": float(bits[-1]),
        "numbers": count,
        "mib": 4 * count / 2**20,
        "fit_s": seconds,  # with its compilation
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Perplexity against n, sizes, and what the models write."""
    return {"perplexity": _perplexity(table), "size": _size(table), "samples": _samples(table)}


def members_of(table: Table, unit: str, name: str) -> list[Any]:
    """The n-gram models of a unit and a smoothing, by n."""
    chosen = table.select({"model.unit": unit, "model.name": name})
    return sorted(chosen, key=lambda member: member.config["model"]["order"])


def networks(table: Table) -> dict[str, dict[str, Any]]:
    """The results of the networks, by the cell's name."""
    found = table.select({"model.name": "network"})
    return {CELLS[m.config["cell"]["name"]]: m.result for m in found}


def _orders(members: list[Any]) -> list[int]:
    return [member.config["model"]["order"] for member in members]


def _perplexity(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 3, size=(13, 4))
    for ax, unit in zip(axes[0], ORDERS, strict=False):
        ends = []
        for index, name in enumerate(SMOOTHINGS):
            found, look = members_of(table, unit, name), plots.look(index)
            ns = _orders(found)
            bits = np.array([member.result["bits"] for member in found])
            ax.plot(ns, np.where(np.isfinite(bits), bits, np.nan), marker="o", markersize=3, **look)
            last = int(np.isfinite(bits).sum()) - 1
            if last + 1 == len(ns):
                ends.append(plots.End(ns[-1], float(bits[-1]), NAMES[name], look["color"]))
            elif last >= 0:
                ax.annotate(
                    f"{NAMES[name]}: ∞, n ≥ {ns[last] + 1}",
                    (ns[last], bits[last]),
                    (9, 3),
                    textcoords="offset points",
                    fontsize=8,
                )
        ax.set(xlabel="n", xticks=ORDERS[unit], xlim=(ORDERS[unit][0] - 0.3, ORDERS[unit][-1]))
        if unit == "characters":
            ax.set(ylabel="bits a character, held-out text")
            for name, result in networks(table).items():
                plots.theory_line(ax, np.array(ax.get_xlim()), np.full(2, result["bits"]))
                ends.append(plots.End(ORDERS[unit][-1], result["bits"], name, "#000000"))
        else:
            low, high = ax.get_ylim()
            ticks = [p for p in TICKS if low <= np.log2(p) <= high]
            ax.set_yticks(np.log2(ticks), [f"{p:,}" for p in ticks])
            ax.set(ylabel="perplexity a word, held-out text")
        plots.title(ax, unit.capitalize())
        plots.direct_labels(ax, ends)
    ax = axes[0, 2]
    for index, unit in enumerate(ORDERS):
        found = members_of(table, unit, "mle")
        share = [100 * member.result["impossible"] for member in found]
        ax.plot(_orders(found), share, marker="o", markersize=3, **plots.look(index))
        ax.annotate(
            unit,
            (_orders(found)[-1], share[-1]),
            (0, 6),
            textcoords="offset points",
            color=plots.COLORS[index],
            fontsize=8,
            ha="right",
        )
    ax.set(xlabel="n", ylabel="% of the text held out", ylim=(0, 105))
    plots.title(ax, "What MLE calls impossible")
    words = members_of(table, "words", BEST)[0].result
    return figure, (
        "Perplexity of text held out against n, by smoothing; dotted: recurrent networks on the "
        f"same characters. Words: {words['vocabulary']:,} different ones, "
        f"{100 * words['unknown']:.0f}% of those held out are <UNK>. On the right the share of "
        "characters or words to which counting alone gives the probability 0."
    )


def _size(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(10.5, 4))
    left, right = axes[0]
    for index, unit in enumerate(ORDERS):
        longest = members_of(table, unit, BEST)[-1].result["ngrams"]
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
    left.set(xlabel="n", ylabel="different n-grams", yscale="log")
    plots.title(left, "n-grams in the text to learn from")
    found = members_of(table, "characters", BEST)
    numbers = [member.result["numbers"] for member in found]
    bits = [member.result["bits"] for member in found]
    right.plot(numbers, bits, marker="o", markersize=3, **plots.look(1))
    for member, x, y in zip(found, numbers, bits, strict=True):
        right.annotate(
            f"{member.config['model']['order']}",
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
        xlabel="numbers that the model holds (α, γ; parameters)",
        xscale="log",
        ylabel="bits a character, held-out text",
        ylim=(min(bits) - 0.3, None),
    )
    plots.title(right, f"{NAMES[BEST][0].upper()}{NAMES[BEST][1:]} and networks")
    return figure, (
        "How many different n-grams of one n the text to learn from has; and what a model's size "
        "buys (n beside the points): of an n-gram model its probabilities and weights of shorter "
        "contexts, of a network its parameters."
    )


def _samples(table: Table) -> tuple[Any, str]:
    found = [
        (f"{m.config['model']['order']}-gram of {unit}", m.result["drawn"])
        for unit, orders in (("characters", (1, 2, 3, 5, 8)), ("words", (1, 2, 3)))
        for m in members_of(table, unit, BEST)
        if m.config["model"]["order"] in orders
    ]
    figure, axes = plots.new_figure(1, 1, size=(9.5, 0.3 + 0.56 * len(found)))
    ax = axes[0, 0]
    ax.set_axis_off()
    for row, (name, text) in enumerate(found):
        top = 1 - row / len(found)
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
    return figure, f"Drawn by modified Kneser–Ney after {PROMPT!r}, word by word or character."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Smoothings (Chen & Goodman), sizes, and counting against networks (the notes' 5)."""

    def by_order(unit: str, name: str, result: str) -> dict[int, Any]:
        found = members_of(table, unit, name)
        if _orders(found) != list(ORDERS[unit]):
            raise Undecided(f"not every n of {name}, {unit}")
        return {member.config["model"]["order"]: member.result[result] for member in found}

    def perplexities(name: str, unit: str = "words") -> dict[int, float]:
        return {n: 2.0**bits for n, bits in by_order(unit, name, "bits").items()}

    def listed(values: dict[int, float], form: str = ".0f") -> str:
        return ", ".join(f"{value:{form}}" for value in values.values())

    def impossible() -> tuple[bool, str]:
        shares = by_order("words", "mle", "impossible")
        return all(shares[n] > 0 for n in shares if n >= 2), (
            "probability 0 for "
            + ", ".join(f"{100 * shares[n]:.0f}% (n = {n})" for n in shares)
            + " of the words held out"
        )

    def steep(unit: str, up_to: int) -> Any:
        def checked() -> tuple[bool, str]:
            sizes = by_order(unit, BEST, "ngrams")[ORDERS[unit][-1]]
            ratios = [sizes[n] / sizes[n - 1] for n in range(1, up_to)]
            return min(ratios) >= STEEP, ", ".join(
                f"n = {n}: {size:,}" for n, size in enumerate(sizes, start=1)
            )

        return checked

    def beats_add_k() -> tuple[bool, str]:
        ours, theirs = perplexities("kneser_ney"), perplexities("add_k")
        return all(ours[n] <= BETTER * theirs[n] for n in ours if n >= 2), (
            f"n = 1 to {max(ours)}: Kneser–Ney {listed(ours)}; add-k {listed(theirs)}"
        )

    def modified_is_better() -> tuple[bool, str]:
        ours, theirs = perplexities(BEST), perplexities("kneser_ney")
        return ours[3] < theirs[3], f"3-grams: {ours[3]:.1f}, Kneser–Ney {theirs[3]:.1f}"

    def add_k_is_harmed() -> tuple[bool, str]:
        found = perplexities("add_k")
        return found[3] > found[2], f"n = 1 to {max(found)}: {listed(found)}"

    def no_harm(unit: str) -> Any:
        def checked() -> tuple[bool, str]:
            found = perplexities(BEST, unit)
            worst = max(found[n] / min(found[m] for m in found if m <= n) for n in found)
            form = ".0f" if unit == "words" else ".2f"
            return worst <= HARM, f"n = 1 to {max(found)}: {listed(found, form)}"

        return checked

    def network_bits(cell: str) -> float:
        return float(table.select({"model.name": "network", "cell.name": cell}).stack("bits")[0])

    def beats(cell: str, order: int) -> Any:
        def checked() -> tuple[bool, str]:
            bits, theirs = network_bits(cell), by_order("characters", BEST, "bits")[order]
            return bits < theirs, f"{CELLS[cell]} {bits:.2f}, {order}-gram {theirs:.2f} bits"

        return checked

    def beats_all() -> tuple[bool, str]:
        bits, theirs = network_bits("lstm"), by_order("characters", BEST, "bits")
        n = min(theirs, key=lambda n: theirs[n])
        return bits < theirs[n], f"LSTM {bits:.2f} bits, the best, {n}-grams, {theirs[n]:.2f}"

    def smaller() -> tuple[bool, str]:
        chosen = table.select({"model.name": "network", "cell.name": "lstm"})
        count, bits = int(chosen.stack("numbers")[0]), network_bits("lstm")
        sizes, theirs = (by_order("characters", BEST, name) for name in ("numbers", "bits"))
        as_good = [n for n in theirs if theirs[n] <= bits]
        if not as_good:
            return True, f"no n-gram model is as good as the LSTM's {bits:.2f} bits"
        n = as_good[0]
        return count < sizes[n], (
            f"LSTM {count:,} parameters, {bits:.2f} bits; {n}-grams {sizes[n]:,} numbers, "
            f"{theirs[n]:.2f} bits"
        )

    def sums() -> tuple[bool, str]:
        chosen = table.select({"model.name": ("add_k", BEST)})
        worst = float(chosen.stack("off_one").max())
        return worst <= ONE, f"off by {worst:.0e} at most, {len(chosen)} models"

    goodman, notes = "Chen & Goodman 1999", "the notes, claim "
    lower = "perplexity a word of the text held out "
    bits = "bits a character of the text held out below the n-gram's"
    return [
        Claim(
            "Counting alone calls text held out impossible, from pairs of words on",
            goodman,
            "by MLE some word held out has probability 0 at every n ≥ 2",
            "holds",
            impossible,
        ),
        Claim(
            "Kneser–Ney predicts words better than add-k",
            goodman,
            f"{lower}at most {BETTER} of add-k's, k the best on other text, at every n ≥ 2",
            "holds",
            beats_add_k,
        ),
        Claim(
            "Modified Kneser–Ney predicts words better than Kneser–Ney",
            goodman,
            f"{lower}below, 3-grams, D = {table[0].config['model']['discount']}",
            "holds",
            modified_is_better,
        ),
        Claim(
            "With add-k a longer context predicts worse",
            goodman,
            lower + "of 3-grams above 2-grams'",
            "holds",
            add_k_is_harmed,
        ),
        *(
            Claim(
                f"With modified Kneser–Ney a longer context does no harm ({unit})",
                goodman,
                f"perplexity at every n at most {HARM} times the best of shorter ones",
                "holds",
                no_harm(unit),
            )
            for unit in ORDERS
        ),
        Claim(
            "The number of n-grams grows steeply with n (words)",
            notes + "5",
            f"at least {STEEP:g} times as many 2-grams as words",
            "holds",
            steep("words", 2),
        ),
        Claim(
            "The number of n-grams grows steeply with n (characters)",
            notes + "5",
            f"at least {STEEP:g} times as many as of n − 1, n = 2 to 4",
            "holds",
            steep("characters", 4),
        ),
        Claim(
            "A simple RNN predicts characters better than a 2-gram",
            notes + "5",
            bits,
            "holds",
            beats("rnn-tanh", 2),
        ),
        *(
            Claim(
                f"An LSTM predicts characters better than a {n}-gram",
                notes + "5",
                bits,
                "holds",
                beats("lstm", n),
            )
            for n in BEATEN
        ),
        Claim(
            "An LSTM predicts characters better than any n-gram, from half a million of them",
            notes + "5",
            bits + " at every n",
            "refuted",
            beats_all,
        ),
        Claim(
            "An LSTM is smaller than the n-gram model that is as good, at this scale",
            "Jozefowicz et al. 2016",
            "parameters fewer than the numbers α and γ of the "
            "smallest n whose bits are not above the LSTM's",
            "refuted",
            smaller,
        ),
        Claim(
            "Smoothed probabilities add up to 1",
            goodman,
            f"|Σ_w p(w | h) − 1| at most {ONE:g} "
            f"over {CONTEXTS} contexts held out, add-k and modified Kneser–Ney",
            "holds",
            sums,
            closed_form=True,
        ),
    ]
