"""CBOW: predict the center from its context. Mikolov et al. 2013 (arXiv 1301.3781).

    L = −Σ_c [log σ(u_c·h) + Σ_k log σ(−u_k·h)],  h = mean of v over the window

or, with ``negatives=0``, the path in the Huffman tree instead of the samples. word2vec.c adds the
whole ∂L/∂h to every row of the mean, whereas the gradient of a row is a share of it (İrsoy, Benton
& Stratos 2021, arXiv 2012.15332); ``share=True`` is exact and needs about three times the rate.
The loss of a block: :func:`rnnlab.embeddings.losses.cbow`.
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
    """Train CBOW vectors; see :func:`rnnlab.embeddings.trainer.train`.

    >>> from rnnlab.embeddings import corpus
    >>> words = corpus.of_documents(["a b c a b c a b c"] * 9)
    >>> trained = train(words, Settings(size=8, epochs=2, sample=0, negatives=0, engine="jax"))
    >>> trained.output.shape  # the tree's inner nodes
    (2, 8)
    """
    return trainer.train("cbow", corpus, settings, seed, watch, looks)
