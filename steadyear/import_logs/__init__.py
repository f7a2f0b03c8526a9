"""Released attack logs as runs."""
