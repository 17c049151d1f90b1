"""What stands behind the contract's outputs: what each driver needs, what it does on silence, and how it is asked."""
