"""Levers: settings that are compared with a baseline over the same sizes and seeds."""
