"""Scaling laws and their fits. Torch-free."""
