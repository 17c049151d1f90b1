"""Measuring the policy: against other ways to compute the same chunk, and in accuracy against more steps."""
