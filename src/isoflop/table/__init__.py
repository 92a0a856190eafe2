"""Runs as one table: the records of a sweep, or anybody's file of rows. Torch-free."""
