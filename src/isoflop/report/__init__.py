"""The figures and the page of a sweep, and its copy in W&B. Torch-free."""
