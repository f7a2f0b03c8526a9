"""Corruptions that the place of recording causes."""
