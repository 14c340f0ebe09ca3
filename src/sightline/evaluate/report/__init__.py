"""An evaluation or a comparison for people: text, plots, pictures, one HTML file."""
