"""The report of a run as one HTML page, and its metrics for TensorBoard."""
