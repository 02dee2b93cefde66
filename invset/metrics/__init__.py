"""Measures of a set of samples: one measure, one file; pure functions of tensors."""
