"""A run's folder: layout and lock, journals, images and grids, and the checkpoint that ties them together."""
