"""Optimal design: which further runs shrink an interval most for what they cost."""
