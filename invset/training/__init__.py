"""How the built-in model is trained; scripts/train_mini.py runs it."""
