"""Exact and bootstrap intervals, and tests of one recipe against another."""
