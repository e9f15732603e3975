"""The results of a run: the run directory, the table of members, claims."""
