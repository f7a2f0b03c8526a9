"""What every sanity check works with: the case, its evidence and the verdict."""
