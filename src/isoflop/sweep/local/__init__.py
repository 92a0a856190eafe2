"""The runs of a sweep on this machine: worker processes, watched, stopped, and packed on a GPU."""
