"""What a sweep of language models answers: the joint law, compute-optimal sizes, shapes and joules a byte."""
