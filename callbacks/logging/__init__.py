"""Loggers and the record of a run."""
