"""Code of the user's own that a configuration names: where it lies, its hash, its copies, and calling it."""
