"""A sweep as SLURM job arrays: submitted, asked after, reconciled with what SLURM says, finished."""
