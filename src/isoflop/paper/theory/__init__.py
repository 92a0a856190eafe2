"""Figure 2 of the paper: what four estimators get from data and computation, simulated. Needs torch."""
