"""Readers and writers of other libraries' weights."""
