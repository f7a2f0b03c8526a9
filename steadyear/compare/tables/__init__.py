"""What the tables of a comparison hold."""
