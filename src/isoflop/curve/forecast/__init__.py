"""The forecast: a predictive distribution averaged over laws, its test, and how held-out runs judge it."""
