"""Sweeps: which jobs they have, what became of each, going on with them, and their overview."""
