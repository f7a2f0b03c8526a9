"""One room for each data set."""
