"""Joules: a sampler in a process of its own, windows over its polls, grades."""
