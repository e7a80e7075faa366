"""Filterbank features and their archives."""
