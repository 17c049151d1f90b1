"""Faults of every kind, injected while the real nodes move a fake arm: how long until it rests, and why it says so.

Behind `mode_ros bench-safety`. `faults/` holds one file per kind of fault and the list of all.
"""
