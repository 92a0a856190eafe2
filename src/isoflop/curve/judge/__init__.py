"""One rule for every verdict on a claim: report, check and paper ask this package and none judges for itself."""
