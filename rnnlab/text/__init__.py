"""Tokens, vocabularies and corpora: what sparse, embeddings and bert share."""
