"""Values that every floor shares: samples, results, verdicts, the band, the recipe card. No image code."""
