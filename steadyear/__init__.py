"""SteadyEar: train audio models, attack them, and compare their robustness."""
