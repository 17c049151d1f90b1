"""What the operator's page costs, and how fresh what it shows is: real processes, one viewer, a slow one, and ten."""
