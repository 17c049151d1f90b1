"""How often a policy succeeds in simulation, with the parts that run on the robot: episodes, scores, comparisons."""
