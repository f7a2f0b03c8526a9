"""Objectives: what an attack maximises, one value per clip, and when it has succeeded."""
