"""A BERT that pre-trains here and reads published checkpoints: its blocks, tasks and models."""
