"""Benchmarks: how long Retort takes, against the least that the same work can take. A table, never a test."""
