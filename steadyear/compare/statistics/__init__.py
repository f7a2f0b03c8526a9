"""Spreads, tests and intervals over seeds and clips."""
