"""Augmentation, corruptions and label noise."""
