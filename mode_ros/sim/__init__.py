"""Simulated robots behind one small interface."""
