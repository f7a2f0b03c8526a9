"""Attacks that follow the gradient within a given budget."""
