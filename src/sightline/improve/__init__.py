"""What makes a running line better: drift with its cause, and self-learning. No torch."""
