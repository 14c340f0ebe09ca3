"""What makes a running line better: drift with its cause. No torch."""
