"""isoflop: how error falls as training compute grows, measured on real hardware."""

__version__ = "0.1.0"
