"""Retrieval of documents by queries: TF-IDF against six variants of BM25, and the role of k1 and b.

    rnnlab run --config=experiments/text_features/retrieval.py
    # a SMART collection:
    rnnlab run --config=experiments/text_features/retrieval.py --config.task.path=FOLDER

By default two collections of installed packages (rnnlab[data], gensim): 500 queries of six words
each, drawn from one of 5,000 movie reviews that is to be retrieved; and 50 news documents, each a
query for those that people judged similar to it. With a path, the SMART collection of that folder
(Cranfield, CISI, CACM, MED …: rnnlab.text.collections.smart finds its files). About a minute on 2
cores; ":full" has 20,000 reviews and 2,000 queries.

Expected: every BM25 well above TF-IDF on short queries; with whole documents as queries no better
than cosine TF-IDF; the usual k1 and b near the best of the grid.

Measured: nDCG@10 of 0.926 (the notes' BM25) and 0.961 (Lucene's) against 0.345 and 0.748 on short
queries; but 0.409 against 0.585 with whole documents as queries: their common words have a negative
idf, which counts against a document that shares them. With idf ≥ 0 it is 0.601, the best.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.core.errors import Pooled
from rnnlab.core.validate import choice
from rnnlab.lab.config import scale
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.sparse import bm25, relevance, top_k
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.bm25 import BM25
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text import collections

Config = Any  # an ml_collections.ConfigDict, whose attributes have no types
Results = dict[str, Any]  # of a member, by name

REPRODUCE = False  # texts are left out of `rnnlab reproduce`

TFIDF = {"tf-idf": "TF-IDF, the notes'", "tf-idf cosine": "TF-IDF, cosine"}
BM25S = {
    "robertson": "BM25, the notes'",
    "robertson_floored": "BM25, idf ≥ 0",
    "lucene": "BM25 Lucene",
    "atire": "BM25 ATIRE",
    "bm25+": "BM25+",
    "bm25l": "BM25L",
}
RANKERS = TFIDF | BM25S
NAMES = {"known_items": "known reviews", "lee": "news", "smart": "SMART files"}
K1, B = 1.5, 0.75
GRID_K1, GRID_B = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 2.0, 3.0), (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURES = {"ndcg": "nDCG@{k}", "average_precision": "MAP", "recall": "recall@{depth}"}


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" that of four times the reviews and queries."""
    full = scale(arg) == "full"
    return ConfigDict(
        {
            "seed": 0,  # seed of the reviews and queries
            "task": {
                "collection": "known_items",  # the documents with their queries
                "path": "",  # a folder: only its collection is used
                "documents": 20_000 if full else 5000,  # reviews of known_items
                "queries": 2000 if full else 500,  # queries of known_items
                "words": 6,  # words of such a query
                # the best grade of the path's judgments: 1 (Cranfield's, 4 the weakest), or 4
                "best_grade": 1,
            },
            "ranker": {
                "name": "robertson",  # the formula that ranks documents
                "k1": K1,  # BM25: how slowly more occurrences of a word stop counting
                "b": B,  # BM25: how much a document's length counts
            },
            "run": {
                "k": 10,  # ranks that nDCG reads
                "depth": 100,  # ranks that recall reads
                "seconds_per_member": 8.0 if full else 0.6,
                "seconds_per_group": 0.0,
            },
        }
    ).lock()


def get_sweep(config: Config) -> list[dict[str, tuple]]:
    """Return every ranker, the grid of the notes' BM25, and the formula by itself."""
    names = ("smart",) if config.task.path else ("known_items", "lee")
    return [
        {"task.collection": names, "ranker.name": tuple(RANKERS)},
        {"task.collection": names, "ranker.k1": GRID_K1, "ranker.b": GRID_B},
        {"ranker.name": ("formula",)},
    ]


def check(config: Config) -> None:
    """Refuse unknown rankers and collections."""
    choice("ranker.name", config.ranker.name, (*RANKERS, "formula"))
    choice("task.collection", config.task.collection, NAMES)
    if config.task.best_grade not in (1, 4):
        raise ValueError(f"task.best_grade must be 1 or 4, got {config.task.best_grade}")
    bm25.check(config.ranker.k1, config.ranker.b, 0.5, "robertson")
    if config.task.path and not Path(config.task.path).expanduser().is_dir():
        raise ValueError(f"task.path: no folder {config.task.path!r}")


@lru_cache(maxsize=3)
def collection(
    name: str, path: str, numbers: tuple[int, int, int], best_grade: int, seed: int
) -> tuple[collections.Collection, BM25]:
    """Return a collection and the index of its documents, which does not depend on k1 and b."""
    if name == "lee":
        chosen = collections.lee()
    elif name == "known_items":
        chosen = collections.known_items(*numbers, seed)
    else:
        gains = collections.CRANFIELD_GAINS if best_grade == 1 else None
        chosen = collections.smart(path, gains=gains)
    return chosen, BM25().fit(chosen.documents)


def run(config: Config, key: object, log: object) -> Results:
    """Rank the documents of every query and measure, or evaluate the formula."""
    del key, log
    if config.ranker.name == "formula":
        return formula()
    task = config.task
    numbers = task.documents, task.queries, task.words
    chosen, model = collection(task.collection, task.path, numbers, task.best_grade, config.seed)
    ranked = rank(config, chosen, model, min(max(1000, config.run.depth), len(chosen.documents)))
    if config.task.collection == "lee":  # a document is not an answer to itself
        ranked = np.array([row[row != i] for i, row in enumerate(ranked)])
    measured = relevance.evaluate(ranked, chosen.judgments, config.run.k, config.run.depth)
    return {
        "documents": len(chosen.documents),
        "queries": len(measured["ndcg"]),
        **{name: float(values.mean()) for name, values in measured.items()},
        "ndcg_by_query": np.round(measured["ndcg"], 6),
    }


def rank(config: Config, chosen: collections.Collection, model: BM25, depth: int) -> np.ndarray:
    """Return the best documents of every query: (Q, depth)."""
    name = config.ranker.name
    if name in BM25S:
        model.set_params(variant=name, k1=config.ranker.k1, b=config.ranker.b)
        return model.search(chosen.queries, depth).documents
    words = BagOfWords(token_pattern=r"(?u)\w+")
    counts = words.fit_transform(chosen.documents)
    weigh = TfIdf() if name == "tf-idf" else TfIdf("count", "smooth", "l2")
    documents = weigh.fit(counts).transform(counts)
    queries = words.transform(chosen.queries)
    # the notes' score is a sum over the query's words, as BM25's; a cosine weights them as well
    if name != "tf-idf":
        queries = weigh.transform(queries)
    scores = (queries @ documents.T).toarray()
    return np.array([top_k.best(row, depth) for row in scores])


def formula() -> Results:
    """Evaluate the notes' formula against tf, |d| and df."""
    tf, lengths, notes = np.arange(0, 101), np.geomspace(0.1, 10, 41), "robertson"
    return {
        "tf": tf,
        "by_tf": [bm25.frequency_part(tf, 1, 1, k1=k1, variant=notes) for k1 in GRID_K1],
        "lengths": lengths,
        "by_length": [
            bm25.frequency_part(3, lengths, 1, k1=K1, b=b, variant=notes) for b in GRID_B
        ],
        "df": np.arange(101),
        "idf": bm25.idf(np.arange(101), 100, notes),
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the rankers side by side, the grid, and the formula."""
    drawn: dict[str, tuple[Figure, str]] = {}
    names = [n for n in table.values("task.collection") if len(_rankers(table, n))]
    if names:
        drawn["rankers"] = _bars(table, names)
    grids = {n: _grid(table, n) for n in names}
    grids = {n: grid for n, grid in grids.items() if grid is not None}
    if grids:
        drawn["grid"] = _heat_maps(table, grids)
    formulas = table.select({"ranker.name": "formula"})
    if len(formulas):
        drawn["formula"] = _curves(formulas[0].result)
    return drawn


def _rankers(table: Table, name: str) -> Table:
    chosen = {"task.collection": name, "ranker.k1": K1, "ranker.b": B}
    return table.select(chosen | {"ranker.name": tuple(RANKERS)})


def _bars(table: Table, names: list[str]) -> tuple[Figure, str]:
    run = table[0].config["run"]
    figure, axes = plots.new_figure(len(names), 3, size=(11, 2.6 * len(names) + 0.4), share_y=True)
    for row, name in zip(axes, names, strict=True):
        by_ranker = _rankers(table, name).group_by("ranker.name")
        for ax, (measure, words) in zip(row, MEASURES.items(), strict=True):
            values = [float(np.median(members.stack(measure))) for members in by_ranker.values()]
            colors = [plots.COLORS[2 if r in TFIDF else 1] for r in by_ranker]
            ax.barh(range(len(values)), values, color=colors, height=0.65)
            for y, value in enumerate(values):
                ax.text(value, y, f" {value:.3f}", va="center", fontsize=8)
            ax.set(xlim=(0, 1.2 * max(values)), ylim=(len(values) - 0.4, -0.6))
            ax.set_yticks(range(len(values)), [RANKERS[r] for r in by_ranker])
            plots.title(ax, f"{NAMES[name]}: {words.format(**run)}")
    return figure, (
        f"Rankings with k1 = {K1}, b = {B}, of "
        + "; ".join(
            f"{NAMES[n]}: {r['documents']:,} documents, {r['queries']} queries"
            for n in names
            for r in [_rankers(table, n)[0].result]
        )
        + "."
    )


def _grid(table: Table, name: str) -> np.ndarray | None:
    """Return nDCG (b, k1) of the notes' BM25, or None if the grid is not complete."""
    chosen = table.select({"task.collection": name, "ranker.name": "robertson"})
    grid = np.full((len(GRID_B), len(GRID_K1)), np.nan)
    for member in chosen:
        k1, b = member.config["ranker"]["k1"], member.config["ranker"]["b"]
        if b in GRID_B and k1 in GRID_K1:
            grid[GRID_B.index(b), GRID_K1.index(k1)] = member.result["ndcg"]
    return None if np.isnan(grid).any() else grid


def _heat_maps(table: Table, grids: dict[str, np.ndarray]) -> tuple[Figure, str]:
    k = table[0].config["run"]["k"]
    figure, axes = plots.new_figure(1, len(grids), size=(5.6 * len(grids), 3.6))
    for ax, (name, grid) in zip(axes[0], grids.items(), strict=True):
        usual = grid[GRID_B.index(B), GRID_K1.index(K1)]
        points = 100 * (grid - usual)
        plots.heat_map(
            ax,
            np.arange(len(GRID_K1)),
            np.arange(len(GRID_B)),
            points,
            label=f"nDCG@{k}, points above k1 = {K1}, b = {B}",
            limit=max(1.0, float(np.abs(points).max())),
        )
        for (y, x), value in np.ndenumerate(grid):
            best = value == grid.max()
            dark = abs(points[y, x]) > 0.6 * np.abs(points).max()
            ax.text(
                x,
                y,
                f"{100 * value:.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
                fontweight="bold" if best else "normal",
            )
        ax.set_xticks(range(len(GRID_K1)), [f"{v:g}" for v in GRID_K1])
        ax.set_yticks(range(len(GRID_B)), [f"{v:g}" for v in GRID_B])
        ax.set(xlabel="k1: saturation of term frequency", ylabel="b: length normalization")
        plots.title(ax, f"{NAMES[name]}: 100·nDCG@{k}")
    return figure, (
        f"The notes' BM25 over k1 and b; red is better than the usual k1 = {K1}, b = {B}, blue "
        "worse; the best of each grid is bold."
    )


def _curves(result: Results) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 3, size=(13, 3.6))
    by_tf, by_length, by_df = axes[0]
    shown = (0.0, 0.6, 1.2, 2.0, 3.0)
    ends = []
    for index, k1 in enumerate(shown):
        curve = np.asarray(result["by_tf"])[GRID_K1.index(k1)]
        by_tf.plot(result["tf"][:31], curve[:31], **plots.look(index))
        ends.append(plots.End(30.0, float(curve[30]), f"k1 = {k1:g}", plots.COLORS[index]))
    by_tf.set(
        xlabel="tf, occurrences of the word in the document",
        ylabel="weight / idf",
        xlim=(0, 30),
        ylim=(0, None),
    )
    plots.direct_labels(by_tf, ends)
    plots.title(by_tf, "k1 saturates term frequency")
    ends = []
    for index, (b, curve) in enumerate(zip(GRID_B, result["by_length"], strict=True)):
        by_length.plot(result["lengths"], curve, **plots.look(index))
        ends.append(plots.End(10.0, float(curve[-1]), f"b = {b:g}", plots.COLORS[index]))
    by_length.set(
        xlabel="|d| / avgdl",
        ylabel="weight / idf at tf = 3",
        xscale="log",
        xlim=(0.1, 10),
        ylim=(0, None),
    )
    for end in ends:
        by_length.annotate(
            end.text,
            (end.x, end.y),
            (4, 0),
            textcoords="offset points",
            color=end.color,
            fontsize=8,
            va="center",
        )
    plots.title(by_length, "b normalizes length")
    by_df.plot(result["df"], result["idf"], color=plots.COLORS[1])
    by_df.axhline(0, color="#777777", linewidth=0.8)
    by_df.set(xlabel="df, of 100 documents with the word", ylabel="idf (nats)", xlim=(0, 100))
    plots.title(by_df, "idf is finite at both ends")
    return figure, (
        f"The notes' formula: the weight of a word over its idf against tf (|d| = avgdl, b = {B}) "
        f"and against length (k1 = {K1}), and idf(df) = log((N − df + 0.5) / (df + 0.5)), N = 100."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def formula_result(table: Table, name: str) -> np.ndarray:
    """Return a part of the formula's results."""
    return table.select({"ranker.name": "formula"}).each(name)[0]  # of every member the same


def _one_seed(members: Table) -> Table:
    """Return the members, of one seed: queries of several are not repetitions of each other.

    Raises:
        Pooled: members of several seeds.
    """
    if len(seeds := members.values("seed")) > 1:
        raise Pooled({"seed": seeds})
    return members


def better(table: Table, collection: str, other: str) -> Claim:
    """Claim that the notes' BM25 ranks a collection better than another ranker."""

    @claim(
        f"BM25 ranks better than {RANKERS[other]} ({NAMES[collection]})",
        source="the notes, claim 4",
        holds_if="mean difference of nDCG@{k} above 0 by {errors} standard errors, "
        f"k1 = {K1}, b = {B}",
        expected="refuted" if (collection, other) == ("lee", "tf-idf cosine") else "holds",
        errors=2,
    )
    def ranks_better(table: Table, k: int, errors: float) -> tuple[bool, str]:
        chosen = {"task.collection": collection, "ranker.k1": K1, "ranker.b": B}
        ours, theirs = (
            _one_seed(table.select(chosen | {"ranker.name": ranker})).stack("ndcg_by_query")[0]
            for ranker in ("robertson", other)
        )
        difference = ours - theirs
        error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
        return bool(difference.mean() >= errors * error and difference.mean() > 0), (
            f"nDCG@{k} {ours.mean():.3f} against {theirs.mean():.3f}: {difference.mean():+.3f} ± "
            f"{error:.3f} over {len(ours)} queries"
        )

    return ranks_better(table, k=table[0].config["run"]["k"])


@claim(
    "The usual k1 and b are near the best ({shown})",
    source="Robertson & Zaragoza 2009",
    holds_if="nDCG@{k} at least {least} of the grid's best",
    expected="holds",
    least=0.95,
)
def near_best(table: Table, collection: str, shown: str, k: int, least: float) -> tuple[bool, str]:
    """Measure nDCG at the usual k1 and b against the best of the grid."""
    chosen = table.select({"task.collection": collection, "ranker.name": "robertson"})
    usual = _one_seed(chosen.select({"ranker.k1": K1, "ranker.b": B})).stack("ndcg")[0]
    best = max(chosen, key=lambda member: member.result["ndcg"])
    ranker, share = best.config["ranker"], usual / best.result["ndcg"]
    return bool(share >= least), (
        f"{100 * share:.1f}% of the best, {best.result['ndcg']:.3f} at k1 = {ranker['k1']:g}, "
        f"b = {ranker['b']:g}, {len(chosen)} members"
    )


@claim(
    "k1 saturates term frequency",
    source="the notes, claim 3",
    holds_if="the weight rises with tf, each time by less, and stays below (k1 + 1)·idf; at k1 = 0 "
    "it is flat",
    expected="holds",
    closed_form=True,
)
def saturates(table: Table) -> tuple[bool, str]:
    """Measure the weight against tf."""
    flat, *curves = np.array(formula_result(table, "by_tf"))
    curves = np.array(curves)  # k1 > 0
    rising, falling = np.diff(curves), np.diff(curves, 2)
    below = curves.max(axis=1) < np.array(GRID_K1[1:]) + 1
    holds = (rising > 0).all() and (falling < 0).all() and below.all() and (flat[1:] == 1).all()
    return bool(holds), (
        f"least rise {rising.min():.1e}, least bend {-falling.max():.1e}; at tf = 100 "
        f"{curves[GRID_K1.index(K1) - 1][-1]:.2f} of k1 + 1 = {K1 + 1}"
    )


@claim(
    "b normalizes length",
    source="the notes, claim 3",
    holds_if="at b = 0 length does not matter, and the larger b, the more it does",
    expected="holds",
    closed_form=True,
)
def normalizes(table: Table) -> tuple[bool, str]:
    """Measure the weight against length."""
    curves = np.array(formula_result(table, "by_length"))
    spread = np.ptp(curves, axis=1)
    falls = (np.diff(curves[1:]) < 0).all()
    return bool(falls and spread[0] == 0 and (np.diff(spread) > 0).all()), (
        "range over a hundredfold length "
        + ", ".join(f"{s:.2f} at b = {b:g}" for b, s in zip(GRID_B, spread, strict=True))
    )


@claim(
    "idf is finite at df = 0 and df = N",
    source="the notes, claim 3",
    holds_if="finite for every df",
    expected="holds",
    closed_form=True,
)
def stable(table: Table) -> tuple[bool, str]:
    """Measure idf at both ends."""
    idf = formula_result(table, "idf")
    return bool(np.isfinite(idf).all()), f"idf {idf[0]:.2f} at df = 0, {idf[-1]:.2f} at df = N"


@claim(
    "The notes' idf is below 0 for words in more than half of the documents",
    source="Robertson & Walker 1997",
    holds_if="idf < 0 exactly where df > N/2",
    expected="holds",
    closed_form=True,
)
def negative(table: Table) -> tuple[bool, str]:
    """Measure the sign of idf."""
    idf, df = formula_result(table, "idf"), formula_result(table, "df")
    return bool(((idf < 0) == (df > 50)).all()), f"{(idf < 0).sum()} of {len(idf)} df below 0"


def claims(table: Table) -> list[Claim]:
    """List the notes' claims 3 and 4."""
    names = [n for n in table.values("task.collection") if n in NAMES]
    k = table[0].config["run"]["k"]
    return [
        *(better(table, name, other) for name in names for other in TFIDF),
        *(near_best(table, collection=name, shown=NAMES[name], k=k) for name in names),
        saturates(table),
        normalizes(table),
        stable(table),
        negative(table),
    ]
