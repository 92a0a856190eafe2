"""A campaign: one command that measures a curve on a lent GPU in minutes, and its rehearsal on a CPU."""
