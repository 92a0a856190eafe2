"""The pages of the paper's claims: a section each, and the page that holds them."""
