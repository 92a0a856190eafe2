"""Image classifiers whose width and depth are the only dials."""
