"""Trackers: copies of a run for people who browse them elsewhere. Each runs in a process of its own, so that
nothing it does can stop or slow training; the record stays the only source of every fit."""
