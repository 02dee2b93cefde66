"""The mathematics: torch and nothing else; no files, no configs, no networks by name."""
