"""Tables of ratings, class lists and splits."""
