"""Looking inside a trained policy: which experts run when, how alike they are, and what is wrong with that."""
