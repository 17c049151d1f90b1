"""A policy tries, and an expert takes over where it strays: attempts to learn from."""
