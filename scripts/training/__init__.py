"""How the built-in model is trained; `python scripts/train_mini.py` runs it."""
