"""Sweeps as SLURM job arrays: submission, queries of the queue, reconciliation after the jobs, final job."""
