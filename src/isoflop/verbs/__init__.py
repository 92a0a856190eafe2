"""The verbs of the command line: each room adds its own. No logic."""
