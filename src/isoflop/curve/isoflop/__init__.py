"""IsoFLOP profiles: among runs of equal compute, which size has the least error, and how that size grows."""
