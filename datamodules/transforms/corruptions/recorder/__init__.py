"""Corruptions that a recorder or its storage causes."""
