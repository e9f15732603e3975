"""The n-gram language model: the probability of the next word from counts of what followed.

Every smoothing is, per order m, p_m(w | h) = α_m(h w) + γ_m(h)·p_{m−1}(w | h′), where h′ is h
without its oldest word; a fitted model is an α per m-gram and a γ per context.

Sources: the notes, 1.4; Kneser & Ney 1995; Chen & Goodman 1999 (equations by their number).
"""

import itertools
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rnnlab.core.json_files import replaced
from rnnlab.core.validate import choice, number, real, whole
from rnnlab.sparse.ngram_counts import Level, NgramCounts, count_ngrams
from rnnlab.sparse.saved import described, restored
from rnnlab.text.strings import Documents, compute
from rnnlab.text.tokenizers import AnyTokenizer, Tokens, Words, tokenize

SMOOTHINGS = ("mle", "add_k", "kneser_ney", "modified_kneser_ney")
START, END, UNKNOWN = "<s>", "</s>", "<UNK>"
# D₁, D₂, D₃₊ where the counts of counts allow no estimate (few distinct words, as of characters)
FALLBACK = (0.5, 1.0, 1.5)
_FORMAT = "rnnlab n-gram language model/1"
_LEVEL = ("keys", "counts", "continuations")  # of a Level
_OPTIONS = ("order", "smoothing", "k", "discount", "min_count", "pad", "tokenizer")
Discount = float | tuple[float, float, float] | None


class Scored(NamedTuple):
    """Probabilities of every predicted token."""

    probabilities: np.ndarray  # (P,) float64
    offsets: np.ndarray  # (N+1,) int64: document i is offsets[i] … offsets[i + 1]


class NgramLanguageModel:
    """N-gram model p(w_t | w_{t−n+1} … w_{t−1}).

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

    The probabilities of a context sum to 1 (to 0 for an unseen one in mle), with one exception:
    in nltk's Kneser–Ney, N₁₊(h •) also counts words that follow h only at the beginning of
    documents, which have no N₁₊(• h w). After ``<s>`` alone, or without padding after words that
    begin a document, the sum is above 1 by about D²/(documents). The modified one counts neither.

    Args:
        order: n.
        smoothing: see above.
        k: of add_k, above 0.
        discount: D of kneser_ney, 0 … 1 (nltk's default is 0.1); of modified_kneser_ney a triple
            for all orders, or None: estimated. FALLBACK (KenLM's) is used for an order that has no
            n-gram seen once, twice, three or four times, or an estimate outside 0 … 1, 2, 3.
        min_count: rarer words become ``<UNK>``, as do unseen ones.
        pad: add n−1 times ``<s>`` before and ``</s>`` after every document, as nltk (for n = 1 one
            ``</s>``); False: a document is part of a stream, and its first words have shorter
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
        discount: Discount = None,
        min_count: int = 1,
        pad: bool = True,
        tokenizer: AnyTokenizer | None = None,
    ) -> None:
        self.smoothing = choice("smoothing", smoothing, SMOOTHINGS)
        self.order, self.min_count = whole("order", order), whole("min_count", min_count)
        self.k = number("k", k, above=0)
        self.discount = _discount(smoothing, discount)
        self.pad, self.tokenizer = pad, tokenizer

    # ---- learning

    def fit(self, documents: Documents) -> "NgramLanguageModel":
        """Count the documents.

        Args:
            documents: as for :func:`rnnlab.text.tokenizers.tokenize`.
        Raises:
            TypeError: a document that is not text.
            ValueError: no token in any document.
        """
        tokens = tokenize(documents, self.tokenizer or Words())
        if not len(tokens.codes):
            raise ValueError("no token in any document: there is nothing to count")
        special = [UNKNOWN, START, END] if self.pad else [UNKNOWN]
        place_in_special = compute("index_in", tokens.terms, value_set=pa.array(special))
        # the terms' places among the symbols
        numbers = place_in_special.fill_null(-1).to_numpy().astype(np.int64)
        frequent = (tokens.counts() >= self.min_count) & (numbers < 0)
        numbers[~frequent & (numbers < 0)] = 0
        numbers[frequent] = np.arange(len(special), len(special) + frequent.sum())
        self.symbols: list[str] = special + tokens.terms.filter(pa.array(frequent)).to_pylist()
        self._numbers = dict(zip(self.symbols, range(len(self.symbols)), strict=True))
        codes, offsets = self._padded(numbers[tokens.codes], tokens.offsets)
        self.counts: NgramCounts = count_ngrams(codes, offsets, self.order, len(self.symbols))
        self.discounts: list[tuple[float, ...]] = []
        # the last place is that of number −1, an n-gram that does not occur
        self._alphas: list[np.ndarray] = []
        self._gammas: list[np.ndarray] = []
        for m in range(1, self.order + 1):
            alpha, gamma = self._smoothed(m)
            self._alphas.append(np.append(alpha, 0.0))
            self._gammas.append(np.append(gamma, 0.0 if self.smoothing == "mle" else 1.0))
        return self

    def _smoothed(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """Return α of the m-grams and γ of their contexts."""
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
        assert isinstance(self.discount, float)
        D = self.discount
        followed = total > 0  # else its followers were seen at the beginning of documents only
        safe = np.where(followed, total, 1)
        alpha = np.maximum(a - D, 0) / safe[contexts]
        return alpha, np.where(followed, D * per_context(np.ones(len(a))) / safe, 1.0)

    def _modified(
        self,
        a: np.ndarray,
        contexts: np.ndarray,
        per_context: Callable[[np.ndarray], np.ndarray],
        m: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self.discount is None or isinstance(self.discount, tuple)
        if self.pad:
            a = np.where(self.counts.last_words(m) == self._numbers[START], 0, a)
        counts_of_counts = np.bincount(np.minimum(a, 5), minlength=6)[1:5]  # n₁ … n₄
        D = np.array([0.0, *(self.discount or modified_discounts(counts_of_counts) or FALLBACK)])
        self.discounts.append(tuple(D[1:].tolist()))
        total = per_context(a)
        followed = total > 0
        safe = np.where(followed, total, 1)
        discounted = np.minimum(D[np.minimum(a, 3)], a)
        alpha = (a - discounted) / safe[contexts]
        return alpha, np.where(followed, per_context(discounted) / safe, 1.0)

    # ---- predicting

    @property
    def num_predictable(self) -> int:
        """Number V of symbols that can follow: the words, ``</s>`` and ``<UNK>``.

        For nltk's smoothings, add_k included, ``<s>`` as well.
        """
        inner = self.smoothing == "modified_kneser_ney" and self.pad
        return len(self.symbols) - inner

    @property
    def num_ngrams(self) -> list[int]:
        """Number of distinct m-grams, m = 1 … n: the model's size."""
        return [len(level.keys) for level in self.counts.levels]

    @property
    def num_numbers(self) -> int:
        """Number of learned parameters: an α per m-gram, a γ per context."""
        return sum(len(alpha) - 1 for alpha in self._alphas) + sum(
            len(gamma) - 1 for gamma in self._gammas
        )

    @property
    def nbytes(self) -> int:
        """Memory that predictions need: keys, α and γ, of 64 bits each."""
        arrays = [level.keys for level in self.counts.levels] + self._alphas + self._gammas
        return sum(array.nbytes for array in arrays)

    def score(self, word: str, context: Sequence[str] = ()) -> float:
        """Return p(word | context) from the last n−1 words of the context; no padding is added.

        >>> lm = NgramLanguageModel(2, "add_k").fit([["a", "b"]])
        >>> round(lm.score("b", ["a"]), 6)  # (1 + 1) / (1 + V), V: a, b, <s>, </s>, <UNK>
        0.333333
        """
        context = _words(context)
        sequence = [*context[max(0, len(context) - self.order + 1) :], word]
        codes = np.array([self._numbers.get(w, 0) for w in sequence], np.int64)
        return float(self._scored(codes, np.array([0, len(codes)]))[-1])

    def distribution(self, context: Sequence[str] = ()) -> np.ndarray:
        """Return p(• | context) of every symbol, in the order of ``symbols``: (V,) float64."""
        context = _words(context)
        codes = [self._numbers.get(w, 0) for w in context[max(0, len(context) - self.order + 1) :]]
        p = self._uniform()
        lowest = p
        for m in range(1, len(codes) + 2):
            place = self._place(codes[len(codes) - m + 1 :])
            base = p if self._interpolates else lowest
            p = self._gammas[m - 1][place] * base
            if place >= 0:
                followers = self.counts.followers(m, place)
                p[self.counts.last_words(m)[followers]] += self._alphas[m - 1][followers]
        return p

    def probabilities(self, documents: Documents) -> Scored:
        """Return the probability of every token and, with padding, of one ``</s>`` per document.

        Args:
            documents: as in :meth:`fit`; an empty one has ``</s>`` alone.
        """
        codes, offsets = self._encoded(tokenize(documents, self.tokenizer or Words()))
        p = self._scored(codes, offsets)
        if not self.pad:
            return Scored(p, offsets)
        before = self.order - 1  # number of <s>
        after = max(before, 1)  # number of </s>, of which the first is predicted
        place = np.arange(len(p)) - np.repeat(offsets[:-1], np.diff(offsets))
        length = np.repeat(np.diff(offsets), np.diff(offsets))
        predicted = (place >= before) & (place < length - after + 1)
        sizes = np.diff(offsets) - before - after + 1
        return Scored(p[predicted], np.concatenate([[0], np.cumsum(sizes)]))

    def perplexity(self, documents: Documents) -> float:
        """Return exp(−mean log p) over the tokens of :meth:`probabilities`; inf if one is 0.

        Raises:
            ValueError: no token.
        """
        p = self.probabilities(documents).probabilities
        if not len(p):
            raise ValueError("no token in any document: there is no perplexity")
        with np.errstate(divide="ignore"):
            return float(np.exp(-np.log(p).mean()))

    def sample(self, length: int, context: Sequence[str] = (), seed: int = 0) -> list[str]:
        """Draw words one after the other, each from p(• | those before).

        Args:
            length: largest number of words; with padding, ``</s>`` ends the sample and is left out.
            context: words before the sample; with padding they begin a document.
            seed: of the draws.
        Raises:
            ValueError: length below 0.
        """
        length = whole("length", length, 0)
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

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the options, the counts and the probabilities as an .npz file; see :meth:`load`.

        Raises:
            ValueError: nothing is counted yet. UserError: the file's folder is not there.
        """
        if not hasattr(self, "counts"):
            raise ValueError("this NgramLanguageModel has counted nothing yet: call fit first")
        options = {name: getattr(self, name) for name in _OPTIONS}
        about = {"format": _FORMAT, "options": described(options), "discounts": self.discounts}
        arrays = {"about": _packed([json.dumps(about)])[0]}
        arrays["symbols"], arrays["symbol_ends"] = _packed(self.symbols)
        for m, level in enumerate(self.counts.levels):
            arrays |= {f"{name}{m}": getattr(level, name) for name in _LEVEL}
            arrays |= {f"alphas{m}": self._alphas[m], f"gammas{m}": self._gammas[m]}
        with replaced(path) as part, open(part, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str], **functions: Any) -> "NgramLanguageModel":
        """Read what :meth:`save` wrote; nothing is unpickled, and probabilities are bit-identical.

        Args:
            functions: ``tokenizer``, where it is a function of yours.
        Raises:
            FileNotFoundError: no such file. ValueError: another kind of file, a damaged one, or a
                tokenizer that is missing, by name; an unknown option.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no file {str(path)!r}")
        try:
            with np.load(path, allow_pickle=False) as packed:
                arrays = dict(packed)
            about = json.loads(arrays["about"].tobytes())
            if about["format"] != _FORMAT:
                raise ValueError(f"its format is {about['format']!r}")
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no saved NgramLanguageModel: {error}") from None
        try:
            options = about["options"]
            discounts = about["discounts"]
            symbols = _unpacked(arrays["symbols"], arrays["symbol_ends"])
            orders = range(options["order"])
            levels = [Level(*(arrays[f"{name}{m}"] for name in _LEVEL)) for m in orders]
            alphas = [arrays[f"alphas{m}"] for m in orders]
            gammas = [arrays[f"gammas{m}"] for m in orders]
        except KeyError as error:
            raise ValueError(f"{path} is damaged: it lacks {error}") from None
        model = cls(**restored(path, options, functions))
        model.symbols = symbols
        model._numbers = dict(zip(model.symbols, range(len(model.symbols)), strict=True))
        model.counts = NgramCounts(len(model.symbols) + 1, tuple(levels))
        model.discounts = [tuple(of_order) for of_order in discounts]
        model._alphas, model._gammas = alphas, gammas
        return model

    # ---- parts

    @property
    def _interpolates(self) -> bool:
        return self.smoothing in ("kneser_ney", "modified_kneser_ney")

    def _uniform(self) -> np.ndarray:
        p = np.full(len(self.symbols), 1 / self.num_predictable)
        if self.num_predictable < len(self.symbols):
            p[self._numbers[START]] = 0
        return p

    def _encoded(self, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
        """Return (codes, offsets) of symbols, padded."""
        numbers = [self._numbers.get(term, 0) for term in tokens.terms.to_pylist()]
        return self._padded(np.array(numbers, np.int64)[tokens.codes], tokens.offsets)

    def _padded(self, codes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.pad:
            return codes, offsets
        before, after = self.order - 1, max(self.order - 1, 1)
        N = len(offsets) - 1
        padded = np.full(len(codes) + N * (before + after), self._numbers[END], np.int64)
        shift = np.arange(N) * (before + after)
        starts = offsets[:-1] + shift
        places = np.arange(len(codes)) + np.repeat(shift + before, np.diff(offsets))
        padded[places] = codes
        padded[(starts[:, None] + np.arange(before)).ravel()] = self._numbers[START]
        return padded, np.append(starts, len(padded))

    def _scored(self, codes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return p of every code given those before it in its document."""
        T = len(codes)
        before = np.arange(T) - np.repeat(offsets[:-1], np.diff(offsets))
        uniform = self._uniform()[codes]
        p = uniform.copy()
        context = np.zeros(T, np.int64)  # of the (m−1)-gram that begins at each place
        for m in range(1, self.order + 1):
            if m > T:
                break
            targets = codes[m - 1 :]
            # those that extend over a document's end are not used
            gram = self.counts.find(m, context[: T - m + 1], targets)
            lower = p[m - 1 :]
            base = lower if self._interpolates else uniform[m - 1 :]
            value = self._alphas[m - 1][gram] + self._gammas[m - 1][context[: T - m + 1]] * base
            p[m - 1 :] = np.where(before[m - 1 :] >= m - 1, value, lower)
            context = gram
        return p

    def _place(self, codes: Sequence[int]) -> int:
        """Return the number of a context, −1 if it does not occur; 0 for the empty context."""
        number = np.zeros(1, np.int64)
        for m, code in enumerate(codes, start=1):
            number = self.counts.find(m, number, np.array([code]))
        return int(number[0])

    def _draw(self, codes: list[int], rng: np.random.Generator) -> int:
        for m in range(len(codes) + 1, 0, -1):
            place = self._place(codes[len(codes) - m + 1 :])
            followers = self.counts.followers(m, place) if place >= 0 else slice(0, 0)
            if followers.start < followers.stop:
                alpha = np.cumsum(self._alphas[m - 1][followers])
                at = rng.random() * (alpha[-1] + self._gammas[m - 1][place])
                if at < alpha[-1]:
                    chosen = followers.start + int(np.searchsorted(alpha, at, side="right"))
                    return int(self.counts.last_words(m)[chosen])
            if self.smoothing == "add_k":  # all symbols share the added counts equally
                break
        return int(rng.choice(len(self.symbols), p=self._uniform()))


def _packed(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return texts as one run of UTF-8 bytes, and the end of each."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def _unpacked(data: np.ndarray, ends: np.ndarray) -> list[str]:
    """Invert :func:`_packed`."""
    blob, bounds = data.tobytes(), [0, *ends.tolist()]
    return [blob[i:j].decode() for i, j in itertools.pairwise(bounds)]


def modified_discounts(
    counts_of_counts: Sequence[int] | np.ndarray,
) -> tuple[float, float, float] | None:
    """Return D₁ = 1 − 2Y·n₂/n₁, D₂ = 2 − 3Y·n₃/n₂, D₃₊ = 3 − 4Y·n₄/n₃, Y = n₁/(n₁ + 2n₂).

    Args:
        counts_of_counts: n₁ … n₄, the numbers of n-grams that occur once, twice, three and four
            times.
    Returns:
        the discounts; None if they are not defined, or one is outside 0 … 1, 2, 3.
    Source: Chen & Goodman 1999, eq. 26.

    >>> modified_discounts([10, 5, 3, 2])
    (0.5, 1.1, 1.6666666666666667)
    """
    n1, n2, n3, n4 = map(int, counts_of_counts)
    if min(n1, n2, n3, n4) == 0:
        return None
    Y = n1 / (n1 + 2 * n2)
    D = (1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3)
    return D if all(0 <= d <= most for d, most in zip(D, (1, 2, 3), strict=True)) else None


def _discount(smoothing: str, discount: Discount) -> Discount:
    if smoothing == "kneser_ney":
        value = 0.1 if discount is None else discount
        return number("discount of kneser_ney", value, least=0, most=1)
    if discount is None:
        return None
    if smoothing != "modified_kneser_ney":
        raise ValueError(f"{smoothing} has no discount, got {discount!r}")
    if (
        not isinstance(discount, tuple | list)
        or len(discount) != 3
        or not all(real(d) and 0 <= d <= most for d, most in zip(discount, (1, 2, 3), strict=True))
    ):
        raise ValueError(f"discount must be (D₁, D₂, D₃₊) within 1, 2, 3, got {discount!r}")
    first, second, third = map(float, discount)
    return first, second, third


def _words(context: Sequence[str]) -> list[str]:
    if isinstance(context, str):
        raise TypeError(f"context must be a list of words, got the text {context!r:.60}")
    return list(context)
