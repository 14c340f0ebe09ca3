"""Images and labels into datasets: formats, splits, near-duplicates, synthetic defects, sample parts."""
