"""A word's vector in its sentence: does BERT tell the money bank from the river bank?

    rnnlab run --config=experiments/bert/contextual_vectors.py

Four words of two senses each, twelve sentences a sense, written for this file. A BERT-Tiny is
pre-trained on speeches and reviews first (rnnlab[data,bert]); its vectors of the word are compared
by their cosines. Gap: mean cosine within a sense less that across senses. Beside it the same
network with the weights it began with; the trained one with every other token hidden, which leaves
the word's place and the sentence's length; and Word2Vec, which has one vector a word.
``--config.weights=DIR`` reads a run of bert_pretraining or a Hugging Face checkpoint instead.

Expected: a larger gap than random weights and place alone have; Word2Vec's is 0.
Found, with the weights that bert_pretraining reached in 1,000 updates from orthogonal attention
(``--config.weights`` of its default run, ``--config.member=1``; half a minute on one core): mean
gap .054, random weights .011, place alone .010, p = .0005; the nearest sentence has the same sense
in 74% of the cases, 58% and 54% beside it. By word: present .107, may .084, bank .025, and
interest -.0001 (random weights .002), so that "of every word" is refuted: 3 of 4. With its own
pre-training (700 updates; 2 minutes on 2 cores in all): mean gap .030, random weights .010, place
alone .008, p = .0005; 72% of the nearest, 69% and 53% beside it; all of the 4 words.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.bert import contextual, encoder, huggingface, pretraining, wordpiece
from rnnlab.core.errors import UserError
from rnnlab.core.run_files import MEMBERS
from rnnlab.embeddings import corpus as corpora
from rnnlab.embeddings import skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors, unit
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.training.params import load_params

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

PERMUTATIONS = 2000
LEVEL = 0.01  # of the permutation test

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
    "place": "place alone",
    "word2vec": "Word2Vec",
}


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" a larger model, trained for longer."""
    if arg not in (None, "", "full"):
        raise ValueError(f"contextual_vectors.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "weights": "",  # a run of bert_pretraining, or a checkpoint; empty: pre-train here
            "member": 0,  # of such a run
            "layer": -1,  # whose vectors are judged
            "task": {
                "name": "sentence_pairs",
                "corpus": "both",
                "limit": 0 if full else 4500,
                "length": 128 if full else 64,
                "vocab_size": 8192 if full else 4096,
            },
            "encoder": encoder.config(
                size="small" if full else "tiny",
                activation="gelu_tanh",
                dropout=0.0,
                attention_dropout=0.0,
            ),
            "init": encoder.Init.config(attention="orthogonal"),
            "training": training.config(
                optimizer="adamw",
                learning_rate=5e-4 if full else 1e-3,
                schedule="linear" if full else "constant",
                warmup_steps=2000 if full else 80,
                weight_decay=0.01,
                clip_norm=1.0,
                batch_size=256 if full else 32,
                steps=20_000 if full else 700,
                eval_every=1000 if full else 100,
                eval_batch_size=500,
                stop_when_solved=False,
            ),
            "word2vec": {"size": 64, "epochs": 1},
            "run": {
                "seconds_per_member": 20_000.0 if full else 150.0,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> dict[Any, Any]:
    """One member."""
    del config
    return {}


class Model(NamedTuple):
    """A trained encoder, one of random weights, and what both read."""

    config: encoder.Config
    trained: encoder.EncoderParams
    random: encoder.EncoderParams
    tokenizer: wordpiece.Tokenizer
    losses: dict[str, float]


def run(config: Any, key: Any, log: Any) -> dict[str, Any]:
    """Vectors of every word in every sentence, by all sides."""
    model = pretrained(config, key, log) if not config.weights else read(config, key)
    words, groups = sentences()
    texts = [text for group in groups for text in group]
    of = np.repeat(words, [len(group) for group in groups]).tolist()
    layers = range(model.config.layers + 1)
    layer = range(model.config.layers + 1)[config.layer]
    by_layer = {
        "trained": [vectors(model, model.trained, texts, of, k) for k in layers],
        "random": [vectors(model, model.random, texts, of, k) for k in layers],
        "place": [vectors(model, model.trained, texts, of, k, alone=True) for k in layers],
    }
    single = word2vec(config, tuple(sorted(set(of))))
    rows = {side: found[layer] for side, found in by_layer.items()}
    rows["word2vec"] = np.array([single[word] for word in of])
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    result: dict[str, Any] = dict(model.losses)
    for side, own in rows.items():
        for word in SENSES:
            here = np.array(of) == word
            result[f"{side}_{word}"] = gap(own[here], labels[here])
            result[f"{side}_{word}_told"] = told(own[here], labels[here])
        result[f"{side}_gap"] = float(np.mean([result[f"{side}_{word}"] for word in SENSES]))
        result[f"{side}_told"] = float(np.mean([result[f"{side}_{word}_told"] for word in SENSES]))
    for side, found in by_layer.items():
        result[f"{side}_layers"] = [
            float(np.mean([gap(a[np.array(of) == w], labels[np.array(of) == w]) for w in SENSES]))
            for a in found
        ]
    result["p"] = chance(rows["trained"], np.array(of), labels, config.seed)
    here = np.array(of) == "bank"
    result["map"] = np.round(flat(rows["trained"][here]), 4)
    result["map_of"] = (labels[here] - labels[here].min()).tolist()
    return result


def sentences() -> tuple[list[str], list[tuple[str, ...]]]:
    """(the word of each sense, the sentences of each sense)."""
    pairs = [(word, group) for word, senses in SENSES.items() for group in senses.values()]
    return [word for word, _ in pairs], [group for _, group in pairs]


# ---- the sides ---------------------------------------------------------------------------------


def pretrained(config: Any, key: Any, log: Any) -> Model:
    """Pre-train as the config says."""
    member = training.member(config, key)
    task, train = member.setup.task, training.make_train(member.setup)
    data = task.load()
    arrays = jax.tree.map(jnp.asarray, data)
    state = train.start(member.key, member.params)
    advance = jax.jit(lambda state, arrays: train.advance(state, member.hyper, arrays))
    score: dict[str, float] = {}
    while int(state.status) == training.RUNNING:
        state, progress = advance(state, arrays)
        score = {name: float(value) for name, value in progress.score.items()}
        log(step=int(progress.step), **score)
    if int(state.status) == training.DIVERGED:
        raise UserError(f"pre-training diverged at step {int(state.step)}")
    model: Any = member.setup.model
    ends = {"word_loss": score["word_loss"], "unigram": pretraining.unigram(data)}
    trained, start = (p["params"]["encoder"] for p in (state.params, member.params))
    return Model(model.config, trained, start, task.tokenizer, ends)  # type: ignore[attr-defined]


def read(config: Any, key: Any) -> Model:
    """A member of a run of bert_pretraining, or a checkpoint's folder."""
    folder = Path(config.weights).expanduser()
    if (folder / MEMBERS).is_file():
        setup, params = load_params(folder, config.member)
        sizes, tokenizer = setup.model.config, setup.task.tokenizer  # type: ignore[attr-defined]
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
    """The words' vectors in their texts; ``alone``: with [MASK] in place of all other tokens."""
    hidden = model.tokenizer.token_to_id(wordpiece.MASK) if alone else None
    return contextual.word_vectors(
        model.config, params, model.tokenizer, texts, words, layer, hidden
    )


@lru_cache(maxsize=1)
def _w2v(corpus: str, limit: int, size: int, epochs: int) -> Vectors:
    texts = pretraining.documents(corpus)
    order = np.random.default_rng(0).permutation(len(texts))[: limit or None]
    own = corpora.of_documents([texts[i].lower() for i in order], min_count=5)
    return Vectors.of(skipgram.train(own, Settings(size=size, epochs=epochs)))


def word2vec(config: Any, words: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Skip-gram's vector of each word, from the same texts."""
    task = config.task
    own = _w2v(task.corpus, task.limit, config.word2vec.size, config.word2vec.epochs)
    return {word: own[word] for word in words}


# ---- what is measured --------------------------------------------------------------------------


def gap(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean cosine of two sentences of one sense, less that of two sentences of different senses."""
    rows = unit(np.asarray(rows, np.float64))
    cosines, same = rows @ rows.T, labels[:, None] == labels
    apart = ~np.eye(len(rows), dtype=bool)
    return float(cosines[same & apart].mean() - cosines[~same].mean())


def told(rows: np.ndarray, labels: np.ndarray) -> float:
    """Share of sentences whose nearest other sentence is of their sense; ties count by share."""
    rows = unit(np.asarray(rows, np.float64))
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    best = cosines >= cosines.max(axis=1, keepdims=True) - 1e-9
    return float(((best & (labels[:, None] == labels)).sum(axis=1) / best.sum(axis=1)).mean())


def chance(rows: np.ndarray, of: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """p of the mean gap where a word's senses are dealt out at random among its sentences."""
    rng = np.random.default_rng(seed)
    words = [np.flatnonzero(of == word) for word in dict.fromkeys(of)]

    def mean(deal: bool) -> float:
        own = [rng.permutation(labels[w]) if deal else labels[w] for w in words]
        return float(np.mean([gap(rows[w], o) for w, o in zip(words, own, strict=True)]))

    found = mean(False)
    above = sum(mean(True) >= found for _ in range(PERMUTATIONS))
    return (1 + above) / (1 + PERMUTATIONS)


def flat(rows: np.ndarray) -> np.ndarray:
    """The two directions of largest variance."""
    centered = unit(np.asarray(rows, np.float64))
    centered = centered - centered.mean(axis=0)
    return centered @ np.linalg.svd(centered, full_matrices=False)[2][:2].T


# ---- the figure --------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Gaps by word and by layer, and the map of one word's vectors."""
    result = table[0].result
    figure, axes = plots.new_figure(1, 3, size=(13, 3.8))
    bars, layers, places = axes[0]
    width = 0.2
    for k, (side, name) in enumerate(SIDES.items()):
        x = np.arange(len(SENSES)) + (k - 1.5) * width
        color = "#999999" if side == "word2vec" else plots.COLORS[k]
        bars.bar(x, [result[f"{side}_{word}"] for word in SENSES], width, color=color, label=name)
    bars.axhline(0, color="#000000", linewidth=0.6)
    bars.set_xticks(range(len(SENSES)), list(SENSES))
    bars.set(ylabel="cosine within less across senses")
    bars.legend(fontsize=7, frameon=False)
    plots.title(bars, "Gap by word")
    for k, side in enumerate(("trained", "random", "place")):
        values = result[f"{side}_layers"]
        layers.plot(range(len(values)), values, marker="o", **plots.look(k), label=SIDES[side])
    layers.set(xlabel="layer", ylabel="mean gap", xticks=range(len(result["trained_layers"])))
    layers.legend(fontsize=7, frameon=False)
    plots.title(layers, "Gap by layer")
    where, of = np.asarray(result["map"]), np.asarray(result["map_of"])
    for k, sense in enumerate(SENSES["bank"]):
        places.scatter(*where[of == k].T, color=plots.COLORS[k], marker="os"[k], label=sense)
    places.set(xlabel="first direction", ylabel="second direction")
    places.legend(fontsize=7, frameon=False)
    plots.title(places, "Vectors of “bank”")
    caption = (
        "Twelve sentences a sense. Place alone: the trained network reads the word among hidden "
        "tokens. Right: the pre-trained vectors along their two directions of largest variance."
    )
    return {"senses": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Claim 9: the vectors depend on the sense."""
    result = table[0].result

    def above(key: str) -> tuple[bool, str]:
        trained, random, place = (result[f"{s}_{key}"] for s in ("trained", "random", "place"))
        return trained > max(random, place), (
            f"{trained:.3f}; random weights {random:.3f}, place alone {place:.3f}"
        )

    def every() -> tuple[bool, str]:
        won = [w for w in SENSES if above(w)[0]]
        return len(won) == len(SENSES), f"{len(won)} of {len(SENSES)}: {', '.join(won) or 'none'}"

    def unlikely() -> tuple[bool, str]:
        return result["p"] < LEVEL, f"gap {result['trained_gap']:.3f}, p = {result['p']:.4f}"

    def zero() -> tuple[bool, str]:
        largest = max(abs(result[f"word2vec_{word}"]) for word in SENSES)
        return largest < 1e-6, f"{largest:.0e}"

    notes = "the notes, claim 9; Ethayarajh 2019"
    return [
        Claim(
            "BERT's vectors depend on the sense of a word",
            notes,
            "mean gap above that of random weights and of place alone",
            "holds",
            lambda: above("gap"),
        ),
        Claim("… of “bank” too", notes, "its gap above both", "holds", lambda: above("bank")),
        Claim("… of every word", notes, "each word's gap above both", "holds", every),
        Claim(
            "The gap is no chance",
            notes,
            f"permutation test of senses, p < {LEVEL}",
            "holds",
            unlikely,
        ),
        Claim(
            "The nearest sentence has the same sense more often",
            notes,
            "share above that of random weights and of place alone",
            "holds",
            lambda: above("told"),
        ),
        Claim("Word2Vec has one vector a word", notes, "gap 0, to 1e-6", "holds", zero),
    ]
