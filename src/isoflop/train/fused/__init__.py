"""Batch normalisation with what follows it in one kernel: the alternative to compiling the step."""
