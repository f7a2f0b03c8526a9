"""The verdicts of the sanity checks in files, logs and W&B."""
