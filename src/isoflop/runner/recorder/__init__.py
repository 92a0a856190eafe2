"""isoflop.Recorder: the record of a training loop of the user's own, and its adapters for other trainers."""
