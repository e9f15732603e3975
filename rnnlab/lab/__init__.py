"""From a config to a verdict: load, plan, run, reproduce, benchmark."""
