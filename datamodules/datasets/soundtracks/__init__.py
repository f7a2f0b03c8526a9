"""Soundtracks with the Mid-level features."""
