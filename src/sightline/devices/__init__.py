"""Cameras in, sinks out: one protocol or vendor SDK per file, imported on first use."""
