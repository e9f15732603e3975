"""GloVe: word vectors from the logarithms of co-occurrence counts.

    J = Σ_{ij: X_ij > 0} f(X_ij) (w_i·w̃_j + b_i + b̃_j − log X_ij)²,   f(x) = min(1, (x/x_max)^α)

Pennington, Socher & Manning 2014, "GloVe: Global Vectors for Word Representation", eqs. 8 and 9.
Trained by AdaGrad over all pairs that occur, in an order drawn anew every epoch. The vectors are
w + w̃ (section 4.2).

Shapes: V vocabulary, D dimension, B pairs per block, S blocks per compiled call.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import signals, validate
from rnnlab.embeddings import cooccurrence
from rnnlab.embeddings.cooccurrence import RECORD, Cooccurrences
from rnnlab.embeddings.corpus import Corpus
from rnnlab.embeddings.trained import Trained

Array = jax.Array

_CALL = 256  # S: blocks per compiled call, at most


# ---- the equations -----------------------------------------------------------------------------


class Params(NamedTuple):
    """Vectors and biases of words, and of words as context."""

    W: Array  # (V, D)
    W_context: Array  # (V, D), w̃
    b: Array  # (V,)
    b_context: Array  # (V,), b̃


def weight(X: Array, x_max: float = 100.0, alpha: float = 0.75) -> Array:
    """Return f(X) = (X/x_max)^α below x_max, 1 from x_max on.

    Args:
        X: (...) counts, at least 0. x_max, alpha: 100 and ¾ in the paper.
    Source: eq. 9.

    >>> weight(jnp.array([0.0, 100.0, 1000.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    return jnp.minimum(1.0, (X / x_max) ** alpha)


def pair_loss(
    w: Array,
    w_context: Array,
    b: Array,
    b_context: Array,
    X: Array,
    x_max: float = 100.0,
    alpha: float = 0.75,
) -> Array:
    """Return f(X_ij) (w_i·w̃_j + b_i + b̃_j − log X_ij)² of each pair, (...); 0 where X is 0.

    Args:
        w, w_context: (..., D). b, b_context, X: (...).
        x_max, alpha: of :func:`weight`.
    Source: eq. 8.
    """
    occurs = X > 0
    log_X = jnp.log(jnp.where(occurs, X, 1))
    difference = (w * w_context).sum(-1) + b + b_context - log_X
    return jnp.where(occurs, weight(X, x_max, alpha) * jnp.square(difference), 0)


def loss(
    params: Params,
    rows: Array,
    columns: Array,
    X: Array,
    x_max: float = 100.0,
    alpha: float = 0.75,
) -> Array:
    """Return J over B pairs, the sum of :func:`pair_loss`.

    Args:
        rows, columns: (B,) i and j. X: (B,) their counts; 0: left out.
        x_max, alpha: of :func:`weight`.
    Source: eq. 8.
    """
    ends = params.W[rows], params.W_context[columns], params.b[rows], params.b_context[columns]
    return pair_loss(*ends, X, x_max, alpha).sum()


# ---- training ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """How vectors are trained.

    The paper's x_max = 100 and the C tool's rate of 0.05 are for billions of words; on 6 million
    words the counts are smaller and the epochs shorter (movie reviews, ρ on WordSim-353 after four
    epochs with x_max = 10: 0.17 at rate 0.05, 0.25 at 0.15).

    Raises:
        ValueError: a value out of its range, by name.
    """

    size: int = 100  # D
    window: int = 10  # words on each side
    symmetric: bool = True  # context on both sides
    x_max: float = 10.0  # 100 in the paper, for corpora a thousand times larger
    alpha: float = 0.75
    epochs: int = 15
    learning_rate: float = 0.15  # 0.05 in the C tool
    block: int = 256  # B, pairs whose gradients are taken at the same parameters
    memory: int = 512 * 2**20  # bytes for counting, approximately

    def __post_init__(self) -> None:
        for name in ("size", "window", "epochs", "block"):
            validate.whole(name, getattr(self, name))
        for name in ("x_max", "alpha", "learning_rate"):
            validate.number(name, getattr(self, name), above=0)
        validate.flag("symmetric", self.symmetric)


class Progress(NamedTuple):
    """State of a training, passed to ``watch`` after every epoch."""

    epoch: int  # 1 …
    loss: float  # J / records, of each pair at the parameters before its block's update
    vectors: np.ndarray  # (V, D): w + w̃


class AdaGrad(NamedTuple):
    """Rows [parameters | accumulators], so that one scatter updates both."""

    words: Array  # (V, 2(D + 1)): w and b, then their accumulators
    context: Array  # (V, 2(D + 1)): w̃ and b̃, then their accumulators


def train(
    corpus: Corpus,
    settings: Settings | None = None,
    seed: int = 0,
    watch: Callable[[Progress], None] | None = None,
    counts: Cooccurrences | None = None,
) -> Trained:
    """Train GloVe vectors.

    AdaGrad as in the C tool, with g = ½ ∂J/∂p of a pair: p ← p − η g/√G, then G ← G + (η g)²,
    initially G = 1. The pairs of a block use the same p and G.

    Args:
        corpus: see :mod:`rnnlab.embeddings.corpus`.
        settings: None: the defaults.
        seed: of the first parameters and of the order of pairs.
        watch: called after every epoch.
        counts: of this corpus; None: counted here with ``settings.window``.
    Returns:
        vectors: ``matrix`` is w + w̃, ``output`` is w̃.
    Raises:
        ValueError: counts of another vocabulary; a corpus without two words near each other.
        FloatingPointError: the loss is not finite; a smaller rate or block is needed.

    >>> from rnnlab.embeddings import corpus
    >>> words = corpus.of_documents(["a b c a b c a b c"] * 9)
    >>> train(words, Settings(size=8, epochs=2)).matrix.shape
    (3, 8)
    """
    settings = settings or Settings()
    V = len(corpus.vocabulary)
    if counts is None:
        counts = cooccurrence.count(
            corpus, settings.window, symmetric=settings.symmetric, memory=settings.memory, seed=seed
        )
    if counts.words != V:
        raise ValueError(f"counts of {counts.words} words, but a vocabulary of {V}")
    state = begin(jax.random.key(seed), V, settings.size)
    for epoch in range(1, settings.epochs + 1):
        total = jnp.zeros(())
        rng = np.random.default_rng((seed, epoch))
        for rows, columns, X in _blocks(counts, settings.block, rng):
            signals.check()
            state, J = step_blocks(
                state, rows, columns, X, settings.learning_rate, settings.x_max, settings.alpha
            )
            total = total + J
        mean = float(total) / counts.records
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"GloVe's loss is {mean} in epoch {epoch}: a learning_rate "
                f"below {settings.learning_rate} or a block below "
                f"{settings.block} is needed"
            )
        if watch:
            watch(Progress(epoch, mean, _vectors(state, settings.size)))
    D = settings.size
    return Trained(
        corpus.vocabulary.words(),
        corpus.vocabulary.counts,
        _vectors(state, D),
        np.array(state.context[:, :D]),
    )


def begin(key: Array, V: int, D: int) -> AdaGrad:
    """Draw all parameters uniformly in ±½/(D + 1), as the C tool does; all accumulators are 1."""
    bound = 0.5 / (D + 1)
    drawn = jax.random.uniform(key, (2, V, D + 1), minval=-bound, maxval=bound)
    tables = jnp.concatenate([drawn, jnp.ones_like(drawn)], axis=-1)
    return AdaGrad(tables[0], tables[1])


def params_of(state: AdaGrad) -> Params:
    """Return the parameters of a state."""
    D = state.words.shape[1] // 2 - 1
    return Params(state.words[:, :D], state.context[:, :D], state.words[:, D], state.context[:, D])


@partial(jax.jit, donate_argnums=0)
def step_blocks(
    state: AdaGrad,
    rows: Array,
    columns: Array,
    X: Array,
    learning_rate: float,
    x_max: float,
    alpha: float,
) -> tuple[AdaGrad, Array]:
    """Make S updates by AdaGrad, each on a block of pairs.

    Args:
        rows, columns: (S, B) int32. X: (S, B); 0: no pair.
    Returns:
        the state, and J summed over all pairs.
    """
    D = state.words.shape[1] // 2 - 1

    def block_loss(p: Array, q: Array, X: Array) -> Array:
        return pair_loss(p[:, :D], q[:, :D], p[:, D], q[:, D], X, x_max, alpha).sum()

    def step(state: AdaGrad, block: tuple[Array, Array, Array]) -> tuple[AdaGrad, Array]:
        i, j, X = block
        p, G_p = jnp.split(state.words[i], 2, axis=1)
        q, G_q = jnp.split(state.context[j], 2, axis=1)
        # gradients by gathered rows are those of single pairs, since J is a sum over pairs
        J, (g_p, g_q) = jax.value_and_grad(block_loss, argnums=(0, 1))(p, q, X)

        def moves(g: Array, G: Array) -> Array:
            g = learning_rate / 2 * g
            return jnp.concatenate([-g / jnp.sqrt(G), jnp.square(g)], axis=1)

        state = AdaGrad(
            state.words.at[i].add(moves(g_p, G_p)), state.context.at[j].add(moves(g_q, G_q))
        )
        return state, J

    state, J = jax.lax.scan(step, state, (rows, columns, X))
    return state, J.sum()


def _vectors(state: AdaGrad, D: int) -> np.ndarray:
    return np.array(state.words[:, :D] + state.context[:, :D])


def _blocks(
    counts: Cooccurrences, B: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows, columns and X, (S, B) each: every record once, in random order, then padding."""
    S = min(_CALL, -(-counts.records // B))
    call = S * B
    pending = np.zeros(0, RECORD)
    for n, shard in enumerate(rng.permutation(len(counts.shards))):
        pending = np.concatenate([pending, rng.permutation(counts.read(int(shard)))])
        if n == len(counts.shards) - 1:
            pending = np.concatenate([pending, np.zeros(-len(pending) % call, RECORD)])
        whole = len(pending) // call * call
        for start in range(0, whole, call):
            part = pending[start : start + call].reshape(S, B)
            rows, columns, X = (np.ascontiguousarray(part[name]) for name in RECORD.fields or ())
            yield rows, columns, X
        pending = pending[whole:]
