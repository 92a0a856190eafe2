"""Mutation testing of a seeded sample: change one thing in a copy of the source, see whether a test fails.

`make mutants SAMPLE=400` starts it; CONTRIBUTING.md says what it prints and what to do about it.
"""
