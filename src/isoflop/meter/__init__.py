"""Meters: FLOPs, energy and hardware. Knows nothing of training."""
