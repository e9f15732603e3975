"""Skip-gram: predict the context from the center. Mikolov et al. 2013 (arXiv 1301.3781).

    L = −Σ_(c, o) [log σ(u_o·v_c) + Σ_k log σ(−u_k·v_c)],  k ~ P(w) ∝ count_w^¾

over all pairs of a center c and a word o of its window; with ``negatives=0``, the path in the
Huffman tree instead of the samples. The loss of a block:
:func:`rnnlab.embeddings.losses.skipgram`.
"""

from rnnlab.embeddings import trainer
from rnnlab.embeddings.corpus import Corpus
from rnnlab.embeddings.trained import Trained
from rnnlab.embeddings.trainer import Settings, Watch


def train(
    corpus: Corpus,
    settings: Settings | None = None,
    seed: int = 0,
    watch: Watch | None = None,
    looks: int = 20,
) -> Trained:
    """Train skip-gram vectors; see :func:`rnnlab.embeddings.trainer.train`.

    >>> from rnnlab.embeddings import corpus
    >>> words = corpus.of_documents(["a b c a b c a b c"] * 9)
    >>> trained = train(words, Settings(size=8, epochs=2, sample=0, engine="jax"))
    >>> trained.words, trained.matrix.shape
    (['a', 'b', 'c'], (3, 8))
    """
    return trainer.train("skipgram", corpus, settings, seed, watch, looks)
