r"""Contextual vectors: whether BERT distinguishes the money bank from the river bank.

    rnnlab run --config=experiments/bert/bert_pretraining.py --workdir=runs/pretraining
    rnnlab run --config=experiments/bert/contextual_vectors.py \
      --config.weights=runs/pretraining --config.member=1

Four words of two senses each, twelve sentences per sense, written for this file. The vectors that
BERT has of the word are compared by their cosines. Gap: mean cosine within a sense minus that
across senses. For comparison: the same network with its initial weights; the trained one with all
other tokens hidden, which leaves the word's position and the sentence's length; and Word2Vec, which
has one vector per word. The weights are those of bert_pretraining.py (member 1: orthogonal
attention) or of a Hugging Face checkpoint (``--config.weights=DIR``). Without any, a BERT-Tiny is
pre-trained first, on speeches and reviews (rnnlab[data,bert]).

Seconds on 2 cores with the weights; some 6 minutes without.

Expected: a larger gap than with random weights and with position alone; Word2Vec's is 0.
Result, after 2,000 updates of pre-training: mean gap 0.072, random weights 0.011, position alone
0.009, p = 0.0005; the nearest sentence has the same sense in 81% of the cases, against 58% and 57%.
By word: may 0.140, present 0.099, interest 0.028, bank 0.024, each above both. It takes a BERT that
has learned from context: after 1,000 updates (6.0 nats on masked words, 4.9 after 2,000) the gap is
that of random weights, 0.011.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.bert import contextual, encoder, heads, huggingface, pretraining, wordpiece
from rnnlab.bert.pretrained import HasTokenizer, is_run
from rnnlab.bert.pretraining import SentencePairs
from rnnlab.core import validate
from rnnlab.core.errors import UserError
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors, unit
from rnnlab.lab import pretrained_sweep
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.training.params import load_params

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Result = dict[str, Any]  # of a member: numbers and lists

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

PERMUTATIONS = 2000

SENSES = {
    "bank": {
        "money": (
            "The bank lends money to farmers at a low rate.",
            "He put his savings in the bank and drew interest.",
            "Congress gave the national bank a new charter.",
            "The bank refused to pay its notes in gold.",
            "Deposits in the bank were paid back to the people.",
            "She borrowed a thousand dollars from the bank.",
            "The government moved its funds out of the bank.",
            "A bank with little capital cannot make safe loans.",
            "Shares of the bank fell when the debt was known.",
            "Credit from the bank helped the company to buy land.",
            "The law asks every bank to hold a reserve of coin.",
            "They robbed the bank and ran away with the cash.",
        ),
        "river": (
            "The boat lay on the bank of the river.",
            "He sat on the bank and looked at the water.",
            "Trees grow along the left bank of the stream.",
            "The army camped on the west bank of the Mississippi.",
            "Water rose over the bank and covered the fields.",
            "She walked along the bank to the old mill.",
            "The tribes settled on the north bank of the river.",
            "A steep bank of mud fell into the stream.",
            "Ships were tied to the bank below the fort.",
            "Boats from the other bank crossed the river at night.",
            "The flood broke the bank and carried away the bridge.",
            "They pulled the canoe up the bank and made a fire.",
        ),
    },
    "may": {
        "month": (
            "The treaty was signed on the 10th of May, 1848.",
            "In May last the commission met at Paris.",
            "Congress passed the act of May 20, 1862.",
            "The school closed early in May of that year.",
            "On May 4 the troops marched out of the city.",
            "The minister left London at the end of May.",
            "Since the 1st of May the office has been open.",
            "From April to May the river was too high.",
            "Elections were held in May and again in October.",
            "The law of May 13, 1846, declared the war.",
            "By the middle of May the crops were planted.",
            "The convention will expire in May, 1875.",
        ),
        "perhaps": (
            "I hope that the measure may receive your approval.",
            "Peace may be near if both nations are just.",
            "Congress may amend the law when it thinks fit.",
            "The people may well be proud of their schools.",
            "Such a course may lead us into another war.",
            "The evil that it may cause cannot be known.",
            "Whatever you may decide, I will carry it out.",
            "We may expect that trade will soon improve.",
            "Nothing may be taken from a citizen without law.",
            "Every state may choose its own form of tax.",
            "A better plan may be found by the committee.",
            "The expense may exceed the sum that was granted.",
        ),
    },
    "interest": {
        "money": (
            "The interest on the public debt was paid.",
            "Bonds that bear interest at four per cent were sold.",
            "He borrowed the sum at a high rate of interest.",
            "The payment of interest took half of the revenue.",
            "Notes of the Treasury draw no interest after that day.",
            "A lower interest rate would help the farmer.",
            "The loan with interest came to five million dollars.",
            "Interest due in January will be paid in gold.",
            "The annual interest on these bonds is large.",
            "We pay interest on every dollar that we borrow.",
            "Principal and interest must be paid in coin.",
            "The bank charged ten per cent interest on the loan.",
        ),
        "concern": (
            "The whole country takes an interest in your work.",
            "He looked at the old house with great interest.",
            "It is in the interest of both nations to have peace.",
            "The subject has lost its interest for the people.",
            "A common interest unites the states of the West.",
            "My interest in the welfare of the Indians is known.",
            "The public interest asks for an early decision.",
            "She shows no interest in the man she marries.",
            "Questions of much interest will come before you.",
            "They acted for the interest of the working people.",
            "The story holds our interest until the last scene.",
            "Special interest groups oppose this honest reform.",
        ),
    },
    "present": {
        "now": (
            "The present condition of the Army is good.",
            "Under the present law no tax can be raised.",
            "At present there is no danger of war.",
            "The present year has been one of plenty.",
            "Our present system of duties is not just.",
            "I see no need for it at the present time.",
            "The expenses of the present fiscal year are small.",
            "For the present the troops will remain there.",
            "The present government of that country is weak.",
            "Up to the present day nothing has been done.",
            "During the present session you will hear of it.",
            "The present state of our trade is a happy one.",
        ),
        "give": (
            "I present to you the report of the Secretary.",
            "The minister will present his letters to the President.",
            "They came to present a petition to the Senate.",
            "We shall present our claims to the Mexican government.",
            "It is my duty to present this matter to Congress.",
            "He wished to present the subject to the people.",
            "The officers present their accounts to the Treasury.",
            "Let me present to you a plan for the schools.",
            "The department will present a bill to the House.",
            "I cannot present a full account of the case.",
            "These papers present the facts to both Houses.",
            "She was asked to present the prize to the winner.",
        ),
    },
}
SIDES = {
    "trained": "pre-trained",
    "random": "random weights",
    "place": "position alone",
    "word2vec": "Word2Vec",
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """Return the default config, or with "full" that of a larger model, trained for longer."""
    full = scale(arg) == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "weights": "",  # a run of bert_pretraining, or a checkpoint; empty: pre-train here
            "member": 0,  # the member of such a run
            "layer": -1,  # the layer of the vectors that are compared; negative: from the last
            "task": pretrained_sweep.pretraining_task(full),
            "encoder": encoder.config(
                size="small" if full else "tiny",
                activation="gelu_tanh",
                dropout=0.0,
                attention_dropout=0.0,
            ),
            "init": encoder.Init.config(attention="orthogonal"),
            "training": pretrained_sweep.pretraining_settings(
                full, steps=20_000 if full else 2000, eval_sample=500
            ),
            "word2vec": {
                "size": 64,  # dimensions of its vectors
                "epochs": 1,  # passes over the text
            },
            "run": {
                "seconds_per_member": 20_000.0 if full else 150.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return no axes: a single member."""
    del config
    return {}


def check(config: Config) -> None:
    """Refuse a layer that the encoder does not have, before it is pre-trained."""
    if not config.weights:
        size = validate.choice("encoder.size", config.encoder.size, encoder.SIZES)
        check_layer(config, encoder.SIZES[size][0])


def check_layer(config: Config, layers: int) -> None:
    """Refuse a layer other than 0 … L or, from the last, −1 … −(L + 1).

    Raises:
        ValueError: no such layer.
    """
    validate.whole("layer", config.layer, -layers - 1, layers)


class Model(NamedTuple):
    """A trained encoder, one of random weights, and the tokenizer of both."""

    config: encoder.Config
    trained: encoder.EncoderParams
    random: encoder.EncoderParams
    tokenizer: wordpiece.Tokenizer
    losses: dict[str, float]


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> Result:
    """Compute the vectors of every word in every sentence by all models, and compare them."""
    model = read(config, key) if config.weights else pretrained(config, key, log)
    check_layer(config, model.config.layers)
    words, groups = sentences()
    texts = [text for group in groups for text in group]
    sizes = [len(group) for group in groups]
    word_of = np.repeat(words, sizes)
    labels = np.repeat(np.arange(len(groups)), sizes)
    layers = range(model.config.layers + 1)

    def by_layer(params: encoder.EncoderParams, alone: bool = False) -> list[np.ndarray]:
        return [vectors(model, params, texts, word_of.tolist(), k, alone) for k in layers]

    layered = {
        "trained": by_layer(model.trained),
        "random": by_layer(model.random),
        "place": by_layer(model.trained, alone=True),
    }
    single = word2vec(config, tuple(sorted(set(words))))
    rows = {side: arrays[layers[config.layer]] for side, arrays in layered.items()}
    rows["word2vec"] = np.array([single[word] for word in word_of])
    result: Result = dict(model.losses)
    for side, array in rows.items():
        for word in SENSES:
            here = word_of == word
            result[f"{side}_{word}"] = gap(array[here], labels[here])
            result[f"{side}_{word}_nearest"] = nearest_share(array[here], labels[here])
        for name in ("", "_nearest"):
            mean = float(np.mean([result[f"{side}_{word}{name}"] for word in SENSES]))
            result[f"{side}{name or '_gap'}"] = mean
    for side, arrays in layered.items():
        result[f"{side}_layers"] = [
            float(np.mean([gap(a[word_of == w], labels[word_of == w]) for w in SENSES]))
            for a in arrays
        ]
    result["p"] = permutation_p(rows["trained"], word_of, labels, config.seed)
    here = word_of == "bank"
    result["map"] = np.round(flat(rows["trained"][here]), 4)
    result["map_of"] = (labels[here] - labels[here].min()).tolist()
    return result


def sentences() -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the word of each sense, and the sentences of each sense."""
    pairs = [(word, group) for word, senses in SENSES.items() for group in senses.values()]
    return [word for word, _ in pairs], [group for _, group in pairs]


# ---- the models --------------------------------------------------------------------------------


def pretrained(config: Config, key: jax.Array, log: Callable[..., None]) -> Model:
    """Pre-train as the config says."""
    member = training.member(config, key)
    task, model = member.setup.task, member.setup.model
    assert isinstance(task, SentencePairs)
    assert isinstance(model, heads.Pretraining)
    train, data = training.make_train(member.setup), task.load()
    arrays = jax.tree.map(jnp.asarray, data)
    state = train.start(member.key, member.params, member.hyper)
    advance = jax.jit(lambda state, arrays: train.advance(state, member.hyper, arrays))
    score: dict[str, float] = {}
    while int(state.status) == training.RUNNING:
        state, progress = advance(state, arrays)
        score = {name: float(value) for name, value in progress.score.items()}
        log(step=int(progress.step), **score)
    if int(state.status) == training.DIVERGED:
        raise UserError(f"pre-training diverged at step {int(state.step)}")
    params, score = train.chosen(state, score)
    losses = {"word_loss": score["word_loss"], "unigram": pretraining.unigram(data)}
    trained, start = (p["params"]["encoder"] for p in (params, member.params))
    return Model(model.config, trained, start, task.tokenizer, losses)


def read(config: Config, key: jax.Array) -> Model:
    """Read a member of a run of bert_pretraining, or a checkpoint's folder."""
    folder = Path(config.weights).expanduser()
    if is_run(config.weights):
        setup, params = load_params(folder, config.member)
        if not (isinstance(setup.model, heads.Bert) and isinstance(setup.task, HasTokenizer)):
            raise UserError(f"weights={config.weights!r} learned {setup.task}: it holds no BERT")
        sizes, tokenizer = setup.model.config, setup.task.tokenizer
    else:
        sizes, params = huggingface.load(folder, parts=("encoder",))
        tokenizer = huggingface.load_tokenizer(folder)
    random = encoder.init_params(key, sizes, encoder.Init.from_config(config.init))
    return Model(sizes, params["params"]["encoder"], random, tokenizer, {})


def vectors(
    model: Model,
    params: encoder.EncoderParams,
    texts: list[str],
    words: list[str],
    layer: int,
    alone: bool = False,
) -> np.ndarray:
    """Return the words' vectors in their texts; ``alone``: with [MASK] for all other tokens."""
    hidden = model.tokenizer.token_to_id(wordpiece.MASK) if alone else None
    return contextual.word_vectors(
        model.config, params, model.tokenizer, texts, words, layer, hidden
    )


def word2vec(config: Config, words: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return skip-gram's vector of each word, from the same texts."""
    task, options = config.task, config.word2vec
    trained = _skipgram(task.corpus, task.limit, options.size, options.epochs)
    return {word: trained[word] for word in words}


@lru_cache(maxsize=1)
def _skipgram(corpus: str, limit: int, size: int, epochs: int) -> Vectors:
    texts = pretraining.documents(corpus)
    order = np.random.default_rng(0).permutation(len(texts))[: limit or None]
    chosen = corpora.of_documents([texts[i].lower() for i in order], min_count=5)
    return Vectors.of(skipgram.train(chosen, Settings(size=size, epochs=epochs)))


# ---- measures ----------------------------------------------------------------------------------


def gap(rows: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cosine of two sentences of the same sense, minus that of different senses."""
    rows = unit(np.asarray(rows, np.float64))
    cosines, same = rows @ rows.T, labels[:, None] == labels
    distinct = ~np.eye(len(rows), dtype=bool)
    return float(cosines[same & distinct].mean() - cosines[~same].mean())


def nearest_share(rows: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of sentences whose nearest sentence has their sense; ties count by share."""
    rows = unit(np.asarray(rows, np.float64))
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    best = cosines >= cosines.max(axis=1, keepdims=True) - 1e-9
    return float(((best & (labels[:, None] == labels)).sum(axis=1) / best.sum(axis=1)).mean())


def permutation_p(rows: np.ndarray, word_of: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Return p of the mean gap if each word's senses were random among its sentences."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(word_of == word) for word in dict.fromkeys(word_of)]

    def mean(permute: bool) -> float:
        senses = [rng.permutation(labels[m]) if permute else labels[m] for m in members]
        return float(np.mean([gap(rows[m], s) for m, s in zip(members, senses, strict=True)]))

    measured = mean(False)
    above = sum(mean(True) >= measured for _ in range(PERMUTATIONS))
    return (1 + above) / (1 + PERMUTATIONS)


def flat(rows: np.ndarray) -> np.ndarray:
    """Project rows on their two directions of largest variance."""
    centered = unit(np.asarray(rows, np.float64))
    centered = centered - centered.mean(axis=0)
    return centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw gaps by word and by layer, and a map of the vectors of one word."""
    result = table[0].result
    figure, axes = plots.new_figure(1, 3, size=(13, 3.8))
    _by_word(axes[0, 0], result)
    _by_layer(axes[0, 1], result)
    _map(axes[0, 2], result)
    caption = (
        "Twelve sentences per sense. Position alone: the trained network reads the word among "
        "hidden tokens. Right: the pre-trained vectors along their two directions of largest "
        "variance."
    )
    return {"senses": (figure, caption)}


def _by_word(ax: "Axes", result: Result) -> None:
    width = 0.2
    for k, (side, name) in enumerate(SIDES.items()):
        x = np.arange(len(SENSES)) + (k - 1.5) * width
        color = "#999999" if side == "word2vec" else plots.COLORS[k]
        ax.bar(x, [result[f"{side}_{word}"] for word in SENSES], width, color=color, label=name)
    ax.axhline(0, color="#000000", linewidth=0.6)
    ax.set_xticks(range(len(SENSES)), list(SENSES))
    ax.set(ylabel="cosine within minus across senses")
    ax.legend(fontsize=7, frameon=False)
    plots.title(ax, "Gap by word")


def _by_layer(ax: "Axes", result: Result) -> None:
    for k, side in enumerate(("trained", "random", "place")):
        values = result[f"{side}_layers"]
        ax.plot(range(len(values)), values, marker="o", **plots.look(k), label=SIDES[side])
    ax.set(xlabel="layer", ylabel="mean gap", xticks=range(len(result["trained_layers"])))
    ax.legend(fontsize=7, frameon=False)
    plots.title(ax, "Gap by layer")


def _map(ax: "Axes", result: Result) -> None:
    places, sense_of = np.asarray(result["map"]), np.asarray(result["map_of"])
    for k, sense in enumerate(SENSES["bank"]):
        ax.scatter(*places[sense_of == k].T, color=plots.COLORS[k], marker="os"[k], label=sense)
    ax.set(xlabel="first direction", ylabel="second direction")
    ax.legend(fontsize=7, frameon=False)
    plots.title(ax, "Vectors of “bank”")


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------

NOTES = "the notes, claim 9; Ethayarajh 2019"


@claim(
    "BERT's vectors depend on the sense of a word",
    source=NOTES,
    holds_if="mean gap above that of random weights and of position alone",
    expected="holds",
)
def mean_gap(table: Table) -> tuple[bool, str]:
    """Compare the mean gaps."""
    return _above(table, "gap")


@claim("… of “bank” too", source=NOTES, holds_if="its gap above both", expected="holds")
def gap_of_bank(table: Table) -> tuple[bool, str]:
    """Compare the gaps of "bank"."""
    return _above(table, "bank")


@claim("… of every word", source=NOTES, holds_if="each word's gap above both", expected="holds")
def gap_of_every_word(table: Table) -> tuple[bool, str]:
    """Compare the gaps of all words."""
    won = [word for word in SENSES if _above(table, word)[0]]
    return len(won) == len(SENSES), f"{len(won)} of {len(SENSES)}: {', '.join(won) or 'none'}"


@claim(
    "The gap is no chance",
    source=NOTES,
    holds_if="permutation test of senses, p < {level}",
    expected="holds",
    level=0.01,
)
def significant(table: Table, level: float) -> tuple[bool, str]:
    """Check the permutation test."""
    result = table[0].result
    return result["p"] < level, f"gap {result['trained_gap']:.3f}, p = {result['p']:.4f}"


@claim(
    "The nearest sentence has the same sense more often",
    source=NOTES,
    holds_if="share above that of random weights and of position alone",
    expected="holds",
)
def nearest_has_the_sense(table: Table) -> tuple[bool, str]:
    """Compare the shares of nearest sentences with the same sense."""
    return _above(table, "nearest")


@claim(
    "Word2Vec has one vector per word",
    source=NOTES,
    holds_if="gap 0, to {tolerance:.0e}",
    expected="holds",
    tolerance=1e-6,
)
def one_vector(table: Table, tolerance: float) -> tuple[bool, str]:
    """Check the gaps of Word2Vec."""
    largest = max(abs(table[0].result[f"word2vec_{word}"]) for word in SENSES)
    return largest < tolerance, f"{largest:.0e}"


def _above(table: Table, measure: str) -> tuple[bool, str]:
    result = table[0].result
    trained, random, place = (result[f"{s}_{measure}"] for s in ("trained", "random", "place"))
    return trained > max(random, place), (
        f"{trained:.3f}; random weights {random:.3f}, position alone {place:.3f}"
    )


def claims(table: Table) -> list[Claim]:
    """List the claims: the vectors depend on the sense (the notes, claim 9)."""
    return [
        mean_gap(table),
        gap_of_bank(table),
        gap_of_every_word(table),
        significant(table),
        nearest_has_the_sense(table),
        one_vector(table),
    ]
