"""Synthetic music with known concepts and emotions."""
