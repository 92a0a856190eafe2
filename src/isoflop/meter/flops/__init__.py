"""FLOPs of a model per example, by independent counters that must agree."""
