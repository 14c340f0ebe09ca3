"""What people said about parts, as targets; the order and the folds in which they are learned."""
