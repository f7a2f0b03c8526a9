"""The tables that an evaluation writes: one row per clip and condition."""
