"""What a fit does not explain: bends, a late deviation, columns beside x, and what to quote instead."""
