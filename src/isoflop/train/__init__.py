"""Training: data, models, optimizers and the loop. Knows nothing of meters."""
