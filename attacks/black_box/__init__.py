"""Attacks that need no gradient, and the noise that every attack is measured against."""
