"""Sweeps: from a grid to a manifest to processes."""
