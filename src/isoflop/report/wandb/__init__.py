"""W&B after the fact: the records of a sweep uploaded, with a workspace and a report that show its fits."""
