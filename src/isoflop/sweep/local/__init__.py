"""Runs on this machine: a pool of worker processes under a supervisor that survives whatever they do."""
