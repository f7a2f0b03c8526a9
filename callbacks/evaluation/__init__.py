"""Robustness under attacks and corruptions, measured during validation and test."""
