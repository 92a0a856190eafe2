"""Is this sweep valid? Checks of a table of runs before anything is fitted to it; one check a file. Torch-free."""
