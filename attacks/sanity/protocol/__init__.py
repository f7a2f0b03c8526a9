"""What every sanity check works with: the context, its evidence and the verdict."""
