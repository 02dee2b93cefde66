"""What is behind `invset sample`: going on with runs, notes before one, progress, what is said at its end."""
