"""Cameras, one file each: a new one is a file with `Settings` and `open_source`, and a line in the table."""
