"""Attacks that search for the smallest successful perturbation."""
