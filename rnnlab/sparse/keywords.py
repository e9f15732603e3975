"""Keywords: the words of a document with the largest TF-IDF.

Source: the notes, 1.2 (their table recommends TF-IDF for keyword extraction).
"""

import numpy as np

from rnnlab.core.validate import whole
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.text.strings import Documents
from rnnlab.text.tokenizers import AnyTokenizer


def keywords(
    documents: Documents,
    top: int = 10,
    *,
    idf: str = "notes",
    tokenizer: AnyTokenizer | None = None,
) -> list[list[tuple[str, float]]]:
    """Return the ``top`` words of each document by tf·idf, [(word, weight)], heaviest first.

    Args:
        documents: N texts or lists of tokens.
        top: largest number of words per document.
        idf: see :func:`rnnlab.sparse.tfidf.inverse_document_frequency`. With "notes", a word of
            all documents, or of all but one, has no weight above 0: give at least three documents.
            "smooth" leaves even the most common words some weight.
        tokenizer: of :mod:`rnnlab.text.tokenizers`; None: words of two characters or more.
    Returns:
        per document the words with a weight above 0; equal weights in order of the words.
    Raises:
        ValueError: top below 1, an unknown idf, or no word in any document.
        TypeError: a document that is not text.

    >>> keywords(["a cat and a dog and a cat", "a dog and a bone", "a bird"], top=1)
    [[('cat', 0.1622)], [('bone', 0.1352)], [('bird', 0.4055)]]
    """
    top = whole("top", top)
    bag = BagOfWords(tokenizer=tokenizer)
    counts = bag.fit_transform(documents)
    terms = bag.get_feature_names_out()
    matrix = TfIdf(idf=idf).fit(counts).transform(counts)
    keywords_by_document = []
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        weights, columns = matrix.data[start:stop], matrix.indices[start:stop]
        best = [i for i in np.lexsort((columns, -weights))[:top] if weights[i] > 0]
        keywords_by_document.append(
            [(str(terms[columns[i]]), round(float(weights[i]), 4)) for i in best]
        )
    return keywords_by_document
