"""Sinks, one file each: a new one is a file with `Settings` and `open_sink`, and a line in the table."""
