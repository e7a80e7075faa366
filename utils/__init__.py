"""Corpus-independent tools on data directories and files. Nothing here imports torch."""
