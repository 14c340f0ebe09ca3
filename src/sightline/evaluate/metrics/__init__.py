"""Metrics of images, pixels, boxes, types, grades and annotators."""
