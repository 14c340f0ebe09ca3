"""Fine-tuning: the same heads with the trunk trained, held near its pretrained weights, kept where it is better."""
