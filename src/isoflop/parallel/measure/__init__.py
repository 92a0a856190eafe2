"""Measure the seconds of training, matrix products and conjugate gradients on N = 1, 2, 4, ... workers."""
