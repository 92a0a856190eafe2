"""How far training can be parallelised: closed formulas, links, and an index before anything is trained."""
