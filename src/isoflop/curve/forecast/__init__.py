"""The forecast: a predictive distribution averaged over laws, its own test, and how held-out runs judge it."""
