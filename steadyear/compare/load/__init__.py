"""Reading tested runs and grouping them by system."""
