"""Finished runs side by side: what their folders hold, what it comes to, and pictures of it."""
