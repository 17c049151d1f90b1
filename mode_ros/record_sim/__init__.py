"""Demonstrations from a simulator into bags, as fast as it goes: no nodes, no middleware, no waiting for a clock."""
