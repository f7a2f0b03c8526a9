"""The scores of each task."""
