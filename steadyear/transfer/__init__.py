"""Transfer: what the examples made on one system do to all the others."""
