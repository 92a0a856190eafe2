"""Critical batch size: steps against examples to a target loss."""
