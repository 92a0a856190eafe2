"""What the terminal shows: progress bars where there is a terminal, tables everywhere."""
