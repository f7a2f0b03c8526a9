"""The sanity checks, grouped by what they examine."""
