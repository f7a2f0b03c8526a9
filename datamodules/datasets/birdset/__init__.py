"""BirdSet, read from its published tables and archives."""
