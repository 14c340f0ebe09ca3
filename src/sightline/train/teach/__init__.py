"""A new defect type after training, without the old images."""
