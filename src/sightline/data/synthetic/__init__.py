"""Synthetic defects on photographs of good parts; for training and choosing, never for certifying."""
