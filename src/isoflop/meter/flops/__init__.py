"""What a model computes, per example, by independent counters that must agree."""
