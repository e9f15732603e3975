"""Keywords: what a document says more often than the others do, by TF-IDF.

Source: the notes, 1.2 (keyword extraction is what their table recommends TF-IDF for).
"""

from typing import Any

import numpy as np

from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf


def keywords(
    documents: Any, top: int = 10, *, idf: str = "notes", tokenizer: Any = None
) -> list[list[tuple[str, float]]]:
    """The ``top`` words of each document by tf·idf, [(word, weight)], the heaviest first.

    Args:
        documents: N texts or lists of tokens. top: how many of each, at most.
        idf: see :func:`rnnlab.sparse.tfidf.inverse_document_frequency`. By the notes' own a word
            that is in all documents, or in all but one, is no keyword: it takes three documents.
            "smooth" leaves even the commonest words some weight.
        tokenizer: of :mod:`rnnlab.text.tokenizers`; None: words of two characters or more.
    Returns:
        of each document the words with a weight above 0; equal weights by the word.
    Raises:
        ValueError: top below 1, an unknown idf, or no word in any document. TypeError: no texts.

    >>> keywords(["a cat and a dog and a cat", "a dog and a bone", "a bird"], top=1)
    [[('cat', 0.1622)], [('bone', 0.1352)], [('bird', 0.4055)]]
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    bag = BagOfWords(tokenizer=tokenizer)
    counts = bag.fit_transform(documents)
    terms = bag.get_feature_names_out()
    weights: Any = TfIdf(idf=idf).fit_transform(counts)
    found = []
    for start, stop in zip(weights.indptr[:-1], weights.indptr[1:], strict=True):
        own, columns = weights.data[start:stop], weights.indices[start:stop]
        best = [i for i in np.lexsort((columns, -own))[:top] if own[i] > 0]
        found.append([(str(terms[columns[i]]), round(float(own[i]), 4)) for i in best])
    return found
