"""Tokens, vocabularies, corpora and labeled text, shared by sparse, embeddings and bert."""
