"""Laws averaged by how well they extrapolated, and how forecasts are judged on runs held out."""
