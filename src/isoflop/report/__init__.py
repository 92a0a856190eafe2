"""Figures, the page and the console. Torch-free."""
