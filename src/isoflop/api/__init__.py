"""What `import isoflop` offers, and the steps from a source to a result that the command line shares."""
