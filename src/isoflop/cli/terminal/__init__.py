"""Progress bars and tables on the terminal."""
