"""Sparse text features and the models that count: bag of words, TF-IDF, BM25, n-grams."""
