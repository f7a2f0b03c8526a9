"""Robustness beyond one call: curves, large sets of clips, scores."""
