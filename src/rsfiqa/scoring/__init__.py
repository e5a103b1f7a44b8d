"""Step 3: region-aware semantic attention over a deep backbone; exact weighted sum of regions."""
