"""Word vectors: skip-gram, CBOW, FastText and GloVe; asked, saved and scored."""
