"""Adversarial training, its recipes and what it costs."""
