"""What is behind `invset sample`: resuming, notes before and after a run, progress."""
