"""Laws in several resources: y against parameters and data, or width, depth and data."""
