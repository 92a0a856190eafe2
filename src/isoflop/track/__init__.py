"""Trackers: copies of a run for people who browse them elsewhere, such as W&B or TensorBoard.

Each runs in a process of its own, so that nothing it does can stop or slow training. The record stays the
only source of every fit.
"""
