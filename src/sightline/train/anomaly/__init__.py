"""What good parts look like: memory bank, position statistics, discriminator, held-out maps, selection."""
