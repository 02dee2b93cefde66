"""Measures of a set of samples: pure functions of tensors, a file for each kind of measure."""
