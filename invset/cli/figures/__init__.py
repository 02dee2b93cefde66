"""What is behind `invset reproduce`: recipes of figures, the runs they are made of, and figures of finished runs."""
