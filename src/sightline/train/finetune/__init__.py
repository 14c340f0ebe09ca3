"""Fine-tuning: the same heads with the backbone trained, held near its pretrained weights, kept where it is better."""
