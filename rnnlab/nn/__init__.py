"""Recurrent networks: equations, cells, layers, engines, models, losses and generation."""
