"""FastText: skip-gram with word vectors composed of character n-grams.

Bojanowski, Grave, Joulin & Mikolov 2017 (arXiv 1607.04606).

    L = −Σ_(c, o) [log σ(u_o·h_c) + Σ_k log σ(−u_k·h_c)],  h_c = mean of c's own and n-gram rows

An unseen or misspelled word has n-grams, and therefore a vector. Rows are hashed as in the C++ tool
(:mod:`rnnlab.embeddings.subwords`). The loss of a block: :func:`rnnlab.embeddings.losses.fasttext`.
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
    """Train FastText vectors; see :func:`rnnlab.embeddings.trainer.train`.

    >>> from rnnlab.embeddings import corpus
    >>> words = corpus.of_documents(["walk walks walked talk talks talked"] * 9)
    >>> trained = train(words, Settings(size=8, epochs=1, sample=0, buckets=100, engine="jax"))
    >>> trained.subwords.rows.shape
    (100, 8)
    """
    return trainer.train("fasttext", corpus, settings, seed, watch, looks)
