"""Engines: ways to run the same recurrence over time."""
