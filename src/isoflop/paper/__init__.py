"""The claims of Thompson et al. (2020, arXiv 2007.05558), and of Vegh (2020, arXiv 2005.00872), each one
command: reproduced, questioned, judged."""
