"""The labels of parts, as targets; the order and the folds in which they are learned."""
