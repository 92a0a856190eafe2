"""The machine's GPUs and processor: identity, datasheet peaks and measured ceilings."""
