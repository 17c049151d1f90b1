"""Benchmarks of the way from a robot's messages to training: one module each, behind `mode_ros bench-data`.

A benchmark is a module with NAME (its option), HELP, add_arguments(parser) and measure(arguments) -> Outcome.
"""
