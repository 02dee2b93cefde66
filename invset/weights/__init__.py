"""Files of weights: which are known, where they lie, how they are fetched, and readers of their formats."""
