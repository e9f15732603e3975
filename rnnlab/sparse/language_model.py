"""The n-gram language model: the next word's probability, by counting what followed before.

Every smoothing is, per order m, p_m(w | h) = α_m(h w) + γ_m(h)·p_{m−1}(w | h′), where h′ is h
without its oldest word: α is kept per m-gram, γ per context, and nothing else is.

Sources: the notes, 1.4; Kneser & Ney 1995; Chen & Goodman 1999 (equations by their number).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rnnlab.core.errors import unknown
from rnnlab.sparse.ngram_counts import NgramCounts, count_ngrams
from rnnlab.text.strings import compute
from rnnlab.text.tokenizers import Tokenizer, Words, tokenize

SMOOTHINGS = ("mle", "add_k", "kneser_ney", "modified_kneser_ney")
START, END, UNKNOWN = "<s>", "</s>", "<UNK>"
# D₁, D₂, D₃₊ where the counts of counts allow no estimate (few distinct words: characters)
FALLBACK = (0.5, 1.0, 1.5)


class Scored(NamedTuple):
    """The probability of every predicted token."""

    probabilities: np.ndarray  # (P,) float64
    offsets: np.ndarray  # (N+1,) int64: of document i, offsets[i] … offsets[i + 1]


class NgramLanguageModel:
    """p(w_t | w_{t−n+1} … w_{t−1}).

    ====================  ==========================================================
    mle                   c(h w) / c(h •); an unseen context gives 0
    add_k                 (c(h w) + k) / (c(h •) + k·V); k = 1: Laplace
    kneser_ney            interpolated, one discount D for all orders, as nltk's:
                          α = max(a(h w) − D, 0) / a(h •), γ = D·N₁₊(h •) / a(h •),
                          a = c for the longest, N₁₊(• h w) for shorter ones; unigrams
                          N₁₊(• w) / N₁₊(• •), 0 for a word never seen
    modified_kneser_ney   Chen & Goodman's: D₁, D₂, D₃₊ of each order by a = 1, 2, ≥ 3
                          (eq. 26), γ = (D₁N₁ + D₂N₂ + D₃₊N₃₊) / a(h •); unigrams
                          interpolate with 1/V; ``<s>`` is never predicted
    ====================  ==========================================================

    The probabilities of a context sum to 1 (to 0 for an unseen one in mle). But in nltk's
    Kneser–Ney N₁₊(h •) counts what follows h at the beginning of documents only, which has no
    N₁₊(• h w): after ``<s>`` alone its sum is above 1 by about D²/(documents), and so it is
    without padding after words that begin a document. The modified one counts neither.

    Args:
        order: n. smoothing: see above.
        k: of add_k, above 0.
        discount: D of kneser_ney, 0 … 1 (nltk's default is 0.1); of modified_kneser_ney a triple
            for all orders, or None: estimated; where an order has no n-gram seen once, twice,
            three or four times, or an estimate falls outside 0 … 1, 2, 3: FALLBACK (KenLM's).
        min_count: rarer words become ``<UNK>``, as do unseen ones.
        pad: n−1 times ``<s>`` before and ``</s>`` after every document, as nltk (at n = 1 one
            ``</s>``); False: a document is a stretch of a stream, its first words have shorter
            contexts.
        tokenizer: None: words. Documents may also be lists of tokens.

    Raises:
        ValueError: out of range.

    >>> lm = NgramLanguageModel(2, "mle").fit(["a b a", "a a"])
    >>> lm.score("b", ["a"]), round(lm.perplexity(["a b a"]), 3)
    (0.25, 1.682)
    """

    def __init__(
        self,
        order: int = 3,
        smoothing: str = "modified_kneser_ney",
        *,
        k: float = 1.0,
        discount: float | tuple[float, float, float] | None = None,
        min_count: int = 1,
        pad: bool = True,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        if smoothing not in SMOOTHINGS:
            raise ValueError(unknown("smoothing", smoothing, SMOOTHINGS))
        for name, value in (("order", order), ("min_count", min_count)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not 0 < k < np.inf:
            raise ValueError(f"k must be above 0 and finite, got {k}")
        self.order, self.smoothing, self.k = order, smoothing, k
        self.discount = _discount(smoothing, discount)
        self.min_count, self.pad, self.tokenizer = min_count, pad, tokenizer

    # ---- learning

    def fit(self, documents: Any) -> "NgramLanguageModel":
        """Count the documents.

        Args:
            documents: as :func:`rnnlab.text.tokenizers.tokenize` takes them.
        Raises:
            TypeError: a document that is no text. ValueError: no token in any of them.
        """
        tokens = tokenize(documents, self.tokenizer or Words())
        if not len(tokens.codes):
            raise ValueError("no token in any document: there is nothing to count")
        special = [UNKNOWN, START, END] if self.pad else [UNKNOWN]
        among = compute("index_in", tokens.terms, value_set=pa.array(special))
        numbers = among.fill_null(-1).to_numpy().astype(np.int64)  # of the terms, as symbols
        kept = (tokens.counts() >= self.min_count) & (numbers < 0)
        numbers[~kept & (numbers < 0)] = 0
        numbers[kept] = np.arange(len(special), len(special) + kept.sum())
        self.symbols: list[str] = special + tokens.terms.filter(pa.array(kept)).to_pylist()
        self._numbers = dict(zip(self.symbols, range(len(self.symbols)), strict=True))
        codes, offsets = self._padded(numbers[tokens.codes], tokens.offsets)
        self.counts: NgramCounts = count_ngrams(codes, offsets, self.order, len(self.symbols))
        self.discounts: list[tuple[float, ...]] = []
        # a last place for what there is not: number −1
        self._alphas: list[np.ndarray] = []
        self._gammas: list[np.ndarray] = []
        for m in range(1, self.order + 1):
            alpha, gamma = self._smoothed(m)
            self._alphas.append(np.append(alpha, 0.0))
            self._gammas.append(np.append(gamma, 0.0 if self.smoothing == "mle" else 1.0))
        return self

    def _smoothed(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """α of the m-grams and γ of their contexts."""
        counts, level = self.counts, self.counts.levels[m - 1]
        contexts = counts.contexts(m)
        size = 1 if m == 1 else len(counts.levels[m - 2].keys)

        def per_context(values: np.ndarray) -> np.ndarray:
            return np.bincount(contexts, values, size)

        a = level.counts
        if self.smoothing in ("mle", "add_k"):
            k = self.k if self.smoothing == "add_k" else 0.0
            added = k * len(self.symbols)
            total = per_context(a) + added
            share = np.divide(added, total, out=np.zeros(size), where=total > 0)
            return a / total[contexts], share
        if m < self.order:
            a = level.continuations
        if self.smoothing == "modified_kneser_ney":
            return self._modified(a, contexts, per_context, m)
        total = per_context(a)
        if m == 1:
            return a / max(total[0], 1), np.zeros(1)
        D = float(self.discount)  # type: ignore[arg-type]
        known = total > 0  # else its followers were seen at a document's beginning only
        safe = np.where(known, total, 1)
        alpha = np.maximum(a - D, 0) / safe[contexts]
        return alpha, np.where(known, D * per_context(np.ones(len(a))) / safe, 1.0)

    def _modified(
        self, a: np.ndarray, contexts: np.ndarray, per_context: Any, m: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.pad:
            a = np.where(self.counts.last_words(m) == self._numbers[START], 0, a)
        found = np.bincount(np.minimum(a, 5), minlength=6)[1:5]  # n₁ … n₄: so many occur so often
        D = np.array([0.0, *(self.discount or modified_discounts(found) or FALLBACK)])
        self.discounts.append(tuple(D[1:].tolist()))
        total = per_context(a)
        known = total > 0
        safe = np.where(known, total, 1)
        taken = np.minimum(D[np.minimum(a, 3)], a)
        return (a - taken) / safe[contexts], np.where(known, per_context(taken) / safe, 1.0)

    # ---- asking

    @property
    def num_predictable(self) -> int:
        """V: symbols that can follow: the words, ``</s>`` and ``<UNK>``.

        Of nltk's smoothings, add_k among them, ``<s>`` as well.
        """
        inner = self.smoothing == "modified_kneser_ney" and self.pad
        return len(self.symbols) - inner

    @property
    def num_ngrams(self) -> list[int]:
        """How many distinct m-grams are kept, m = 1 … n: the model's size."""
        return [len(level.keys) for level in self.counts.levels]

    @property
    def num_numbers(self) -> int:
        """How many numbers have been learned: an α per m-gram, a γ per context."""
        return sum(len(alpha) - 1 for alpha in self._alphas) + sum(
            len(gamma) - 1 for gamma in self._gammas
        )

    @property
    def nbytes(self) -> int:
        """What asking reads, in memory: keys, α and γ, of 64 bits each."""
        arrays = [level.keys for level in self.counts.levels] + self._alphas + self._gammas
        return sum(array.nbytes for array in arrays)

    def score(self, word: str, context: Sequence[str] = ()) -> float:
        """p(word | context); of the context the last n−1 words count, no padding is added.

        >>> lm = NgramLanguageModel(2, "add_k").fit([["a", "b"]])
        >>> round(lm.score("b", ["a"]), 6)  # (1 + 1) / (1 + V), V: a, b, <s>, </s>, <UNK>
        0.333333
        """
        context = _words(context)
        sequence = [*context[max(0, len(context) - self.order + 1) :], word]
        codes = np.array([self._numbers.get(w, 0) for w in sequence], np.int64)
        return float(self._scored(codes, np.array([0, len(codes)]))[-1])

    def distribution(self, context: Sequence[str] = ()) -> np.ndarray:
        """p(• | context) of every symbol, in the order of ``symbols``: (V,) float64."""
        context = _words(context)
        codes = [self._numbers.get(w, 0) for w in context[max(0, len(context) - self.order + 1) :]]
        p = self._uniform()
        lowest = p
        for m in range(1, len(codes) + 2):
            place = self._place(codes[len(codes) - m + 1 :])
            base = p if self._interpolates else lowest
            p = self._gammas[m - 1][place] * base
            if place >= 0:
                own = self.counts.followers(m, place)
                p[self.counts.last_words(m)[own]] += self._alphas[m - 1][own]
        return p

    def probabilities(self, documents: Any) -> Scored:
        """The probability of every token; with padding of one ``</s>`` each as well.

        Args:
            documents: as :meth:`fit`; an empty one has ``</s>`` alone.
        """
        codes, offsets = self._encoded(tokenize(documents, self.tokenizer or Words()))
        p = self._scored(codes, offsets)
        if not self.pad:
            return Scored(p, offsets)
        more = self.order - 1  # <s> before; and </s> after, of which the first is predicted
        inner = np.arange(len(p)) - np.repeat(offsets[:-1], np.diff(offsets))
        length = np.repeat(np.diff(offsets), np.diff(offsets))
        end = max(more, 1)
        chosen = (inner >= more) & (inner < length - end + 1)
        sizes = np.diff(offsets) - more - end + 1
        return Scored(p[chosen], np.concatenate([[0], np.cumsum(sizes)]))

    def perplexity(self, documents: Any) -> float:
        """exp(−mean log p) over the tokens of :meth:`probabilities`; inf where one is 0.

        Raises:
            ValueError: no token.
        """
        p = self.probabilities(documents).probabilities
        if not len(p):
            raise ValueError("no token in any document: there is no perplexity")
        with np.errstate(divide="ignore"):
            return float(np.exp(-np.log(p).mean()))

    def sample(self, length: int, context: Sequence[str] = (), seed: int = 0) -> list[str]:
        """Words drawn one after the other, each from p(• | those before).

        Args:
            length: how many, at most: with padding ``</s>`` ends it, and is not among them.
            context: words that stand before; with padding they begin a document.
        Raises:
            ValueError: length below 0.
        """
        if length < 0:
            raise ValueError(f"length must be at least 0, got {length}")
        rng = np.random.default_rng(seed)
        before = [START] * (self.order - 1) * self.pad + _words(context)
        codes = [self._numbers.get(word, 0) for word in before]
        drawn: list[str] = []
        for _ in range(length):
            codes.append(self._draw(codes[max(0, len(codes) - self.order + 1) :], rng))
            if self.symbols[codes[-1]] == END:
                break
            drawn.append(self.symbols[codes[-1]])
        return drawn

    # ---- inside

    @property
    def _interpolates(self) -> bool:
        return self.smoothing in ("kneser_ney", "modified_kneser_ney")

    def _uniform(self) -> np.ndarray:
        p = np.full(len(self.symbols), 1 / self.num_predictable)
        if self.num_predictable < len(self.symbols):
            p[self._numbers[START]] = 0
        return p

    def _encoded(self, tokens: Any) -> tuple[np.ndarray, np.ndarray]:
        """(codes, offsets), padded."""
        numbers = [self._numbers.get(term, 0) for term in tokens.terms.to_pylist()]
        return self._padded(np.array(numbers, np.int64)[tokens.codes], tokens.offsets)

    def _padded(self, codes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.pad:
            return codes, offsets
        before, after = self.order - 1, max(self.order - 1, 1)
        N = len(offsets) - 1
        padded = np.full(len(codes) + N * (before + after), self._numbers[END], np.int64)
        moved = np.arange(N) * (before + after)
        starts = offsets[:-1] + moved
        places = np.arange(len(codes)) + np.repeat(moved + before, np.diff(offsets))
        padded[places] = codes
        padded[(starts[:, None] + np.arange(before)).ravel()] = self._numbers[START]
        return padded, np.append(starts, len(padded))

    def _scored(self, codes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """p of every code given those before it in its document."""
        T = len(codes)
        before = np.arange(T) - np.repeat(offsets[:-1], np.diff(offsets))
        uniform = self._uniform()[codes]
        p = uniform.copy()
        context = np.zeros(T, np.int64)  # of the (m−1)-gram that begins at each place
        for m in range(1, self.order + 1):
            if m > T:
                break
            targets = codes[m - 1 :]
            # beyond a document's end they are numbers of nothing that is asked for
            gram = self.counts.find(m, context[: T - m + 1], targets)
            own = p[m - 1 :]
            base = own if self._interpolates else uniform[m - 1 :]
            value = self._alphas[m - 1][gram] + self._gammas[m - 1][context[: T - m + 1]] * base
            p[m - 1 :] = np.where(before[m - 1 :] >= m - 1, value, own)
            context = gram
        return p

    def _place(self, codes: Sequence[int]) -> int:
        """The number of a context; −1 where it is none. Of no words: 0."""
        number = np.zeros(1, np.int64)
        for m, code in enumerate(codes, start=1):
            number = self.counts.find(m, number, np.array([code]))
        return int(number[0])

    def _draw(self, codes: list[int], rng: np.random.Generator) -> int:
        for m in range(len(codes) + 1, 0, -1):
            place = self._place(codes[len(codes) - m + 1 :])
            own = self.counts.followers(m, place) if place >= 0 else slice(0, 0)
            if own.start < own.stop:
                alpha = np.cumsum(self._alphas[m - 1][own])
                at = rng.random() * (alpha[-1] + self._gammas[m - 1][place])
                if at < alpha[-1]:
                    chosen = own.start + int(np.searchsorted(alpha, at, side="right"))
                    return int(self.counts.last_words(m)[chosen])
            if self.smoothing == "add_k":  # what is added is shared by all alike
                break
        return int(rng.choice(len(self.symbols), p=self._uniform()))


def modified_discounts(found: Sequence[int] | np.ndarray) -> tuple[float, float, float] | None:
    """D₁ = 1 − 2Y·n₂/n₁, D₂ = 2 − 3Y·n₃/n₂, D₃₊ = 3 − 4Y·n₄/n₃, Y = n₁/(n₁ + 2n₂).

    Source: Chen & Goodman 1999, eq. 26.

    Args:
        found: n₁ … n₄, how many n-grams occur once, twice, three and four times.
    Returns:
        the discounts; None where they are not defined, or one is outside 0 … 1, 2, 3.

    >>> modified_discounts([10, 5, 3, 2])
    (0.5, 1.1, 1.6666666666666667)
    """
    n1, n2, n3, n4 = map(int, found)
    if min(n1, n2, n3, n4) == 0:
        return None
    Y = n1 / (n1 + 2 * n2)
    D = (1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3)
    return D if all(0 <= d <= most for d, most in zip(D, (1, 2, 3), strict=True)) else None


def _discount(smoothing: str, discount: Any) -> Any:
    if smoothing == "kneser_ney":
        discount = 0.1 if discount is None else discount
        if not isinstance(discount, int | float) or not 0 <= discount <= 1:
            raise ValueError(f"discount of kneser_ney must be a number 0 to 1, got {discount!r}")
        return float(discount)
    if discount is None:
        return None
    if smoothing != "modified_kneser_ney":
        raise ValueError(f"{smoothing} has no discount, got {discount!r}")
    if (
        not isinstance(discount, tuple | list)
        or len(discount) != 3
        or not all(0 <= d <= most for d, most in zip(discount, (1, 2, 3), strict=True))
    ):
        raise ValueError(f"discount must be (D₁, D₂, D₃₊) within 1, 2, 3, got {discount!r}")
    return tuple(map(float, discount))


def _words(context: Sequence[str]) -> list[str]:
    if isinstance(context, str):
        raise TypeError(f"context must be a list of words, got the text {context!r:.60}")
    return list(context)
