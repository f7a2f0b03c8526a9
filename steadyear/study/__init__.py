"""Studies: every system with every seed."""
