"""What a run left, read: the run directory, the table of members, claims."""
