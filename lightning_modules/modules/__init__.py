"""Training, validation and test steps, one module per task."""
