"""The attack itself: what it may ask of a model, and the checks of what it returns."""
