"""Curation: what is wrong with a dataset, what it lacks, and which of its images say most.

`check.check(samples, embed)` gives findings, `coverage.cover` what to photograph next, `diverse.pick` a diverse subset.
"""
