"""The claims of Thompson et al. (2020, arXiv 2007.05558) and of Vegh, each one command: reproduced, questioned,
judged."""
