"""Figures: their parts, and learning curves."""
