"""The figures of a sweep, drawn and interactive."""
