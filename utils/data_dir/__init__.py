"""Kaldi data directories: one reader and one writer per file format."""
