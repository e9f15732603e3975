"""The base of every package: errors, checks, JSON files, the host, signals, progress."""
