"""Step 2: readers say of each region what it shows and how it fares."""
