"""What data modules share."""
