"""Step 1: a picture becomes a partition into regions."""
