"""What a target costs and what a budget buys: fitted curves with time, energy, prices and inference."""
