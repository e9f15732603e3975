"""The report of a run as one HTML page, pages over several runs, and metrics for TensorBoard."""
