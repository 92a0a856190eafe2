"""Is this sweep valid? Checks of a table of runs before it is fitted, one a file. Torch-free."""
