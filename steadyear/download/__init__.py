"""`steadyear data`: published data sets, fetched into the layout that the data modules read."""
