"""Synthetic birds: focal recordings and soundscapes."""
