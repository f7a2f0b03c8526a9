"""Measures and transforms of clips that balls, domains and attacks share."""
