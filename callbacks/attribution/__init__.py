"""What each part of a model adds to the change of its predictions."""
