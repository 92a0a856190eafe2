"""Meters of FLOPs, energy and hardware limits. Independent of training: `runner` joins the two."""
