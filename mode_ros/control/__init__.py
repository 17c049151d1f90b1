"""What a robot is told and when: contract, observations, chunk timing, safety. NumPy only; time is an argument."""
