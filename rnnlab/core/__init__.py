"""What every package stands on: errors, checks, JSON files, the host, signals, progress."""
