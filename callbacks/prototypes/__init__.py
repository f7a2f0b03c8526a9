"""Callbacks for prototype networks."""
