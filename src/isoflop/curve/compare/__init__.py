"""Two scaling curves: what a change moved, and what compute it is worth."""
