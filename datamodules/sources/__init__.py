"""Clips and where they come from: files, generators, caches and windows."""
