"""Energy in joules: a sampler process that polls sensors, windows over its polls, and a grade per figure."""
