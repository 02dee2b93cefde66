"""Sweeps: which jobs they have, what became of each, and resuming them."""
