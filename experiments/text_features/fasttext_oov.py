"""FastText and Word2Vec on words that they have never seen: misspelled words, forms of known words.

    rnnlab run --config=experiments/text_features/fasttext_oov.py

Skip-gram with and without character n-grams on the State of the Union speeches (rnnlab[data];
rnnlab[fast] trains faster; gensim brings the pairs of forms), 2 seeds. Letters of known words are
struck at set rates; what is left of a word's neighbors? One minute on 2 cores; ":full" trains on
the movie reviews, at D = 100, with 5 seeds.

Expected: Word2Vec has no vector for a word it has not seen, so its neighbors are lost with the
first letter; FastText always has one, keeps some of the neighbors and puts the intended word among
them. Forms of one word (walk, walking) are nearer in FastText, at several times the cost.

Found: as expected with 1 letter in 10 struck (58% of neighbors kept against 46%), but for 78% of
intended words found where 80% were asked for, and 18% kept with 3 in 10 struck where 25% were.
Forms of one word are neighbors in 58% of cases against 17%; training takes 2.4 times as long (by a
machine that did other things as well).
"""

import time
from typing import Any

import jax
import ml_collections
import numpy as np

from rnnlab.core.errors import Undecided
from rnnlab.embeddings import corpus, evaluation, fasttext, skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors, unit
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.text import corpora

REPRODUCE = False  # with it `rnnlab reproduce` would take more than half an hour

METHODS = {"word2vec": skipgram.train, "fasttext": fasttext.train}
NAMES = {"word2vec": "Word2Vec", "fasttext": "FastText"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# of the analogies' sections, those whose pairs are two forms of one word
FORMS = (
    "gram1-adjective-to-adverb",
    "gram3-comparative",
    "gram4-superlative",
    "gram5-present-participle",
    "gram7-past-tense",
    "gram8-plural",
    "gram9-plural-verbs",
)
EXAMPLES = ("goverment", "presidnet", "congres", "economicaly", "agricultre", "militery")


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" a larger one."""
    if arg not in (None, "", "full"):
        raise ValueError(f"fasttext_oov.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "method": "fasttext",  # word2vec, fasttext
            "corpus": {
                "name": "reviews" if full else "speeches",  # or the path of a text file
                "min_count": 5,
            },
            "training": {
                "size": 100 if full else 48,
                "window": 5,
                "negatives": 5,
                "epochs": 5 if full else 3,
                "learning_rate": 0.05,  # the C++ fastText's
                "sample": 1e-3,
                "minn": 3,
                "maxn": 6,
                "buckets": 2_000_000 if full else 200_000,
                "engine": "auto",
            },
            "probe": {
                "words": 500,  # that are misspelled
                "shortest": 5,  # letters
                "first_rank": 200,  # by frequency: frequent words, but none without a meaning
                "last_rank": 5000,
                "rates": (0.0, 0.05, 0.1, 0.2, 0.3),  # of letters struck
                "top": 10,  # neighbors that are compared
            },
            "run": {
                "seeds": 5 if full else 2,
                "seconds_per_member": 400.0 if full else 15.0,
                "seconds_per_group": 5.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Both methods, several seeds."""
    return [{"method": tuple(METHODS), "seed": tuple(range(config.run.seeds))}]


def check(config: Any) -> None:
    """What a config must have.

    Raises:
        ValueError: a value out of its range.
    """
    if config.method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {config.method!r}")
    if not config.probe.rates or not all(0 <= rate <= 1 for rate in config.probe.rates):
        raise ValueError(f"probe.rates must be between 0 and 1, got {config.probe.rates}")
    _settings(config)


def group(config: Any) -> Any:
    """Members of one method share their compiled programs."""
    return config.method


def _settings(config: Any) -> Settings:
    return Settings(**config.training.to_dict())


# ---- what is measured --------------------------------------------------------------------------


def misspelled(word: str, rate: float, rng: np.random.Generator) -> str:
    """The word, each of its letters struck with this probability.

    A letter that is struck is left out, replaced, doubled by another before it, or swapped with
    the next one, with equal probability.
    """
    out, letters = [], list(word)
    while letters:
        letter = letters.pop(0)
        if rng.random() >= rate:
            out.append(letter)
            continue
        other = LETTERS[rng.integers(len(LETTERS))]
        match rng.integers(4):
            case 0:
                pass
            case 1:
                out.append(other)
            case 2:
                out += [other, letter]
            case _:
                out += [letters.pop(0), letter] if letters else [letter]
    return "".join(out)


def nearest(vectors: Vectors, queries: np.ndarray, top: int, leave_out: list[int]) -> np.ndarray:
    """(N, top): the rows nearest to each of N vectors by cosine, a row each left out."""
    scores = unit(queries) @ vectors.unit_rows.T
    scores[np.arange(len(scores)), leave_out] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :top]


def struck(vectors: Vectors, words: list[str], rate: float, top: int, seed: int) -> dict[str, Any]:
    """What is left of the words when their letters are struck at this rate.

    A word that came out unchanged keeps all. One that came out as another word of the vocabulary
    is no unseen word: it is left out and counted. Returns shares over the others:

        kept      neighbors (the word itself not among them) that stayed
        found     words that are among the neighbors of what they were turned into
        vector    unseen words that have a vector; nan where there is none
    """
    rng = np.random.default_rng([seed, round(rate * 1000)])
    pairs = [(word, misspelled(word, rate, rng)) for word in words]
    taken = [(w, m) for w, m in pairs if m == w or m not in vectors]
    changed = [(w, m) for w, m in taken if m != w]
    reached = [(w, m) for w, m in changed if vectors.has(m)]
    kept, found = len(taken) - len(changed), len(taken) - len(changed)
    if reached:
        rows = [vectors.index[w] for w, _ in reached]
        before = nearest(vectors, vectors.matrix[rows], top, rows)
        unseen = vectors.rows([m for _, m in reached])
        after = nearest(vectors, unseen, top, rows)
        kept += sum(len(np.intersect1d(a, b)) / top for a, b in zip(before, after, strict=True))
        scores = unit(unseen) @ vectors.unit_rows.T
        own = scores[np.arange(len(rows)), rows]
        found += int(((scores > own[:, None]).sum(axis=1) < top).sum())
    return {
        "kept": kept / len(taken),
        "found": found / len(taken),
        "vector": len(reached) / len(changed) if changed else np.nan,
        "unseen": len(changed),
        "other_words": len(pairs) - len(taken),
    }


def forms(vectors: Vectors, top: int) -> dict[str, float]:
    """Of pairs of two forms of a word: the share whose one is among the neighbors of the other.

    known: both are in the vocabulary. unseen: one is not, and asked for the other.
    """
    known, unseen = [], []
    pairs = {
        (question[k].lower(), question[k + 1].lower())
        for name, asked in evaluation.questions().items()
        if name in FORMS
        for question in asked
        for k in (0, 2)
    }
    for pair in sorted(pairs):
        inside = [word for word in pair if word in vectors]
        if len(inside) == 2:
            known.append(pair[1] in dict(vectors.neighbors(pair[0], top)))
        elif len(inside) == 1:
            (outside,) = set(pair) - set(inside)
            unseen.append(
                vectors.has(outside) and inside[0] in dict(vectors.neighbors(outside, top))
            )
    return {
        "forms_known": float(np.mean(known)) if known else np.nan,
        "forms_unseen": float(np.mean(unseen)) if unseen else np.nan,
        "pairs_known": len(known),
        "pairs_unseen": len(unseen),
    }


def _corpus(name: str, min_count: int) -> corpus.Corpus:
    if name == "speeches":
        return corpus.of_documents(corpora.speeches(), min_count=min_count)
    if name == "reviews":
        return corpus.of_documents(corpora.movie_reviews().texts, min_count=min_count)
    return corpus.of_file(name, min_count=min_count)


def run(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """Train one member and ask it about words it has not seen."""
    del key, log
    words = _corpus(config.corpus.name, config.corpus.min_count)
    few = corpus.of_documents(["a few words of a few words"] * 9, min_count=1)
    METHODS[config.method](few, _settings(config))  # so that compiling is not timed
    begun = time.perf_counter()
    trained = METHODS[config.method](words, _settings(config), seed=config.seed)
    seconds = time.perf_counter() - begun
    vectors = Vectors.of(trained)
    probe = config.probe
    rng = np.random.default_rng(config.seed)
    among = [
        w
        for w in vectors.words[probe.first_rank : probe.last_rank]
        if len(w) >= probe.shortest and w.isalpha()
    ]
    chosen = [among[k] for k in rng.permutation(len(among))[: probe.words]]
    if not chosen:
        raise ValueError(
            f"no word of {probe.shortest} letters has a rank from {probe.first_rank} "
            f"to {probe.last_rank} among {len(vectors)}"
        )
    results = [struck(vectors, chosen, rate, probe.top, config.seed) for rate in probe.rates]
    syntactic = [s for s in evaluation.analogies(vectors).sections if s.name.startswith("gram")]
    asked = sum(s.asked for s in syntactic)
    parameters = trained.matrix.size + trained.output.size
    if trained.subwords is not None:
        parameters += trained.subwords.rows.size
    return {
        **{name: [result[name] for result in results] for name in results[0]},
        **forms(vectors, probe.top),
        "wordsim353": evaluation.word_similarity(vectors).spearman,
        "syntactic": sum(s.right for s in syntactic) / asked if asked else np.nan,
        "syntactic_asked": asked,
        "examples": {
            word: [near for near, _ in vectors.neighbors(word, 5)]
            for word in EXAMPLES
            if word not in vectors and vectors.has(word)
        },
        "vocabulary": len(vectors),
        "tokens": words.tokens,
        "seconds": seconds,
        "words_per_second": words.tokens * config.training.epochs / seconds,
        "parameters": parameters,
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Neighbors against the rate; forms, analogies and cost; what misspelled words are near to."""
    out = {"misspelled": _misspelled(table), "forms_and_cost": _bars(table)}
    if any(member.result["examples"] for member in table):
        out["examples"] = _examples(table)
    return out


def _misspelled(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(10, 3.8), share_y=True)
    words = {"kept": "Neighbors kept", "found": "Intended word found"}
    for ax, (name, head) in zip(axes[0], words.items(), strict=True):
        ends = []
        for index, (method, members) in enumerate(table.group_by("method").items()):
            rates = 100 * np.array(members[0].config["probe"]["rates"])
            curves = 100 * members.stack(name)
            look = plots.look(index + 1)
            ax.plot(rates, curves.T, color=look["color"], linewidth=0.6, alpha=0.5)
            ax.plot(rates, curves.mean(axis=0), "o-", color=look["color"], markersize=4)
            ends.append(plots.End(rates[-1], curves.mean(axis=0)[-1], NAMES[method], look["color"]))
        plots.direct_labels(ax, ends)
        top = table[0].config["probe"]["top"]
        ax.set(xlabel="letters struck (%)", ylim=(-4, 104))
        ax.set_ylabel(
            f"share of the {top} nearest (%)"
            if name == "kept"
            else f"words among the {top} nearest (%)"
        )
        ax.tick_params(labelleft=True)
        plots.title(ax, head)
    return figure, (
        "Letters of known words are struck at the rate below. Left: how many of a word's "
        "neighbors what is left of it still has. Right: how often the word is among the "
        "neighbors of what it was turned into. Means over words; thin: seeds. Words that were "
        "turned into other words of the vocabulary are left out."
    )


def _bars(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 3, size=(11, 3.4), widths=(1.5, 1, 1))
    left, middle, right = axes[0]
    groups = table.group_by("method")
    width = 0.8 / len(groups)
    shares = {
        "forms_known": "both forms\nknown",
        "forms_unseen": "one form\nunseen",
        "syntactic": "syntactic\nanalogies",
    }
    for index, (method, members) in enumerate(groups.items()):
        color = plots.look(index + 1)["color"]
        at = (index - (len(groups) - 1) / 2) * width
        for ax, values in (
            (left, [100 * np.nanmean(members.stack(name)) for name in shares]),
            (middle, [np.mean(members.stack("words_per_second")) / 1000]),
            (right, [np.mean(members.stack("parameters")) / 1e6]),
        ):
            places = np.arange(len(values)) + at
            ax.bar(places, values, 0.92 * width, color=color, label=NAMES[method])
            for x, y in zip(places, values, strict=True):
                ax.text(
                    x,
                    y,
                    f"{y:.0f}" if y >= 100 else f"{y:.3g}",
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    in_layout=False,
                )
    left.set_xticks(range(len(shares)), list(shares.values()))
    left.set_ylabel("%")
    left.legend(frameon=False)
    middle.set_ylabel("thousand words a second")
    right.set_ylabel("million parameters")
    for ax, head in ((left, "Forms of one word"), (middle, "Training"), (right, "Size")):
        plots.title(ax, head)
        ax.margins(y=0.15)
        if ax is not left:
            ax.set_xticks([])
    return figure, (
        "Left: how often one form of a word (walk) is among the neighbors of another (walking), "
        "where both or only one of them was in the corpus, and the syntactic analogies that are "
        "answered. Middle and right: what it costs."
    )


def _examples(table: Table) -> tuple[Any, str]:
    rows: dict[str, list[str]] = {}
    for member in table:
        if member.config["method"] == "fasttext":
            rows = member.result["examples"] | rows  # the first seed's, where it has them
    figure, axes = plots.new_figure(1, 1, size=(9, 0.32 * len(rows) + 0.8))
    ax = axes[0, 0]
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -1.5))
    ax.axis("off")
    for x, head in ((0, "never seen"), (0.2, "FastText's nearest"), (0.85, "Word2Vec's")):
        ax.text(x, -1, head, fontweight="bold", fontsize=9)
    for y, (word, near) in enumerate(rows.items()):
        ax.text(0, y, word, fontsize=9, family="monospace")
        ax.text(0.2, y, ", ".join(near), fontsize=9)
        ax.text(0.85, y, "no vector", fontsize=9, color="#888888")
    return figure, "Misspelled words that are not in the corpus, and the words nearest to them."


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """The notes' claim 8, and what of claim 6 concerns unseen words."""

    def both(name: str) -> tuple[np.ndarray, np.ndarray]:
        found = [table.select({"method": m}).stack(name) for m in ("fasttext", "word2vec")]
        return found[0], found[1]

    def at(rate: float) -> int:
        rates = table[0].config["probe"]["rates"] if len(table) else ()
        if rate not in rates:
            raise Undecided(f"no letters were struck at the rate {rate}")
        return rates.index(rate)

    def vectors() -> tuple[bool, str]:
        ours, theirs = both("vector")
        some = ~np.isnan(ours)
        return bool((ours[some] == 1).all() and (theirs[~np.isnan(theirs)] == 0).all()), (
            f"FastText {100 * np.nanmin(ours):.0f}%, Word2Vec {100 * np.nanmax(theirs):.0f}%"
        )

    def kept(rate: float, share: float) -> Any:
        def check() -> tuple[bool, str]:
            ours, theirs = (x[:, at(rate)] for x in both("kept"))
            return bool(ours.mean() >= share and ours.min() > theirs.max()), (
                f"FastText {100 * ours.mean():.0f}%, Word2Vec {100 * theirs.mean():.0f}%"
            )

        return check

    def found() -> tuple[bool, str]:
        ours, theirs = (x[:, at(0.1)] for x in both("found"))
        return bool(ours.mean() >= 0.8 and ours.min() > theirs.max()), (
            f"FastText {100 * ours.mean():.0f}%, Word2Vec {100 * theirs.mean():.0f}%"
        )

    def same() -> tuple[bool, str]:
        ours, theirs = (x[:, at(0.0)] for x in both("kept"))
        return bool((ours == 1).all() and (theirs == 1).all()), (
            f"least: {100 * min(ours.min(), theirs.min()):.0f}%"
        )

    def more(name: str, factor: float = 1.0, percent: bool = True) -> Any:
        def check() -> tuple[bool, str]:
            ours, theirs = (float(np.mean(x)) for x in both(name))
            words = (
                f"FastText {100 * ours:.1f}%, Word2Vec {100 * theirs:.1f}%"
                if percent
                else f"FastText {ours:.3g}, Word2Vec {theirs:.3g}"
            )
            return ours > factor * theirs, words

        return check

    def unseen_forms() -> tuple[bool, str]:
        ours, theirs = (float(np.mean(x)) for x in both("forms_unseen"))
        return ours >= 0.2 and theirs == 0, f"FastText {100 * ours:.1f}%, Word2Vec {theirs:.0f}%"

    def slower() -> tuple[bool, str]:
        ours, theirs = (float(np.mean(x)) for x in both("seconds"))
        return ours > 1.5 * theirs, f"{ours / theirs:.1f} times Word2Vec's seconds"

    notes = "the notes, claim 8"
    paper = "Bojanowski et al. 2017"
    return [
        Claim(
            "Letters struck from no word change nothing",
            "definition",
            "100% of neighbors kept at rate 0, both methods",
            "holds",
            same,
            closed_form=True,
        ),
        Claim(
            "FastText has a vector for every unseen word, Word2Vec for none",
            f"{notes}; claim 6",
            "of unseen words with a vector: 100% and 0%",
            "holds",
            vectors,
            closed_form=True,
        ),
        Claim(
            "FastText keeps neighbors of misspelled words, Word2Vec loses them",
            notes,
            "1 letter in 10 struck: FastText at least 50% on average, and every seed above "
            "Word2Vec's best",
            "holds",
            kept(0.1, 0.5),
        ),
        Claim(
            "… of badly misspelled words as well",
            notes,
            "3 letters in 10 struck: FastText at least 25%, and every seed above Word2Vec's best",
            "holds",
            kept(0.3, 0.25),
        ),
        Claim(
            "FastText finds the word that was meant",
            notes,
            "1 letter in 10 struck: at least 80% are among the neighbors of what they became, "
            "and every seed above Word2Vec's best",
            "holds",
            found,
        ),
        Claim(
            "FastText captures word form: forms of a word are neighbors",
            f"{notes}; {paper}",
            "share of pairs of known forms that are neighbors above Word2Vec's, means over seeds",
            "holds",
            more("forms_known"),
        ),
        Claim(
            "… also where one form was never seen",
            f"{notes}; {paper}",
            "at least 20% of such pairs, where Word2Vec has none",
            "holds",
            unseen_forms,
        ),
        Claim(
            "FastText answers more syntactic analogies",
            f"{paper}, Table 2",
            "share of those asked above Word2Vec's, means over seeds",
            "holds",
            more("syntactic"),
        ),
        Claim(
            "FastText takes longer to train",
            notes,
            "more than 1.5 times Word2Vec's seconds, means over seeds",
            "holds",
            slower,
        ),
        Claim(
            "FastText is larger",
            notes,
            "more than twice Word2Vec's parameters",
            "holds",
            more("parameters", 2.0, percent=False),
        ),
    ]
