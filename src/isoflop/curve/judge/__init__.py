"""One rule for every verdict on a claim: report, check and paper ask here, and none judges for itself."""
