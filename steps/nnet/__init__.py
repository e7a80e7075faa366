"""Encoders, heads, and whole models."""
