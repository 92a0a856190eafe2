"""What the machine is, what it could reach at best, and what it really reaches."""
